"""Bytes of a serial line into frames: incremental, bounded, resynchronising at each delimiter."""

from collections import Counter
from collections.abc import Iterator

from hal.mcu.frames import MAX_ENCODED, Drop, Dropped, Frame, decode


class FrameReader:
    """Keeps at most one frame's worth of bytes. `drops` counts by reason what was not taken."""

    def __init__(self) -> None:
        self.drops: Counter[Drop] = Counter()
        self._buffer = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes, in order. Never raises for what a line may carry."""
        return list(self._frames(data))

    def reset(self) -> None:
        """Forget a frame begun: the line was closed."""
        self._buffer.clear()
        self._skipping = False

    def _frames(self, data: bytes) -> Iterator[Frame]:
        *complete, rest = data.split(b"\0")
        for part in complete:
            self._append(part)
            encoded, skipped = bytes(self._buffer), self._skipping
            self.reset()
            # Two delimiters in a row are an idle line, not a frame.
            if encoded and not skipped:
                yield from self._decoded(encoded)
        self._append(rest)

    def _append(self, part: bytes) -> None:
        if self._skipping:
            return
        if len(self._buffer) + len(part) > MAX_ENCODED:
            self.drops[Drop.TOO_LONG] += 1
            self._skipping = True
            self._buffer.clear()
            return
        self._buffer += part

    def _decoded(self, encoded: bytes) -> Iterator[Frame]:
        try:
            yield decode(encoded)
        except Dropped as dropped:
            self.drops[dropped.reason] += 1
