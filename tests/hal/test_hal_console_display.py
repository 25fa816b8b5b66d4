"""The console as a display, over a pty: turns, what must not reach it, and a console that comes and goes."""

import asyncio
import os
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from hal import console_display
from hal.console_display import CLEAR, ConsoleDisplay, printable
from hal.ports import DisplayMessage
from hal.quantities import EvseId


class Console:
    """The other end of the pty; `screen` is what stands on it now."""

    def __init__(self) -> None:
        self._far, near = os.openpty()
        tty.setraw(near)
        self._near = near
        self.path = Path(os.ttyname(near))
        os.set_blocking(self._far, False)
        self.seen = ""

    @property
    def screen(self) -> list[str]:
        try:
            while octets := os.read(self._far, 65536):
                self.seen += octets.decode()
        except BlockingIOError:
            pass
        return self.seen.rpartition(CLEAR)[2].split("\r\n")

    def close(self) -> None:
        os.close(self._far)
        os.close(self._near)


@pytest.fixture
def console() -> Iterator[Console]:
    console = Console()
    yield console
    console.close()


async def test_messages_in_turns(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_display, "TURN_S", 0.02)
    display = ConsoleDisplay(console.path)
    display.show([DisplayMessage("Good morning"), DisplayMessage("0.55 EUR/kWh", "en", EvseId(2))])
    assert console.screen == ["Good morning"]
    for wanted in (["EVSE 2: 0.55 EUR/kWh"], ["Good morning"]):
        async with asyncio.timeout(2):
            while console.screen != wanted:
                await asyncio.sleep(0.002)
    display.show([])
    assert console.screen == [""]
    await display.close()


async def test_a_long_text_is_wrapped_and_cut(console: Console) -> None:
    display = ConsoleDisplay(console.path, columns=10, rows=2)
    display.show([DisplayMessage("one two three four five six")])
    assert console.screen == ["one two", "three four"]
    await display.close()


async def test_the_same_again_draws_nothing(console: Console) -> None:
    display = ConsoleDisplay(console.path)
    display.show([DisplayMessage("Hello")])
    assert console.screen == ["Hello"]
    seen = console.seen
    display.show([DisplayMessage("Hello")])
    assert console.screen == ["Hello"]
    assert console.seen == seen
    await display.close()


async def test_nobody_steers_the_terminal(console: Console) -> None:
    display = ConsoleDisplay(console.path)
    display.show([DisplayMessage("a\x1b[2Jb\x07c\u202ed\r\ne\x9bf")])
    assert console.screen == ["a [2Jb c d  e f"]
    await display.close()
    assert printable("Grüße, 0,55 €") == "Grüße, 0,55 €"


async def test_a_console_that_is_gone_stops_nobody(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(console_display, "TURN_S", 0.02)
    link = tmp_path / "tty"
    display = ConsoleDisplay(link)
    display.show([DisplayMessage("Hello")])
    display.show([DisplayMessage("Hello")])
    assert len(caplog.records) == 1, "said once"
    link.symlink_to(console.path)
    async with asyncio.timeout(2):
        while console.screen != ["Hello"]:
            await asyncio.sleep(0.002)
    await display.close()


async def test_close_without_a_console(tmp_path: Path) -> None:
    await ConsoleDisplay(tmp_path / "none").close()
