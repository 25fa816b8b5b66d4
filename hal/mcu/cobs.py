"""Consistent Overhead Byte Stuffing (Cheshire & Baker, 1999): bytes without zeros, so that a zero can end a frame."""

_MAX_RUN = 254


class CobsError(ValueError):
    """Not the output of a COBS encoder."""


def encode(data: bytes) -> bytes:
    """`data` without a zero byte, longer by one byte and one more for every 254; no delimiter is added."""
    out = bytearray()
    for block in data.split(b"\0"):
        while len(block) >= _MAX_RUN:
            out.append(_MAX_RUN + 1)
            out += block[:_MAX_RUN]
            block = block[_MAX_RUN:]
        out.append(len(block) + 1)
        out += block
    return bytes(out)


def decode(data: bytes) -> bytes:
    """The bytes `encode` was given. Raises CobsError for a zero inside, an empty input or a run past the end."""
    if not data or 0 in data:
        raise CobsError("empty, or a zero inside")
    out = bytearray()
    at = 0
    while at < len(data):
        code = data[at]
        end = at + code
        if end > len(data):
            raise CobsError("a run ends past the frame")
        out += data[at + 1 : end]
        at = end
        if code <= _MAX_RUN and at < len(data):
            out.append(0)
    return bytes(out)
