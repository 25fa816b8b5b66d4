"""A CAN frame with a 29 bit identifier, as Linux lays it out (struct can_frame). Pure."""

import struct
from dataclasses import dataclass
from typing import Self

_LAYOUT = struct.Struct("=IB3x8s")
FRAME_LENGTH = _LAYOUT.size
EXTENDED = 0x80000000
REMOTE_OR_ERROR = 0x60000000
ID_MASK = 0x1FFFFFFF
MAX_DATA = 8


@dataclass(frozen=True, slots=True)
class CanFrame:
    can_id: int
    data: bytes = b""

    def to_bytes(self) -> bytes:
        return _LAYOUT.pack(self.can_id | EXTENDED, len(self.data), self.data)

    @classmethod
    def from_bytes(cls, octets: bytes) -> Self | None:
        """None for what is no data frame with a 29 bit identifier: remote and error frames, 11 bits, other lengths."""
        if len(octets) != FRAME_LENGTH:
            return None
        can_id, length, data = _LAYOUT.unpack(octets)
        if not can_id & EXTENDED or can_id & REMOTE_OR_ERROR or length > MAX_DATA:
            return None
        return cls(can_id & ID_MASK, data[:length])
