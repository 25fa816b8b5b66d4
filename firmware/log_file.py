"""The daemon's log as a bounded file, and GetLog's view of it."""

import asyncio
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

MAX_BYTES = 4_000_000
OLDER_FILES = 4
"""All in all 20 MB: some days of a busy station."""

_STAMP = "%Y-%m-%dT%H:%M:%S"


class LogFile:
    """Implements `ocpp_client.ports.LogSource`. Raises OSError where the file cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.handler = RotatingFileHandler(path, maxBytes=MAX_BYTES, backupCount=OLDER_FILES, encoding="utf-8")
        formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s", _STAMP)
        formatter.converter = time.gmtime
        self.handler.setFormatter(formatter)

    async def collect(self, oldest: datetime | None, latest: datetime | None) -> bytes:
        """The lines of that time, oldest first; a line without a stamp belongs to the one before it."""
        return await asyncio.to_thread(self._collect, oldest, latest)

    def _collect(self, oldest: datetime | None, latest: datetime | None) -> bytes:
        first, last = _stamp(oldest) or "", _stamp(latest) or "9999"
        taken, within = [], oldest is None
        for line in self._lines():
            stamp = line[: len("2026-01-01T00:00:00.000")]
            if _is_stamp(stamp):
                within = first <= stamp <= last
            if within:
                taken.append(line)
        return "".join(taken).encode()

    def _lines(self) -> Iterator[str]:
        older = [self._path.with_name(f"{self._path.name}.{number}") for number in range(OLDER_FILES, 0, -1)]
        for path in (*older, self._path):
            try:
                text = path.read_text(encoding="utf-8", errors="replace")
            except FileNotFoundError:
                continue  # Not there yet, or rotated away meanwhile.
            yield from text.splitlines(keepends=True)


def _stamp(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:23] if moment else None


def _is_stamp(text: str) -> bool:
    return len(text) == 23 and text[4] == text[7] == "-" and text[10] == "T" and text[:4].isdigit()
