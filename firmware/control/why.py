"""Why an EVSE does not charge: the blockers in order, in a technician's words. Pure.

What forbids power whatever the vehicle does comes first (board, faults, availability, limits), then the one thing the
session waits for: a session goes step by step, and what comes after the step it stands at blocks nothing yet.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from firmware.control.fault_words import CONTRACT_REMEDIES, CONTRACT_REMEDY, CONTRACTS, ENDS, FAULTS, RCD_FAILED
from firmware.facts import AuthorizationAnswered, Fact
from firmware.limits import MINIMUM_A
from firmware.start_rules import Hold
from firmware.state import Hlc, RcdStage, State
from hal.ports import (
    Contactor,
    CpState,
    EvseSnapshot,
    Fault,
    LinkLost,
    ModemFault,
    Severity,
    SlacFailed,
    SlacMatched,
)
from ocpp_client.ports import AuthorizationStatus, CsmsOnline, EventSent
from secc.ports import (
    Authorization,
    ContractRefused,
    EndReason,
    PaymentOption,
    SessionSetUp,
    TlsEstablished,
    V2GEnded,
)
from secc.schedules import EnergyRequested

T = TypeVar("T")

EXPIRY_NOTE_DAYS = 30.0


@dataclass(frozen=True, slots=True)
class Blocker:
    """`code` is stable and for programs; `what` is wrong, `remedy` is what to do about it."""

    code: str
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything the answer depends on. `latest` holds the latest fact of each kind since the vehicle came."""

    now: float
    state: State
    board: EvseSnapshot | None
    """None: the board does not answer."""
    alive: bool
    """Whether the EVSE's control loop turns."""
    csms_online: bool
    has_secc_certificate: bool
    secc_days_left: float | None
    latest: Mapping[type, Fact]

    def fact(self, kind: type[T]) -> T | None:
        found = self.latest.get(kind)
        return found if isinstance(found, kind) else None


def why(at: Situation) -> list[Blocker]:
    """What keeps the EVSE from charging, what to see to first first; empty while it charges."""
    station = [
        *_loop(at),
        *_board(at),
        *_faults(at),
        *_rcd(at),
        *_availability(at),
        *_maintenance(at),
        *_held(at),
        *_limits(at),
    ]
    if at.state.maintenance is not None:
        return station
    if at.board is None and not at.state.plugged:
        return station
    return [*station, *_step(at)]


def notes(at: Situation) -> list[Blocker]:
    """What blocks nothing and is worth knowing."""
    return [
        *_warnings(at),
        *_untested(at),
        *_technician(at),
        *_fallback(at),
        *_operator(at),
        *_certificate(at),
        *_awaits_another(at),
    ]


# --- Whatever the vehicle does ---


def _loop(at: Situation) -> Iterator[Blocker]:
    if not at.alive:
        what = "the control loop of this EVSE does not turn: it crashed or hangs, and power is withheld"
        yield Blocker("loop", what, "see the daemon's log for `crashed`; it starts anew by itself")


def _board(at: Situation) -> Iterator[Blocker]:
    if at.board is None and Fault.COMMUNICATION_FAULT not in at.state.faults:
        what = "the board has not said anything yet, or its last word is too old"
        yield Blocker("board_silent", what, FAULTS[Fault.COMMUNICATION_FAULT][1])


def _faults(at: Situation) -> Iterator[Blocker]:
    """An emergency before a mere stop."""
    for severity in (Severity.EMERGENCY, Severity.STOP):
        for fault, how in at.state.faults.items():
            if how is severity:
                untested = fault is Fault.RESIDUAL_CURRENT and how is Severity.STOP and at.state.rcd_failed
                yield Blocker(f"fault_{fault.value}", *(RCD_FAILED if untested else FAULTS[fault]))


def _rcd(at: Situation) -> Iterator[Blocker]:
    if at.state.rcd in (RcdStage.RUNNING, RcdStage.WAITING):
        what = "the residual current device is being tested before power is given"
        yield Blocker("rcd_test", what, "wait some seconds")


def _untested(at: Situation) -> Iterator[Blocker]:
    if at.state.rcd is RcdStage.UNTESTED:
        what = "the board did not test its residual current device for this vehicle"
        yield Blocker("rcd_untested", what, "in maintenance, run the rcd self-test by hand")


def _availability(at: Situation) -> Iterator[Blocker]:
    if not at.state.operative:
        what = "the operator has taken this EVSE out of service (ChangeAvailability Inoperative)"
        yield Blocker("inoperative", what, "ask the operator to set it Operative")


_LIMITS = {
    "cable_a": ("the cable allows", "check the proximity resistor, or cable_current_a in the configuration"),
    "profile_a": ("the operator's charging profile allows", "ask the operator, or wait for the profile's next period"),
    "heat_a": ("the station's temperature allows", "let it cool; look at fan and filter"),
    "site_a": ("this EVSE's share of the site limit is", "raise site_limit_a, or wait until others have charged"),
}


def _maintenance(at: Situation) -> Iterator[Blocker]:
    standing = at.state.maintenance
    if standing is not None:
        left_s = max(0.0, standing.until_s - at.now)
        what = f"a technician ({standing.by}) has this EVSE in maintenance, for another {left_s:.0f} s at most"
        yield Blocker("maintenance", what, "`evse maintenance end`, or wait")


def _held(at: Situation) -> Iterator[Blocker]:
    """Only while there is a vehicle: without one nothing waits."""
    state, left_min = at.state, max(0.0, at.state.held_until_s - at.now) / 60
    if state.held is Hold.RANDOM_DELAY:
        what = f"the start is delayed at random, so that not all begin at once; another {left_min:.0f} min"
        yield Blocker("random_delay", what, "wait, or `evse charge-now`")
    elif state.held is Hold.PEAK:
        what = f"charging is kept out of peak hours; they end in {left_min:.0f} min"
        yield Blocker("peak_hours", what, "wait, `evse charge-now`, or a remote start")


def _limits(at: Situation) -> Iterator[Blocker]:
    limits = at.state.limits
    if limits.board_a is None:
        if at.board is not None:
            what = "the board has not said yet how much current it can carry"
            yield Blocker("limit_board", what, "wait some seconds; then see the daemon's log")
        return
    if limits.board_a < MINIMUM_A:
        what = f"the board allows {limits.board_a:g} A, and less than {MINIMUM_A:g} A cannot be offered"
        yield Blocker("limit_board", what, "check max_current_a in the configuration and the board's rating")
    for name, (whose, remedy) in _LIMITS.items():
        limit_a = getattr(limits, name)
        if limit_a is not None and limit_a < MINIMUM_A:
            what = f"{whose} {limit_a:g} A, and less than {MINIMUM_A:g} A cannot be offered"
            yield Blocker(f"limit_{name.removesuffix('_a')}", what, remedy)


# --- Where the session stands ---


def _step(at: Situation) -> Iterator[Blocker]:
    state = at.state
    if not state.plugged:
        yield _absent(at)
    elif state.spent:
        yield _over(at)
    elif state.ending is not None:
        reason = state.ending.stopped_reason.value
        what = f"the session is being ended ({reason}); the vehicle is given time to stop drawing"
        yield Blocker("ending", what, "wait some seconds, then unplug")
    elif state.hlc is Hlc.SOUGHT:
        yield _seeking(at)
    elif state.hlc is Hlc.LINKED:
        yield from _linked(at)
    elif not state.authorized:
        yield _unauthorized(at)
    else:
        yield from _pilot(at)


def _absent(at: Situation) -> Blocker:
    state = at.state
    if at.board is not None and at.board.cp is CpState.E:
        what = "the control pilot reads 0 V: a short circuit in cable or connector, or no supply"
        return Blocker("pilot_short", what, "measure CP to PE at the connector")
    if state.authorized and state.token_deadline_s is not None:
        left_s = max(0.0, state.token_deadline_s - at.now)
        what = f"the token is accepted; the vehicle is awaited for another {left_s:.0f} s"
        return Blocker("vehicle_awaited", what, "plug in")
    what = "no vehicle is plugged in (pilot state A)"
    remedy = "plug in; if one is, the plug is not home or the CP wire is broken"
    return Blocker("no_vehicle", what, remedy)


def _over(at: Situation) -> Blocker:
    """A session that is over blocks until the plug is drawn; what ended it is what to see to."""
    if (refused := at.fact(ContractRefused)) is not None:
        return _contract(refused)
    if not _accepted(at) and (answered := at.fact(AuthorizationAnswered)) is not None:
        return _answer(at, answered)
    ended = at.fact(V2GEnded)
    if ended is not None and ended.reason is not EndReason.TERMINATED:
        return _ended(ended)
    record = at.fact(EventSent)
    by = f" ({record.trigger_reason})" if record is not None and record.event_type == "Ended" else ""
    what = f"the session is over{by} and the vehicle is still plugged in"
    return Blocker("session_over", what, "unplug; for another session plug in again or present the card")


def _accepted(at: Situation) -> bool:
    answered = at.fact(AuthorizationAnswered)
    return answered is not None and answered.answer.status is AuthorizationStatus.ACCEPTED


def _seeking(at: Situation) -> Blocker:
    if not at.state.modem_ready:
        trouble = at.fact(ModemFault)
        detail = f": {trouble.reason}" if trouble is not None and trouble.active else ""
        what = f"the powerline modem is not ready, so nothing is offered to the vehicle{detail}"
        return Blocker("modem", what, "see `evse plc info`; check plc_interface and the modem's supply")
    if (lost := at.fact(LinkLost)) is not None:
        what = f"the powerline link to the vehicle was lost ({lost.reason}); matching runs again"
        return Blocker("link_lost", what, "wait, or plug in again; see `evse slac last` for the attenuation")
    if at.fact(SlacMatched) is not None:
        what = "SLAC has matched; the vehicle's modem has not joined the network yet"
        return Blocker("link_joining", what, "wait some seconds")
    what = "SLAC runs: the vehicle has not been matched yet"
    return Blocker("slac", what, "wait some seconds; a vehicle without ISO 15118 is then served by the pilot alone")


def _linked(at: Situation) -> Iterator[Blocker]:
    if (refused := at.fact(ContractRefused)) is not None:
        yield _contract(refused)
    elif at.fact(SessionSetUp) is None:
        yield _speechless(at)
    elif (ended := at.fact(V2GEnded)) is not None and not at.state.v2g_session_id:
        yield _ended(ended)
    elif not at.state.authorized:
        yield _unauthorized(at)
    elif not at.state.power_wanted:
        said = "has named its needs" if at.fact(EnergyRequested) is not None else "has not named its needs yet"
        what = f"the vehicle is authorised, {said}, and has not asked for power (PowerDeliveryReq Start)"
        yield Blocker("power_not_wanted", what, "its own timer or a full battery; look at its display")
    else:
        yield from _pilot(at)


def _speechless(at: Situation) -> Blocker:
    """Linked, and no SessionSetupReq."""
    if (ended := at.fact(V2GEnded)) is not None:
        if ended.reason is EndReason.TLS_FAILED and not at.has_secc_certificate:
            return _no_certificate()
        return _ended(ended)
    if at.fact(TlsEstablished) is not None:
        what = "TLS stands; the vehicle has not begun its session (SupportedAppProtocolReq, SessionSetupReq)"
        return Blocker("v2g_silent", what, "wait some seconds; then plug in again")
    if not at.has_secc_certificate:
        return _no_certificate()
    what = "the powerline link stands; the vehicle has not connected yet (SDP, TLS)"
    return Blocker("tls_awaited", what, "wait some seconds; then plug in again")


def _no_certificate() -> Blocker:
    what = "the station has no SECC certificate: TLS and Plug & Charge are impossible"
    return Blocker("secc_certificate", what, "provision the station; a card works with vehicles that do without TLS")


def _ended(ended: V2GEnded) -> Blocker:
    what, remedy = ENDS[ended.reason]
    detail = f": {ended.detail}" if ended.detail else ""
    return Blocker(f"v2g_{ended.reason.name.lower()}", what + detail, remedy)


def _contract(refused: ContractRefused) -> Blocker:
    remedy = CONTRACT_REMEDIES.get(refused.fault, CONTRACT_REMEDY)
    return Blocker(f"contract_{refused.fault.name.lower()}", CONTRACTS[refused.fault], remedy)


# --- Authorisation ---

_REFUSALS = {
    Authorization.CERTIFICATE_REVOKED: "the operator says the vehicle's contract certificate is revoked",
    Authorization.CERTIFICATE_EXPIRED: "the operator says the vehicle's contract certificate has expired",
    Authorization.REJECTED: "the operator refused the vehicle's contract",
}


def _unauthorized(at: Situation) -> Blocker:
    state = at.state
    if state.turned_away or (state.token is None and state.reserved and state.reserved.exclusive):
        return _reserved(at)
    if state.authorization in _REFUSALS:
        code = f"authorization_{state.authorization.value}"
        return Blocker(code, _REFUSALS[state.authorization], CONTRACT_REMEDY)
    answered = at.fact(AuthorizationAnswered)
    if state.token is not None and (answered is None or answered.token != state.token):
        return _asked(at)
    if answered is not None:
        return _answer(at, answered)
    return _no_token(at)


def _reserved(at: Situation) -> Blocker:
    held = at.state.reserved.holders if at.state.reserved else ()
    numbers = ", ".join(f"{one.reservation_id} until {one.expires_at:%Y-%m-%d %H:%M} UTC" for one in held)
    refused = "the token is good, but " if at.state.turned_away else ""
    what = f"{refused}this EVSE is reserved for another driver (reservation {numbers})"
    return Blocker("reserved", what, "use another EVSE, or have the operator cancel the reservation")


def _asked(at: Situation) -> Blocker:
    if not at.csms_online:
        what = "the CSMS was asked about the token and cannot be reached"
        return Blocker("csms_offline", what, "see `evse ocpp status`; check the network")
    return Blocker("csms_asked", "the CSMS was asked about the token and has not answered yet", "wait some seconds")


def _answer(at: Situation, answered: AuthorizationAnswered) -> Blocker:
    status = answered.answer.status
    if status is None:
        reach = "cannot be reached" if not at.csms_online else "did not answer"
        what = f"the CSMS {reach}, and the rules for that case do not admit this token"
        return Blocker("authorization_no_answer", what, "see `evse ocpp status`; check the network")
    what = f"the CSMS refused the token: {status.value}"
    if answered.answer.certificate_status not in (None, "Accepted"):
        what += f" ({answered.answer.certificate_status})"
    return Blocker(f"token_{status.name.lower()}", what, "try another card; ask the operator about this one")


def _no_token(at: Situation) -> Blocker:
    if at.state.payment is PaymentOption.CONTRACT:
        what = "the vehicle chose its contract and has not presented it yet"
        return Blocker("contract_awaited", what, "wait some seconds; then plug in again")
    reach = "" if at.csms_online else " (the CSMS cannot be reached: only tokens it knows from before will do)"
    return Blocker("no_token", f"nobody has authorised this vehicle{reach}", "present a card, or start it remotely")


# --- Pilot and contactor, once everything else is well ---


def _pilot(at: Situation) -> Iterator[Blocker]:
    state, board = at.state, at.board
    if state.contactor is Contactor.CLOSED or board is None or not state.limits.offer_a or state.stopped:
        return
    if state.contactor in (Contactor.WELDED, Contactor.STUCK_OPEN):
        yield Blocker("contactor", f"the contactor is {state.contactor.value}", "switch the supply off, measure it")
    elif board.cp is CpState.B and state.has_charged:
        what = "the vehicle has paused: it went back from pilot state C to B"
        yield Blocker("vehicle_paused", what, "its battery is full or its timer waits; look at its display")
    elif board.cp is CpState.B:
        what = f"the vehicle is offered {state.limits.offer_a:g} A and does not ask for power (pilot state B)"
        yield Blocker("vehicle_waits", what, "its battery is full or its timer waits; look at its display")
    elif board.cp in (CpState.C, CpState.D):
        what = "the vehicle asks for power, and the contactor has not closed"
        yield Blocker("contactor_open", what, "if it stays so, check the contactor's supply and feedback")
    else:
        what = f"the pilot is in state {board.cp.value} though a vehicle was plugged in"
        yield Blocker("pilot_state", what, "unplug and plug in again; measure CP to PE")


# --- Notes ---


def _warnings(at: Situation) -> Iterator[Blocker]:
    for fault, severity in at.state.faults.items():
        if severity is Severity.WARNING:
            yield Blocker(f"fault_{fault.value}", *FAULTS[fault])


def _technician(at: Situation) -> Iterator[Blocker]:
    limit_a = at.state.limits.technician_a
    if limit_a is not None:
        what = f"a technician limits this EVSE to {limit_a:g} A for a while"
        yield Blocker("limit_technician", what, "it ends when his command ends")


def _fallback(at: Situation) -> Iterator[Blocker]:
    failed = at.fact(SlacFailed)
    if failed is not None and at.state.plugged and at.state.hlc is Hlc.NONE:
        what = f"no ISO 15118 with this vehicle ({failed.reason}); it is served by the pilot alone"
        yield Blocker("slac_failed", what, "if it should speak ISO 15118: see `evse slac last`")


def _operator(at: Situation) -> Iterator[Blocker]:
    if not at.csms_online:
        said = at.fact(CsmsOnline)
        detail = f": {said.detail}" if said is not None and not said.online else ""
        yield Blocker(
            "csms_link", f"the CSMS cannot be reached{detail}", "records wait in the journal; check the network"
        )


def _certificate(at: Situation) -> Iterator[Blocker]:
    if at.secc_days_left is not None and at.secc_days_left < EXPIRY_NOTE_DAYS:
        left = f"in {at.secc_days_left:.0f} days" if at.secc_days_left > 0 else f"{-at.secc_days_left:.0f} days ago"
        what = (
            f"the SECC certificate expires {left}" if at.secc_days_left > 0 else f"the SECC certificate expired {left}"
        )
        yield Blocker("secc_expiry", what, "vehicles refuse an expired one: have the operator renew it")


def _awaits_another(at: Situation) -> Iterator[Blocker]:
    if not at.state.plugged and at.state.reserved and at.state.reserved.exclusive:
        yield _reserved(at)
