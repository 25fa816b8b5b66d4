"""The UART frames of chargebyte's safety controllers (Charge SOM, Charge Control Y). Pure.

A5, identifier, eight bytes of signals (big-endian), CRC-8 SAE J1850 over identifier and signals, 03. Nothing marks a
byte as data, so a reader that lost a byte looks for the next place where all of it fits.
"""

from collections import Counter
from dataclasses import dataclass
from enum import IntEnum

SOF, EOF = 0xA5, 0x03
LENGTH = 12


class Com(IntEnum):
    CHARGE_CONTROL = 0x06
    CHARGE_STATE = 0x07
    PT1000_STATE = 0x08
    FIRMWARE_VERSION = 0x0A
    GIT_HASH = 0x0B
    ERROR_MESSAGE = 0x0E
    ACTION = 0xFE
    INQUIRY = 0xFF


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x1D if crc & 0x80 else crc << 1) & 0xFF
        table.append(crc)
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc8_j1850(data: bytes) -> int:
    crc = 0xFF
    for byte in data:
        crc = _CRC_TABLE[crc ^ byte]
    return crc ^ 0xFF


@dataclass(frozen=True, slots=True)
class Frame:
    com: int
    signals: int
    """64 bits; bit 63 is the highest of the first byte on the wire."""

    def to_wire(self) -> bytes:
        body = bytes((self.com,)) + self.signals.to_bytes(8)
        return bytes((SOF,)) + body + bytes((crc8_j1850(body), EOF))


class FrameReader:
    """Bytes into frames; `drops` counts the bytes that were part of none."""

    def __init__(self) -> None:
        self.drops: Counter[str] = Counter()
        self._buffer = bytearray()

    def reset(self) -> None:
        self._buffer.clear()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. Never raises for what a line may carry."""
        self._buffer += data
        frames = []
        while len(self._buffer) >= LENGTH:
            if frame := _frame_at_start(self._buffer):
                frames.append(frame)
                del self._buffer[:LENGTH]
            else:
                self.drops["byte"] += 1
                del self._buffer[:1]
        return frames


def _frame_at_start(buffer: bytearray) -> Frame | None:
    if buffer[0] != SOF or buffer[LENGTH - 1] != EOF:
        return None
    body = bytes(buffer[1 : LENGTH - 2])
    if crc8_j1850(body) != buffer[LENGTH - 2]:
        return None
    return Frame(body[0], int.from_bytes(body[1:]))
