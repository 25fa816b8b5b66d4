"""The functional blocks beside the core: local list, reservations, display with tariff and cost.

`BlockState` is what they hold, pure and there before the device model; `Blocks` is what they do in the running station.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hal.quantities import EvseId
from ocpp_client.actions import Handlers, SendLater
from ocpp_client.availability import Availability
from ocpp_client.block_variables import (
    display_variables,
    local_list_variables,
    reservation_variables,
    tariff_variables,
)
from ocpp_client.clock import StationClock
from ocpp_client.config import OcppConfig
from ocpp_client.device_model import DeviceModel, Variable
from ocpp_client.display_desk import DisplayDesk
from ocpp_client.local_list import LocalList
from ocpp_client.local_list_actions import LocalListActions
from ocpp_client.messages import Messages
from ocpp_client.ports import IdToken, Journal, Report
from ocpp_client.reservation_desk import ReservationDesk
from ocpp_client.reservations import Reservations
from ocpp_client.transactions import Transactions
from ocpp_client.variables import CONNECTOR_TYPE
from ocpp_client.wire import Payload


class BlockState:
    def __init__(self, config: OcppConfig, tokens: LocalList) -> None:
        self.evse_ids = tuple(EvseId(number) for number in range(1, config.evse_count + 1))
        self.has_display = config.has_display
        self.tokens = tokens
        self.reservations = Reservations(dict.fromkeys(self.evse_ids, CONNECTOR_TYPE))
        self.messages = Messages()

    def variables(self) -> Iterator[Variable]:
        yield from local_list_variables(lambda: len(self.tokens))
        yield from reservation_variables()
        yield from display_variables(lambda: len(self.messages), available=self.has_display)
        yield from tariff_variables(available=self.has_display)

    def takers(self) -> dict[str, Callable[[str], object]]:
        """What the journal holds of them, by key."""
        return {
            "local_list": self.tokens.restore,
            "reservations": self.reservations.restore,
            "display_messages": self.messages.restore,
        }


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The rest of the station. `tell` queues a message durably, `put` stores a value, `reserved` shows EVSEs so."""

    model: DeviceModel
    journal: Journal
    availability: Availability
    transactions: Transactions
    clock: StationClock
    report: Report
    send_later: SendLater
    tell: Callable[[str, Payload], None]
    put: Callable[[str, str | None], None]
    reserved: Callable[[frozenset[EvseId]], None]


class Blocks:
    def __init__(self, state: BlockState, around: Surroundings) -> None:
        self._state = state
        self._around = around
        self._tokens = LocalListActions(
            state.tokens,
            lambda: around.model.flag("LocalAuthListCtrlr", "Enabled"),
            lambda text: around.journal.put("local_list", text),
        )
        self.reservations = ReservationDesk(
            around.model,
            state.reservations,
            around.availability,
            around.transactions,
            state.evse_ids,
            around.clock.now,
            around.report,
            around.tell,
            around.put,
            around.reserved,
        )
        self._display = DisplayDesk(
            around.model,
            state.messages,
            around.availability,
            around.transactions,
            state.evse_ids,
            around.clock.now,
            around.report,
            around.send_later,
            around.put,
        )

    def handlers(self) -> Handlers:
        display = self._display.handlers() if self._state.has_display else {}
        return {**self._tokens.handlers(), **self.reservations.handlers(), **display}

    def start(self) -> None:
        for component, variable, instance in _SHOWN_VARIABLES:
            self._around.model.on_change(component, variable, lambda _value: self._display.refresh(), instance)
        self.reservations.start()
        self._display.start()

    def stop(self) -> None:
        self.reservations.stop()
        self._display.stop()

    # --- What happens in the station ---

    def authorized(self, token: IdToken, info: object) -> None:
        """A token was accepted; `info` is its IdTokenInfoType where there is one."""
        self._display.authorized(token, info)

    def transaction_changed(self, evse_id: EvseId, *, with_token: bool) -> None:
        """It started, or an event was made in it."""
        state = self._around.transactions.on(evse_id)
        if state is not None and with_token:
            self._display.transaction_began(state)
        self.evses_changed()

    def transaction_ended(self, transaction_id: str, *, offline: bool) -> None:
        self._display.transaction_ended(transaction_id, offline=offline)
        self.evses_changed()

    def event_answered(self, transaction_id: str, response: Payload, *, ended: bool) -> None:
        self._display.event_answered(transaction_id, response, ended=ended)

    def evses_changed(self) -> None:
        """Status, availability or a transaction changed somewhere."""
        self.reservations.evses_changed()
        self._display.refresh()


_SHOWN_VARIABLES: Sequence[tuple[str, str, str]] = (
    ("TariffCostCtrlr", "Enabled", "Tariff"),
    ("TariffCostCtrlr", "Enabled", "Cost"),
    ("TariffCostCtrlr", "Currency", ""),
    ("TariffCostCtrlr", "TariffFallbackMessage", ""),
    ("TariffCostCtrlr", "TotalCostFallbackMessage", ""),
)
"""Variables that change what is shown at once."""
