"""The site's limit over all EVSEs: watches their facts, asks `firmware.sharing`, and tells each EVSE its share.

Lives on the main loop, as the EVSEs do. Whoever bounds the station as a whole (the configuration, the CSMS, the grid)
does so by `limit`; the lowest for each phase holds.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf

from firmware.config import Evse as EvseSettings
from firmware.evse import Evse, Observation
from firmware.facts import LimitSource, LocalLimit
from firmware.sharing import Demand, PhaseAmps, Sharing
from hal.duty import HLC_DUTY_PERCENT, current_for_duty
from hal.ports import Contactor, ContactorChanged, CpMode, MeterSampled, PilotOffered, Unplugged
from hal.quantities import EvseId
from secc.ports import LimitSent, MessageAnswered, V2GEnded
from secc.schedules import EnergyRequested

UNSETTLED_S = 0.05
"""A step is not asked for sooner than this after the one before by the clock alone."""


USE_S = 60.0
"""A vehicle that has drawn clearly less than it may for so long is taken to need no more."""
HEADROOM_A = 3.0
"""What it is left above that, to show that it needs more after all."""


class Use:
    """What an EVSE's vehicle makes of its share: the highest current of the last minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()

    def see(self, amps: float, at_s: float) -> None:
        self._seen.append((at_s, amps))
        while self._seen[0][0] < at_s - USE_S - 1:
            self._seen.popleft()

    def forget(self) -> None:
        self._seen.clear()

    def useful_a(self, now: float) -> float:
        """Infinite until a whole minute has been seen."""
        if not self._seen or self._seen[0][0] > now - USE_S:
            return inf
        return max(amps for _, amps in self._seen) + HEADROOM_A


def loaded_phases(settings: EvseSettings) -> tuple[int, ...]:
    """The site's phases that the EVSE loads: of a single-phase EVSE the one its L1 is wired to."""
    return tuple("RST".index(wired) for wired in settings.phase_rotation[: settings.phases])


class Site:
    """`evses` may be filled after this is made; `settings` are all there will be."""

    def __init__(
        self,
        evses: Mapping[EvseId, Evse],
        settings: tuple[EvseSettings, ...],
        limit_a: float,
        clock: Callable[[], float],
    ) -> None:
        self._evses = evses
        self._clock = clock
        self._limits: dict[str, PhaseAmps] = {"site": (limit_a,) * 3}
        self._sharing = Sharing({EvseId(item.id): loaded_phases(item) for item in settings}, (limit_a,) * 3)
        self._needs: dict[EvseId, EnergyRequested] = {}
        self._asked_at_s: dict[EvseId, float] = {}
        self._use = {EvseId(item.id): Use() for item in settings}
        self._timer: asyncio.TimerHandle | None = None

    def limit(self, source: str, limit_a: float | PhaseAmps | None) -> None:
        """By phase, or the same for each; None lifts what `source` has set."""
        if limit_a is None:
            self._limits.pop(source, None)
        else:
            self._limits[source] = limit_a if isinstance(limit_a, tuple) else (limit_a,) * 3
        lowest = [max(min(limits[phase] for limits in self._limits.values()), 0.0) for phase in range(3)]
        self._sharing.set_limit((lowest[0], lowest[1], lowest[2]))
        self.share()

    def load(self) -> PhaseAmps:
        """What the vehicles may draw now from each phase of the supply."""
        return self._sharing.load()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def __call__(self, seen: Observation) -> None:
        """An observer of the EVSEs."""
        fact, evse, sharing = seen.fact, seen.evse, self._sharing
        match fact:
            case MessageAnswered():
                return
            case LocalLimit(LimitSource.SITE, float(limit_a)):
                sharing.taken(evse, limit_a, seen.at_s)
                if self._evses[evse].settings.dc is not None:
                    sharing.shown(evse, limit_a, seen.at_s)  # The output keeps to it by itself, and at once.
            case PilotOffered(mode, duty):
                if mode is not CpMode.X2 or duty != HLC_DUTY_PERCENT:
                    offered_a = current_for_duty(duty) if mode is CpMode.X2 else 0.0
                    sharing.shown(evse, offered_a, seen.at_s)
            case LimitSent(limit_a=limit_a) if self._evses[evse].settings.dc is None:
                sharing.shown(evse, limit_a, seen.at_s)
            case MeterSampled(reading) if reading.dc:
                volts = 3 * self._evses[evse].settings.nominal_voltage_v
                sharing.drawn(evse, reading.power_import_w / volts, reading.taken_at_s)
            case MeterSampled(reading):
                sharing.drawn(evse, max(reading.current_a), reading.taken_at_s)
                if self._evses[evse].state.contactor is Contactor.CLOSED:
                    self._use[evse].see(max(reading.current_a), reading.taken_at_s)
            case ContactorChanged(Contactor.OPEN):
                self._use[evse].forget()
            case EnergyRequested():
                self._needs[evse], self._asked_at_s[evse] = fact, seen.at_s
            case Unplugged() | V2GEnded():
                self._needs.pop(evse, None)
                sharing.shown(evse, 0.0, seen.at_s)
        if self._evses[evse].state.contactor is Contactor.OPEN:
            sharing.drawn(evse, 0.0, seen.at_s)
        self.share()

    def share(self) -> None:
        """Look at every EVSE, and tell those whose share changes."""
        now = self._clock()
        for number, evse in self._evses.items():
            self._sharing.demand(number, self._demand(number, evse, now))
        for grant in self._sharing.step(now):
            ceiling_a = self._sharing.ceiling_a(grant.evse)
            self._evses[grant.evse].report(LocalLimit(LimitSource.SITE, grant.limit_a, ceiling_a))
        self._arm(now)

    def _arm(self, now: float) -> None:
        self.close()
        if (due_s := self._sharing.deadline()) is not None:
            self._timer = asyncio.get_running_loop().call_later(max(due_s - now, UNSETTLED_S), self.share)

    def _demand(self, number: EvseId, evse: Evse, now: float) -> Demand:
        state = evse.state
        most_a = replace(state.limits, site_a=None).offer_a
        least_a = state.least_a
        if state.dc:
            most_a, least_a = replace(state.limits, site_a=None).lowest_a, 0.0
        if state.bidirectional:  # It follows a set-point, from nothing to all: room for that is kept.
            most_a, least_a = replace(state.limits, site_a=None, profile_a=None).lowest_a, 0.0
        present = state.plugged and state.authorized and state.operative and not state.stopped and not state.spent
        paused = state.has_charged and state.contactor is Contactor.OPEN
        useful_a = least_a if paused else max(self._use[number].useful_a(now), least_a)
        needs = self._needs.get(number)
        if needs is None:
            return Demand(present, least_a, most_a, useful_a)
        useful_a = min(useful_a, max(needs.max_current_a, state.least_a))
        return Demand(present, least_a, most_a, useful_a, self._needed_a(number, evse, needs, now))

    def _needed_a(self, number: EvseId, evse: Evse, needs: EnergyRequested, now: float) -> float | None:
        """The current for what the vehicle asked for, until it wants to leave."""
        if needs.energy_wh is None or needs.departure_s is None:
            return None
        left_s = max(self._asked_at_s[number] + needs.departure_s - now, 60.0)
        return needs.energy_wh / (left_s / 3600) / (evse.settings.phases * evse.settings.nominal_voltage_v)
