"""Bits to octets and back. Every step costs time in proportion to what it reads or writes, not to the message."""

from __future__ import annotations

from secc.exi.errors import ExiDecodeError, ExiEncodeError, Reason

WINDOW = 64
"""Octets held as one integer while events are read; a whole message as one integer makes reading it quadratic."""


def window_at(data: bytes, position: int, needed: int) -> tuple[int, int]:
    """Octets from bit `position` on as an integer, and the bit position behind them.

    Raises ExiDecodeError where fewer than `needed` bits remain.
    """
    if position + needed > len(data) * 8:
        raise ExiDecodeError(Reason.TRUNCATED, "the message ends here", bit=position)
    start = position >> 3
    octets = data[start : start + WINDOW]
    return int.from_bytes(octets), (start + len(octets)) << 3


def octets_at(data: bytes, position: int, length: int) -> bytes:
    """`length` octets from bit `position` on. Raises ExiDecodeError where fewer remain."""
    if position + length * 8 > len(data) * 8:
        raise ExiDecodeError(Reason.LENGTH, f"{length} octets announced, fewer remain", bit=position)
    start, shift = position >> 3, position & 7
    if not shift:
        return data[start : start + length]
    held = int.from_bytes(data[start : start + length + 1])
    return (held >> (8 - shift)).to_bytes(length + 1)[1:]


def continued(data: bytes, position: int, value: int, shift: int, most_bits: int) -> tuple[int, int]:
    """An unsigned integer of which `shift` bits were read as `value`, and the position behind it (section 7.1.6)."""
    while True:
        octet = octets_at(data, position, 1)[0]
        position += 8
        value |= (octet & 0x7F) << shift
        if value >> most_bits or (octet >= 0x80 and shift >= most_bits):
            raise ExiDecodeError(Reason.INTEGER, f"integer of more than {most_bits} bits", bit=position)
        if octet < 0x80:
            return value, position
        shift += 7


def text_at(data: bytes, position: int, length: int) -> tuple[str, int]:
    """`length` characters and the position behind them (section 7.1.10).

    A negative length is a string table hit: the profile has no string tables, so nothing can be meant by it.
    """
    if length < 0:
        raise ExiDecodeError(Reason.STRING_TABLE, "a string table hit", bit=position)
    octets = octets_at(data, position, length)
    if octets.isascii():
        return octets.decode("ascii"), position + length * 8
    characters = []
    for _ in range(length):
        code_point = octets_at(data, position, 1)[0]
        position += 8
        if code_point >= 0x80:
            code_point, position = continued(data, position, code_point & 0x7F, 7, 21)
        if code_point > 0x10FFFF or 0xD800 <= code_point < 0xE000:
            raise ExiDecodeError(Reason.CODE_POINT, f"U+{code_point:04X} is no character", bit=position)
        characters.append(chr(code_point))
    return "".join(characters), position


def unsigned(value: int) -> bytes:
    """An unsigned integer: seven bits an octet, least significant first, the top bit set in all but the last."""
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def text_octets(text: str) -> bytes:
    """A string as it is always written here: a literal, never a string table hit. Raises ExiEncodeError."""
    if text.isascii():
        return unsigned(len(text) + 2) + text.encode("ascii")
    if any("\ud800" <= character < "\ue000" for character in text):
        raise ExiEncodeError(Reason.CODE_POINT, "a surrogate is no character")
    return unsigned(len(text) + 2) + b"".join([unsigned(ord(character)) for character in text])
