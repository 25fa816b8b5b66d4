"""The vehicle's on-board charger: puts state C and a current on the cable while charging is wanted."""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace

from sim.vehicle.current import Demand, PowerSchedule
from sim.vehicle.log import EventLog
from sim.vehicle.ports import Cable, pwm_percent

REACTION_S = 0.05
"""How often the levels are looked at; IEC 61851-1 gives a vehicle 5 s to follow the duty."""

STEP_A = 0.05
"""A smaller change of the current is not worth a message."""


class OnboardCharger:
    """Follows its demand; `start` and `stop` may be called again without harm."""

    def __init__(self, cable: Cable, log: EventLog, demand: Demand) -> None:
        self._cable = cable
        self._log = log
        self._demand = demand
        self._wanted = False
        self._state_c = False
        self._drawn_a = 0.0
        self._seen: tuple[float, str] | None = None
        self._started_at_s: float | None = None
        self._energy_at_start_wh = cable.levels.energy_wh
        self._kick = asyncio.Event()
        self._lock = asyncio.Lock()
        self.drew = False
        """Whether any current ever flowed."""

    async def run(self) -> None:
        """Follows the levels and the demand until cancelled."""
        while True:
            await self._apply()
            self._kick.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._kick.wait(), REACTION_S)

    async def start(self) -> None:
        """Returns when the pilot shows state C."""
        self._wanted = True
        if self._started_at_s is None:
            self._started_at_s = time.monotonic()
        await self._apply()

    def stop(self) -> None:
        """Asks for no current, then state B, at once."""
        self._wanted = False
        self._kick.set()

    async def stopped(self) -> None:
        """Stops; returns when no current is drawn and the pilot shows state B."""
        self._wanted = False
        await self._apply()

    def limit(self, evse_max_current_a: float) -> None:
        """The EVSEMaxCurrent of a response, per phase."""
        if evse_max_current_a != self._demand.evse_max_current_a:
            self._log.write("limit_seen", evse_max_current_a=evse_max_current_a)
            self._demand = replace(self._demand, evse_max_current_a=evse_max_current_a)
            self._kick.set()

    def schedule(self, schedule: PowerSchedule) -> None:
        """The power schedule that was chosen, starting now."""
        now_s = time.monotonic()
        self._log.write("limit_seen", p_max_w=schedule.power_w(0.0))
        self._demand = self._demand.with_schedule(schedule, now_s)
        self._kick.set()

    @property
    def demand(self) -> Demand:
        return self._demand

    @property
    def charging_s(self) -> float:
        """Time since charging was first wanted."""
        return 0.0 if self._started_at_s is None else time.monotonic() - self._started_at_s

    @property
    def energy_wh(self) -> float:
        """Energy taken since plugged in."""
        return self._cable.levels.energy_wh - self._energy_at_start_wh

    async def _apply(self) -> None:
        async with self._lock:
            self._note_levels()
            if self._wanted and not self._state_c:
                await self._set_state_c(True)
            await self._draw(self._target_a())
            if self._state_c and not self._wanted:
                await self._set_state_c(False)

    def _target_a(self) -> float:
        levels = self._cable.levels
        if not self._wanted or levels.contactor != "closed":
            return 0.0
        return self._demand.current_a(pwm_percent(levels), time.monotonic())

    async def _set_state_c(self, state_c: bool) -> None:
        self._state_c = state_c
        await self._cable.set_cp("C" if state_c else "B")
        self._log.write("pilot", state="C" if state_c else "B")

    async def _draw(self, current_a: float) -> None:
        if abs(current_a - self._drawn_a) < STEP_A:
            return
        self._drawn_a = current_a
        self.drew = self.drew or current_a > 0
        await self._cable.draw(*[current_a if phase < self._demand.phases else 0.0 for phase in range(3)])
        self._log.write("draw", current_a=round(current_a, 2), phases=self._demand.phases)

    def _note_levels(self) -> None:
        levels = self._cable.levels
        seen = (round(pwm_percent(levels), 2), str(levels.contactor))
        if self._seen is None or seen[0] != self._seen[0]:
            self._log.write("pwm", duty_percent=seen[0])
        if self._seen is None or seen[1] != self._seen[1]:
            self._log.write("contactor", state=seen[1])
        self._seen = seen
