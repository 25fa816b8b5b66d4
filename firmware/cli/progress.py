"""A bar for what takes its time: on standard error, and on a terminal only."""

from __future__ import annotations

import sys
from typing import Self

WIDE = 20


class Progress:
    """A context manager. `total` steps; each is begun by its name."""

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        self._total = max(total, 1)
        self._done = 0
        self._shown = sys.stderr.isatty() and not quiet

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def begins(self, name: str) -> None:
        """The step before, if any, is done."""
        self.at(self._done, name)
        self._done += 1

    def at(self, done: float, name: str) -> None:
        if self._shown:
            share = min(max(done / self._total, 0.0), 1.0)
            bar = ("#" * round(WIDE * share)).ljust(WIDE, ".")
            sys.stderr.write(f"\r\x1b[K[{bar}] {share:4.0%}  {name}"[:90])
            sys.stderr.flush()
