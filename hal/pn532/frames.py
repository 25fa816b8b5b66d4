"""Frames of the NXP PN532 over its high-speed UART (PN532 user manual, chapters 6 and 7). Pure.

00 00 FF LEN LCS TFI data DCS 00, where LEN counts TFI and data, LEN + LCS and TFI + data + DCS are 0 modulo 256. TFI is
D4 towards the chip and D5 from it. A command is first acknowledged by 00 00 FF 00 FF 00, then answered. Nothing marks a
byte as data, so a reader that lost one looks for the next place where all of it fits.
"""

from collections import Counter
from dataclasses import dataclass
from enum import Enum

START = b"\x00\x00\xff"
ACK = START + b"\x00\xff\x00"
WAKE_UP = b"\x55\x55" + bytes(14)
"""From power-down the chip needs a rising edge and some time before it hears a command."""
_TO_CHIP, _FROM_CHIP = 0xD4, 0xD5
_APPLICATION_ERROR = 0x7F
MAX_FRAME = 8 + 255


class Said(Enum):
    ACK = "acknowledged"
    NACK = "not understood"
    ERROR = "application error"


@dataclass(frozen=True, slots=True)
class Answer:
    """`command` is the code of the command that is answered."""

    command: int
    data: bytes


def command(code: int, *arguments: int) -> bytes:
    body = bytes((_TO_CHIP, code, *arguments))
    return START + bytes((len(body), -len(body) & 0xFF)) + body + bytes((-sum(body) & 0xFF, 0))


class FrameReader:
    """Bytes into frames; `drops` counts by reason what was part of none."""

    def __init__(self) -> None:
        self.drops: Counter[str] = Counter()
        self._buffer = bytearray()

    def reset(self) -> None:
        self._buffer.clear()

    def feed(self, data: bytes) -> list[Answer | Said]:
        """What `data` completes. Never raises for what a line may carry."""
        self._buffer += data
        said: list[Answer | Said] = []
        while (begin := self._buffer.find(START)) >= 0:
            del self._buffer[:begin]
            taken = self._take()
            if taken is None:
                return said
            length, frame = taken
            if frame is not None:
                said.append(frame)
            del self._buffer[:length]
        # The last two bytes may be the beginning of a start.
        del self._buffer[:-2]
        return said

    def _take(self) -> tuple[int, Answer | Said | None] | None:
        """How many bytes from the start on are done with, and what they were; None: more have to come."""
        buffer = self._buffer
        if len(buffer) < len(ACK):
            return None
        length, check = buffer[3], buffer[4]
        if (length, check) == (0x00, 0xFF):
            return len(ACK), Said.ACK
        if (length, check) == (0xFF, 0x00):
            return len(ACK), Said.NACK
        if (length + check) & 0xFF:
            self.drops["length"] += 1
            return len(START), None
        end = 5 + length + 1
        if len(buffer) < end:
            return None
        body = bytes(buffer[5 : end - 1])
        if (sum(body) + buffer[end - 1]) & 0xFF:
            self.drops["checksum"] += 1
            return len(START), None
        return end, self._meant(body)

    def _meant(self, body: bytes) -> Answer | Said | None:
        if body == bytes((_APPLICATION_ERROR,)):
            return Said.ERROR
        if len(body) >= 2 and body[0] == _FROM_CHIP and body[1] & 1:
            return Answer(body[1] - 1, body[2:])
        self.drops["not for us"] += 1
        return None
