"""The MAC in a link-local address (RFC 4291, appendix A): is the peer the vehicle that SLAC matched?"""

from ipaddress import IPv6Address


def mac_of(address: IPv6Address) -> str | None:
    """As in 02:00:00:00:02:01; None where the interface identifier is not made of a MAC (a private address)."""
    identifier = address.packed[8:]
    if identifier[3:5] != b"\xff\xfe":
        return None
    return bytes([identifier[0] ^ 0x02, *identifier[1:3], *identifier[5:]]).hex(":")
