"""LEDs of the kernel's class, here as directories with the same files."""

from pathlib import Path

import pytest

from hal.leds import LOOKS, Leds
from hal.ports import Indication


def led(directory: Path, name: str) -> Path:
    made = directory / name
    made.mkdir()
    for file, text in (("trigger", "none"), ("brightness", "0"), ("max_brightness", "255\n")):
        (made / file).write_text(text)
    return made


def state(made: Path) -> str:
    if (made / "trigger").read_text() == "timer":
        return f"blinks {(made / 'delay_on').read_text()}/{(made / 'delay_off').read_text()}"
    return (made / "brightness").read_text()


def test_every_indication_has_a_look_of_its_own(tmp_path: Path) -> None:
    red, green, blue = (led(tmp_path, name) for name in ("evse:red", "evse:green", "evse:blue"))
    lights = Leds(tmp_path, red="evse:red", green="evse:green", blue="evse:blue")
    seen = {}
    for indication in Indication:
        lights.show(indication)
        seen[indication] = (state(red), state(green), state(blue))
    assert seen[Indication.FAULTED] == ("255", "0", "0")
    assert seen[Indication.AVAILABLE] == ("0", "255", "0")
    assert seen[Indication.CONNECTED] == ("0", "0", "blinks 500/500")
    assert seen[Indication.CHARGING] == ("0", "0", "255")
    assert len(set(seen.values())) == len(Indication) == len(LOOKS)


def test_what_is_shown_already_is_not_written_again(tmp_path: Path) -> None:
    green = led(tmp_path, "green")
    lights = Leds(tmp_path, green="green")
    lights.show(Indication.AVAILABLE)
    (green / "brightness").write_text("touched")
    lights.show(Indication.AVAILABLE)
    assert state(green) == "touched"


def test_a_dead_led_is_told_once_and_the_others_shine(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blue = led(tmp_path, "blue")
    lights = Leds(tmp_path, red="gone", blue="blue")
    for indication in (Indication.CHARGING, Indication.FAULTED, Indication.CHARGING):
        lights.show(indication)
    assert state(blue) == "255"
    assert len(caplog.records) == 1
    assert "the red LED cannot be set" in caplog.text
