"""Frames of the Pionix boards: COBS around a protobuf message and its CRC-32/JAMCRC, ended by a zero. Pure."""

from collections import Counter
from collections.abc import Iterator
from zlib import crc32

from hal.mcu import cobs
from hal.pionix.protobuf import Message, ProtobufError, decode

MAX_ENCODED = 512
"""The longest message they send has 150 bytes."""
_CRC = 4


def jamcrc(data: bytes) -> int:
    """CRC-32 without its last inversion."""
    return crc32(data) ^ 0xFFFFFFFF


def to_wire(message: bytes) -> bytes:
    return cobs.encode(message + jamcrc(message).to_bytes(_CRC, "little")) + b"\0"


class MessageReader:
    """Bytes into messages; keeps at most one frame's worth. `drops` counts by reason what was not taken."""

    def __init__(self) -> None:
        self.drops: Counter[str] = Counter()
        self._buffer = bytearray()

    def reset(self) -> None:
        self._buffer.clear()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that `data` completes. Never raises for what a line may carry."""
        return list(self._messages(data))

    def _messages(self, data: bytes) -> Iterator[Message]:
        *complete, rest = data.split(b"\0")
        for part in complete:
            encoded = bytes(self._buffer + part)
            self._buffer.clear()
            if encoded:
                yield from self._decoded(encoded)
        self._buffer += rest
        if len(self._buffer) > MAX_ENCODED:
            # What follows up to the next zero is dropped by its checksum.
            self.drops["too long"] += 1
            self._buffer.clear()

    def _decoded(self, encoded: bytes) -> Iterator[Message]:
        try:
            data = cobs.decode(encoded)
        except cobs.CobsError:
            self.drops["cobs"] += 1
            return
        message, check = data[:-_CRC], data[-_CRC:]
        if jamcrc(message) != int.from_bytes(check, "little"):
            self.drops["crc"] += 1
            return
        try:
            yield decode(message)
        except ProtobufError:
            self.drops["protobuf"] += 1
