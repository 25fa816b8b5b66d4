"""What the vehicle did, as JSON lines: the demo makes its table of them and tests assert on them."""

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

Value = str | int | float | bool | None | list[float]
"""What one field of an event may hold."""


class EventLog:
    """Appends `{"t": s, "event": name, ...}` lines; `t` is time.monotonic(), one clock for all processes of a machine.

    Each line is flushed when written, so a reader may follow the file and a killed vehicle leaves what it did.
    """

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("a", encoding="utf-8")

    def write(self, event: str, **fields: Value) -> None:
        line = json.dumps({"t": round(time.monotonic(), 6), "event": event, **fields})
        self._file.write(line + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()
