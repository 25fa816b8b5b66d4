"""Frames of the PLC interface as a capture file that Wireshark and tcpdump read, without the keys they carry."""

import struct

from hal.plc.frame import CNF, REQ, MmeError, parse_header
from hal.plc.mme import CM_GET_KEY, CM_SET_KEY, CM_SLAC_MATCH
from hal.plc.vendor_mme import VS_MODULE_OPERATION

_MAGIC_NANOSECONDS = 0xA1B23C4D
_LINKTYPE_ETHERNET = 1
_SNAP_LENGTH = 2048
VS_READ_MODULE = 0xA024
# Where keys stand, counted from the end of the headers.
_KEYS = {
    CM_SET_KEY | REQ: slice(22, 38),
    CM_SLAC_MATCH | CNF: slice(74, 90),
    # Four octets more: by one reading of [HPGP] 11.5.7 a second nonce stands before the NID.
    CM_GET_KEY | CNF: slice(18, 38),
    # Not ours but plctool's: a modem's parameter block has its keys. We read a single octet of it, which stays.
    VS_MODULE_OPERATION | CNF: slice(31, None),
    VS_READ_MODULE | CNF: slice(4, None),
}


def without_key(frame: bytes) -> bytes:
    """The same frame, zeros in place of a network membership key."""
    try:
        header = parse_header(frame)
    except MmeError:
        return frame
    key = _KEYS.get(header.mmtype)
    if key is None:
        return frame
    blank = bytearray(frame)
    payload = blank[header.payload_at :]
    payload[key] = bytes(len(payload[key]))
    blank[header.payload_at :] = payload
    return bytes(blank)


def file_header() -> bytes:
    """What the file begins with: nanoseconds, little endian, link type Ethernet."""
    return struct.pack("<IHHiIII", _MAGIC_NANOSECONDS, 2, 4, 0, 0, _SNAP_LENGTH, _LINKTYPE_ETHERNET)


def record(frame: bytes, wall_ns: int) -> bytes:
    """One frame as the file has it, without its key, at `wall_ns` nanoseconds since 1970."""
    seconds, nanoseconds = divmod(wall_ns, 1_000_000_000)
    data = without_key(frame)[:_SNAP_LENGTH]
    return struct.pack("<IIII", seconds, nanoseconds, len(data), len(frame)) + data
