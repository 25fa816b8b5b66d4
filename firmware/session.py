"""The charging session of one EVSE: a pure machine from facts to effects.

`feed` takes one fact and the monotonic time, `tick` lets deadlines pass, `deadline` says when to call it. A fact
changes the state through the table at the end of this file; what the EVSE then puts out follows from the state alone
(`firmware/levels.py`); and the transaction follows from both (`firmware/record.py`). The order within one answer is:
power away first, then what the fact itself asks for, then the operator's side.

Three things shape the table:

- **Authorisation and communication run side by side.** A token may be swiped before the vehicle comes, while SLAC
  runs, or in a V2G session that waits for it; a contract comes only over V2G. So they are separate regions of the state
  and no path is a special case.
- **A transaction ends once, when the contactor is confirmed open.** Whoever wants the end (driver, vehicle, operator,
  fault) notes it in `ending`; the vehicle has `STOP_PATIENCE_S` to stop drawing.
- **A refused token is not the end.** At the reader the driver may try another. A refused contract is the SECC's to
  answer: it sees the authorisation in its view.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from firmware import effects
from firmware.discharge import NO_FEEDING, Feeding, GridGuard
from firmware.effects import Effect
from firmware.facts import (
    AuthorizationAnswered,
    ConnectorEmpty,
    Fact,
    LimitSource,
    LocalLimit,
    MasterPassShown,
    RcdTested,
    TransactionOpened,
)
from firmware.levels import AT_REST, changes, levels
from firmware.limits import MINIMUM_A, Limits
from firmware.maintenance import MaintenanceBegun, MaintenanceOver, Over, TrialWanted
from firmware.rcd_test import RcdTest
from firmware.reasons import refusal, stopped_by, told_of, trigger_of
from firmware.record import Record
from firmware.resumption import Resumption
from firmware.start_rules import StartHeld
from firmware.state import Hlc, PilotStep, State, Step
from firmware.workshop import Workshop
from hal import ports as hal
from hal.dc.ports import DcStaged
from ocpp_client import ports as ocpp
from ocpp_client.ports import StoppedReason, TriggerReason, TxPoint
from secc import ports as secc
from secc.schedules import EnergyRequested, ScheduleAnswer, ScheduleSelected, TariffLeftOut

T_STEP_EF_S = 4.0
"""How long state F must stand for a vehicle to notice (ISO 15118-3 table A.1)."""

T_STEP_X1_S = 3.0
"""How long X1 must stand before nominal PWM, once a vehicle has taken 5 % for an invitation."""

READY_S = 0.75
"""X1 after F, before 5 % again: some vehicles need it to be ready for SLAC."""


class Session:
    """One EVSE's session. `start_points` are the OCPP variable TxStartPoint."""

    def __init__(
        self,
        limits: Limits,
        *,
        has_plc: bool,
        nominal_under_hlc: bool = True,
        dc: bool = False,
        slac_retries: int = 0,
        ev_connection_timeout_s: float = 60.0,
        start_points: Iterable[TxPoint] = (TxPoint.POWER_PATH_CLOSED,),
        signed_metering: bool = False,
        feeding: Feeding = NO_FEEDING,
        rcd_self_test: bool = False,
    ) -> None:
        # On a DC output the pilot stays at 5 %: it has no current to tell.
        self.state = State(limits, has_plc, nominal_under_hlc and not dc, signed_metering, dc, feeding=feeding)
        self._guard = GridGuard(feeding)
        self._levels = AT_REST
        self.record = Record(self.state)
        self._workshop = Workshop(self.state, self.record)
        self._rcd = RcdTest(self.state, self.record, wanted=rcd_self_test and not dc)
        self._resumption = Resumption(self.state, self.record)
        self._slac_retries = slac_retries
        self.state.rules = replace(
            self.state.rules,
            start_points=frozenset(start_points),
            ev_connection_timeout_s=ev_connection_timeout_s,
        )

    def inherit(self, before: State) -> None:
        """Take over, from a session that was given up, what holds for any: limits, modem, rules, availability."""
        state = self.state
        self._rcd.inherit(before.rcd_failed)
        state.limits = before.limits
        state.schedule, state.least_a = before.schedule, before.least_a
        state.modem_ready = before.modem_ready
        state.csms_online = before.csms_online
        state.rules = before.rules
        state.reserved = before.reserved
        state.contract_rules = before.contract_rules
        state.operative = state.operative_wanted = before.operative_wanted

    def feed(self, fact: Fact, now: float) -> list[Effect]:
        """Take one fact; the effects are in the order they must be carried out."""
        self.record.now = now
        handler = _TABLE.get(type(fact))
        asked = (handler(self, fact) if handler else None) or ()
        return self._settle(trigger_of(fact), list(asked))

    def tick(self, now: float) -> list[Effect]:
        """Let deadlines pass."""
        self.record.now = now
        state = self.state
        if state.token_deadline_s is not None and now >= state.token_deadline_s:
            self.record.end_with(TriggerReason.EV_CONNECT_TIMEOUT, StoppedReason.TIMEOUT)
        asked = list(self._maintenance_over(MaintenanceOver(Over.TIMED_OUT))) if self._workshop.tick(now) else []
        if state.pilot_step and now >= state.pilot_step.until_s:
            asked += self._end_step()
        asked += self._rcd.tick(now)
        if state.ending is not None and now >= state.ending.deadline_s:
            if state.cut:
                state.contactor_overdue = True
            self.record.cut()
        return self._settle(TriggerReason.CHARGING_STATE_CHANGED, asked)

    def deadline(self) -> float | None:
        state = self.state
        due = [
            state.token_deadline_s,
            state.left_open.until_s if state.left_open else None,
            state.ending.deadline_s if state.ending else None,
            state.pilot_step.until_s if state.pilot_step else None,
            state.not_ready_at_s if state.charging_state is ocpp.ChargingState.EV_CONNECTED else None,
            state.rcd_due_s,
            *self._workshop.deadlines(),
        ]
        return min((at for at in due if at is not None), default=None)

    @property
    def stop(self) -> secc.StopReason:
        """What the vehicle is told in its next response."""
        if self.state.stopped:
            return told_of(self.state.faults)
        return secc.StopReason.OPERATOR if self.state.ending or self.state.spent else secc.StopReason.NONE

    @property
    def contract(self) -> str:
        """The eMAID the authorisation is about, or empty: it is about a card, or nobody yet."""
        return self.record.contract

    # --- The end of every step ---

    def _settle(self, trigger: TriggerReason, asked: list[Effect]) -> list[Effect]:
        if self.state.ending and not self.record.drawing():
            self.record.cut()  # Nothing is drawn: no reason to be patient.
        asked += self._resumption.settle()
        before = self._switch()
        records = [*self.record.start(trigger), *self.record.update(trigger), *self.record.end()]
        return [*before, *asked, *records, *self._switch()]

    def _switch(self) -> list[Effect]:
        old, self._levels = self._levels, levels(self.state)
        return list(changes(old, self._levels))

    # --- The board's facts ---

    def _plugged_in(self, _: hal.PluggedIn) -> Iterable[Effect]:
        state = self.state
        state.plugged = True
        if state.maintenance is not None:
            return ()  # What is plugged in now is the technician's.
        state.spent = False
        state.token_deadline_s = None
        state.hlc = Hlc.SOUGHT if state.has_plc else Hlc.NONE
        state.slac_begun = False
        if not state.transaction_open:
            state.transaction_id = ""
        state.slac_tries = 0
        return self._rcd.begin()

    def _unplugged(self, _: hal.Unplugged) -> None:
        state = self.state
        state.plugged = False
        self._rcd.forget()
        if state.maintenance is not None:
            state.maintenance.vehicle_here = False
        state.contactor = hal.Contactor.OPEN  # The board opens by itself in state A.
        self.record.end_with(TriggerReason.EV_COMMUNICATION_LOST, state.parted or StoppedReason.EV_DISCONNECTED)
        if state.ending is None:
            self.record.forget_session()
        state.spent = False
        state.hlc = Hlc.NONE
        state.pilot_step = None
        state.ev_mac = None
        state.power_wanted = False
        state.soc_percent = None
        state.payment = None

    def _vehicle_ready(self, _: hal.VehicleReady) -> Iterable[Effect]:
        """State C while both sides sleep wakes the link."""
        if self.state.hlc is Hlc.PAUSED:
            yield effects.ResumeLink()

    def _vehicle_paused(self, _: hal.VehiclePaused) -> None:
        self.record.cut()

    def _bcb_toggled(self, _: hal.BcbToggled) -> Iterable[Effect]:
        """The vehicle at this connector answers CM_VALIDATE."""
        if self.state.hlc is Hlc.SOUGHT:
            yield effects.CountToggle()

    def _contactor_changed(self, fact: hal.ContactorChanged) -> None:
        state = self.state
        state.contactor = fact.contactor
        if state.transferring:
            state.has_charged = True
        elif (
            fact.contactor is not hal.Contactor.CLOSED
            and state.has_charged
            and TxPoint.ENERGY_TRANSFER in state.rules.stop_points
        ):
            self.record.end_with(TriggerReason.CHARGING_STATE_CHANGED, StoppedReason.STOPPED_BY_EV)

    def _dc_staged(self, fact: DcStaged) -> None:
        """Under a closed contactor the cable is tested before, and emptied after, energy flows."""
        self.state.dc_charging = fact.charging
        self.state.has_charged = self.state.has_charged or fact.charging

    def _board_fault(self, fact: hal.BoardFault) -> Iterable[Effect]:
        state = self.state
        if not fact.active and fact.fault is hal.Fault.RESIDUAL_CURRENT and state.rcd_failed:
            fact = self._rcd.standing()  # The board takes back its own word, not the failed test.
        if fact.active:
            state.faults[fact.fault] = fact.severity
        else:
            state.faults.pop(fact.fault, None)
        if fact.active and fact.severity is not hal.Severity.WARNING:
            self.record.end_with(TriggerReason.ABNORMAL_CONDITION, stopped_by(fact.fault))
        yield effects.ReportProblem(fact)

    def _rcd_tested(self, fact: RcdTested) -> Iterable[Effect]:
        return self._rcd.told(fact.outcome)

    def _token_presented(self, fact: hal.TokenPresented) -> Iterable[Effect]:
        """A swipe: the token that started a session, or another of its group, ends it; any other asks for one."""
        state = self.state
        token = ocpp.IdToken(fact.id_token, fact.kind)
        if state.authorized and _same(state.token, token):
            if state.transaction_open:
                self.record.end_with(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, token)
            else:
                self.record.forget_token()
            return ()
        if state.authorized and state.transaction_open and state.ending is None:
            state.rival = token
            return (effects.Authorize(token, None),)
        if state.authorized or state.ending is not None or state.stopped or not state.serves:
            return ()
        return self._ask(token, None)

    # --- The PLC's facts ---

    def _modem_ready(self, _: hal.ModemReady) -> None:
        self.state.modem_ready = True

    def _modem_fault(self, fact: hal.ModemFault) -> None:
        """Without a modem a vehicle can still charge by the pilot alone."""
        if fact.active:
            self.state.modem_ready = False
            if self.state.hlc is Hlc.SOUGHT:
                self.state.hlc = Hlc.NONE
                self.state.pilot_step = None

    def _link_ready(self, fact: hal.LinkReady) -> None:
        state = self.state
        if state.plugged and not state.spent and state.maintenance is None:
            state.hlc = Hlc.LINKED
            state.pilot_step = None
            state.ev_mac = fact.ev_mac

    def _link_lost(self, _: hal.LinkLost) -> None:
        """A vehicle that cannot be talked to gets no power; it may match again."""
        state = self.state
        if state.hlc is Hlc.LINKED:
            self.record.end_with(TriggerReason.EV_COMMUNICATION_LOST, StoppedReason.OTHER)
            self.record.cut()
            state.power_wanted = False
            state.hlc = Hlc.SOUGHT
            state.ev_mac = None

    def _slac_begun(self, _: hal.SlacBegun) -> None:
        self.state.slac_begun = True

    def _slac_failed(self, _: hal.SlacFailed) -> None:
        """Try again over state F (C_sequ_retry); then the pilot alone carries the session, but for DC."""
        state = self.state
        if state.hlc is not Hlc.SOUGHT or state.pilot_step is not None:
            return
        if state.slac_tries < self._slac_retries or state.dc:
            state.slac_tries += 1
            self._step(Step.ERROR, T_STEP_EF_S, retry=True)
        elif state.slac_begun:
            self._step(Step.REST, T_STEP_X1_S, retry=False)
        else:
            state.hlc = Hlc.NONE

    def _step(self, step: Step, seconds: float, *, retry: bool) -> None:
        self.state.pilot_step = PilotStep(step, self.record.now + seconds, retry)

    def _end_step(self) -> Iterable[Effect]:
        """A run that goes on meanwhile is not disturbed: LinkReady ends the step."""
        state = self.state
        over, state.pilot_step = state.pilot_step, None
        assert over is not None
        if not over.retry:
            state.hlc = Hlc.NONE
        elif over.step is Step.ERROR:
            self._step(Step.REST, READY_S, retry=True)
        else:
            yield effects.RestartSlac()

    # --- The vehicle's facts ---

    def _session_set_up(self, fact: secc.SessionSetUp) -> None:
        self.state.v2g_session_id = fact.session_id

    def _payment_selected(self, fact: secc.PaymentSelected) -> None:
        self.state.payment = fact.option

    def _contract_presented(self, fact: secc.ContractPresented) -> Iterable[Effect]:
        """Shown under an accepted card it changes nothing: the card pays. Another contract is a new question."""
        state = self.state
        token = ocpp.IdToken(fact.contract.emaid, "eMAID")
        accepted = state.authorized and state.token is not None
        if (
            state.maintenance
            or state.ending is not None
            or (accepted and (state.token == token or not self.record.by_contract()))
        ):
            return ()
        return *self._resumption.shown(token), *self._ask(token, fact.contract)

    def _contract_refused(self, fact: secc.ContractRefused) -> Iterable[Effect]:
        yield effects.ReportProblem(fact)

    def _tariff_left_out(self, fact: TariffLeftOut) -> Iterable[Effect]:
        yield effects.ReportProblem(fact)

    def _certificate_requested(self, fact: secc.CertificateRequested) -> Iterable[Effect]:
        yield effects.FetchCertificate(fact)

    def _certificate_answered(self, fact: secc.CertificateAnswer) -> None:
        self.state.certificate_answer = fact

    def _meter_sampled(self, fact: hal.MeterSampled) -> None:
        self.state.may_feed = self._guard.measured(fact.reading, self.state.soc_percent, self.record.now)

    def _energy_requested(self, fact: EnergyRequested) -> Iterable[Effect]:
        """The operator hears of the needs but where it sent the vehicle back itself: then its plan is ready (K16)."""
        state = self.state
        state.bidirectional = fact.max_discharge_power_w is not None
        if fact.max_discharge_power_w is not None:
            state.ev_feeds_a = fact.max_discharge_power_w / (state.feeding.phases * state.feeding.voltage_v)
        if fact.soc_percent is not None:
            state.soc_percent = fact.soc_percent
        if fact.request_id:
            anew, self.state.plan_anew = self.state.plan_anew, False
            yield effects.Plan(fact, anew)

    def _schedule_answered(self, fact: ScheduleAnswer) -> None:
        self.state.schedule_answer = fact

    def _schedule_selected(self, fact: ScheduleSelected) -> Iterable[Effect]:
        self.state.planned = True
        yield effects.TellPlan(fact)

    def _plan_changed(self, _: ocpp.PlanChanged) -> None:
        """One that has not chosen yet is asking, or will."""
        if self.state.planned:
            self.state.plan_anew = True
            self.state.plans += 1

    def _csms_online(self, fact: ocpp.CsmsOnline) -> None:
        self.state.csms_online = fact.online

    def _power_wanted(self, fact: secc.PowerWanted) -> None:
        self.state.power_wanted = fact.wanted and self.state.maintenance is None

    def _cable_check_wanted(self, fact: secc.CableCheckWanted) -> Iterable[Effect]:
        if self.state.maintenance is None:
            yield effects.CheckCable(fact.check_id, fact.voltage_v)

    def _state_of_charge(self, fact: secc.StateOfCharge) -> None:
        self.state.soc_percent = fact.percent

    def _dc_target(self, fact: secc.DcTarget) -> Iterable[Effect]:
        if self.state.maintenance is None:
            yield effects.SetDcTarget(fact.voltage_v, fact.current_a)

    def _v2g_ended(self, fact: secc.V2GEnded) -> Iterable[Effect]:
        """Power never outlives the conversation. A vehicle that failed before it was served may try again."""
        state = self.state
        state.power_wanted = state.planned = state.plan_anew = state.bidirectional = False
        state.v2g_session_id = ""
        if state.maintenance is not None:
            return
        if fact.reason is secc.EndReason.PAUSED:
            state.hlc = Hlc.PAUSED
            yield effects.PauseLink()
            return
        if fact.reason is not secc.EndReason.TERMINATED:
            yield effects.ReportProblem(fact)
        if fact.reason is secc.EndReason.SETUP_TIMEOUT:
            yield from self._leave_link()  # A modem without an ISO 15118 stack: the pilot alone carries the session.
            return
        if fact.reason is secc.EndReason.TERMINATED:
            self.record.end_with(TriggerReason.CHARGING_STATE_CHANGED, StoppedReason.STOPPED_BY_EV)
        else:
            self.record.end_with(TriggerReason.EV_COMMUNICATION_LOST, StoppedReason.OTHER)
        self.record.cut()
        if state.ending or fact.reason in (secc.EndReason.TERMINATED, secc.EndReason.REFUSED):
            state.spent = state.plugged
            yield from self._leave_link()
        if not state.authorized:
            self.record.forget_token()

    def _leave_link(self) -> Iterable[Effect]:
        if self.state.hlc is Hlc.LINKED:
            self.state.hlc = Hlc.NONE
            self.state.ev_mac = None
            yield effects.TerminateLink()

    # --- The operator's facts ---

    def _ask(self, token: ocpp.IdToken, contract: secc.Contract | None) -> Iterable[Effect]:
        self.state.token = token
        self.state.authorization = secc.Authorization.PENDING
        yield effects.Authorize(token, contract)

    def _authorization_answered(self, fact: AuthorizationAnswered) -> Iterable[Effect]:
        state = self.state
        if state.authorized and fact.token == state.rival:
            self._rival_answered(fact.token, fact.answer)
            return
        if fact.token != state.token or state.authorized:
            return  # An answer that came too late: the driver has gone, or was accepted by another token.
        accepted = fact.answer.status is ocpp.AuthorizationStatus.ACCEPTED and not self._is_master(fact.answer)
        state.turned_away = accepted and not state.admits(fact.token, fact.answer.group_id)
        if accepted and not state.turned_away:
            yield from self._accept(fact.token, TriggerReason.AUTHORIZED, fact.answer.group_id)
        elif fact.token.kind == "eMAID":
            yield from self._resumption.refused(fact.token)
            state.authorization = refusal(fact.answer)
        else:
            self.record.forget_token()

    def _rival_answered(self, token: ocpp.IdToken, answer: ocpp.AuthorizeAnswer) -> None:
        """Another token ends a transaction when its group is the transaction's (C09)."""
        state = self.state
        state.rival = None
        if answer.status is not ocpp.AuthorizationStatus.ACCEPTED or answer.group_id is None:
            return
        if answer.group_id == state.group_id and not self._is_master(answer):
            self.record.end_with(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, token)

    def _master_pass_shown(self, fact: MasterPassShown) -> None:
        if self.state.transaction_open:
            self.record.end_with(TriggerReason.STOP_AUTHORIZED, StoppedReason.MASTER_PASS, fact.token)

    def _is_master(self, answer: ocpp.AuthorizeAnswer) -> bool:
        """C16: a master pass starts nothing."""
        master = self.state.rules.master_pass_group_id
        return bool(master) and answer.group_id == master

    def _remote_start(self, fact: ocpp.RemoteStart) -> Iterable[Effect]:
        """The operator has accepted the token already."""
        state = self.state
        if state.authorized or state.ending is not None or state.stopped or not state.serves:
            return ()
        if not state.admits(fact.id_token, fact.group_id):
            return ()
        state.token = fact.id_token
        state.remote_start_id = fact.remote_start_id
        return self._accept(fact.id_token, TriggerReason.REMOTE_START, fact.group_id)

    def _accept(self, token: ocpp.IdToken, trigger: TriggerReason, group_id: str | None) -> Iterable[Effect]:
        state = self.state
        state.authorization = secc.Authorization.ACCEPTED
        state.group_id = group_id
        yield from self._resumption.accepted(token)
        state.parted = None
        state.spent = False
        if (
            state.plugged
            and state.hlc is Hlc.SOUGHT
            and not state.slac_begun
            and not state.dc
            and state.pilot_step is None
        ):
            self._step(Step.ERROR, T_STEP_EF_S, retry=False)  # Paid for, and nobody spoke: no more talk.
        if not state.plugged:
            state.token_deadline_s = self.record.now + state.rules.ev_connection_timeout_s
        if state.reserved and (holder := state.reserved.holder(token, group_id)):
            yield effects.UseReservation(holder.reservation_id, token)
        if state.transaction_open:
            yield effects.UpdateTransaction(trigger, state.charging_state, token, state.remote_start_id)

    def _remote_stop(self, fact: ocpp.RemoteStop) -> None:
        if fact.transaction_id == self.state.transaction_id:
            self.record.end_with(TriggerReason.REMOTE_STOP, StoppedReason.REMOTE)

    def _token_deauthorized(self, fact: ocpp.TokenDeauthorized) -> None:
        if fact.transaction_id != self.state.transaction_id:
            return
        if fact.suspend and self.state.left_open is None:
            self.state.suspended = True
        else:
            self.record.end_with(TriggerReason.DEAUTHORIZED, StoppedReason.DEAUTHORIZED)

    def _contract_rules(self, fact: ocpp.ContractRules) -> None:
        self.state.contract_rules = fact

    def _reservations_changed(self, fact: ocpp.ReservationsChanged) -> None:
        """Who is charging already goes on."""
        self.state.reserved = fact

    def _transaction_rules(self, fact: ocpp.TransactionRules) -> None:
        self.state.rules = fact

    def _reset_requested(self, fact: ocpp.ResetRequested) -> None:
        if fact.immediate:
            self.record.end_with(TriggerReason.RESET_COMMAND, StoppedReason.IMMEDIATE_RESET)

    def _availability_changed(self, fact: ocpp.AvailabilityChanged) -> None:
        """OCPP lets a running transaction end first."""
        self.state.operative_wanted = fact.operative
        if not self.state.transaction_open:
            self.state.operative = fact.operative

    # --- The technician's facts ---

    def _maintenance_begun(self, fact: MaintenanceBegun) -> Iterable[Effect]:
        if self._workshop.may_begin(fact):
            yield from self._leave_link()
            self._workshop.begin(fact)

    def _trial_wanted(self, fact: TrialWanted) -> None:
        self._workshop.put(fact)

    def _maintenance_over(self, _: MaintenanceOver) -> Iterable[Effect]:
        """As if whoever is at the connector had just been plugged in."""
        if self._workshop.end() and self.state.plugged:
            return self._plugged_in(hal.PluggedIn(self.record.now))
        return ()

    def _csms_limit(self, fact: ocpp.CsmsLimit) -> Iterable[Effect]:
        self.state.least_a = max(fact.least_a, MINIMUM_A)
        self.state.schedule = fact.schedule
        return self._limited("profile_a", fact.limit_a)

    def _local_limit(self, fact: LocalLimit) -> Iterable[Effect]:
        if fact.source is LimitSource.SITE:
            self.state.site_ceiling_a = fact.ceiling_a
        return self._limited(fact.source.value, fact.limit_a)

    def _limited(self, name: str, limit_a: float | None) -> Iterable[Effect]:
        state = self.state
        before = state.offer_a, state.discharge_a
        state.limits = replace(state.limits, **{name: limit_a})
        if state.transaction_open and not state.left_open and (state.offer_a, state.discharge_a) != before:
            yield effects.UpdateTransaction(TriggerReason.CHARGING_RATE_CHANGED, state.charging_state)

    def _start_held(self, fact: StartHeld) -> Iterable[Effect]:
        self.state.held = fact.cause
        self.state.held_until_s = self.record.now + fact.for_s
        return self._limited("start_a", None if fact.cause is None else 0.0)

    def _transaction_left_open(self, fact: ocpp.TransactionLeftOpen) -> None:
        self._resumption.begin(fact)

    def _connector_empty(self, _: ConnectorEmpty) -> Iterable[Effect]:
        return self._resumption.give_up()

    def _transaction_opened(self, fact: TransactionOpened) -> None:
        self.state.transaction_id = fact.transaction_id


def _same(one: ocpp.IdToken | None, other: ocpp.IdToken) -> bool:
    """IdTokenType.idToken is case insensitive."""
    return one is not None and (one.id_token.lower(), one.kind) == (other.id_token.lower(), other.kind)


_TABLE: dict[type, Callable[[Session, Any], Iterable[Effect] | None]] = {
    hal.PluggedIn: Session._plugged_in,
    hal.Unplugged: Session._unplugged,
    hal.VehicleReady: Session._vehicle_ready,
    hal.VehiclePaused: Session._vehicle_paused,
    hal.BcbToggled: Session._bcb_toggled,
    hal.ContactorChanged: Session._contactor_changed,
    DcStaged: Session._dc_staged,
    hal.BoardFault: Session._board_fault,
    RcdTested: Session._rcd_tested,
    hal.TokenPresented: Session._token_presented,
    hal.MeterSampled: Session._meter_sampled,
    hal.ModemReady: Session._modem_ready,
    hal.ModemFault: Session._modem_fault,
    hal.LinkReady: Session._link_ready,
    hal.LinkLost: Session._link_lost,
    hal.SlacBegun: Session._slac_begun,
    hal.SlacFailed: Session._slac_failed,
    secc.SessionSetUp: Session._session_set_up,
    secc.PaymentSelected: Session._payment_selected,
    secc.ContractPresented: Session._contract_presented,
    secc.ContractRefused: Session._contract_refused,
    TariffLeftOut: Session._tariff_left_out,
    secc.CertificateRequested: Session._certificate_requested,
    secc.CertificateAnswer: Session._certificate_answered,
    EnergyRequested: Session._energy_requested,
    ScheduleAnswer: Session._schedule_answered,
    ScheduleSelected: Session._schedule_selected,
    secc.PowerWanted: Session._power_wanted,
    secc.CableCheckWanted: Session._cable_check_wanted,
    secc.DcTarget: Session._dc_target,
    secc.StateOfCharge: Session._state_of_charge,
    secc.V2GEnded: Session._v2g_ended,
    ocpp.RemoteStart: Session._remote_start,
    ocpp.RemoteStop: Session._remote_stop,
    ocpp.TokenDeauthorized: Session._token_deauthorized,
    ocpp.ReservationsChanged: Session._reservations_changed,
    ocpp.ContractRules: Session._contract_rules,
    ocpp.TransactionLeftOpen: Session._transaction_left_open,
    ocpp.TransactionRules: Session._transaction_rules,
    ocpp.ResetRequested: Session._reset_requested,
    ocpp.AvailabilityChanged: Session._availability_changed,
    ocpp.CsmsLimit: Session._csms_limit,
    ocpp.CsmsOnline: Session._csms_online,
    ocpp.PlanChanged: Session._plan_changed,
    AuthorizationAnswered: Session._authorization_answered,
    LocalLimit: Session._local_limit,
    MaintenanceBegun: Session._maintenance_begun,
    StartHeld: Session._start_held,
    TrialWanted: Session._trial_wanted,
    MaintenanceOver: Session._maintenance_over,
    TransactionOpened: Session._transaction_opened,
    ConnectorEmpty: Session._connector_empty,
    MasterPassShown: Session._master_pass_shown,
}
"""Facts not named here (levels on the pilot, message traces) concern observers alone."""
