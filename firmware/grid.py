"""Who else limits the station: an energy manager, the grid operator's dimming order, the silence of either. Pure.

Each cause bounds the station by itself; the lowest holds, as `firmware.site` sees to. A dimming order (in Germany
section 14a EnWG: no less than 4.2 kW must remain) stands as long as one of its inputs does. An energy manager that is
expected and falls silent, or an operator that is out of reach, leaves the station with its fail-safe current.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from firmware.config import Grid as GridSettings

FOLLOWED = 1.02
"""Power this much above the order counts as following it: meters err."""


class Cause(StrEnum):
    ENERGY_MANAGER = "energy_manager"
    DIMMING = "dimming"
    SILENCE = "silence"
    """The energy manager says nothing."""
    OFFLINE = "offline"
    """The CSMS is out of reach."""


@dataclass(frozen=True, slots=True)
class Limited:
    """What a cause bounds the station by now, per phase; None: it does not any more."""

    cause: Cause
    limit_a: float | None


class Dimming(StrEnum):
    ORDERED = "ordered"
    FOLLOWED = "followed"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Noted:
    """For the log that the grid operator may ask for. `by` names the input, `power_w` is what the station draws."""

    event: Dimming
    by: str
    limit_w: float
    power_w: float | None


Outcome = Limited | Noted


class Grid:
    """`phases` are how many of the supply's phases the EVSEs load; voltage is phase to neutral."""

    def __init__(self, settings: GridSettings, phases: int, voltage_v: float, now: float) -> None:
        self._settings = settings
        self._per_watt = 1.0 / (phases * voltage_v)
        self._inputs: set[str] = set()
        self._followed = False
        self._power_w: float | None = None
        self._heard_s = now
        self._offline_s: float | None = now
        self._limits: dict[Cause, float] = {}

    @property
    def limits(self) -> dict[Cause, float]:
        """What holds now, per phase."""
        return dict(self._limits)

    @property
    def inputs(self) -> tuple[str, ...]:
        """By which inputs the station is dimmed."""
        return tuple(sorted(self._inputs))

    def manage(self, limit_a: float | None, now: float) -> list[Outcome]:
        """The energy manager's word; said again, it shows that it lives."""
        self._heard_s = now
        return [*self._bound(Cause.ENERGY_MANAGER, limit_a), *self.tick(now)]

    def dim(self, by: str, active: bool) -> list[Outcome]:
        """An input says that the station is to be dimmed, or no longer."""
        before = bool(self._inputs)
        if active:
            self._inputs.add(by)
        else:
            self._inputs.discard(by)
        if before is bool(self._inputs):
            return []
        self._followed = False
        limit_w = self._settings.dimming_limit_w
        event = Dimming.ORDERED if active else Dimming.RELEASED
        limit_a = limit_w * self._per_watt if active else None
        return [*self._bound(Cause.DIMMING, limit_a), Noted(event, by, limit_w, self._power_w), *self._following()]

    def measured(self, power_w: float) -> list[Outcome]:
        """What the whole station draws now."""
        self._power_w = power_w
        return list(self._following())

    def online(self, online: bool, now: float) -> list[Outcome]:
        if online:
            self._offline_s = None
        elif self._offline_s is None:
            self._offline_s = now
        return self.tick(now)

    def tick(self, now: float) -> list[Outcome]:
        settings = self._settings
        silent = 0 < settings.silence_s <= now - self._heard_s
        off_s = 0.0 if self._offline_s is None else now - self._offline_s
        offline = self._offline_s is not None and settings.offline_limit_a is not None and off_s >= settings.offline_s
        return [
            *self._bound(Cause.SILENCE, settings.failsafe_a if silent else None),
            *self._bound(Cause.OFFLINE, settings.offline_limit_a if offline else None),
        ]

    def deadline(self) -> float | None:
        due = []
        if self._settings.silence_s > 0 and Cause.SILENCE not in self._limits:
            due.append(self._heard_s + self._settings.silence_s)
        watched = self._settings.offline_limit_a is not None and Cause.OFFLINE not in self._limits
        if watched and self._offline_s is not None:
            due.append(self._offline_s + self._settings.offline_s)
        return min(due, default=None)

    def _bound(self, cause: Cause, limit_a: float | None) -> Iterable[Outcome]:
        if self._limits.get(cause) == limit_a:
            return []
        if limit_a is None:
            del self._limits[cause]
        else:
            self._limits[cause] = limit_a
        return [Limited(cause, limit_a)]

    def _following(self) -> Iterator[Outcome]:
        limit_w = self._settings.dimming_limit_w
        if self._inputs and not self._followed and self._power_w is not None and self._power_w <= limit_w * FOLLOWED:
            self._followed = True
            yield Noted(Dimming.FOLLOWED, min(self._inputs), limit_w, self._power_w)
