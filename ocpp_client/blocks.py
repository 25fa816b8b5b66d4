"""The functional blocks beside the core: local list, reservations, display with tariff and cost, monitoring.

`BlockState` is what they hold, pure and there before the device model; `Blocks` is what they do in the running station.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hal.quantities import EvseId, MeterReading
from ocpp_client.actions import Handlers, SendLater
from ocpp_client.availability import Availability
from ocpp_client.block_variables import (
    display_variables,
    local_list_variables,
    monitoring_variables,
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
from ocpp_client.monitor_desk import MonitorDesk
from ocpp_client.monitors import Monitors
from ocpp_client.ports import IdToken, Journal, Report
from ocpp_client.reservation_desk import ReservationDesk
from ocpp_client.reservations import Reservations
from ocpp_client.transactions import Transactions
from ocpp_client.variables import CONNECTOR_TYPE
from ocpp_client.wire import Payload

HARDWARE_FAILURE = 2
"""The severity of OCPP's hard-wired monitors of faults."""


class BlockState:
    def __init__(self, config: OcppConfig, tokens: LocalList) -> None:
        self.evse_ids = tuple(EvseId(number) for number in range(1, config.evse_count + 1))
        self.has_display = config.has_display
        self.problems = tuple((*problem, evse) for problem in config.problems for evse in self.evse_ids)
        self.phases = config.phases
        self.tokens = tokens
        self.reservations = Reservations(dict.fromkeys(self.evse_ids, CONNECTOR_TYPE))
        self.messages = Messages()

    def variables(self) -> Iterator[Variable]:
        yield from local_list_variables(lambda: len(self.tokens))
        yield from reservation_variables()
        yield from display_variables(lambda: len(self.messages), available=self.has_display)
        yield from tariff_variables(available=self.has_display)
        yield from monitoring_variables(self.evse_ids, self.phases, self.problems)


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
    online: Callable[[], bool]
    event_id: Callable[[], int]
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
        self._monitors = Monitors(lambda: around.model, self._in_transaction)
        self._hard_wired = {
            (component, variable, evse): self._monitors.hard_wire(
                {"name": component, "evse": {"id": int(evse)}}, {"name": variable}, HARDWARE_FAILURE
            )
            for component, variable, evse in state.problems
        }
        self._monitoring = MonitorDesk(
            around.model,
            self._monitors,
            around.transactions,
            around.clock.now,
            around.send_later,
            around.tell,
            around.online,
            around.put,
            around.event_id,
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
        monitoring = self._monitoring.handlers()
        return {**self._tokens.handlers(), **self.reservations.handlers(), **display, **monitoring}

    def takers(self) -> dict[str, Callable[[str], object]]:
        """What the journal holds of them, by key."""
        return {
            "local_list": self._state.tokens.restore,
            "reservations": self._state.reservations.restore,
            "display_messages": self._state.messages.restore,
            "monitors": lambda text: self._monitors.restore(text, self._around.clock.now()),
        }

    def _in_transaction(self, evse: int | None) -> bool:
        transactions = self._around.transactions
        return bool(transactions.all_open()) if evse is None else transactions.on(EvseId(evse)) is not None

    def start(self) -> None:
        for component, variable, instance in _SHOWN_VARIABLES:
            self._around.model.on_change(component, variable, lambda _value: self._display.refresh(), instance)
        self.reservations.start()
        self._display.start()
        self._monitoring.start()

    def stop(self) -> None:
        self.reservations.stop()
        self._display.stop()
        self._monitoring.stop()

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

    def problem(self, component: str, variable: str, evse_id: EvseId | None, value: str) -> int | None:
        """A fault began or ended: the id of the hard-wired monitor that sees it, if one does."""
        monitor_id = None if evse_id is None else self._hard_wired.get((component, variable, evse_id))
        if monitor_id is not None:
            self._around.model.assign(component, variable, value, evse_id)
        return monitor_id

    def meter_sampled(self, evse_id: EvseId, reading: MeterReading) -> None:
        self._monitoring.meter_sampled(evse_id, reading)

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
