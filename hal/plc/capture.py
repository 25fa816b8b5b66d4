"""Frames of the PLC interface as a capture file that Wireshark reads, without the keys they carry."""

import struct
from typing import BinaryIO

from hal.plc.frame import CNF, ETH_P_HPAV, REQ
from hal.plc.mme import CM_GET_KEY, CM_SET_KEY, CM_SLAC_MATCH

_MAGIC_NANOSECONDS = 0xA1B23C4D
_LINKTYPE_ETHERNET = 1
_SNAP_LENGTH = 2048
# Where the network membership key stands in a frame.
_KEYS = {
    CM_SET_KEY | REQ: slice(41, 57),
    CM_SLAC_MATCH | CNF: slice(93, 109),
    CM_GET_KEY | CNF: slice(37, 53),
}


def without_key(frame: bytes) -> bytes:
    """The same frame, zeros in place of a network membership key."""
    if len(frame) < 19 or frame[12:14] != ETH_P_HPAV.to_bytes(2, "big"):
        return frame
    key = _KEYS.get(frame[15] | frame[16] << 8)
    if key is None:
        return frame
    blank = bytearray(frame)
    blank[key] = bytes(len(blank[key]))
    return bytes(blank)


class Capture:
    """Writes to `file` as frames come; closing it is the caller's."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.write(struct.pack("<IHHiIII", _MAGIC_NANOSECONDS, 2, 4, 0, 0, _SNAP_LENGTH, _LINKTYPE_ETHERNET))

    def write(self, frame: bytes, wall_ns: int) -> None:
        """One frame at `wall_ns`, nanoseconds since 1970."""
        seconds, nanoseconds = divmod(wall_ns, 1_000_000_000)
        data = without_key(frame)
        self._file.write(struct.pack("<IIII", seconds, nanoseconds, len(data), len(data)) + data)
