"""TriggerMessage (F06): which messages the station can be asked for, and how each is made."""

from collections.abc import Callable, Sequence
from typing import Protocol

from hal.quantities import EvseId, MeterReading
from ocpp_client.connection import Dialogue
from ocpp_client.metering import Measurand, ReadingContext, meter_value
from ocpp_client.ports import TriggerReason
from ocpp_client.queue import Registration
from ocpp_client.transactions import Transactions
from ocpp_client.wire import Payload

_SIGNING = {
    "SignChargingStationCertificate": "ChargingStationCertificate",
    "SignV2GCertificate": "V2GCertificate",
}


class TriggerHost(Protocol):
    def connector_status_payload(self, evse_id: EvseId) -> Payload: ...

    def log_status_payload(self) -> Payload: ...

    def may_sign(self, use: str) -> bool: ...

    def firmware_status_payload(self) -> Payload: ...

    def latest_meter(self, evse_id: EvseId) -> MeterReading | None: ...

    async def transaction_updated(
        self,
        evse_id: EvseId,
        trigger: TriggerReason,
        *,
        meter: MeterReading | None = None,
        context: ReadingContext = ReadingContext.OTHER,
    ) -> None: ...


class Triggers:
    def __init__(
        self,
        host: TriggerHost,
        dialogue: Dialogue,
        transactions: Transactions,
        evse_ids: Sequence[EvseId],
        sign: Callable[[str], None] | None,
        phases: int,
    ) -> None:
        self._host = host
        self._dialogue = dialogue
        self._transactions = transactions
        self._evse_ids = tuple(evse_ids)
        self._sign = sign
        self._phases = phases
        self._senders: dict[str, Callable[[Sequence[EvseId]], None]] = {
            "BootNotification": lambda _evses: dialogue.boot_now(),
            "Heartbeat": lambda _evses: dialogue.heartbeat_now(),
            "StatusNotification": self._send_status,
            "MeterValues": self._send_meter_values,
            "TransactionEvent": self._send_transaction_events,
            "LogStatusNotification": lambda _evses: dialogue.send_later(
                "LogStatusNotification", host.log_status_payload()
            ),
            "FirmwareStatusNotification": lambda _evses: dialogue.send_later(
                "FirmwareStatusNotification", host.firmware_status_payload()
            ),
        }

    def can(self, message: str, evse_id: EvseId | None) -> str:
        """A TriggerMessageStatusEnumType."""
        if message in _SIGNING:
            allowed = "Accepted" if self._host.may_sign(_SIGNING[message]) else "Rejected"
            return allowed if self._sign is not None else "NotImplemented"
        if message not in self._senders:
            return "NotImplemented"
        if message == "BootNotification" and self._dialogue.registrar.status is Registration.ACCEPTED:
            return "Rejected"  # F06.FR.17
        wanted = self._wanted(evse_id)
        if message == "TransactionEvent" and not any(self._transactions.on(evse) for evse in wanted):
            return "Rejected"
        if message == "MeterValues" and not any(self._host.latest_meter(evse) for evse in wanted):
            return "Rejected"
        return "Accepted"

    def send(self, message: str, evse_id: EvseId | None) -> None:
        if message in _SIGNING and self._sign is not None:
            self._sign(_SIGNING[message])
        else:
            self._senders[message](self._wanted(evse_id))

    def _wanted(self, evse_id: EvseId | None) -> tuple[EvseId, ...]:
        return self._evse_ids if evse_id is None else (evse_id,)

    def _send_status(self, evses: Sequence[EvseId]) -> None:
        for evse_id in evses:
            self._dialogue.send_later("StatusNotification", self._host.connector_status_payload(evse_id))

    def _send_meter_values(self, evses: Sequence[EvseId]) -> None:
        for evse_id in evses:
            reading = self._host.latest_meter(evse_id)
            if reading is not None:
                value = meter_value(reading, ReadingContext.TRIGGER, tuple(Measurand), self._phases)
                self._dialogue.send_later("MeterValues", {"evseId": int(evse_id), "meterValue": [value]})

    def _send_transaction_events(self, evses: Sequence[EvseId]) -> None:
        for evse_id in evses:
            if self._transactions.on(evse_id) is not None:
                self._dialogue.spawn(self._send_transaction_event(evse_id))

    async def _send_transaction_event(self, evse_id: EvseId) -> None:
        meter = self._host.latest_meter(evse_id)
        await self._host.transaction_updated(
            evse_id, TriggerReason.TRIGGER, meter=meter, context=ReadingContext.TRIGGER
        )
