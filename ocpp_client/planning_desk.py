"""Asks the CSMS to plan for a vehicle that has named its needs, and tells it what the vehicle chose (K15-K17)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from hal.quantities import EvseId
from ocpp_client.planning import choice_payload, expected, needs_payload, planned
from ocpp_client.ports import ChargingNeeds, PlanChanged, PlannedSchedule, Report, TransactionState
from ocpp_client.profiles import Profiles
from ocpp_client.wire import Payload, text_at

log = logging.getLogger(__name__)

Request = Callable[[str, Payload], Awaitable[Payload | None]]

PLANS = ("Accepted", "Processing")
"""NotifyEVChargingNeedsStatusEnumType of a CSMS that will send a profile."""


class PlanningDesk:
    def __init__(
        self,
        profiles: Profiles,
        transaction_on: Callable[[EvseId], TransactionState | None],
        request: Request,
        now_utc: Callable[[], datetime],
        now_s: Callable[[], float],
        report: Report,
        changed: Callable[[float], None],
        wait_s: float,
    ) -> None:
        """`wait_s` is how long a vehicle is kept waiting for the CSMS's profile."""
        self._profiles = profiles
        self._transaction_on = transaction_on
        self._request = request
        self._now_utc = now_utc
        self._now_s = now_s
        self._report = report
        self._changed = changed
        self._wait_s = wait_s
        self._waiting: dict[EvseId, asyncio.Event] = {}

    async def plan(self, evse_id: EvseId, needs: ChargingNeeds) -> tuple[PlannedSchedule, ...]:
        """Tell the CSMS the vehicle's needs: its schedules for them; none if it does not plan, or not in time."""
        came = self._waiting[evse_id] = asyncio.Event()
        try:
            async with asyncio.timeout(self._wait_s):
                response = await self._request("NotifyEVChargingNeeds", needs_payload(evse_id, needs, self._now_utc()))
                if text_at(response, "status") in PLANS:
                    await came.wait()
        except TimeoutError:
            log.warning("EVSE %s: no charging profile for the vehicle's needs within %.0f s", evse_id, self._wait_s)
        finally:
            if self._waiting.get(evse_id) is came:
                del self._waiting[evse_id]
        return self.schedules(evse_id)

    def profile_set(self, evse_id: EvseId) -> None:
        """A TxProfile for the EVSE came or went: it answers the needs that wait, or is a reason to plan anew."""
        waiting = self._waiting.get(evse_id)
        if waiting is not None:
            waiting.set()
        elif self._transaction_on(evse_id) is not None:
            self._report(PlanChanged(evse_id))

    def schedules(self, evse_id: EvseId) -> tuple[PlannedSchedule, ...]:
        """Those there are, for a vehicle that is about to choose."""
        state = self._transaction_on(evse_id)
        profile = self._profiles.tx_profile(state.transaction_id) if state is not None else None
        if state is None or profile is None:
            return ()
        now_utc, now = self._now_utc(), self._now_s()
        self._profiles.leave_open(profile.profile["id"])
        self._changed(now)
        return planned(self._profiles, profile, state, now_utc, now - now_utc.timestamp())

    async def chosen(self, evse_id: EvseId, number: int, profile_w: Sequence[tuple[float, float, int | None]]) -> None:
        """The vehicle chose the schedule `number`, and means to draw so much: (start in s, W in all, phases).

        One that tells no plan is taken to draw what it may.
        """
        state = self._transaction_on(evse_id)
        profile = self._profiles.tx_profile(state.transaction_id) if state is not None else None
        if profile is not None and number in (schedule.number for schedule in profile.calculable.schedules):
            self._profiles.choose(profile.profile["id"], number)
            self._changed(self._now_s())
        now = self._now_utc()
        plan = profile_w or expected(self._profiles, evse_id, now)
        response = await self._request("NotifyEVChargingSchedule", choice_payload(evse_id, number, plan, now))
        if text_at(response, "status") == "Rejected":
            log.warning("EVSE %s: the CSMS refuses the vehicle's plan; a new profile would end it", evse_id)
