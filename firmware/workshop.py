"""What maintenance does to a session's state: the technician's facts, and time. Pure.

A vehicle that stands there when maintenance is forced loses its link, and a token that waits its answer; both begin
anew afterwards.
"""

from dataclasses import replace

from firmware.maintenance import Maintenance, MaintenanceBegun, Trial
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
        state.maintenance = Maintenance(fact.by, fact.until_s, vehicle_here=state.plugged)

    def put(self, trial: Trial) -> None:
        if self._state.maintenance is not None:
            self._state.maintenance.trial = trial

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
        if maintenance.trial.contactor_until_s is not None and now >= maintenance.trial.contactor_until_s:
            maintenance.trial = replace(maintenance.trial, contactor_until_s=None)
        return now >= maintenance.until_s

    def deadlines(self) -> tuple[float | None, ...]:
        maintenance = self._state.maintenance
        return (maintenance.until_s, maintenance.trial.contactor_until_s) if maintenance else ()
