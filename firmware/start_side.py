"""The start rules of every EVSE, with the clocks: reports when a vehicle is held back, and when no longer."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from datetime import datetime

from firmware.config import Start
from firmware.evse import Evse, Observation
from firmware.start_rules import PeakHours, StartHeld, StartRules
from hal.quantities import EvseId


class StartSide:
    """On the main loop. `local` is the time on the wall, with its zone."""

    def __init__(
        self,
        settings: Start,
        evses: Mapping[EvseId, Evse],
        local: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        self._settings = settings
        self._evses = evses
        self._local = local
        self._rules: dict[EvseId, StartRules] = {}
        self._timers: dict[EvseId, asyncio.TimerHandle] = {}
        self._chance = random.SystemRandom()

    def __call__(self, seen: Observation) -> None:
        rules = self._rules_of(seen.evse)
        self._report(seen.evse, rules.feed(seen.fact, time.monotonic(), self._local()))

    def override(self, evse: EvseId) -> bool:
        """Whether the vehicle there was held."""
        held = self._rules_of(evse).override()
        self._report(evse, held)
        return bool(held)

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()

    def _rules_of(self, evse: EvseId) -> StartRules:
        if evse not in self._rules:
            peaks = [PeakHours.parse(hours) for hours in self._settings.peak_hours]
            self._rules[evse] = StartRules(self._settings.random_delay_s, peaks, self._chance)
        return self._rules[evse]

    def _tick(self, evse: EvseId) -> None:
        self._report(evse, self._rules[evse].tick(time.monotonic(), self._local()))

    def _report(self, evse: EvseId, changes: list[StartHeld]) -> None:
        for change in changes:
            self._evses[evse].report(change)
        if not changes:
            return
        if (timer := self._timers.pop(evse, None)) is not None:
            timer.cancel()
        due = self._rules[evse].deadline()
        if due is not None:
            delay_s = max(0.0, due - time.monotonic())
            self._timers[evse] = asyncio.get_running_loop().call_later(delay_s, self._tick, evse)
