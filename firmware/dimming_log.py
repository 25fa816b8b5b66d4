"""The grid operator's dimming orders and what became of them, on disk: one JSON line each, kept for years.

Two files of bounded size; a disk that fails loses lines, never a limit.
"""

import json
import logging
import os
from datetime import datetime
from pathlib import Path

from firmware.grid import Noted

log = logging.getLogger(__name__)

MAX_BYTES = 1_000_000
"""Of a file; some 7,000 lines."""

Entry = dict[str, object]


class DimmingLog:
    """Call `append` and `entries` in a thread of their own: they wait for the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._older = path.with_name(path.name + ".1")

    def append(self, noted: Noted, at: datetime) -> None:
        entry: Entry = {
            "at": at.isoformat(timespec="milliseconds"),
            "event": noted.event.value,
            "by": noted.by,
            "limit_w": noted.limit_w,
            "power_w": None if noted.power_w is None else round(noted.power_w, 1),
        }
        try:
            if self._path.exists() and self._path.stat().st_size >= MAX_BYTES:
                self._path.replace(self._older)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            log.error("the dimming log cannot be written: %s", error)

    def entries(self) -> list[Entry]:
        """All there are, oldest first; a line cut short by a power cut is left out."""
        found = []
        for path in (self._older, self._path):
            try:
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            except FileNotFoundError:
                continue
            for line in lines:
                try:
                    found.append(json.loads(line))
                except ValueError:
                    log.warning("a line of the dimming log cannot be read")
        return found
