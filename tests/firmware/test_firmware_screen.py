"""What drivers are shown, as the display and the technician have it."""

from pathlib import Path
from typing import Any

import pytest

from firmware.cli import screen as top
from firmware.cli import status as words
from firmware.config import ConfigError, Display, parse
from firmware.screen import Screen
from hal.ports import DisplayMessage
from hal.quantities import EvseId
from ocpp_client.ports import DisplayChanged
from tests.firmware.test_firmware_config import GOOD

SHOWN = (DisplayMessage("Welcome", "en"), DisplayMessage("Cost so far: 1.00 EUR", "", EvseId(2)))


class Panel:
    def __init__(self) -> None:
        self.showing: list[DisplayMessage] = []

    def show(self, messages: Any) -> None:
        self.showing = list(messages)

    async def close(self) -> None: ...


def test_the_display_and_the_technician_see_the_same() -> None:
    panel = Panel()
    screen = Screen(panel)
    assert screen.shown() == []
    screen.take(DisplayChanged(SHOWN))
    assert panel.showing == list(SHOWN)
    assert screen.shown() == [
        {"text": "Welcome", "language": "en", "evse": None},
        {"text": "Cost so far: 1.00 EUR", "language": None, "evse": 2},
    ]


def test_a_station_without_a_display_shows_it_to_the_technician() -> None:
    screen = Screen(None)
    screen.take(DisplayChanged(SHOWN))
    assert [words.display_words(one) for one in screen.shown()] == ["Welcome", "EVSE 2: Cost so far: 1.00 EUR"]
    told = {"display": screen.shown()}
    assert [line.text for line in top._display(told)] == [" display  Welcome | EVSE 2: Cost so far: 1.00 EUR"]
    assert top._display({"display": []}) == []


@pytest.mark.parametrize(
    ("table", "display"),
    [
        ("", None),
        ("[display]\n", Display()),
        ('[display]\ndevice = "/dev/tty1"\nrows = 2\n', Display(Path("/dev/tty1"), 40, 2)),
    ],
)
def test_the_configuration(table: str, display: Display | None) -> None:
    assert parse(GOOD + table, Path("/etc/evsed/evsed.toml")).display == display


@pytest.mark.parametrize("size", ["columns = 7", "rows = 0", "columns = 1000"])
def test_a_display_of_an_odd_size(size: str) -> None:
    with pytest.raises(ConfigError, match="display: columns"):
        parse(f"{GOOD}[display]\n{size}\n", Path("/etc/evsed/evsed.toml"))
