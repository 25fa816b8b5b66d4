"""Remote control: start, stop, unlock, trigger, reset, availability (F01-F06, B11, B12, G03, G04, E14).

The machine of the station is `RemoteHost`: what these handlers need done, each quick.
"""

import asyncio
from typing import Protocol

from hal.quantities import EvseId
from ocpp_client.actions import Answer, Handlers, accepted, status
from ocpp_client.availability import STATION, Availability, Change
from ocpp_client.ports import (
    ConnectorStatus,
    CsmsFact,
    IdToken,
    RemoteStart,
    RemoteStop,
    TransactionState,
    UnlockRequested,
)
from ocpp_client.profile_rules import LIMITS, TX_PROFILE, ProfileRefused, check_shape
from ocpp_client.schedule import Supply
from ocpp_client.transactions import Transactions
from ocpp_client.wire import Payload, text_at

UNLOCK_TIMEOUT_S = 10.0


class RemoteHost(Protocol):
    """What the handlers ask of the station."""

    def report_fact(self, fact: CsmsFact) -> None: ...

    def availability_changed(self, evse_id: int) -> None:
        """An EVSE, or with 0 the station, became operative or inoperative."""
        ...

    def store_availability(self) -> None: ...

    def reserved_for_others(self, evse_id: EvseId, token: IdToken, group_id: str | None) -> bool: ...

    def keep_profile(self, remote_start_id: int, profile: Payload) -> None:
        """A TxProfile for the transaction that this remote start begins."""
        ...

    def remote_start(self, fact: RemoteStart) -> None:
        """Authorize first where AuthorizeRemoteStart says so, then report."""
        ...

    def reset_requested(self, evse_id: EvseId | None, immediate: bool) -> None: ...

    async def messages_wait(self, transaction_id: str | None) -> bool: ...

    def trigger(self, message: str, evse_id: EvseId | None) -> None:
        """Send a message the CSMS wants, once `can_trigger` has accepted."""
        ...

    def can_trigger(self, message: str, evse_id: EvseId | None) -> str:
        """A TriggerMessageStatusEnumType."""
        ...


class RemoteActions:
    def __init__(
        self,
        host: RemoteHost,
        transactions: Transactions,
        availability: Availability,
        evse_count: int,
        supply: Supply,
    ) -> None:
        self._host = host
        self._transactions = transactions
        self._availability = availability
        self._evse_count = evse_count
        self._supply = supply
        self._unlocking: dict[EvseId, asyncio.Future[bool]] = {}

    def handlers(self) -> Handlers:
        return {
            "RequestStartTransaction": self.request_start,
            "RequestStopTransaction": self.request_stop,
            "UnlockConnector": self.unlock_connector,
            "TriggerMessage": self.trigger_message,
            "Reset": self.reset,
            "ChangeAvailability": self.change_availability,
            "GetTransactionStatus": self.get_transaction_status,
        }

    async def request_start(self, request: Payload, _at_s: float) -> Answer:
        evse_id, refusal = self._evse_for_start(request.get("evseId"))
        if refusal is not None:
            return refusal
        token = IdToken(request["idToken"]["idToken"], request["idToken"]["type"])
        group_id = text_at(request, "groupIdToken", "idToken")
        if evse_id is not None and self._host.reserved_for_others(evse_id, token, group_id):
            return status("Rejected", "Reserved", "the EVSE is reserved for others")
        profile = request.get("chargingProfile")
        if profile is not None:
            if (refusal := _profile_refusal(profile, self._supply)) is not None:
                return refusal
            self._host.keep_profile(request["remoteStartId"], profile)
        fact = RemoteStart(evse_id, token, request["remoteStartId"], group_id)
        payload: Payload = {"status": "Accepted"}
        if evse_id is not None and (state := self._transactions.on(evse_id)) is not None:
            payload["transactionId"] = state.transaction_id
        return Answer(payload, lambda: self._host.remote_start(fact))

    def _evse_for_start(self, wanted: int | None) -> tuple[EvseId | None, Answer | None]:
        """Where to start. Without a wish: the one EVSE there is, else the station's choice (F01.FR.05)."""
        if wanted is None and self._evse_count > 1:
            return None, None
        number = wanted or 1
        if not 1 <= number <= self._evse_count:
            return None, status("Rejected", "UnknownEvse", f"no EVSE {number}")
        evse_id = EvseId(number)
        if not self._availability.operative(evse_id):
            return None, status("Rejected", "NotEnabled", "the EVSE is inoperative")
        if self._availability.status(evse_id) is ConnectorStatus.UNAVAILABLE:
            return None, status("Rejected", "NotEnabled", "the EVSE is out of service at the station")
        state = self._transactions.on(evse_id)
        if state is not None and state.id_token is not None:
            return None, status("Rejected", "TxInProgress", "the EVSE's transaction is authorized already")
        return evse_id, None

    async def request_stop(self, request: Payload, _at_s: float) -> Answer:
        state = self._transactions.find(request["transactionId"])
        if state is None:
            return status("Rejected", "TxNotFound")
        fact = RemoteStop(state.evse_id, state.transaction_id)
        return accepted(lambda: self._host.report_fact(fact))

    async def unlock_connector(self, request: Payload, _at_s: float) -> Answer:
        evse_id = EvseId(request["evseId"])
        if not 1 <= evse_id <= self._evse_count or request["connectorId"] != 1:
            return status("UnknownConnector")
        if _authorized(self._transactions.on(evse_id)):
            return status("OngoingAuthorizedTransaction")
        if evse_id in self._unlocking:
            return status("UnlockFailed", "InProgress")
        waiting: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._unlocking[evse_id] = waiting
        self._host.report_fact(UnlockRequested(evse_id))
        try:
            unlocked = await asyncio.wait_for(waiting, UNLOCK_TIMEOUT_S)
        except TimeoutError:
            return status("UnlockFailed", "Timeout", "the connector gave no answer")
        finally:
            del self._unlocking[evse_id]
        return status("Unlocked" if unlocked else "UnlockFailed")

    def unlock_result(self, evse_id: EvseId, unlocked: bool) -> None:
        waiting = self._unlocking.get(evse_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(unlocked)

    async def trigger_message(self, request: Payload, _at_s: float) -> Answer:
        number = (request.get("evse") or {}).get("id")
        if number is not None and not 1 <= number <= self._evse_count:
            return status("Rejected", "UnknownEvse", f"no EVSE {number}")
        evse_id = None if number is None else EvseId(number)
        message = request["requestedMessage"]
        answer = self._host.can_trigger(message, evse_id)
        if answer != "Accepted":
            return status(answer)
        return accepted(lambda: self._host.trigger(message, evse_id))

    async def reset(self, request: Payload, _at_s: float) -> Answer:
        number = request.get("evseId")
        if number is not None and not 1 <= number <= self._evse_count:
            return status("Rejected", "UnknownEvse", f"no EVSE {number}")
        evse_id = None if number is None else EvseId(number)
        immediate = request["type"] == "Immediate"
        busy = self._transactions.all_open() if evse_id is None else self._transactions.on(evse_id)
        answer = "Scheduled" if busy and not immediate else "Accepted"
        return Answer({"status": answer}, lambda: self._host.reset_requested(evse_id, immediate))

    async def change_availability(self, request: Payload, _at_s: float) -> Answer:
        evse = request.get("evse") or {}
        evse_id = evse.get("id", STATION)
        if evse.get("connectorId", 1) != 1:
            return status("Rejected", "UnknownConnector")
        operative = request["operationalStatus"] == "Operative"
        busy = frozenset(int(state.evse_id) for state in self._transactions.all_open())
        change = self._availability.change(evse_id, operative, busy)
        if change is Change.REJECTED:
            return status("Rejected", "UnknownEvse", f"no EVSE {evse_id}")
        self._host.store_availability()
        if change is Change.SCHEDULED:
            return status("Scheduled")
        return accepted(lambda: self._host.availability_changed(evse_id))

    async def get_transaction_status(self, request: Payload, _at_s: float) -> Answer:
        transaction_id = request.get("transactionId")
        payload: Payload = {"messagesInQueue": await self._host.messages_wait(transaction_id)}
        if transaction_id is not None:
            payload["ongoingIndicator"] = self._transactions.find(transaction_id) is not None
        return Answer(payload)


def _authorized(state: TransactionState | None) -> bool:
    return state is not None and state.id_token is not None


def _profile_refusal(profile: Payload, supply: Supply) -> Answer | None:
    """F01.FR.08-.11: a remote start may bring a TxProfile without a transactionId."""
    if profile["chargingProfilePurpose"] != TX_PROFILE:
        return status("Rejected", "InvalidProfile", "only a TxProfile comes with a start")
    if "transactionId" in profile:
        return status("Rejected", "InvalidProfile", "the transaction has no id yet")
    try:
        check_shape(profile, LIMITS, supply)
    except ProfileRefused as refused:
        return status("Rejected", refused.reason_code, refused.detail)
    return None
