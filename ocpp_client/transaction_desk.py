"""Transactions in the running station: their events into the journal, samples by the clock, profiles into limits."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from hal.quantities import EvseId, MeterReading
from ocpp_client.clock import StationClock
from ocpp_client.config import OcppConfig
from ocpp_client.connection import Dialogue
from ocpp_client.device_model import DeviceModel
from ocpp_client.limit_watch import LimitWatch
from ocpp_client.metering import UNSIGNED, KeyRule, Measurand, ReadingContext, Signing, measurands, meter_value
from ocpp_client.ports import (
    ChargingState,
    IdToken,
    Journal,
    JournalError,
    Report,
    StoppedReason,
    TransactionLeftOpen,
    TransactionState,
    TriggerReason,
)
from ocpp_client.profile_rules import ProfileRefused
from ocpp_client.profiles import Profiles
from ocpp_client.resumption import NotResumed, waits
from ocpp_client.sampling import Sampler, next_aligned
from ocpp_client.transactions import Sampled, TransactionEvent, Transactions
from ocpp_client.wire import Payload

log = logging.getLogger(__name__)

FRESH_S = 60.0
"""An older reading is not what the meter says now."""

MAX_GROUPS = 32
"""Accepted tokens whose groups are remembered until they begin a transaction."""

Put = Callable[[str, str | None], None]
"""Store a value under a key, in the background."""


LastWord = Callable[[TransactionState], Awaitable[MeterReading | None]]
"""What the meter says, after a power cut, of a transaction that was open."""


async def silent(_state: TransactionState) -> MeterReading | None:
    """Of a meter that keeps no transactions."""
    return None


def sampled_measurands(model: DeviceModel) -> Sampled:
    """What SampledDataCtrlr and AlignedDataCtrlr ask for now."""

    def wanted(event: str) -> tuple[Measurand, ...]:
        return measurands(model.text("SampledDataCtrlr", f"Tx{event}Measurands"))

    aligned = measurands(model.text("AlignedDataCtrlr", "TxEndedMeasurands"))
    return Sampled(wanted("Started"), wanted("Updated"), wanted("Ended"), aligned, signing(model))


def signing(model: DeviceModel) -> Signing:
    """What goes out with a signing meter's record; a station without one has no such variables."""
    if not model.has("SampledDataCtrlr", "SignReadings"):
        return UNSIGNED
    return Signing(
        model.flag("SampledDataCtrlr", "SignReadings"),
        model.flag("AlignedDataCtrlr", "SignReadings"),
        KeyRule(model.text("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue")),
    )


class TransactionDesk:
    def __init__(
        self,
        config: OcppConfig,
        model: DeviceModel,
        journal: Journal,
        transactions: Transactions,
        profiles: Profiles,
        clock: StationClock,
        report: Report,
        put: Put,
        last_word: LastWord,
    ) -> None:
        self._config = config
        self._model = model
        self._journal = journal
        self._transactions = transactions
        self._profiles = profiles
        self._clock = clock
        self._report = report
        self._put = put
        self._last_word = last_word
        self._limits = LimitWatch(profiles, range(config.evse_count + 1))
        self._sampler = Sampler()
        self._ended_sampler = Sampler()
        self._remote_profiles: dict[int, Payload] = {}
        self._used_reservations: dict[EvseId, tuple[int, IdToken]] = {}
        self._groups: dict[IdToken, str | None] = {}
        self._cut_short: list[TransactionState] = []
        self._latest_meter: dict[EvseId, MeterReading] = {}
        self._noted_meter_s: dict[EvseId, float] = {}
        self._sampled_at_s: dict[EvseId, float] = {}
        self._dumped_profiles = profiles.dump()
        self._timer: asyncio.TimerHandle | None = None
        self._aligned_at: datetime | None = None
        self._ended_aligned_at: datetime | None = None

    async def take_up(self) -> None:
        """What a power cut left open waits for its vehicle, where it may; the rest ends at the start."""
        try:
            left = await self._journal.open_transactions()
        except JournalError as error:
            log.error("open transactions cannot be read: %s", error)
            return
        busy = [state.evse_id for state in left]
        for state in left:
            has_place = state.evse_id <= self._config.evse_count and busy.count(state.evse_id) == 1
            until = waits(
                state,
                self._clock.now(),
                self._resumption_timeout_s(),
                clock_trusted=self._clock.trusted,
                has_place=has_place,
            )
            if isinstance(until, NotResumed):
                log.warning("transaction %s was cut short by a power loss: %s", state.transaction_id, until.value)
                self._cut_short.append(state)
            else:
                log.warning("transaction %s waits %.0f s for its vehicle", state.transaction_id, until)
                self._wait(state, until)

    def _resumption_timeout_s(self) -> float:
        known = self._model.has("TxCtrlr", "ResumptionTimeout")
        return self._model.number("TxCtrlr", "ResumptionTimeout") if known else 0.0

    def _wait(self, state: TransactionState, for_s: float) -> None:
        self._transactions.wait(state)
        self._report(
            TransactionLeftOpen(
                state.evse_id,
                state.transaction_id,
                state.id_token,
                state.group_id,
                state.remote_start_id,
                state.charging_state,
                for_s,
            )
        )

    async def start(self, dialogue: Dialogue) -> None:
        """End what a power cut left open and does not go on, and begin to watch the limits."""
        self._dialogue = dialogue
        self._loop = asyncio.get_running_loop()
        self._model.on_change("SampledDataCtrlr", "TxUpdatedInterval", self._sampling_changed)
        self._model.on_change("SampledDataCtrlr", "TxEndedInterval", self._ended_sampling_changed)
        self._model.on_change("AlignedDataCtrlr", "Interval", self._alignment_changed)
        self._model.on_change("AlignedDataCtrlr", "TxEndedInterval", self._alignment_changed)
        self._align(self._clock.now())
        for state in self._cut_short:
            await self._store(self._transactions.cut_short(state, await self._last_word(state)))
        self.profiles_changed(self._loop.time())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    # --- Events ---

    async def started(
        self,
        evse_id: EvseId,
        id_token: IdToken | None,
        trigger: TriggerReason,
        charging_state: ChargingState,
        meter: MeterReading | None,
        v2g_session_id: str,
        remote_start_id: int | None,
        transaction_id: str,
    ) -> str:
        if self._transactions.waits(evse_id):
            await self.given_up(evse_id)
        event = self._transactions.start(
            evse_id,
            self._clock.now(),
            offline=not self._dialogue.online,
            trigger=trigger,
            charging_state=charging_state,
            id_token=id_token,
            meter=meter and self._dated(meter),
            v2g_session_id=v2g_session_id,
            remote_start_id=remote_start_id,
            transaction_id=transaction_id,
            group_id=self._group_of(id_token),
        )
        self._begin_sampling(evse_id)
        self._adopt_remote_profile(evse_id, remote_start_id)
        self.profiles_changed(self._loop.time())
        await self._store(event)
        return event.state.transaction_id

    async def updated(
        self,
        evse_id: EvseId,
        trigger: TriggerReason,
        charging_state: ChargingState | None,
        meter: MeterReading | None,
        id_token: IdToken | None,
        remote_start_id: int | None,
        context: ReadingContext,
    ) -> None:
        event = self._transactions.update(
            evse_id,
            self._clock.now(),
            offline=not self._dialogue.online,
            trigger=trigger,
            charging_state=charging_state,
            meter=meter and self._dated(meter),
            id_token=id_token,
            remote_start_id=remote_start_id,
            context=context,
            group_id=self._group_of(id_token),
        )
        self._adopt_remote_profile(evse_id, remote_start_id)
        await self._store(event)

    async def resumed(self, evse_id: EvseId, charging_state: ChargingState, meter: MeterReading | None) -> None:
        """The vehicle of one that waited is here. TriggerReason TxResumed is of OCPP 2.1."""
        self._transactions.goes_on(evse_id)
        self._begin_sampling(evse_id)
        self._arm()
        reason, context = TriggerReason.CHARGING_STATE_CHANGED, ReadingContext.INTERRUPTION_END
        await self.updated(evse_id, reason, charging_state, meter, None, None, context)

    async def given_up(self, evse_id: EvseId) -> None:
        """One that waited, and need not any more."""
        state = self._transactions.on(evse_id)
        if state is not None:
            log.warning("transaction %s does not go on", state.transaction_id)
            event = self._transactions.cut_short(state)
            self._profiles.transaction_ended(state.transaction_id)
            self.profiles_changed(self._loop.time())
            await self._store(event)

    async def refused(self, transaction_id: str) -> None:
        """The CSMS does not accept its token: not to be forgotten over a power cut."""
        state = self._transactions.authorization_over(transaction_id)
        if state is not None:
            await self._note(state)

    def _begin_sampling(self, evse_id: EvseId) -> None:
        self._sampler.begin(evse_id, self._loop.time(), self._interval_s("TxUpdatedInterval"))
        self._ended_sampler.begin(evse_id, self._loop.time(), self._interval_s("TxEndedInterval"))

    def note_group(self, token: IdToken, group_id: str | None) -> None:
        """Of a token that was accepted and may begin a transaction."""
        self._groups.pop(token, None)
        self._groups[token] = group_id
        if len(self._groups) > MAX_GROUPS:
            del self._groups[next(iter(self._groups))]

    def _group_of(self, token: IdToken | None) -> str | None:
        return None if token is None else self._groups.get(token)

    async def ended(
        self,
        evse_id: EvseId,
        trigger: TriggerReason,
        stopped_reason: StoppedReason,
        meter: MeterReading | None,
        id_token: IdToken | None,
    ) -> None:
        event = self._transactions.end(
            evse_id,
            self._clock.now(),
            offline=not self._dialogue.online,
            trigger=trigger,
            stopped_reason=stopped_reason,
            meter=meter and self._dated(meter),
            id_token=id_token,
        )
        self._sampler.end(evse_id)
        self._ended_sampler.end(evse_id)
        self._profiles.transaction_ended(event.state.transaction_id)
        self.profiles_changed(self._loop.time())
        await self._store(event)

    def name_reservation(self, evse_id: EvseId, reservation_id: int, token: IdToken) -> None:
        """In the next event with a token, if it is this one (H03.FR.09): a driver may leave without having charged."""
        self._used_reservations[evse_id] = reservation_id, token

    async def _store(self, event: TransactionEvent) -> None:
        if "idToken" in event.payload and (used := self._used_reservations.pop(event.state.evse_id, None)):
            reservation_id, token = used
            if event.state.id_token == token:
                event.payload["reservationId"] = reservation_id
        self._noted_meter_s[event.state.evse_id] = self._loop.time()
        store = self._dialogue.store
        if not await store("TransactionEvent", event.payload, event.state, ended=event.ended):
            # A token or a reading that OCPP cannot carry costs itself, not the event: seqNo must have no gap.
            bare = {name: value for name, value in event.payload.items() if name not in ("idToken", "meterValue")}
            await store("TransactionEvent", bare, event.state, ended=event.ended)

    # --- Meter ---

    def latest_meter(self, evse_id: EvseId) -> MeterReading | None:
        return self._latest_meter.get(evse_id)

    async def meter_sampled(self, evse_id: EvseId, reading: MeterReading) -> None:
        self._latest_meter[evse_id] = reading
        state = self._transactions.sampled(evse_id, self._dated(reading))
        now = self._loop.time()
        if state is None or now - self._noted_meter_s.get(evse_id, float("-inf")) < self._config.meter_note_s:
            return
        self._noted_meter_s[evse_id] = now
        await self._note(state)

    async def _note(self, state: TransactionState) -> None:
        try:
            await self._journal.note_transaction(state)
        except JournalError as error:
            log.error("the meter reading of EVSE %s is not durable: %s", state.evse_id, error)

    def _dated(self, meter: MeterReading) -> MeterReading:
        """By the station's clock, which is not always the system's."""
        return replace(meter, wall_time=self._clock.reading_time(meter.wall_time))

    def _interval_s(self, variable: str) -> float:
        return self._model.number("SampledDataCtrlr", variable)

    def _sampling_changed(self, value: str) -> None:
        self._resample(self._sampler, float(value))

    def _ended_sampling_changed(self, value: str) -> None:
        self._resample(self._ended_sampler, float(value))

    def _resample(self, sampler: Sampler, interval_s: float) -> None:
        busy = tuple(state.evse_id for state in self._transactions.all_open())
        sampler.interval_changed(busy, self._loop.time(), interval_s)
        self._arm()

    async def _sample(self, evse_id: EvseId) -> None:
        """MeterValuePeriodic with the latest reading; an old reading is not told twice."""
        if not self._model.flag("SampledDataCtrlr", "Enabled") or self._transactions.on(evse_id) is None:
            return
        reading = self._latest_meter.get(evse_id)
        if reading is None or reading.taken_at_s <= self._sampled_at_s.get(evse_id, float("-inf")):
            log.warning("EVSE %s: no fresh meter reading for the periodic sample", evse_id)
            return
        self._sampled_at_s[evse_id] = reading.taken_at_s
        reason, context = TriggerReason.METER_VALUE_PERIODIC, ReadingContext.SAMPLE_PERIODIC
        await self.updated(evse_id, reason, None, reading, None, None, context)

    def _keep(self, evse_id: EvseId, context: ReadingContext) -> None:
        """The latest reading for the Ended event (TxEndedInterval), if it is one of now."""
        controller = "AlignedDataCtrlr" if context is ReadingContext.SAMPLE_CLOCK else "SampledDataCtrlr"
        reading = self._latest_meter.get(evse_id)
        if reading is None or self._loop.time() - reading.taken_at_s > FRESH_S:
            return
        if not self._model.flag(controller, "Enabled"):
            return
        state = self._transactions.keep(evse_id, context, self._dated(reading))
        if state is not None:
            self._dialogue.spawn(self._note(state))

    def _align(self, now: datetime) -> None:
        self._aligned_at = next_aligned(now, self._model.number("AlignedDataCtrlr", "Interval"))
        self._ended_aligned_at = next_aligned(now, self._model.number("AlignedDataCtrlr", "TxEndedInterval"))

    def _alignment_changed(self, _value: str) -> None:
        self._align(self._clock.now())
        self._arm()

    def _take_aligned(self) -> None:
        """J01: within a transaction as its Updated, beside one as MeterValues."""
        if not self._model.flag("AlignedDataCtrlr", "Enabled"):
            return
        only_idle = self._model.flag("AlignedDataCtrlr", "SendDuringIdle")
        wanted = measurands(self._model.text("AlignedDataCtrlr", "Measurands"))
        for evse_id, reading in self._latest_meter.items():
            if self._loop.time() - reading.taken_at_s > FRESH_S:
                continue
            if self._transactions.on(evse_id) is None or self._transactions.waits(evse_id):
                self._send_aligned(evse_id, reading, wanted)
            elif not only_idle:
                self._dialogue.spawn(self._update_aligned(evse_id, reading, wanted))

    def _send_aligned(self, evse_id: EvseId, reading: MeterReading, wanted: tuple[Measurand, ...]) -> None:
        rule = signing(self._model)
        value = meter_value(
            self._dated(reading),
            ReadingContext.SAMPLE_CLOCK,
            wanted,
            self._config.phases,
            signed=rule.aligned,
            with_key=rule.key is KeyRule.EVERY,
        )
        if value is not None:
            payload: Payload = {"evseId": int(evse_id), "meterValue": [value]}
            self._dialogue.spawn(self._dialogue.tell("MeterValues", payload))

    async def _update_aligned(self, evse_id: EvseId, reading: MeterReading, wanted: tuple[Measurand, ...]) -> None:
        event = self._transactions.update(
            evse_id,
            self._clock.now(),
            offline=not self._dialogue.online,
            trigger=TriggerReason.METER_VALUE_CLOCK,
            meter=self._dated(reading),
            context=ReadingContext.SAMPLE_CLOCK,
            measurands=wanted,
        )
        await self._store(event)

    # --- Profiles ---

    def keep_profile(self, remote_start_id: int, profile: Payload) -> None:
        """For the transaction this remote start begins; a later remote start takes its place."""
        self._remote_profiles = {remote_start_id: profile}

    def _adopt_remote_profile(self, evse_id: EvseId, remote_start_id: int | None) -> None:
        """F01.FR.10: the profile that came with the remote start becomes the transaction's."""
        state = self._transactions.on(evse_id)
        if remote_start_id is None or state is None:
            return
        profile = self._remote_profiles.pop(remote_start_id, None)
        if profile is None:
            return
        try:
            self._profiles.set(int(evse_id), profile | {"transactionId": state.transaction_id})
        except ProfileRefused as refused:
            log.warning("the remote start's profile does not fit: %s", refused.detail)
        self.profiles_changed(self._loop.time())

    def profiles_changed(self, at_s: float) -> None:
        """Report the limits that changed and store the profiles that should outlive a restart."""
        for fact in self._limits.refresh(self._clock.now(), at_s):
            self._report(fact)
        dumped = self._profiles.dump()
        if dumped != self._dumped_profiles:
            self._dumped_profiles = dumped
            self._put("profiles", dumped)
        count = str(len(self._profiles))
        self._model.assign("SmartChargingCtrlr", "Entries", count, instance="ChargingProfiles")
        self._arm()

    # --- Time ---

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadlines = (self._sampler.deadline, self._ended_sampler.deadline)
        delays = [deadline - self._loop.time() for deadline in deadlines if deadline is not None]
        now = self._clock.now()
        moments = (self._limits.changes_at, self._aligned_at, self._ended_aligned_at)
        delays += [(moment - now).total_seconds() for moment in moments if moment is not None]
        # An hour at most: the wall clock that profiles go by may be set meanwhile.
        self._timer = self._loop.call_later(min(max(min(delays), 0.0), 3600.0), self._tick) if delays else None

    def _tick(self) -> None:
        now = self._loop.time()
        for evse_id in self._sampler.tick(now, self._interval_s("TxUpdatedInterval")):
            self._dialogue.spawn(self._sample(evse_id))
        for evse_id in self._ended_sampler.tick(now, self._interval_s("TxEndedInterval")):
            self._keep(evse_id, ReadingContext.SAMPLE_PERIODIC)
        wall = self._clock.now()
        if self._ended_aligned_at is not None and wall >= self._ended_aligned_at:
            for state in self._transactions.all_open():
                self._keep(state.evse_id, ReadingContext.SAMPLE_CLOCK)
        if self._aligned_at is not None and wall >= self._aligned_at:
            self._take_aligned()
        self._align(wall)
        self.profiles_changed(now)
