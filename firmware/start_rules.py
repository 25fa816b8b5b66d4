"""When a vehicle may begin to draw: outside peak hours, and after a random delay, so that not all begin at once. Pure.

After the UK's smart charge point regulations (SI 2021/1467): charging is kept out of peak hours by default (regulation
10), and each start, also the one after peak hours, waits a random time of up to 10 minutes, at most 30 (regulation
11). Whoever is there may override either, for this vehicle; an operator's remote start overrides the hours, not the
delay.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from hal import ports as hal
from ocpp_client.ports import RemoteStart

LONGEST_DELAY_S = 1800.0
_HOURS = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")
_DAY_MIN = 24 * 60


class Hold(StrEnum):
    PEAK = "peak"
    RANDOM_DELAY = "random_delay"


@dataclass(frozen=True, slots=True)
class StartHeld:
    """A fact for the session: nothing is offered for so long; cause None: no longer held."""

    cause: Hold | None
    for_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PeakHours:
    """Minutes of the local day, on the days of the week (0 is Monday) they hold. May end after midnight."""

    begin_min: int
    end_min: int
    days: frozenset[int] = frozenset(range(5))

    @classmethod
    def parse(cls, text: str) -> "PeakHours":
        """From `16:00-22:00`. Raises ValueError."""
        found = _HOURS.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no span of hours as in 16:00-22:00")
        hours = [int(part) for part in found.groups()]
        begin, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
        if begin >= _DAY_MIN or end > _DAY_MIN or begin == end or hours[1] > 59 or hours[3] > 59:
            raise ValueError(f"{text!r} is no span of hours of a day")
        return cls(begin, end)

    def end_after(self, local: datetime) -> datetime | None:
        """When the peak that holds then ends; None outside of it. By wall time: a clock change moves with it."""
        for back in (0, 1):
            day = local.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=back)
            end_min = self.end_min + (_DAY_MIN if self.end_min < self.begin_min else 0)
            begin, end = day + timedelta(minutes=self.begin_min), day + timedelta(minutes=end_min)
            if day.weekday() in self.days and begin <= local < end:
                return end
        return None


class StartRules:
    """One EVSE's. `feed` and `tick` return what changed; `deadline` says when to tick."""

    def __init__(self, delay_s: float, peaks: Sequence[PeakHours], chance: random.Random) -> None:
        self._delay_s = min(delay_s, LONGEST_DELAY_S)
        self._peaks = tuple(peaks)
        self._chance = chance
        self._hold: Hold | None = None
        self._until_s = 0.0
        self._hours_overridden = False

    def feed(self, fact: object, now: float, local: datetime) -> list[StartHeld]:
        match fact:
            case hal.PluggedIn():
                self._hours_overridden = False
                return self._judge(now, local)
            case hal.Unplugged():
                return self._free()
            case RemoteStart() if self._hold is Hold.PEAK:
                self._hours_overridden = True
                return self._judge(now, local)
        return []

    def tick(self, now: float, local: datetime) -> list[StartHeld]:
        """Peak hours are over when the clock on the wall says so, whatever was planned; then a start is delayed."""
        if self._hold is None or now < self._until_s:
            return []
        return self._judge(now, local) if self._hold is Hold.PEAK else self._free()

    def override(self) -> list[StartHeld]:
        """For the vehicle that is there now: begin."""
        return self._free()

    def deadline(self) -> float | None:
        return self._until_s if self._hold is not None else None

    def _judge(self, now: float, local: datetime) -> list[StartHeld]:
        ends = [end for peak in self._peaks if (end := peak.end_after(local)) is not None]
        if ends and not self._hours_overridden:
            return self._held(Hold.PEAK, (max(ends) - local).total_seconds(), now)
        delay_s = self._chance.uniform(0.0, self._delay_s)
        return self._held(Hold.RANDOM_DELAY, delay_s, now) if delay_s else self._free()

    def _held(self, cause: Hold, for_s: float, now: float) -> list[StartHeld]:
        self._hold, self._until_s = cause, now + for_s
        return [StartHeld(cause, round(for_s, 1))]

    def _free(self) -> list[StartHeld]:
        if self._hold is None:
            return []
        self._hold = None
        return [StartHeld(None)]
