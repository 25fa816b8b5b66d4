"""Packets and the secrets to read them in one file: pcapng with a Decryption Secrets Block. Pure.

draft-ietf-opsawg-pcapng, sections 4.1, 4.2, 4.3 and 4.7. Wireshark decrypts what comes after the secrets.
"""

import struct

_SECTION_HEADER, _INTERFACE, _ENHANCED_PACKET, _SECRETS = 0x0A0D0D0A, 1, 6, 10
_BYTE_ORDER = 0x1A2B3C4D
_UNKNOWN_LENGTH = 0xFFFFFFFFFFFFFFFF
_ETHERNET = 1
_IF_NAME, _IF_TSRESOL, _END_OF_OPTIONS = 2, 9, 0
_NANOSECONDS = 9
_TLS_KEY_LOG = 0x544C534B


def file_header(interface: str) -> bytes:
    """A section header, and one Ethernet interface whose times are in nanoseconds."""
    section = struct.pack("<IHHQ", _BYTE_ORDER, 1, 0, _UNKNOWN_LENGTH)
    options = _option(_IF_NAME, interface.encode()) + _option(_IF_TSRESOL, bytes((_NANOSECONDS,)))
    described = struct.pack("<HHI", _ETHERNET, 0, 0) + options + struct.pack("<HH", _END_OF_OPTIONS, 0)
    return _block(_SECTION_HEADER, section) + _block(_INTERFACE, described)


def packet(frame: bytes, at_ns: int) -> bytes:
    """One Ethernet frame, of the first interface; `at_ns` since 1970."""
    head = struct.pack("<IIIII", 0, at_ns >> 32, at_ns & 0xFFFFFFFF, len(frame), len(frame))
    return _block(_ENHANCED_PACKET, head + _padded(frame))


def tls_secrets(key_log: bytes) -> bytes:
    """Lines of the NSS key log format."""
    return _block(_SECRETS, struct.pack("<II", _TLS_KEY_LOG, len(key_log)) + _padded(key_log))


def _block(kind: int, body: bytes) -> bytes:
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _padded(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 4)
