"""The console as a display, over a pty: turns, what must not reach it, and a console that comes and goes."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from hal import console_display
from hal.console_display import ConsoleDisplay, printable
from hal.ports import DisplayMessage
from hal.quantities import EvseId
from sim.display import Panel


@pytest.fixture
def console() -> Iterator[Panel]:
    with Panel() as panel:
        yield panel


async def test_messages_in_turns(console: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_display, "TURN_S", 0.02)
    display = ConsoleDisplay(console.path)
    display.show([DisplayMessage("Good morning"), DisplayMessage("0.55 EUR/kWh", "en", EvseId(2))])
    assert console.lines == ["Good morning"]
    for wanted in (["EVSE 2: 0.55 EUR/kWh"], ["Good morning"]):
        async with asyncio.timeout(2):
            while console.lines != wanted:
                await asyncio.sleep(0.002)
    display.show([])
    assert console.lines == []
    await display.close()


async def test_a_long_text_is_wrapped_and_cut(console: Panel) -> None:
    display = ConsoleDisplay(console.path, columns=10, rows=2)
    display.show([DisplayMessage("one two three four five six")])
    assert console.lines == ["one two", "three four"]
    await display.close()


async def test_the_same_again_draws_nothing(console: Panel) -> None:
    display = ConsoleDisplay(console.path)
    display.show([DisplayMessage("Hello")])
    assert console.lines == ["Hello"]
    written = console.written
    display.show([DisplayMessage("Hello")])
    assert console.lines == ["Hello"]
    assert console.written == written
    await display.close()


async def test_nobody_steers_the_terminal(console: Panel) -> None:
    display = ConsoleDisplay(console.path)
    display.show([DisplayMessage("a\x1b[2Jb\x07c\u202ed\r\ne\x9bf")])
    assert console.lines == ["a [2Jb c d  e f"]
    await display.close()
    assert printable("Grüße, 0,55 €") == "Grüße, 0,55 €"


async def test_a_console_that_is_gone_stops_nobody(
    tmp_path: Path, console: Panel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(console_display, "TURN_S", 0.02)
    link = tmp_path / "tty"
    display = ConsoleDisplay(link)
    display.show([DisplayMessage("Hello")])
    display.show([DisplayMessage("Hello")])
    assert len(caplog.records) == 1, "said once"
    link.symlink_to(console.path)
    async with asyncio.timeout(2):
        while console.lines != ["Hello"]:
            await asyncio.sleep(0.002)
    await display.close()


async def test_close_without_a_console(tmp_path: Path) -> None:
    await ConsoleDisplay(tmp_path / "none").close()
