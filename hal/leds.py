"""`UserIndication` by LEDs of the kernel's LED class (Documentation/leds/leds-class.rst): a directory an LED.

Green while a vehicle may come, blue while somebody is served, red under a fault. What blinks waits for somebody: the
driver's card, or the vehicle.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from hal.ports import Indication

log = logging.getLogger(__name__)

BLINK_MS = 500


@dataclass(frozen=True, slots=True)
class Look:
    red: bool = False
    green: bool = False
    blue: bool = False
    blinks: bool = False


LOOKS: dict[Indication, Look] = {
    Indication.UNAVAILABLE: Look(),
    Indication.AVAILABLE: Look(green=True),
    Indication.AUTHORIZED: Look(green=True, blinks=True),
    Indication.CONNECTED: Look(blue=True, blinks=True),
    Indication.READY: Look(green=True, blue=True),
    Indication.CHARGING: Look(blue=True),
    Indication.FAULTED: Look(red=True),
}


class Leds:
    """`red`, `green` and `blue` name LEDs below `directory`; a colour without a name is left out."""

    def __init__(self, directory: Path, *, red: str = "", green: str = "", blue: str = "") -> None:
        self._leds = {
            colour: directory / name for colour, name in (("red", red), ("green", green), ("blue", blue)) if name
        }
        self._shown: Indication | None = None
        self._dead: set[str] = set()

    def show(self, indication: Indication) -> None:
        if indication is self._shown:
            return
        self._shown = indication
        look = LOOKS[indication]
        for colour, led in self._leds.items():
            try:
                _set(led, on=getattr(look, colour), blinks=look.blinks)
            except OSError as error:
                if colour not in self._dead:
                    log.warning("the %s LED cannot be set: %s", colour, error)
                self._dead.add(colour)
            else:
                self._dead.discard(colour)


def _set(led: Path, *, on: bool, blinks: bool) -> None:
    """The trigger `timer` brings the files delay_on and delay_off with it."""
    if on and blinks:
        (led / "trigger").write_text("timer")
        for name in ("delay_on", "delay_off"):
            (led / name).write_text(str(BLINK_MS))
        return
    (led / "trigger").write_text("none")
    full = (led / "max_brightness").read_text().strip()
    (led / "brightness").write_text(full if on else "0")
