"""The wire format of Protocol Buffers, as far as the boards use it: varints, floats, and what has a length. Pure.

No generated code and no library: protobuf has no compiled wheel for a 32-bit ARM, and the boards speak twenty messages.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MASK64 = (1 << 64) - 1


class ProtobufError(ValueError):
    """Not the wire format: cut off, or of a kind nobody sends."""


@dataclass(frozen=True, slots=True)
class Message:
    """Decoded fields by number; of a field that came twice the last counts, as proto3 has it."""

    fields: Mapping[int, int | bytes]
    """Varints and fixed fields as unsigned integers, the rest as bytes."""

    def has(self, number: int) -> bool:
        return number in self.fields

    def number(self, number: int) -> int:
        """An unsigned integer, an enumeration or a bool; 0 where it is absent, as proto3 leaves out what is 0."""
        value = self.fields.get(number, 0)
        return value if isinstance(value, int) else 0

    def flag(self, number: int) -> bool:
        return self.number(number) != 0

    def real(self, number: int) -> float:
        """A `float`; not a number and infinities read 0."""
        (value,) = struct.unpack("<f", struct.pack("<I", self.number(number) & 0xFFFFFFFF))
        return float(value) if value - value == 0 else 0.0

    def text(self, number: int) -> str:
        value = self.fields.get(number, b"")
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""

    def message(self, number: int) -> "Message":
        """Raises ProtobufError. An absent message has no fields."""
        value = self.fields.get(number, b"")
        return decode(value) if isinstance(value, bytes) else Message({})


def decode(data: bytes) -> Message:
    """Raises ProtobufError."""
    return Message(dict(_fields(data)))


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if not number:
            raise ProtobufError("field number 0")
        if kind == VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == BYTES:
            length, at = _varint(data, at)
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            raise ProtobufError(f"wire type {kind}")
        if at + length > len(data):
            raise ProtobufError("a field ends past the message")
        part = data[at : at + length]
        yield number, part if kind == BYTES else int.from_bytes(part, "little")
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ProtobufError("a number is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK64, at
    raise ProtobufError("a number of more than ten bytes")


def varint(number: int, value: int) -> bytes:
    """An integer, an enumeration (also a negative one) or a bool; 0 is told too, which matters inside a oneof."""
    return _encoded(number << 3 | VARINT) + _encoded(value & _MASK64)


def nested(number: int, *fields: bytes) -> bytes:
    """A message, a string or bytes."""
    inside = b"".join(fields)
    return _encoded(number << 3 | BYTES) + _encoded(len(inside)) + inside


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
