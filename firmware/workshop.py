"""What maintenance does to a session's state: the technician's facts, and time. Pure.

A vehicle that stands there when maintenance is forced loses its link, and a token that waits its answer; both begin
anew afterwards.
"""

from firmware.maintenance import CONTACTOR_TRIAL_S, Maintenance, MaintenanceBegun, TrialWanted
from firmware.record import Record
from firmware.state import Hlc, State


class Workshop:
    def __init__(self, state: State, record: Record) -> None:
        self._state = state
        self._record = record

    def may_begin(self, fact: MaintenanceBegun) -> bool:
        state = self._state
        return not (state.maintenance or state.transaction_open or (state.plugged and not fact.forced))

    def begin(self, fact: MaintenanceBegun) -> None:
        state = self._state
        state.hlc, state.ev_mac, state.pilot_step, state.power_wanted = Hlc.NONE, None, None, False
        self._record.forget_session()
        state.maintenance = Maintenance(fact.by, self._record.now + fact.for_s, vehicle_here=state.plugged)

    def put(self, fact: TrialWanted) -> None:
        maintenance = self._state.maintenance
        if maintenance is not None:
            maintenance.trial = fact.trial
            until_s = self._record.now + min(fact.contactor_s, CONTACTOR_TRIAL_S)
            maintenance.contactor_until_s = until_s if fact.contactor_s > 0 else None

    def end(self) -> bool:
        """Whether there was something to end; then whoever is at the connector is to be met anew."""
        if self._state.maintenance is None:
            return False
        self._state.maintenance = None
        self._state.has_charged = False
        return True

    def tick(self, now: float) -> bool:
        """Whether its time is up."""
        maintenance = self._state.maintenance
        if maintenance is None:
            return False
        if maintenance.contactor_until_s is not None and now >= maintenance.contactor_until_s:
            maintenance.contactor_until_s = None
        return now >= maintenance.until_s

    def deadlines(self) -> tuple[float | None, ...]:
        maintenance = self._state.maintenance
        return (maintenance.until_s, maintenance.contactor_until_s) if maintenance else ()
