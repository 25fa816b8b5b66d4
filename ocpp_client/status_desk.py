"""Availability and connector status in the running station, and the resets that wait for an idle moment."""

import asyncio
from collections.abc import Callable

from hal.quantities import EvseId
from ocpp_client.availability import STATION, Availability
from ocpp_client.clock import StationClock
from ocpp_client.connection import Dialogue
from ocpp_client.device_model import DeviceModel
from ocpp_client.ports import AvailabilityChanged, ConnectorStatus, ResetRequested
from ocpp_client.transaction_desk import Put
from ocpp_client.transactions import Transactions
from ocpp_client.wire import Payload, format_time


class StatusDesk:
    def __init__(
        self,
        model: DeviceModel,
        availability: Availability,
        transactions: Transactions,
        evse_ids: tuple[EvseId, ...],
        clock: StationClock,
        report: Callable[[AvailabilityChanged | ResetRequested], None],
        put: Put,
    ) -> None:
        self._model = model
        self._availability = availability
        self._transactions = transactions
        self._evse_ids = evse_ids
        self._clock = clock
        self._report = report
        self._put = put
        self._told: dict[EvseId, ConnectorStatus] = {}
        self._idle_resets: set[int] = set()
        self._offline_since_s: float | None = None
        self._was_online = False

    def start(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self._loop = asyncio.get_running_loop()
        for evse_id in self._availability.inoperative():
            self.availability_changed(evse_id)

    def busy(self, evse_id: EvseId | None) -> bool:
        """Whether the EVSE, or with None any, has a transaction."""
        return bool(self._transactions.all_open()) if evse_id is None else self._transactions.on(evse_id) is not None

    # --- Status ---

    def connector_status(self, evse_id: EvseId, status: ConnectorStatus) -> None:
        self._availability.report(evse_id, status)
        self._changed(evse_id)

    def reserved(self, evse_ids: frozenset[EvseId]) -> None:
        """These are reserved now, and no others."""
        before, self._availability.reserved = self._availability.reserved, evse_ids
        for evse_id in sorted(before ^ evse_ids):
            self._changed(evse_id)

    def went_online(self) -> None:
        offline_s = 0.0 if self._offline_since_s is None else self._loop.time() - self._offline_since_s
        # B04.FR.01: after OfflineThreshold the CSMS is told every status, before that only what changed.
        if not self._was_online or offline_s > self._model.number("OCPPCommCtrlr", "OfflineThreshold"):
            self._told.clear()
        self._was_online = True
        for evse_id in self._evse_ids:
            self._changed(evse_id)

    def went_offline(self) -> None:
        self._offline_since_s = self._loop.time()

    def payload(self, evse_id: EvseId) -> Payload:
        """StatusNotificationRequest; before the board has said anything a connector is Unavailable."""
        status = self._availability.status(evse_id) or ConnectorStatus.UNAVAILABLE
        return {
            "timestamp": format_time(self._clock.now()),
            "connectorStatus": status.value,
            "evseId": int(evse_id),
            "connectorId": 1,
        }

    def _changed(self, evse_id: EvseId) -> None:
        status = self._availability.status(evse_id)
        if status is None:
            return
        self._model.assign("EVSE", "AvailabilityState", status.value, int(evse_id))
        self._model.assign("Connector", "AvailabilityState", status.value, int(evse_id), 1)
        if self._dialogue.online and self._told.get(evse_id) != status:
            self._told[evse_id] = status
            self._dialogue.spawn(self._tell(evse_id))

    async def _tell(self, evse_id: EvseId) -> None:
        response = await self._dialogue.request("StatusNotification", self.payload(evse_id))
        if response is None:
            # Not heard: it is told again once the link is back.
            self._told.pop(evse_id, None)

    # --- Availability ---

    def store_availability(self) -> None:
        self._put("availability", self._availability.dump())

    def availability_changed(self, evse_id: int) -> None:
        """0 stands for the station."""
        where = None if evse_id == STATION else EvseId(evse_id)
        self._report(AvailabilityChanged(where, self._availability.set_in(evse_id)))
        for affected in self._evse_ids if where is None else (where,):
            self._changed(affected)

    def hold(self, hold: bool) -> None:
        """No new transactions for now (True); those that run go on to their end (L01.FR.07)."""
        self._availability.held = hold
        for evse_id in self._evse_ids:
            self._report(AvailabilityChanged(evse_id, self._availability.operative(evse_id)))
            self._changed(evse_id)

    def transaction_ended(self) -> None:
        """Carries out what waited for it."""
        busy = frozenset(int(state.evse_id) for state in self._transactions.all_open())
        for evse_id in self._availability.transactions_changed(busy):
            self.availability_changed(evse_id)
        for number in sorted(self._idle_resets):
            where = None if number == STATION else EvseId(number)
            if not self.busy(where):
                self._idle_resets.discard(number)
                self._report(ResetRequested(where, immediate=False))

    # --- Reset ---

    def reset_requested(self, evse_id: EvseId | None, immediate: bool) -> None:
        now = immediate or not self.busy(evse_id)
        if evse_id is None:
            self._put("boot_reason", "RemoteReset" if now else "ScheduledReset")
        if now:
            self._report(ResetRequested(evse_id, immediate))
        else:
            self._idle_resets.add(STATION if evse_id is None else int(evse_id))
