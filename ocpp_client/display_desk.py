"""The display in the running station: the CSMS's messages, tariff and cost, and what follows from state and time."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from hal.quantities import EvseId
from ocpp_client.actions import Answer, Handlers, SendLater, accepted, status
from ocpp_client.availability import Availability
from ocpp_client.costs import Costs, TariffRules
from ocpp_client.device_model import DeviceModel
from ocpp_client.messages import Messages, message_of, station_states
from ocpp_client.ports import ChargingState, ConnectorStatus, DisplayChanged, IdToken, Report, TransactionState
from ocpp_client.transactions import Transactions
from ocpp_client.wire import Payload

MESSAGES_PER_REPORT = 10
LONGEST_WAIT_S = 3600.0
"""The wall clock that messages go by may be set meanwhile."""


class DisplayDesk:
    """`put` stores the messages; `report` tells what is shown, each time it changes."""

    def __init__(
        self,
        model: DeviceModel,
        messages: Messages,
        availability: Availability,
        transactions: Transactions,
        evse_ids: Sequence[EvseId],
        now_utc: Callable[[], datetime],
        report: Report,
        send_later: SendLater,
        put: Callable[[str, str | None], None],
    ) -> None:
        self._model = model
        self._messages = messages
        self._costs = Costs()
        self._availability = availability
        self._transactions = transactions
        self._evse_ids = tuple(evse_ids)
        self._now_utc = now_utc
        self._report = report
        self._send_later = send_later
        self._put = put
        self._shown: DisplayChanged = DisplayChanged(())
        self._timer: asyncio.TimerHandle | None = None

    def handlers(self) -> Handlers:
        return {
            "SetDisplayMessage": self.set_display_message,
            "GetDisplayMessages": self.get_display_messages,
            "ClearDisplayMessage": self.clear_display_message,
            "CostUpdated": self.cost_updated,
        }

    def start(self) -> None:
        self.refresh()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    # --- What the CSMS asks ---

    async def set_display_message(self, request: Payload, _at_s: float) -> Answer:
        message = message_of(request["message"])
        running = {state.transaction_id for state in self._transactions.all_open()}
        answer, why = self._messages.set(message, running, self._now_utc())
        if answer != "Accepted":
            return status(answer, "InvalidValue", why)
        self._changed()
        return accepted()

    async def get_display_messages(self, request: Payload, _at_s: float) -> Answer:
        found = self._messages.find(request.get("id", ()), request.get("priority"), request.get("state"))
        if not found:
            return status("Unknown")
        return accepted(lambda: self._notify(request["requestId"], found))

    def _notify(self, request_id: int, found: list[Payload]) -> None:
        for start in range(0, len(found), MESSAGES_PER_REPORT):
            notice: Payload = {
                "requestId": request_id,
                "messageInfo": found[start : start + MESSAGES_PER_REPORT],
                "tbc": start + MESSAGES_PER_REPORT < len(found),
            }
            self._send_later("NotifyDisplayMessages", notice)

    async def clear_display_message(self, request: Payload, _at_s: float) -> Answer:
        if not self._messages.clear(request["id"]):
            return status("Unknown")
        self._changed()
        return accepted()

    async def cost_updated(self, request: Payload, _at_s: float) -> Answer:
        self._costs.updated(request["transactionId"], request["totalCost"])
        return Answer({}, self.refresh)

    # --- What happens in the station ---

    def authorized(self, token: IdToken, info: object) -> None:
        self._costs.authorized(token, info, _now_s())
        self.refresh()

    def transaction_began(self, state: TransactionState) -> None:
        """It started, or its token is known now."""
        self._costs.began(state.evse_id, state.transaction_id, state.id_token)
        self.refresh()

    def transaction_ended(self, transaction_id: str, *, offline: bool) -> None:
        self._costs.ended(transaction_id, _now_s(), self._rules().total_fallback if offline else "")
        if self._messages.transaction_ended(transaction_id):
            self._store()
        self.refresh()

    def event_answered(self, transaction_id: str, response: Payload, *, ended: bool) -> None:
        currency = self._rules().currency
        self._costs.answered(transaction_id, response, ended=ended, now=_now_s(), currency=currency)
        self.refresh()

    def refresh(self) -> None:
        """State or time may have changed what is shown."""
        if self._messages.expire(self._now_utc()):
            self._store()
        own = self._costs.shown(_now_s(), self._rules())
        shown = DisplayChanged(self._messages.shown(self._states(), self._now_utc(), own))
        if shown != self._shown:
            self._shown = shown
            self._report(shown)
        self._arm()

    def _changed(self) -> None:
        self._store()
        self.refresh()

    def _store(self) -> None:
        self._put("display_messages", self._messages.dump())

    def _states(self) -> frozenset[str]:
        connectors = [self._availability.status(evse) for evse in self._evse_ids]
        return station_states(
            charging=any(one.charging_state == ChargingState.CHARGING for one in self._transactions.all_open()),
            faulted=ConnectorStatus.FAULTED in connectors,
            unavailable=all(one is ConnectorStatus.UNAVAILABLE for one in connectors),
        )

    def _rules(self) -> TariffRules:
        name, text = "TariffCostCtrlr", self._model.text
        return TariffRules(
            tariff=text(name, "Enabled", "Tariff").lower() == "true",
            cost=text(name, "Enabled", "Cost").lower() == "true",
            currency=text(name, "Currency"),
            tariff_fallback=text(name, "TariffFallbackMessage"),
            total_fallback=text(name, "TotalCostFallbackMessage"),
        )

    def _arm(self) -> None:
        self.stop()
        waits = []
        if (at := self._messages.next_change(self._now_utc())) is not None:
            waits.append((at - self._now_utc()).total_seconds())
        if (at_s := self._costs.next_change()) is not None:
            waits.append(at_s - _now_s())
        if waits:
            wait_s = min(max(min(waits), 0.0), LONGEST_WAIT_S)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self.refresh)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
