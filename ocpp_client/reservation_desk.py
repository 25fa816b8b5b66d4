"""Reservations in the running station: ReserveNow, CancelReservation, their end, and the EVSEs they hold (H01-H04)."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from hal.quantities import EvseId
from ocpp_client.actions import Answer, Handlers, accepted, status
from ocpp_client.availability import Availability
from ocpp_client.device_model import DeviceModel
from ocpp_client.ports import ConnectorStatus, IdToken, Report, ReservationsChanged
from ocpp_client.reservations import Reservation, Reservations, Standing, Standings, reservation_of
from ocpp_client.transactions import Transactions
from ocpp_client.wire import Payload

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 3600.0
"""The wall clock that expiry goes by may be set meanwhile."""

_STANDINGS = {
    ConnectorStatus.FAULTED: Standing.FAULTED,
    ConnectorStatus.UNAVAILABLE: Standing.UNAVAILABLE,
    ConnectorStatus.OCCUPIED: Standing.PLUGGED,
}


class ReservationDesk:
    """`tell` queues a message durably, `put` stores what is reserved, `held_back` shows EVSEs as Reserved."""

    def __init__(
        self,
        model: DeviceModel,
        reservations: Reservations,
        availability: Availability,
        transactions: Transactions,
        evse_ids: Sequence[EvseId],
        now_utc: Callable[[], datetime],
        report: Report,
        tell: Callable[[str, Payload], None],
        put: Callable[[str, str | None], None],
        held_back: Callable[[frozenset[EvseId]], None],
    ) -> None:
        self._model = model
        self._reservations = reservations
        self._availability = availability
        self._transactions = transactions
        self._evse_ids = tuple(evse_ids)
        self._now_utc = now_utc
        self._report = report
        self._tell = tell
        self._put = put
        self._held_back = held_back
        self._told: dict[EvseId, ReservationsChanged] = {}
        self._timer: asyncio.TimerHandle | None = None

    def handlers(self) -> Handlers:
        return {"ReserveNow": self.reserve_now, "CancelReservation": self.cancel_reservation}

    def start(self) -> None:
        self._expire()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    # --- What the CSMS asks ---

    async def reserve_now(self, request: Payload, _at_s: float) -> Answer:
        if not self._model.flag("ReservationCtrlr", "Enabled"):
            return status("Rejected", "NotEnabled", "ReservationCtrlr.Enabled is false")
        if "evseId" not in request and not self._model.flag("ReservationCtrlr", "NonEvseSpecific"):
            return status("Rejected", "NotEnabled", "ReservationCtrlr.NonEvseSpecific is false")
        wanted = reservation_of(request)
        if wanted.expires_at <= self._now_utc():
            return status("Rejected", "InvalidValue", "expiryDateTime has passed")
        answer = self._reservations.reserve(wanted, self._standings())
        if answer == "Rejected":
            return status(answer, "UnknownEvse", "no such EVSE or connector")
        return Answer({"status": answer}, self._changed if answer == "Accepted" else None)

    async def cancel_reservation(self, request: Payload, _at_s: float) -> Answer:
        if self._reservations.remove(request["reservationId"]) is None:
            return status("Rejected", "UnknownReservation")
        return accepted(self._changed)

    # --- What happens at the EVSEs ---

    def refuses(self, evse_id: EvseId, token: IdToken, group_id: str | None) -> bool:
        """Whether the EVSE is reserved for others."""
        return not self._reservations.on(evse_id, self._standings()).admits(token, group_id)

    def used(self, reservation_id: int) -> None:
        """Its holder was authorised: it has served its purpose."""
        if self._reservations.remove(reservation_id) is not None:
            self._changed()

    def evses_changed(self) -> None:
        """Status, availability or a transaction changed somewhere."""
        lost = self._reservations.lose(self._standings())
        self._end(lost, "Removed")
        if lost:
            self._store()
        self._show()

    def _standings(self) -> Standings:
        return {evse: self._standing(evse) for evse in self._evse_ids}

    def _standing(self, evse: EvseId) -> Standing:
        """An EVSE whose board has not spoken yet keeps its reservation."""
        state = self._transactions.on(evse)
        if state is not None and state.id_token is not None:
            return Standing.BUSY
        connector = self._availability.status(evse)
        return Standing.BUSY if connector is None else _STANDINGS.get(connector, Standing.OPEN)

    def _end(self, gone: Sequence[Reservation], why: str) -> None:
        """`why` is a ReservationUpdateStatusEnumType."""
        for one in gone:
            log.info("reservation %s ends: %s", one.id, why)
            self._tell("ReservationStatusUpdate", {"reservationId": one.id, "reservationUpdateStatus": why})

    def _changed(self) -> None:
        self._store()
        self._show()
        self._arm()

    def _store(self) -> None:
        self._put("reservations", self._reservations.dump())

    def _show(self) -> None:
        standings = self._standings()
        now = {evse: self._reservations.on(evse, standings) for evse in self._evse_ids}
        self._held_back(frozenset(evse for evse, held in now.items() if held.exclusive))
        for evse, held in now.items():
            if self._told.get(evse, ReservationsChanged(evse)) != held:
                self._report(held)
        self._told = now

    def _expire(self) -> None:
        gone = self._reservations.expire(self._now_utc())
        self._end(gone, "Expired")
        if gone:
            self._store()
        self._show()
        self._arm()

    def _arm(self) -> None:
        self.stop()
        if (at := self._reservations.next_expiry()) is not None:
            wait_s = min(max((at - self._now_utc()).total_seconds(), 0.0), LONGEST_WAIT_S)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._expire)
