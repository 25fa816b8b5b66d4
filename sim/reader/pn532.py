"""A simulated PN532 on a pseudo-terminal: it answers what the driver asks, and shows the card that is held to it.

It sleeps until it is woken, as the chip does; a command before that is not heard.
"""

from pathlib import Path

from sim.mcu.line import PtyLine, Quality

ACK = bytes.fromhex("0000ff00ff00")
ANSWERS = {0x14: b"", 0x32: b"", 0x02: bytes((0x32, 1, 6, 7))}


def frame(*body: int) -> bytes:
    total = sum(body)
    return bytes((0, 0, 0xFF, len(body), (256 - len(body)) % 256, *body, (256 - total % 256) % 256, 0))


class Pn532:
    """Set `card` to the UID in the field, `silent` to make it hear nothing."""

    def __init__(self, link: Path, quality: Quality | None = None) -> None:
        self.card = b""
        self.silent = False
        self.heard: list[int] = []
        self._awake = False
        self._buffer = bytearray()
        self._line = PtyLine(link, self._received, quality or Quality())

    def close(self) -> None:
        self._line.close()

    def reset(self) -> None:
        """As after a power cut: asleep again."""
        self._awake = False

    def say(self, data: bytes) -> None:
        self._line.write(data)

    def _received(self, data: bytes) -> None:
        if self.silent:
            return
        self._awake = self._awake or b"\x55\x55" in data
        self._buffer += data
        while (begin := self._buffer.find(b"\x00\x00\xff")) >= 0 and len(self._buffer) >= begin + 5:
            length = self._buffer[begin + 3]
            end = begin + 5 + length + 2
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[begin + 5 : end - 2])
            whole = bytes(self._buffer[begin:end]) == frame(*body)
            del self._buffer[: end if whole else begin + 3]
            if whole and self._awake and body[0] == 0xD4:
                self._obey(body[1])

    def _obey(self, code: int) -> None:
        self.heard.append(code)
        self._line.write(ACK)
        if code == 0x4A:
            target = (1, 1, 0x00, 0x04, 0x08, len(self.card), *self.card) if self.card else (0,)
            self._line.write(frame(0xD5, 0x4B, *target))
        elif code in ANSWERS:
            self._line.write(frame(0xD5, code + 1, *ANSWERS[code]))
        else:
            self._line.write(frame(0x7F))
