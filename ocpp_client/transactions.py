"""Transactions as OCPP 2.0.1 block E has them: one for each EVSE, told in TransactionEvents with contiguous seqNo.

Pure. Each method returns the event's payload and the transaction's state after it; both go into the journal in one
write. The state in memory moves at once: events that follow each other quickly number themselves in the order they
were made, whatever the journal takes.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from hal.quantities import EvseId, MeterReading
from ocpp_client.metering import UNSIGNED, KeyRule, Measurand, ReadingContext, Signing, is_signed, meter_value
from ocpp_client.ports import (
    ChargingState,
    IdToken,
    KeptReading,
    StoppedReason,
    TransactionError,
    TransactionState,
    TriggerReason,
    TxPoint,
)
from ocpp_client.wire import Payload, format_time

_ENDS_OF_AUTHORIZATION = (TriggerReason.STOP_AUTHORIZED, TriggerReason.REMOTE_STOP, TriggerReason.DEAUTHORIZED)
MAX_KEPT = 60
"""Readings kept for the Ended event: it must not grow with the length of the transaction."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """Which measurands go with which event (SampledDataCtrlr, and AlignedDataCtrlr for `ended_aligned`)."""

    started: tuple[Measurand, ...]
    updated: tuple[Measurand, ...]
    ended: tuple[Measurand, ...]
    ended_aligned: tuple[Measurand, ...] = ()
    signing: Signing = UNSIGNED


@dataclass(frozen=True, slots=True)
class TransactionEvent:
    """One event to store and send."""

    payload: Payload
    state: TransactionState
    ended: bool = False


def tx_should_start(points: Collection[TxPoint], holds: Collection[TxPoint]) -> bool:
    """A transaction starts with the first TxStartPoint that holds (E01-E05)."""
    return any(point in holds for point in points)


def tx_should_stop(points: Collection[TxPoint], held: Collection[TxPoint], holds: Collection[TxPoint]) -> bool:
    """A transaction stops when the first TxStopPoint ceases to hold (E06); one that never held ends nothing."""
    return any(point in held and point not in holds for point in points)


class Transactions:
    """`new_id` gives transaction ids (at most 36 characters); `phases` says how many phases an EVSE's meter has."""

    def __init__(self, new_id: Callable[[], str], sampled: Callable[[], Sampled], phases: int) -> None:
        self._new_id = new_id
        self._sampled = sampled
        self._phases = phases
        self._open: dict[EvseId, TransactionState] = {}
        self._waiting: set[EvseId] = set()

    def on(self, evse_id: EvseId) -> TransactionState | None:
        return self._open.get(evse_id)

    def find(self, transaction_id: str) -> TransactionState | None:
        return next((state for state in self._open.values() if state.transaction_id == transaction_id), None)

    def all_open(self) -> tuple[TransactionState, ...]:
        return tuple(self._open.values())

    def start(
        self,
        evse_id: EvseId,
        at: datetime,
        *,
        offline: bool,
        trigger: TriggerReason,
        charging_state: ChargingState,
        id_token: IdToken | None = None,
        meter: MeterReading | None = None,
        v2g_session_id: str = "",
        remote_start_id: int | None = None,
        transaction_id: str = "",
        group_id: str | None = None,
    ) -> TransactionEvent:
        """Started, seqNo 0; `transaction_id` where one was given out before. Raises TransactionError."""
        if evse_id in self._open:
            raise TransactionError(f"EVSE {evse_id} has a transaction already")
        state = TransactionState(
            transaction_id=transaction_id or self._new_id(),
            evse_id=evse_id,
            next_seq_no=0,
            id_token=id_token,
            charging_state=charging_state.value,
            started_at=at,
            last_event_at=at,
            last_meter=meter,
            v2g_session_id=v2g_session_id,
            remote_start_id=remote_start_id,
            kept=() if meter is None else (KeptReading(ReadingContext.TRANSACTION_BEGIN, meter),),
            group_id=group_id,
        )
        payload = self._event("Started", state, at, offline, trigger, with_token=True)
        state = self._add_meter(payload, state, meter, ReadingContext.TRANSACTION_BEGIN, self._sampled().started)
        return self._advance(payload, state, at)

    def update(
        self,
        evse_id: EvseId,
        at: datetime,
        *,
        offline: bool,
        trigger: TriggerReason,
        charging_state: ChargingState | None = None,
        meter: MeterReading | None = None,
        id_token: IdToken | None = None,
        remote_start_id: int | None = None,
        context: ReadingContext = ReadingContext.SAMPLE_PERIODIC,
        measurands: Iterable[Measurand] | None = None,
        group_id: str | None = None,
    ) -> TransactionEvent:
        """Updated. The token is told once, in the first event after it was presented. Raises TransactionError."""
        state = self._known(evse_id)
        new_token = id_token is not None and id_token != state.id_token
        state = replace(
            state,
            id_token=id_token if new_token else state.id_token,
            charging_state=state.charging_state if charging_state is None else charging_state.value,
            last_meter=_later(state.last_meter, meter),
            remote_start_id=state.remote_start_id if remote_start_id is None else remote_start_id,
            group_id=state.group_id if id_token is None else group_id,
            authorization_over=trigger in _ENDS_OF_AUTHORIZATION or (state.authorization_over and id_token is None),
        )
        payload = self._event("Updated", state, at, offline, trigger, with_token=new_token)
        wanted = self._sampled().updated if measurands is None else measurands
        state = self._add_meter(payload, state, meter, context, wanted)
        return self._advance(payload, state, at)

    def end(
        self,
        evse_id: EvseId,
        at: datetime,
        *,
        offline: bool,
        trigger: TriggerReason,
        stopped_reason: StoppedReason,
        meter: MeterReading | None = None,
        id_token: IdToken | None = None,
    ) -> TransactionEvent:
        """Ended. `id_token` is the one that stopped it, where one did (E07). Raises TransactionError."""
        state = self._known(evse_id)
        state = replace(state, last_meter=_later(state.last_meter, meter))
        payload = self._event("Ended", state, at, offline, trigger, with_token=False)
        payload["transactionInfo"]["stoppedReason"] = stopped_reason.value
        if id_token is not None:
            payload["idToken"] = {"idToken": id_token.id_token, "type": id_token.kind}
        event = self._advance(payload, self._add_ended(payload, state), at)
        del self._open[evse_id]
        self._waiting.discard(evse_id)
        return replace(event, ended=True)

    def _add_ended(self, payload: Payload, state: TransactionState) -> TransactionState:
        """The whole transaction in its own order: begin, what was kept on the way, end (J01, J02)."""
        sampled = self._sampled()
        told = list(state.kept)
        if state.last_meter is not None:
            told.append(KeptReading(ReadingContext.TRANSACTION_END, state.last_meter))
        for kept in told:
            context = ReadingContext(kept.context)
            wanted = sampled.ended_aligned if context is ReadingContext.SAMPLE_CLOCK else sampled.ended
            state = self._add_meter(payload, state, kept.reading, context, wanted)
        return state

    def keep(self, evse_id: EvseId, context: ReadingContext, meter: MeterReading) -> TransactionState | None:
        """A reading for the Ended event; the transaction's new state, None without one."""
        state = self._metered(evse_id)
        if state is None or _later(state.last_meter, meter) is not meter:
            return None
        kept = (*state.kept, KeptReading(context, meter))
        if len(kept) > MAX_KEPT:
            # E06.FR.13: when it gets too much, every second value between the first and the last is left out.
            kept = (kept[0], *kept[1:-1][1::2], kept[-1])
        self._open[evse_id] = replace(state, kept=kept, last_meter=meter)
        return self._open[evse_id]

    def sampled(self, evse_id: EvseId, meter: MeterReading) -> TransactionState | None:
        """The meter's latest word, kept for an end after a power cut."""
        state = self._metered(evse_id)
        if state is None:
            return None
        self._open[evse_id] = replace(state, last_meter=_later(state.last_meter, meter))
        return self._open[evse_id]

    def _metered(self, evse_id: EvseId) -> TransactionState | None:
        """What one that waits draws is nothing: it is dated by what was known before."""
        return None if self.waits(evse_id) else self._open.get(evse_id)

    def authorization_over(self, transaction_id: str) -> TransactionState | None:
        """The CSMS has refused its token; the new state, None without it."""
        state = self.find(transaction_id)
        if state is None:
            return None
        self._open[state.evse_id] = replace(state, authorization_over=True)
        return self._open[state.evse_id]

    def wait(self, state: TransactionState) -> None:
        """A power cut left it open, and it may go on."""
        self._open[state.evse_id] = state
        self._waiting.add(state.evse_id)

    def waits(self, evse_id: EvseId) -> bool:
        return evse_id in self._waiting

    def goes_on(self, evse_id: EvseId) -> None:
        self._waiting.discard(evse_id)

    def cut_short(self, state: TransactionState, meter: MeterReading | None = None) -> TransactionEvent:
        """Ends a transaction the power cut short: dated and metered by what was last known.

        `meter` is the word of a meter that went on counting by itself.
        """
        state = replace(state, last_meter=_later(state.last_meter, meter))
        self._open[state.evse_id] = state
        at = state.last_event_at if state.last_meter is None else max(state.last_event_at, state.last_meter.wall_time)
        return self.end(
            state.evse_id,
            at,
            offline=True,
            trigger=TriggerReason.ABNORMAL_CONDITION,
            stopped_reason=StoppedReason.POWER_LOSS,
        )

    def _known(self, evse_id: EvseId) -> TransactionState:
        state = self._open.get(evse_id)
        if state is None:
            raise TransactionError(f"EVSE {evse_id} has no transaction")
        return state

    def _event(
        self,
        event_type: str,
        state: TransactionState,
        at: datetime,
        offline: bool,
        trigger: TriggerReason,
        *,
        with_token: bool,
    ) -> Payload:
        info: Payload = {"transactionId": state.transaction_id, "chargingState": state.charging_state}
        if state.remote_start_id is not None:
            info["remoteStartId"] = state.remote_start_id
        payload: Payload = {
            "eventType": event_type,
            "timestamp": format_time(at),
            "triggerReason": trigger.value,
            "seqNo": state.next_seq_no,
            "offline": offline,
            "transactionInfo": info,
            "evse": {"id": int(state.evse_id), "connectorId": 1},
        }
        if with_token and state.id_token is not None:
            payload["idToken"] = {"idToken": state.id_token.id_token, "type": state.id_token.kind}
        return payload

    def _add_meter(
        self,
        payload: Payload,
        state: TransactionState,
        meter: MeterReading | None,
        context: ReadingContext,
        wanted: Iterable[Measurand],
    ) -> TransactionState:
        """One more meterValue, if anything is wanted of it; the state knows whether the meter's key went with it."""
        if meter is None:
            return state
        signing = self._sampled().signing
        with_key = signing.key is KeyRule.EVERY or (signing.key is KeyRule.ONCE and not state.key_told)
        signed = signing.applies(context)
        value = meter_value(meter, context, wanted, self._phases, signed=signed, with_key=with_key)
        if value is None:
            return state
        payload.setdefault("meterValue", []).append(value)
        return replace(state, key_told=state.key_told or (with_key and is_signed(value)))

    def _advance(self, payload: Payload, state: TransactionState, at: datetime) -> TransactionEvent:
        state = replace(state, next_seq_no=state.next_seq_no + 1, last_event_at=max(state.last_event_at, at))
        self._open[state.evse_id] = state
        return TransactionEvent(payload, state)


def _later(old: MeterReading | None, new: MeterReading | None) -> MeterReading | None:
    """The reading to keep: a register that goes back is a fault of the meter, not energy given back.

    What the meter signed is kept all the same: it is not for us to judge.
    """
    if new is None:
        return old
    if old is not None and new.energy_import_wh < old.energy_import_wh:
        return replace(old, signed=new.signed) if new.signed is not None else old
    return new
