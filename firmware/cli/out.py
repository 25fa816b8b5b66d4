"""What commands print: tables and lines, aligned and cut to a terminal, else plain with tabs for other programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

BOLD, RED, YELLOW, GREEN, DIM, RESET = "\x1b[1m", "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[2m", "\x1b[0m"
NONE = "-"


def is_terminal() -> bool:
    return sys.stdout.isatty()


def width() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except OSError:
        return 80


def styled(text: str, style: str) -> str:
    return f"{style}{text}{RESET}" if is_terminal() and style and not os.environ.get("NO_COLOR") else text


def as_json(value: object) -> None:
    print(json.dumps(value, indent=2 if is_terminal() else None))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A terminal gets columns, of which the last is wrapped; anything else gets tabs. Absent values are `-`."""
    cells = [[text(value) for value in row] for row in rows]
    if not is_terminal():
        for row in [list(head), *cells]:
            print("\t".join(row))
        return
    widths = [max(len(row[column]) for row in [list(head), *cells]) for column in range(len(head) - 1)]
    for number, row in enumerate([list(head), *cells]):
        left = "".join(f"{cell.ljust(wide)}  " for cell, wide in zip(row, widths, strict=False))
        for line in wrapped(left, row[-1], width()):
            print(line if number else styled(line, BOLD))


LEAST_COLUMN = 24
"""A last column narrower than this goes below its row instead."""


def wrapped(left: str, last: str, wide: int) -> list[str]:
    """`left` and as many lines as `last` needs beside it; only a word longer than the column is broken."""
    if len(left) + len(last) <= wide:
        return [left + last]
    below = wide - len(left) < LEAST_COLUMN
    indent = " " * (4 if below else len(left))
    room = wide - len(indent)
    lines = [""]
    for word in last.split():
        for piece in (word[at : at + room] for at in range(0, len(word), room)):
            if lines[-1] and len(lines[-1]) + 1 + len(piece) > room:
                lines.append("")
            lines[-1] = f"{lines[-1]} {piece}".strip()
    first = [cut(left.rstrip(), wide)] if below else [left + lines.pop(0)]
    return first + [indent + line for line in lines]


def cut(line: str, wide: int) -> str:
    return line if len(line) <= wide else line[: wide - 1] + ">"


def pairs(title: str, rows: Iterable[tuple[str, object]]) -> None:
    """A heading, and names with values below it."""
    print(styled(title, BOLD))
    for name, value in rows:
        for line in wrapped(f"  {name:<14} ", text(value), width() if is_terminal() else sys.maxsize):
            print(line)


def text(value: object) -> str:
    if value is None or value == "":
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return printable(str(value))


def printable(words: str) -> str:
    """Vehicles and operators choose some of the words: none of them may steer the terminal."""
    return words if words.isprintable() else "".join(sign if sign.isprintable() else "?" for sign in words)


def moment(iso: str | None, *, date: bool = False) -> str:
    """In the terminal's time zone."""
    if iso is None:
        return NONE
    local = datetime.fromisoformat(iso).astimezone()
    return local.strftime("%Y-%m-%d %H:%M:%S") if date else local.strftime("%H:%M:%S.%f")[:-3]


def span(seconds: float) -> str:
    """As in 3 d 04:05 or 04:05:06."""
    days, rest = divmod(int(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    return f"{days} d {hours:02}:{rest // 60:02}" if days else f"{hours:02}:{rest // 60:02}:{rest % 60:02}"


def fields(data: dict[str, object]) -> str:
    return " ".join(f"{name}={text(value)}" for name, value in data.items())
