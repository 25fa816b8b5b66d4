"""One EVSE: takes facts in their order, feeds its session, carries out the effects. No protocol knowledge.

One consumer and one queue give the facts of board, vehicle and operator a total order. A full queue means that
something floods or that the loop hangs: the EVSE gives up and its supervisor starts it again, safe.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from firmware import config, effects
from firmware.dc_view import dc_view
from firmware.effects import Effect
from firmware.facts import ConnectorEmpty, Fact, LimitSource, LocalLimit, RcdTested, RcdWord
from firmware.indication import indication
from firmware.ports import Operator, SeccControl
from firmware.resumption import EmptyConnector
from firmware.session import Session
from firmware.state import State
from hal.dc.ports import DcSupport
from hal.diagnostics import SelfTest, Verdict, diagnostics_of
from hal.faults import severity_of
from hal.ports import (
    BoardFault,
    BoardSupport,
    BoardUnavailable,
    CpState,
    EvseCapabilities,
    Fault,
    HalError,
    MeterSampled,
    ModemFault,
    ModemReady,
    PlcLink,
    PluggedIn,
    UserIndication,
)
from hal.quantities import EvseId, MeterReading
from ocpp_client.ports import (
    AvailabilityChanged,
    ContractRules,
    CsmsLimit,
    ReservationsChanged,
    StoppedReason,
    TransactionLeftOpen,
    TransactionRules,
    TriggerReason,
    UnlockRequested,
)
from secc.ports import (
    DcView,
    InternetAccess,
    OtherService,
    ParkingStatus,
    PausedSession,
    StationView,
    ValueAddedService,
)
from secc.schedules import LimitPeriod

QUEUE_LENGTH = 1000
"""Facts waiting; a busy V2G session makes fewer than a hundred a second."""

TICK_S = 0.25
"""How often the loop shows that it lives when nothing happens."""

OUTLIVES_A_SESSION = (
    AvailabilityChanged,
    BoardFault,
    CsmsLimit,
    LocalLimit,
    ModemFault,
    ModemReady,
    ContractRules,
    ReservationsChanged,
    TransactionLeftOpen,
    TransactionRules,
)
"""What waited while an EVSE was down and still holds for its next session."""

ALIVE_S = 1.5
"""A loop that has not turned for so long lets the board's permission expire."""


UNLOCK_S = 3.0
"""How long an unlocking motor may take."""


_SERVICES: dict[str, ValueAddedService] = {"internet": InternetAccess(), "parking-status": ParkingStatus()}


def services_of(settings: config.Evse) -> tuple[ValueAddedService, ...]:
    others = (OtherService(own.id, own.name, own.scope, own.free) for own in settings.other_services)
    return (*(_SERVICES[name] for name in settings.value_added_services), *others)


class Overrun(Exception):
    """The EVSE did not keep up with its facts."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What observers see: one fact with the ids of its session."""

    evse: EvseId
    fact: Fact
    v2g_session_id: str
    transaction_id: str
    at_s: float
    wall_time: datetime


Observer = Callable[[Observation], None]


class Evse:
    """`report` is how facts come in, on the main loop; other threads go through `call_soon_threadsafe`."""

    def __init__(
        self,
        settings: config.Evse,
        make_session: Callable[[], Session],
        operator: Operator,
        observers: Sequence[Observer],
        clock: Callable[[], float],
    ) -> None:
        self.number = EvseId(settings.id)
        self._settings = settings
        self._make_session = make_session
        self._session = make_session()
        self._operator = operator
        self._observers = observers
        self._clock = clock
        self._queue: asyncio.Queue[Fact] = asyncio.Queue(QUEUE_LENGTH)
        self._overrun = False
        self._empty = EmptyConnector()
        self._unlocking: asyncio.Task[None] | None = None
        self._testing_rcd: asyncio.Task[None] | None = None
        self._turned_at_s = clock()
        self.resting = False
        """Crashed and made safe; its supervisor starts it anew."""
        self._log = logging.getLogger(f"evse.{settings.id}")
        self.board: BoardSupport | None = None
        self.capabilities: EvseCapabilities | None = None
        """Once the board has answered."""
        self.dc: DcSupport | None = None
        """Of a DC EVSE: the same object as its board."""
        self.plc: PlcLink | None = None
        self.lights: UserIndication | None = None
        self.secc: SeccControl | None = None
        self.view = self._view()

    def report(self, fact: Fact) -> None:
        try:
            self._queue.put_nowait(fact)
        except asyncio.QueueFull:
            self._overrun = True

    def alive(self) -> bool:
        """Whether the control loop turned lately: the board's heartbeat depends on it."""
        return self._clock() - self._turned_at_s < ALIVE_S

    @property
    def transaction_id(self) -> str:
        """Of the transaction that runs, or that ran last."""
        return self._session.state.transaction_id

    @property
    def busy(self) -> bool:
        """Whether facts wait, a transaction runs, or a vehicle is still held by its plug."""
        return not self._queue.empty() or self.in_transaction or self._locked(unknown=False)

    @property
    def in_transaction(self) -> bool:
        return self._session.state.transaction_open

    @property
    def state(self) -> State:
        """Where the session stands: to be read, not to be changed."""
        return self._session.state

    @property
    def settings(self) -> config.Evse:
        return self._settings

    async def run(self) -> None:
        """Feed the session until cancelled. Raises Overrun, or whatever a defect of ours raises."""
        while True:
            fact = await self._next()
            if self._overrun:
                raise Overrun(f"more than {QUEUE_LENGTH} facts waited")
            now = self._turned_at_s = self._clock()
            done = self._session.tick(now) if fact is None else self._take(fact, now)
            self.perform(done)
            if self._session.state.left_open:
                self._look_for_vehicle(now)

    def _look_for_vehicle(self, now: float) -> None:
        """The board has a fact for who comes or leaves, none for a connector that it finds empty."""
        with suppress(BoardUnavailable):
            if self.board is not None and self._empty.seen(self.board.snapshot().cp, now):
                self.report(ConnectorEmpty())

    def make_safe(self) -> None:
        """No power, pilot F, no V2G; a transaction is ended. For the supervisor, when `run` has failed."""
        assert self.board is not None, "an EVSE runs with its board"
        self.board.permit_power(False)
        self.board.signal_error()
        if self.secc:
            self.secc.close()
        if self._session.state.left_open:
            self._operator.give_up_transaction(self.number)
        elif self._session.state.transaction_open:
            self._operator.end_transaction(
                self.number, TriggerReason.ABNORMAL_CONDITION, StoppedReason.OTHER, self._meter(), None
            )

    def start_anew(self) -> None:
        """A new session on what the board says now. A vehicle that was charging must be plugged in again."""
        assert self.board is not None, "an EVSE runs with its board"
        before, waiting = self._session, self._queue
        self._session = self._make_session()
        self._session.inherit(before.state)
        self._queue = asyncio.Queue(QUEUE_LENGTH)
        self._overrun = False
        self.board.offer_nothing()
        with suppress(BoardUnavailable):
            levels = self.board.snapshot()
            for fault in levels.faults:
                self.report(BoardFault(fault, True, severity_of(fault), "still active", self._clock()))
            if levels.cp in (CpState.B, CpState.C, CpState.D):
                self.report(PluggedIn(self._clock()))
        while not waiting.empty():
            fact = waiting.get_nowait()
            if isinstance(fact, OUTLIVES_A_SESSION):
                self.report(fact)

    async def _next(self) -> Fact | None:
        deadline = self._session.deadline()
        wait_s = TICK_S if deadline is None else min(TICK_S, max(0.0, deadline - self._clock()))
        try:
            async with asyncio.timeout(wait_s):
                return await self._queue.get()
        except TimeoutError:
            return None

    def _take(self, fact: Fact, now: float) -> list[Effect]:
        done = []
        if isinstance(fact, PluggedIn):
            done += self._session.feed(LocalLimit(LimitSource.CABLE, self._cable_current_a()), now)
        done += self._session.feed(fact, now)
        if isinstance(fact, PausedSession):
            self._operator.remember_pause(self.number, fact)
        if isinstance(fact, UnlockRequested):
            self._unlocking = asyncio.create_task(self._unlock())
        if isinstance(fact, MeterSampled):
            self._operator.meter_sampled(self.number, self._with_soc(fact.reading))
        self._observe(fact, now)
        return done

    def _observe(self, fact: Fact, now: float) -> None:
        state = self._session.state
        seen = Observation(self.number, fact, state.v2g_session_id, state.transaction_id, now, datetime.now(UTC))
        for observer in self._observers:
            observer(seen)

    def perform(self, todo: Sequence[Effect]) -> None:
        """Carry out effects in order, then let the SECC see how the station stands now."""
        before, self.view = self.view, self._view()
        for effect in todo:
            self._perform(effect)
        if self.secc and (todo or _awaited(before) != _awaited(self.view)):
            self.secc.view_changed()
        if self.lights:
            self.lights.show(indication(self._session.state))

    def _perform(self, effect: Effect) -> None:
        board, plc, secc, operator = self.board, self.plc, self.secc, self._operator
        assert board is not None, "an EVSE runs with its board"
        match effect:
            case effects.PermitPower(permit):
                board.permit_power(permit)
            case effects.OfferNothing():
                board.offer_nothing()
            case effects.OfferHlc():
                board.offer_hlc()
            case effects.OfferCurrent(limit_a):
                board.offer_current(limit_a)
            case effects.SignalError():
                board.signal_error()
            case effects.LimitCurrent(limit_a):
                board.limit_current(limit_a)
            case effects.CheckCable(check_id, vehicle_max_v) if self.dc:
                self.dc.check_cable(check_id, vehicle_max_v)
            case effects.SetDcTarget(voltage_v, current_a) if self.dc:
                self.dc.target(voltage_v, current_a)
            case effects.DeliverPower(deliver) if self.dc:
                self.dc.deliver(deliver)
            case effects.TestRcd():
                self._test_rcd()
            case effects.LockConnector(lock):
                board.lock_connector(lock)
            case effects.ConnectVehicle(connected) if plc:
                plc.vehicle_connected(connected)
            case effects.RestartSlac() if plc:
                plc.vehicle_connected(True)
            case effects.CountToggle() if plc:
                plc.pilot_toggled()
            case effects.PauseLink() if plc:
                plc.pause()
            case effects.ResumeLink() if plc:
                plc.resume()
            case effects.TerminateLink() if plc:
                plc.terminate()
            case effects.OpenSecc(ev_mac) if secc:
                secc.open(ev_mac)
            case effects.CloseSecc() if secc:
                secc.close()
            case effects.Authorize(token, contract):
                operator.authorize(self.number, token, contract)
            case effects.FetchCertificate(request):
                operator.fetch_certificate(self.number, request)
            case effects.UseReservation(reservation_id, token):
                operator.reservation_used(self.number, reservation_id, token)
            case effects.Plan(needs, anew):
                operator.plan(self.number, needs, self._settings.phases, anew=anew)
            case effects.TellPlan(chosen):
                operator.tell_plan(self.number, chosen)
            case effects.StartTransaction(trigger, state, token, remote_start_id):
                v2g = self._session.state.v2g_session_id
                operator.start_transaction(self.number, trigger, state, token, self._meter(), v2g, remote_start_id)
            case effects.UpdateTransaction(trigger, state, token, remote_start_id):
                operator.update_transaction(self.number, trigger, state, token, self._meter(), remote_start_id)
            case effects.ResumeTransaction(state):
                operator.resume_transaction(self.number, state, self._meter())
            case effects.GiveUpTransaction():
                operator.give_up_transaction(self.number)
            case effects.EndTransaction(trigger, reason, token):
                operator.end_transaction(self.number, trigger, reason, self._meter(), token)
            case effects.ReportStatus(status):
                operator.connector_status(self.number, status)
            case effects.ReportProblem(cause):
                self._log.warning("%s", cause)
                operator.problem(self.number, cause)

    async def _unlock(self) -> None:
        """The CSMS checked that no transaction is in the way; the board unlocks only with the contactor open."""
        assert self.board is not None, "an EVSE runs with its board"
        self.board.lock_connector(False)
        deadline_s = self._clock() + UNLOCK_S
        while (locked := self._locked(unknown=True)) and self._clock() < deadline_s:
            await asyncio.sleep(UNLOCK_S / 20)
        self._operator.unlock_result(self.number, not locked)

    def _test_rcd(self) -> None:
        """The answer to a test before this one has lost its meaning."""
        if self._testing_rcd is not None:
            self._testing_rcd.cancel()
        self._testing_rcd = asyncio.create_task(self._report_rcd())

    async def _report_rcd(self) -> None:
        outcome: Verdict | RcdWord = Verdict.UNSUPPORTED
        if (board := diagnostics_of(self.board)) is not None:
            try:
                outcome = await board.self_test(SelfTest.RCD)
            except HalError as error:
                self._log.warning("the residual current device is not tested: %s", error)
                outcome = RcdWord.SILENT
        self.report(RcdTested(outcome))

    def _locked(self, *, unknown: bool) -> bool:
        """Whether the connector is locked; `unknown` stands for a board that does not say."""
        try:
            return self.board.snapshot().locked if self.board else unknown
        except BoardUnavailable:
            return unknown

    def _cable_current_a(self) -> float | None:
        """The proximity pilot's word, or the fixed cable's rating."""
        try:
            ampacity_a = self.board.snapshot().pp_ampacity_a if self.board else None
        except BoardUnavailable:
            ampacity_a = None
        return ampacity_a if ampacity_a is not None else self._settings.cable_current_a or None

    def _meter(self) -> MeterReading | None:
        try:
            return self._with_soc(self.board.meter()) if self.board else None
        except BoardUnavailable as error:
            self._log.warning("a record goes without a meter value: %s", error)
            return None

    def _view(self) -> StationView:
        state, settings = self._session.state, self._settings
        contracts = settings.accepts_contract and state.contract_rules.accepted
        return StationView(
            evse_id=settings.evse_id,
            accepts_contract=contracts,
            accepts_external_payment=settings.accepts_external_payment,
            phases=settings.phases,
            nominal_voltage_v=settings.nominal_voltage_v,
            limit_a=state.offer_a,
            board_limit_a=state.limits.board_a or 0.0,
            authorization=state.authorization,
            offers_certificates=contracts and state.contract_rules.installed,
            certificate_answer=state.certificate_answer,
            authorization_of=self._session.contract,
            contactor_closed=state.transferring,
            rcd_tripped=Fault.RESIDUAL_CURRENT in state.faults,
            stop=self._session.stop,
            meter_id=f"EVSE{settings.id}",
            meter=self._fresh_meter(),
            receipt_required=settings.request_metering_receipt and state.contract_rules.receipts,
            discharge_limit_a=settings.discharge_limit_a,
            discharge_a=state.discharge_a,
            asks_for_schedules=state.csms_online,
            schedule_answer=state.schedule_answer,
            renegotiation_id=str(state.plans) if state.plans else "",
            schedule=tuple(self._ahead()),
            services=services_of(settings),
            dc=None if self.dc is None or settings.dc is None else self._dc_view(self.dc, settings.dc),
        )

    def _dc_view(self, dc: DcSupport, settings: config.Dc) -> DcView:
        """The operator's limits are of what feeds the output, per phase."""
        state, watts = self._session.state, self._settings.phases * self._settings.nominal_voltage_v
        seen = dc_view(dc.levels(), settings)
        if not state.discharge_a:
            return seen
        return replace(seen, max_power_w=state.offer_a * watts, discharge_power_w=state.discharge_a * watts)

    def _ahead(self) -> Iterator[LimitPeriod]:
        """The operator's periods. A share of the site that nobody contends for will grow as they let it."""
        state = self._session.state
        limits, watts = state.limits, self._settings.phases * self._settings.nominal_voltage_v
        if limits.site_a is not None and limits.site_a >= replace(limits, site_a=None).offer_a:
            limits = replace(limits, site_a=state.site_ceiling_a)
        for period in state.schedule:
            then = replace(limits, profile_a=period.limit_a)
            limit_a = then.lowest_a if state.dc else then.offer_a
            yield LimitPeriod(period.from_s, limit_a, limit_a * watts if state.dc else None)

    def _with_soc(self, reading: MeterReading) -> MeterReading:
        return replace(reading, soc_percent=self._session.state.soc_percent) if reading.dc else reading

    def _fresh_meter(self) -> MeterReading | None:
        """For the vehicle; that there is none is said once, by the board's own fault."""
        try:
            return self.board.meter() if self.board else None
        except BoardUnavailable:
            return None


def _awaited(view: StationView) -> tuple[object, ...]:
    """What a request may wait for that comes about without an effect."""
    return view.contactor_closed, view.dc and (view.dc.cable_check_id, view.dc.cable_check)
