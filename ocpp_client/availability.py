"""Operative or not, station and EVSEs, and the connector status that follows (OCPP 2.0.1 G01-G05). Pure.

A change to Inoperative waits for the EVSE's transaction to end. What a CSMS has set outlives a restart.
"""

import json
from enum import StrEnum

from hal.quantities import EvseId
from ocpp_client.ports import ConnectorStatus

STATION = 0


class Change(StrEnum):
    """OCPP ChangeAvailabilityStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    SCHEDULED = "Scheduled"


class Availability:
    """EVSE numbers from 1; 0 is the station. `changed()` gives each effective change once, for those who act on it."""

    def __init__(self, evse_count: int) -> None:
        self._evses = range(1, evse_count + 1)
        self._operative: dict[int, bool] = {}
        self._scheduled: dict[int, bool] = {}
        self._reported: dict[EvseId, ConnectorStatus] = {}
        self.held = False
        """Inoperative as a whole for a firmware update, whatever is set; not kept over a restart."""
        self.reserved: frozenset[EvseId] = frozenset()
        """Available, but reserved."""

    def change(self, evse_id: int, operative: bool, busy: frozenset[int]) -> Change:
        """`busy` are the EVSEs with a transaction."""
        if evse_id != STATION and evse_id not in self._evses:
            return Change.REJECTED
        affected = busy if evse_id == STATION else busy & {evse_id}
        if affected and not operative:
            self._scheduled[evse_id] = operative
            return Change.SCHEDULED
        self._scheduled.pop(evse_id, None)
        self._operative[evse_id] = operative
        return Change.ACCEPTED

    def transactions_changed(self, busy: frozenset[int]) -> list[int]:
        """Carries out what was scheduled and may happen now; returns which (0 for the station)."""
        due = [evse_id for evse_id in self._scheduled if not (busy if evse_id == STATION else busy & {evse_id})]
        for evse_id in due:
            self._operative[evse_id] = self._scheduled.pop(evse_id)
        return due

    def operative(self, evse_id: EvseId) -> bool:
        return not self.held and self._operative.get(STATION, True) and self._operative.get(int(evse_id), True)

    def set_in(self, evse_id: int) -> bool:
        """What is set for this EVSE, or for the station, alone."""
        return not self.held and self._operative.get(evse_id, True)

    def inoperative(self) -> list[int]:
        """Which are set Inoperative, 0 for the station."""
        return sorted(evse_id for evse_id, operative in self._operative.items() if not operative)

    def report(self, evse_id: EvseId, status: ConnectorStatus) -> None:
        """The connector's own status, as the board has it."""
        self._reported[evse_id] = status

    def status(self, evse_id: EvseId) -> ConnectorStatus | None:
        """What to tell the CSMS; None before the first report."""
        status = self._reported.get(evse_id)
        if status is not ConnectorStatus.AVAILABLE:
            return status
        if not self.operative(evse_id):
            return ConnectorStatus.UNAVAILABLE
        return ConnectorStatus.RESERVED if evse_id in self.reserved else status

    def dump(self) -> str:
        # A scheduled change is carried out by the restart itself: its transaction is over.
        return json.dumps(self._operative | self._scheduled)

    def restore(self, text: str) -> None:
        self._operative = {
            int(evse_id): bool(operative)
            for evse_id, operative in json.loads(text).items()
            if int(evse_id) in (STATION, *self._evses)
        }
