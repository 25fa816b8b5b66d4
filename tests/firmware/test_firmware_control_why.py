"""`why` names the true blocker: each cause is injected into an EVSE that would charge otherwise."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from firmware.control.fault_words import CONTRACTS, ENDS, FAULTS
from firmware.control.why import Situation, notes, why
from firmware.facts import AuthorizationAnswered, Fact
from firmware.limits import Limits
from firmware.maintenance import Maintenance
from firmware.start_rules import Hold
from firmware.state import Ending, Hlc, State
from hal import ports as hal
from hal.faults import severity_of
from hal.ports import Contactor, CpMode, CpState, EvseSnapshot, Fault
from ocpp_client import ports as ocpp
from secc import ports as secc
from secc.schedules import EnergyRequested

EV_MAC = bytes.fromhex("020000000001")
CARD = ocpp.IdToken("04A2B3C4", "ISO14443")
CONTRACT = ocpp.IdToken("DEEVSC0000001X", "eMAID")
STATUS = ocpp.AuthorizationStatus


def board(cp: CpState = CpState.C) -> EvseSnapshot:
    return EvseSnapshot(cp, CpMode.X2, 26.7, Contactor.OPEN, True, 32.0, frozenset(), True, 0.0)


def charging(**changes: object) -> Situation:
    """A plain car, authorised by card, that charges; changed as told."""
    state = State(Limits(32.0), has_plc=True, nominal_under_hlc=True)
    state.plugged = True
    state.modem_ready = True
    state.token, state.authorization = CARD, secc.Authorization.ACCEPTED
    state.transaction_open = True
    state.contactor, state.has_charged = Contactor.CLOSED, True
    at = Situation(
        now=100.0,
        state=state,
        board=board(),
        alive=True,
        csms_online=True,
        has_secc_certificate=True,
        secc_days_left=365.0,
        latest={},
    )
    return replace(at, **changes)  # type: ignore[arg-type]


def under_v2g(*facts: Fact) -> Situation:
    """A vehicle that charges under ISO 15118 with its contract."""
    at = charging()
    state = at.state
    state.hlc, state.ev_mac, state.v2g_session_id = Hlc.LINKED, EV_MAC, "AB"
    state.token, state.payment, state.power_wanted = CONTRACT, secc.PaymentOption.CONTRACT, True
    return heard(at, secc.TlsEstablished("TLSv1.2", "", 0.1), secc.SessionSetUp("AB", "02", "-2"), *facts)


def heard(at: Situation, *facts: Fact) -> Situation:
    return replace(at, latest={**at.latest, **{type(fact): fact for fact in facts}})


def without(at: Situation, *kinds: type) -> Situation:
    return replace(at, latest={kind: fact for kind, fact in at.latest.items() if kind not in kinds})


def codes(at: Situation) -> list[str]:
    return [blocker.code for blocker in why(at)]


def answered(token: ocpp.IdToken, status: STATUS | None, certificate: str | None = None) -> AuthorizationAnswered:
    return AuthorizationAnswered(token, ocpp.AuthorizeAnswer(status, certificate))


def opened(at: Situation, cp: CpState = CpState.C) -> Situation:
    at.state.contactor = Contactor.OPEN
    return replace(at, board=board(cp))


def unauthorized(at: Situation, how: secc.Authorization = secc.Authorization.PENDING) -> Situation:
    at.state.authorization, at.state.token = how, None
    return opened(at, CpState.B)


# --- Causes: each a function that makes the situation, and the code that must come first ---


def no_board() -> Situation:
    at = opened(unauthorized(charging()))
    at.state.plugged = False
    return replace(at, board=None)


def loop_hangs() -> Situation:
    return opened(charging(alive=False))


def inoperative() -> Situation:
    at = unauthorized(charging())
    at.state.operative = False
    return at


def maintained() -> Situation:
    at = absent()
    at.state.maintenance = Maintenance("uid 1000", 142.0, vehicle_here=False)
    return at


def held(cause: Hold) -> Situation:
    at = opened(charging(), CpState.B)
    at.state.held, at.state.held_until_s = cause, at.now + 420.0
    at.state.limits = replace(at.state.limits, start_a=0.0)
    return at


def limit(**limits: float | None) -> Situation:
    at = opened(charging(), CpState.B)
    at.state.limits = replace(at.state.limits, **limits)
    return at


def absent(cp: CpState = CpState.A) -> Situation:
    at = unauthorized(charging())
    at.state.plugged, at.state.transaction_open = False, False
    return replace(at, board=board(cp))


def awaited() -> Situation:
    at = absent()
    at.state.authorization, at.state.token = secc.Authorization.ACCEPTED, CARD
    at.state.token_deadline_s = 142.0
    return at


def ending() -> Situation:
    at = charging()
    at.state.ending = Ending(ocpp.TriggerReason.REMOTE_STOP, ocpp.StoppedReason.REMOTE, 110.0)
    return at


def spent(*facts: Fact) -> Situation:
    at = unauthorized(charging())
    at.state.spent = True
    return heard(at, *facts)


def seeking(*facts: Fact, ready: bool = True) -> Situation:
    at = unauthorized(charging())
    at.state.hlc, at.state.modem_ready = Hlc.SOUGHT, ready
    return heard(at, *facts)


def speechless(*facts: Fact, certificate: bool = True) -> Situation:
    at = unauthorized(under_v2g())
    at.state.v2g_session_id, at.state.power_wanted = "", False
    at = without(at, secc.SessionSetUp, secc.TlsEstablished)
    return heard(replace(at, has_secc_certificate=certificate), *facts)


def v2g_unauthorized(how: secc.Authorization, *facts: Fact) -> Situation:
    at = unauthorized(under_v2g(), how)
    at.state.token = CONTRACT
    return heard(at, *facts)


def asked(*, online: bool) -> Situation:
    at = unauthorized(charging(csms_online=online))
    at.state.token = CARD
    return at


def no_power_wanted(*facts: Fact) -> Situation:
    at = opened(under_v2g(*facts), CpState.B)
    at.state.power_wanted = False
    return at


def waits(*, has_charged: bool) -> Situation:
    at = opened(charging(), CpState.B)
    at.state.has_charged = has_charged
    return at


def contactor(how: Contactor) -> Situation:
    at = charging()
    at.state.contactor = how
    return at


def v2g_over(reason: secc.EndReason) -> Situation:
    at = opened(under_v2g(secc.V2GEnded("AB", reason, "SequenceError")), CpState.B)
    at.state.v2g_session_id = ""
    return at


OFFERED = EnergyRequested("AC_three_phase_core", None, None, 32, 6)
CAUSES: dict[str, tuple[Callable[[], Situation], str, str]] = {
    "the board does not answer": (no_board, "board_silent", "has not said anything"),
    "the control loop hangs": (loop_hangs, "loop", "control loop"),
    "out of service": (inoperative, "inoperative", "out of service"),
    "board without limit": (lambda: limit(board_a=None), "limit_board", "not said yet"),
    "board of 5 A": (lambda: limit(board_a=5.0), "limit_board", "5 A"),
    "cable of 4 A": (lambda: limit(cable_a=4.0), "limit_cable", "the cable allows 4 A"),
    "profile of 0 A": (lambda: limit(profile_a=0.0), "limit_profile", "profile allows 0 A"),
    "hot": (lambda: limit(heat_a=5.9), "limit_heat", "5.9 A"),
    "site full": (lambda: limit(site_a=3.0), "limit_site", "share of the site limit is 3 A"),
    "no vehicle": (absent, "no_vehicle", "state A"),
    "pilot shorted": (lambda: absent(CpState.E), "pilot_short", "0 V"),
    "card before the vehicle": (awaited, "vehicle_awaited", "another 42 s"),
    "being stopped": (ending, "ending", "Remote"),
    "session over": (spent, "session_over", "still plugged in"),
    "session over by the vehicle": (
        lambda: spent(
            ocpp.EventSent("tx", "Ended", 9, "EVDeparted", False),
            answered(CARD, STATUS.ACCEPTED),
            secc.V2GEnded("AB", secc.EndReason.TERMINATED, ""),
        ),
        "session_over",
        "EVDeparted",
    ),
    "over after a refused contract": (
        lambda: spent(secc.ContractRefused("X", secc.ContractFault.EXPIRED)),
        "contract_expired",
        "expired",
    ),
    "over after the CSMS refused": (lambda: spent(answered(CONTRACT, STATUS.BLOCKED)), "token_blocked", "Blocked"),
    "over after silence": (
        lambda: spent(secc.V2GEnded("AB", secc.EndReason.SEQUENCE_TIMEOUT, "")),
        "v2g_sequence_timeout",
        "silent",
    ),
    "modem missing": (
        lambda: seeking(hal.ModemFault("modem does not answer", True, 0), ready=False),
        "modem",
        "modem does not answer",
    ),
    "modem without key": (
        lambda: seeking(hal.ModemFault("interface down", False, 0), ready=False),
        "modem",
        "not ready",
    ),
    "SLAC runs": (seeking, "slac", "not been matched"),
    "SLAC matched, not joined": (
        lambda: seeking(hal.SlacMatched(EV_MAC, bytes(8), 10.0, 10, 0.3, 0)),
        "link_joining",
        "not joined",
    ),
    "random delay": (lambda: held(Hold.RANDOM_DELAY), "random_delay", "another 7 min"),
    "peak hours": (lambda: held(Hold.PEAK), "peak_hours", "end in 7 min"),
    "maintenance": (maintained, "maintenance", "uid 1000"),
    "link lost": (lambda: seeking(hal.LinkLost("modem lost its key", 0)), "link_lost", "modem lost its key"),
    "no SDP": (speechless, "tls_awaited", "SDP"),
    "no certificate": (lambda: speechless(certificate=False), "secc_certificate", "no SECC certificate"),
    "TLS fails": (
        lambda: speechless(secc.V2GEnded("", secc.EndReason.TLS_FAILED, "unknown ca")),
        "v2g_tls_failed",
        "unknown ca",
    ),
    "TLS fails for want of a certificate": (
        lambda: speechless(secc.V2GEnded("", secc.EndReason.TLS_FAILED, ""), certificate=False),
        "secc_certificate",
        "no SECC certificate",
    ),
    "nothing after TLS": (lambda: speechless(secc.TlsEstablished("", "", 0)), "v2g_silent", "not begun"),
    "V2G broke the protocol": (lambda: v2g_over(secc.EndReason.PROTOCOL_ERROR), "v2g_protocol_error", "SequenceError"),
    "V2G paused": (lambda: v2g_over(secc.EndReason.PAUSED), "v2g_paused", "paused"),
    "contract of an unknown issuer": (
        lambda: v2g_unauthorized(
            secc.Authorization.PENDING, secc.ContractRefused("X", secc.ContractFault.UNKNOWN_ROOT)
        ),
        "contract_unknown_root",
        "does not trust",
    ),
    "contract refused by the CSMS": (
        lambda: v2g_unauthorized(secc.Authorization.REJECTED),
        "authorization_rejected",
        "refused",
    ),
    "contract revoked": (
        lambda: v2g_unauthorized(secc.Authorization.CERTIFICATE_REVOKED),
        "authorization_certificate_revoked",
        "revoked",
    ),
    "contract expired, says the CSMS": (
        lambda: v2g_unauthorized(secc.Authorization.CERTIFICATE_EXPIRED),
        "authorization_certificate_expired",
        "expired",
    ),
    "contract not presented": (
        lambda: unauthorized(under_v2g()),
        "contract_awaited",
        "not presented",
    ),
    "CSMS has not answered": (lambda: asked(online=True), "csms_asked", "not answered yet"),
    "CSMS cannot be asked": (lambda: asked(online=False), "csms_offline", "cannot be reached"),
    "CSMS gave no answer": (
        lambda: heard(unauthorized(charging(csms_online=False)), answered(CARD, None)),
        "authorization_no_answer",
        "cannot be reached",
    ),
    "CSMS did not answer": (
        lambda: heard(unauthorized(charging()), answered(CARD, None)),
        "authorization_no_answer",
        "did not answer",
    ),
    "card unknown": (
        lambda: heard(unauthorized(charging()), answered(CARD, STATUS.UNKNOWN, "NoCertificateAvailable")),
        "token_unknown",
        "Unknown (NoCertificateAvailable)",
    ),
    "nobody showed a card": (lambda: unauthorized(charging()), "no_token", "nobody has authorised"),
    "nobody showed a card, and no CSMS": (
        lambda: unauthorized(charging(csms_online=False)),
        "no_token",
        "cannot be reached",
    ),
    "vehicle does not want power": (no_power_wanted, "power_not_wanted", "not named its needs yet"),
    "vehicle waits for its schedule": (lambda: no_power_wanted(OFFERED), "power_not_wanted", "has named its needs"),
    "vehicle full": (lambda: waits(has_charged=False), "vehicle_waits", "offered 32 A"),
    "vehicle paused": (lambda: waits(has_charged=True), "vehicle_paused", "from pilot state C to B"),
    "contactor open in C": (lambda: opened(charging()), "contactor_open", "has not closed"),
    "contactor open under V2G": (lambda: opened(under_v2g()), "contactor_open", "has not closed"),
    "contactor welded": (lambda: contactor(Contactor.WELDED), "contactor", "welded"),
    "pilot in A though plugged in": (lambda: opened(charging(), CpState.A), "pilot_state", "state A"),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_the_true_blocker_comes_first(cause: str) -> None:
    make, code, words = CAUSES[cause]
    first = why(make())[0]
    assert first.code == code
    assert words in first.what
    assert first.remedy


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in hal.WARNINGS])
def test_each_fault_that_stops_is_the_first_blocker(fault: Fault) -> None:
    at = opened(charging())
    at.state.faults[fault] = severity_of(fault)
    first, *_ = why(at)
    assert (first.code, first.what, first.remedy) == (f"fault_{fault.value}", *FAULTS[fault])


@pytest.mark.parametrize("fault", sorted(hal.WARNINGS))
def test_a_warning_is_a_note(fault: Fault) -> None:
    at = charging()
    at.state.faults[fault] = severity_of(fault)
    assert why(at) == []
    assert [note.code for note in notes(at)] == [f"fault_{fault.value}"]


def test_nothing_blocks_a_vehicle_that_charges() -> None:
    for at in (charging(), under_v2g()):
        assert why(at) == []
        assert notes(at) == []


def test_several_blockers_come_in_order() -> None:
    at = asked(online=False)
    at.state.faults = {
        Fault.VENTILATION_NOT_AVAILABLE: hal.Severity.STOP,
        Fault.RESIDUAL_CURRENT: hal.Severity.EMERGENCY,
    }
    at.state.operative = False
    at.state.limits = replace(at.state.limits, profile_a=0.0, heat_a=0.0)
    assert codes(at) == [
        "fault_ResidualCurrent",
        "fault_VentilationNotAvailable",
        "inoperative",
        "limit_profile",
        "limit_heat",
        "csms_offline",
    ]


def test_a_silent_board_whose_fault_stands_is_told_once() -> None:
    at = replace(absent(), board=None)
    at.state.faults[Fault.COMMUNICATION_FAULT] = hal.Severity.EMERGENCY
    assert codes(at) == ["fault_CommunicationFault"]


def test_a_limit_of_zero_does_not_blame_the_vehicle_too() -> None:
    assert codes(limit(profile_a=0.0)) == ["limit_profile"]
    assert codes(limit(board_a=None)) == ["limit_board"]
    at = limit(board_a=None)
    assert codes(replace(at, board=None)) == ["board_silent"]


def test_notes_tell_what_blocks_nothing() -> None:
    at = heard(charging(csms_online=False), hal.SlacFailed("no CM_SLAC_PARM.REQ", 0), ocpp.CsmsOnline(False, "refused"))
    at = replace(at, secc_days_left=12.0)
    fallback, link, expiry = notes(at)
    assert (fallback.code, link.code, expiry.code) == ("slac_failed", "csms_link", "secc_expiry")
    assert "no CM_SLAC_PARM.REQ" in fallback.what
    assert "refused" in link.what
    assert "in 12 days" in expiry.what
    assert "3 days ago" in notes(replace(at, secc_days_left=-3.0))[-1].what
    assert notes(charging(secc_days_left=None)) == []


def test_a_technicians_limit_is_a_note() -> None:
    at = charging()
    at.state.limits = replace(at.state.limits, technician_a=8.0)
    assert [(note.code, "8 A" in note.what) for note in notes(at)] == [("limit_technician", True)]


def test_every_cause_has_words() -> None:
    assert FAULTS.keys() == set(Fault)
    assert CONTRACTS.keys() == set(secc.ContractFault)
    assert ENDS.keys() == set(secc.EndReason)
