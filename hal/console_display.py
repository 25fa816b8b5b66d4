"""A display that is a character console: a Linux virtual terminal, or a serial terminal that knows ECMA-48.

What drivers are shown comes from afar: control characters never reach the console.
"""

import asyncio
import logging
import os
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hal.ports import DisplayMessage

log = logging.getLogger(__name__)

TURN_S = 5.0
"""How long one of several messages is shown."""
CLEAR = "\x1b[2J\x1b[H\x1b[?25l"
"""Erase all, go home, hide the cursor."""


class ConsoleDisplay:
    """`device` is opened when there is something to show, and anew after a failure."""

    def __init__(self, device: Path, columns: int = 40, rows: int = 4) -> None:
        self._device = device
        self._columns = columns
        self._rows = rows
        self._messages: tuple[DisplayMessage, ...] = ()
        self._turn = 0
        self._file: int | None = None
        self._failed = False
        self._timer: asyncio.TimerHandle | None = None

    def show(self, messages: Sequence[DisplayMessage]) -> None:
        if self._messages != tuple(messages) or self._failed:
            self._messages, self._turn = tuple(messages), 0
            self._draw()

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._messages = ()
        self._write(CLEAR)
        self._let_go()

    def _draw(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._write(CLEAR + "\r\n".join(self._lines()))
        if len(self._messages) > 1 or self._failed:
            self._timer = asyncio.get_running_loop().call_later(TURN_S, self._next)

    def _next(self) -> None:
        self._turn += 1
        self._draw()

    def _lines(self) -> list[str]:
        if not self._messages:
            return []
        message = self._messages[self._turn % len(self._messages)]
        who = f"EVSE {message.evse}: " if message.evse is not None else ""
        return textwrap.wrap(who + printable(message.text), self._columns)[: self._rows]

    def _write(self, text: str) -> None:
        """A console that is gone or does not take it loses this turn; the next one tries again."""
        try:
            if self._file is None:
                self._file = os.open(self._device, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
            os.write(self._file, text.encode("utf-8"))
            self._failed = False
        except OSError as error:
            if not self._failed:
                log.warning("the display %s does not take what it should show: %s", self._device, error)
            self._failed = True
            self._let_go()

    def _let_go(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
            self._file = None


def printable(text: str) -> str:
    """Without what moves a cursor, erases, or turns the direction of writing."""
    return "".join(one if one.isprintable() else " " for one in text)
