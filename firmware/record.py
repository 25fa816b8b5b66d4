"""One EVSE's transaction: when it starts, what moves it, why it ends. Works on the session's state; pure.

It starts with the first TxStartPoint that holds, and ends once, when the contactor is confirmed open. Whoever wants the
end notes it by `end_with`; the vehicle then has `STOP_PATIENCE_S` to stop drawing, and `cut` takes the power away.
"""

from collections.abc import Iterable
from dataclasses import replace

from firmware import effects
from firmware.effects import Effect
from firmware.state import Ending, Hlc, State
from hal.ports import Contactor
from ocpp_client.ports import ChargingState, IdToken, StoppedReason, TriggerReason, TxPoint
from secc.ports import Authorization

STOP_PATIENCE_S = 10.0
"""How long a vehicle may go on drawing after it was asked to stop, before the contactor opens under load."""

NOT_READY_S = 5.0
"""How long a vehicle may look at the current it is offered before it is told as the one that suspends."""

CONTACTOR_S = 3.0
"""How long a transaction's end waits for the contactor's feedback once power was withdrawn."""

_ENDS_OF_AUTHORIZATION = (TriggerReason.STOP_AUTHORIZED, TriggerReason.REMOTE_STOP, TriggerReason.DEAUTHORIZED)
_ORDERS = (*_ENDS_OF_AUTHORIZATION, TriggerReason.RESET_COMMAND)
_STOP_WITH_AUTHORIZATION = {TxPoint.AUTHORIZED, TxPoint.POWER_PATH_CLOSED, TxPoint.ENERGY_TRANSFER}
"""TxStopPoints that end a transaction with its authorisation (E06)."""


class Record:
    """`now` is the monotonic time of the step under way; the session sets it."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.now = 0.0

    def drawing(self) -> bool:
        return self.state.plugged and self.state.contactor is not Contactor.OPEN

    def cut(self) -> None:
        ending = self.state.ending
        if ending is not None and not self.state.cut:
            self.state.cut = True
            self.state.ending = replace(ending, deadline_s=self.now + CONTACTOR_S)

    def start(self, trigger: TriggerReason) -> Iterable[Effect]:
        state = self.state
        if (
            state.maintenance
            or state.transaction_open
            or state.spent
            or state.ending
            or not self._points() & state.rules.start_points
        ):
            return
        state.transaction_open = True
        state.transaction_id = ""
        state.charging_state = self._charging_state()
        yield effects.StartTransaction(trigger, state.charging_state, self._accepted_token(), state.remote_start_id)

    def _points(self) -> frozenset[TxPoint]:
        """The OCPP TxStartPoints that hold now."""
        state = self.state
        points: set[TxPoint] = set()
        if state.plugged:
            points.add(TxPoint.EV_CONNECTED)
        if state.authorized:
            points.add(TxPoint.AUTHORIZED)
        if state.plugged and state.authorized:
            points.add(TxPoint.POWER_PATH_CLOSED)
        if state.transferring:
            points.add(TxPoint.ENERGY_TRANSFER)
        return frozenset(points)

    def update(self, trigger: TriggerReason) -> Iterable[Effect]:
        state = self.state
        if not state.transaction_open or state.left_open:
            return
        if not self._offered():
            state.not_ready_at_s = None
        elif state.not_ready_at_s is None:
            state.not_ready_at_s = self.now + NOT_READY_S
        new = self._charging_state()
        if new != state.charging_state:
            state.charging_state = new
            yield effects.UpdateTransaction(
                trigger if trigger == TriggerReason.CABLE_PLUGGED_IN else TriggerReason.CHARGING_STATE_CHANGED, new
            )

    def resumed(self) -> ChargingState:
        """Where a transaction stands that goes on after a power cut."""
        self.state.charging_state = self._charging_state()
        return self.state.charging_state

    def _charging_state(self) -> ChargingState:
        state = self.state
        if not state.plugged:
            return ChargingState.IDLE
        if state.transferring:
            return ChargingState.CHARGING
        withheld = state.suspended or state.stopped or not (state.offer_a or state.discharge_a)
        if withheld and (state.authorized or state.has_charged):
            return ChargingState.SUSPENDED_EVSE
        not_ready = state.not_ready_at_s is not None and self.now >= state.not_ready_at_s
        return ChargingState.SUSPENDED_EV if state.has_charged or not_ready else ChargingState.EV_CONNECTED

    def _offered(self) -> bool:
        """Whether the pilot offers current to a vehicle that has not drawn any yet."""
        state = self.state
        return state.plugged and state.authorized and state.hlc is Hlc.NONE and not state.has_charged

    def end(self) -> Iterable[Effect]:
        state = self.state
        if not (state.ending and state.cut) or (self.drawing() and not state.contactor_overdue):
            return
        ending = state.ending
        parted = ending.stopped_reason if self._goes_on_until_unplugged(ending) else None
        if state.left_open:
            yield effects.GiveUpTransaction()
        elif parted:
            yield effects.UpdateTransaction(ending.trigger_reason, ChargingState.EV_CONNECTED, ending.token)
        elif state.transaction_open:
            yield effects.EndTransaction(ending.trigger_reason, ending.stopped_reason, ending.token)
        state.transaction_open = parted is not None
        state.left_open = None
        state.spent = state.plugged
        state.operative = state.operative_wanted
        self.forget_session()
        if parted:
            state.parted = parted
            state.charging_state = ChargingState.EV_CONNECTED

    def _goes_on_until_unplugged(self, ending: Ending) -> bool:
        """With TxStopPoint EVConnected alone, the end of the authorisation is not the transaction's."""
        state = self.state
        by_driver_or_operator = ending.trigger_reason in _ENDS_OF_AUTHORIZATION
        return (
            state.transaction_open
            and not state.left_open
            and state.plugged
            and by_driver_or_operator
            and not state.rules.stop_points & _STOP_WITH_AUTHORIZATION
        )

    def end_with(
        self, trigger_reason: TriggerReason, stopped_reason: StoppedReason, token: IdToken | None = None
    ) -> None:
        """The first reason to end is the one that is recorded. One from before a power cut ends by an order alone."""
        state = self.state
        if state.left_open and trigger_reason not in _ORDERS:
            return
        if state.ending is None and (state.transaction_open or state.authorized):
            state.ending = Ending(trigger_reason, stopped_reason, self.now + STOP_PATIENCE_S, token)

    def forget_token(self) -> None:
        state = self.state
        state.token = None
        state.group_id = None
        state.rival = None
        state.token_deadline_s = None
        state.remote_start_id = None
        state.authorization = Authorization.PENDING

    def forget_session(self) -> None:
        state = self.state
        self.forget_token()
        state.ending = None
        state.parted = None
        state.turned_away = False
        state.suspended = False
        state.cut = False
        state.contactor_overdue = False
        state.has_charged = False
        state.not_ready_at_s = None
        state.charging_state = ChargingState.IDLE

    def by_contract(self) -> bool:
        return self.state.token is not None and self.state.token.kind == "eMAID"

    @property
    def contract(self) -> str:
        """The eMAID the authorisation is about, or empty: it is about a card, or nobody yet."""
        return self.state.token.id_token if self.state.token and self.by_contract() else ""

    def _accepted_token(self) -> IdToken | None:
        return self.state.token if self.state.authorized else None
