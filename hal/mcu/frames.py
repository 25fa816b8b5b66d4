"""Frames of the EVSE-MCU link, version 1 (docs/mcu-link.md).

On the wire: COBS(version u8, type u8, seq u16, evse u8, payload, CRC-32 u32) and a zero byte, all little-endian.
"""

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

from hal.mcu import cobs
from hal.mcu.payloads import MAX_PAYLOAD, PAYLOADS, Payload, PayloadError

MAJOR = 1
MINOR = 0
VERSION = MAJOR << 4 | MINOR
"""Major in the high nibble, minor in the low one. Peers of another major version refuse each other."""

_HEADER = struct.Struct("<BBHB")
_CRC = struct.Struct("<I")
MAX_ENCODED = _HEADER.size + MAX_PAYLOAD + _CRC.size + 1
"""Bytes between two delimiters: such a frame is below 254 bytes, so COBS adds exactly one."""


@dataclass(frozen=True, slots=True)
class Frame:
    seq: int
    evse: int
    """The EVSE on this board, from 1."""
    payload: Payload

    def to_wire(self) -> bytes:
        """The frame as sent, delimiter included."""
        body = _HEADER.pack(VERSION, self.payload.type, self.seq, self.evse) + self.payload.to_bytes()
        return cobs.encode(body + _CRC.pack(zlib.crc32(body))) + b"\0"


class Drop(IntEnum):
    """Why a frame was not taken."""

    BAD_COBS = 1
    TOO_LONG = 2
    TOO_SHORT = 3
    BAD_CRC = 4
    BAD_VERSION = 5
    UNKNOWN_TYPE = 6
    MALFORMED = 7


class Dropped(Exception):
    """Internal to this package: carries the reason to the reader that counts it."""

    def __init__(self, reason: Drop) -> None:
        super().__init__(reason.name)
        self.reason = reason


def decode(encoded: bytes) -> Frame:
    """One frame from the bytes between two delimiters. Raises Dropped."""
    if len(encoded) > MAX_ENCODED:
        raise Dropped(Drop.TOO_LONG)
    try:
        raw = cobs.decode(encoded)
    except cobs.CobsError as error:
        raise Dropped(Drop.BAD_COBS) from error
    if len(raw) < _HEADER.size + _CRC.size:
        raise Dropped(Drop.TOO_SHORT)
    body = raw[: -_CRC.size]
    if zlib.crc32(body) != _CRC.unpack(raw[-_CRC.size :])[0]:
        raise Dropped(Drop.BAD_CRC)
    version, kind, seq, evse = _HEADER.unpack_from(body)
    if version >> 4 != MAJOR:
        raise Dropped(Drop.BAD_VERSION)
    if kind not in PAYLOADS:
        raise Dropped(Drop.UNKNOWN_TYPE)
    try:
        return Frame(seq, evse, PAYLOADS[kind].from_bytes(body[_HEADER.size :]))
    except PayloadError as error:
        raise Dropped(Drop.MALFORMED) from error
