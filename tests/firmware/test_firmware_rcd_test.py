"""The residual current device's self-test before power: conversations in virtual time, and the evse that carries it."""

import asyncio

import pytest

from firmware import effects as e
from firmware import evse
from firmware.control.fault_words import FAULTS, RCD_FAILED
from firmware.control.why import notes, why
from firmware.facts import AuthorizationAnswered, Fact, RcdTested, RcdWord, TransactionOpened
from firmware.levels import levels
from firmware.limits import Limits
from firmware.maintenance import MaintenanceBegun, MaintenanceOver, Over
from firmware.problems import problem
from firmware.rcd_test import AGAIN_S, ANSWER_S
from firmware.session import Session
from firmware.state import RcdStage, State
from hal import ports as hal
from hal.diagnostics import SelfTest, Verdict
from tests.firmware.test_firmware_control_why import charging, opened
from tests.firmware.test_firmware_evse import Bench
from tests.firmware.test_firmware_session import (
    CARD,
    YES,
    Talk,
    closed,
    fault,
    plugged_in,
    slac_failed,
    swipe,
    unplugged,
)

passed, failed = RcdTested(Verdict.PASSED), RcdTested(Verdict.FAILED)
refused, unsupported = RcdTested(Verdict.REFUSED), RcdTested(Verdict.UNSUPPORTED)
silent, reset = RcdTested(RcdWord.SILENT), RcdTested(RcdWord.RESET)
RCD = hal.Fault.RESIDUAL_CURRENT
ASKS: tuple[Fact, ...] = (slac_failed, swipe, AuthorizationAnswered(CARD, YES), TransactionOpened("tx-1"))


def awaiting(**options: object) -> Talk:
    return Talk(rcd_self_test=True, **options)


def problems(effects: list[e.Effect]) -> list[tuple[str, bool]]:
    causes = [effect.cause for effect in effects if isinstance(effect, e.ReportProblem)]
    return [(cause.fault.value, cause.active) for cause in causes if isinstance(cause, hal.BoardFault)]


def state(talk: Talk) -> State:
    return talk.session.state


def test_power_waits_for_the_test_and_the_pilot_does_not() -> None:
    talk = awaiting()
    came = talk.hears(plugged_in)
    assert e.OfferHlc() in came
    assert came.count(e.TestRcd()) == 1
    came = talk.hears(*ASKS)
    assert e.OfferCurrent(32.0) in came
    assert e.PermitPower(True) not in came
    assert talk.hears(passed) == [e.PermitPower(True)]
    talk.hears(closed, hal.VehiclePaused(0), hal.VehicleReady(0, ventilation=False))
    assert e.TestRcd() not in talk.effects, "once a vehicle"
    talk.hears(unplugged)
    assert e.TestRcd() in talk.hears(plugged_in)


def test_iso_15118_waits_with_power_too() -> None:
    talk = awaiting()
    talk.charges_by_contract()
    assert not levels(state(talk)).permit
    assert e.PermitPower(True) in talk.hears(passed)


@pytest.mark.parametrize("options", [{"rcd_self_test": False}, {"rcd_self_test": True, "dc": True}])
def test_nothing_is_tested_where_it_is_off_or_dc(options: dict[str, object]) -> None:
    talk = Talk(**options)
    assert e.TestRcd() not in talk.hears(plugged_in)
    assert state(talk).rcd_proven


def test_a_board_without_the_test_charges_in_silence() -> None:
    talk = awaiting()
    talk.hears(plugged_in)
    assert talk.hears(unsupported) == []
    assert e.PermitPower(True) in talk.hears(*ASKS)


def test_a_failed_device_gives_no_power_until_a_test_passes() -> None:
    talk = awaiting()
    talk.hears(plugged_in, *ASKS)
    came = talk.hears(failed)
    assert problems(came) == [("ResidualCurrent", True)]
    assert e.OfferNothing() in came
    talk.hears(unplugged)
    talk.waits(60)
    came = talk.hears(plugged_in, *ASKS)
    assert e.TestRcd() in came
    assert e.PermitPower(True) not in came
    assert e.ReportStatus("Faulted") not in came, "it was so all the time"
    assert problems(talk.hears(failed)) == [], "said once"
    talk.hears(unplugged, plugged_in)
    came = talk.hears(passed)
    assert problems(came) == [("ResidualCurrent", False)]
    assert e.PermitPower(True) in talk.hears(*ASKS)


def test_what_the_operator_hears_of_a_failed_device() -> None:
    talk = awaiting()
    talk.hears(plugged_in)
    (told,) = [effect.cause for effect in talk.hears(failed) if isinstance(effect, e.ReportProblem)]
    entry = problem(told)
    assert (entry.component, entry.variable, entry.tech_code) == ("RCD", "Tripped", "ResidualCurrent")
    assert entry.tech_info == "the residual current device failed its self-test"


def test_the_boards_own_trip_does_not_take_the_failure_back() -> None:
    talk = awaiting()
    talk.hears(plugged_in, failed, fault(RCD, hal.Severity.EMERGENCY))
    assert state(talk).faults == {RCD: hal.Severity.EMERGENCY}
    came = talk.hears(fault(RCD, hal.Severity.EMERGENCY, active=False))
    assert problems(came) == [("ResidualCurrent", True)]
    assert state(talk).faults == {RCD: hal.Severity.STOP}
    talk.hears(fault(RCD, hal.Severity.EMERGENCY))
    assert problems(talk.hears(passed)) == [], "the operator hears the end once it has one"
    assert state(talk).faults == {RCD: hal.Severity.EMERGENCY}, "a good test does not take the board's word back"
    talk.hears(fault(RCD, hal.Severity.EMERGENCY, active=False))
    assert state(talk).faults == {}


def test_a_technician_resets_a_failure() -> None:
    talk = awaiting()
    talk.hears(plugged_in, failed, unplugged, MaintenanceBegun("anna", 600, forced=False))
    assert problems(talk.hears(reset)) == [("ResidualCurrent", False)]
    assert not state(talk).stopped
    assert talk.hears(reset) == [], "nothing to reset"
    talk.hears(plugged_in)
    assert e.TestRcd() not in talk.effects, "the technician's adapter"
    assert e.TestRcd() in talk.hears(MaintenanceOver(Over.ASKED))


def test_a_reset_is_no_test() -> None:
    talk = awaiting()
    talk.hears(plugged_in, *ASKS, reset)
    assert not levels(state(talk)).permit


@pytest.mark.parametrize("outcome", [refused, silent])
def test_a_board_that_will_not_test_is_asked_twice_and_then_charges_with_a_warning(outcome: RcdTested) -> None:
    talk = awaiting()
    talk.hears(plugged_in, *ASKS)
    assert talk.hears(outcome) == []
    assert talk.waits(AGAIN_S / 2) == []
    assert talk.waits(AGAIN_S / 2) == [e.TestRcd()]
    came = talk.hears(outcome)
    assert problems(came) == [("VendorWarning", True)]
    assert e.PermitPower(True) in came
    talk.hears(unplugged, plugged_in)
    assert problems(talk.hears(passed)) == [("VendorWarning", False)]


def test_the_second_try_may_pass() -> None:
    talk = awaiting()
    talk.hears(plugged_in, *ASKS, refused)
    talk.waits(AGAIN_S)
    assert talk.hears(passed) == [e.PermitPower(True)]


def test_an_answer_that_never_comes_is_silence() -> None:
    talk = awaiting()
    talk.hears(plugged_in, slac_failed, swipe, AuthorizationAnswered(CARD, YES))
    talk.waits(ANSWER_S)
    assert state(talk).rcd is RcdStage.WAITING
    assert e.TestRcd() in talk.waits(AGAIN_S)
    assert problems(talk.waits(ANSWER_S)) == [("VendorWarning", True)]
    assert state(talk).rcd_proven


def test_no_power_without_a_test_where_the_board_reports_a_fault() -> None:
    talk = awaiting()
    talk.hears(plugged_in, *ASKS, fault(hal.Fault.COMMUNICATION_FAULT, hal.Severity.EMERGENCY), silent)
    talk.waits(AGAIN_S)
    assert e.PermitPower(True) not in talk.hears(silent)


def test_a_vehicle_that_leaves_in_mid_test() -> None:
    talk = awaiting()
    talk.hears(plugged_in, unplugged)
    assert state(talk).rcd is RcdStage.IDLE
    assert talk.hears(refused) == []
    assert problems(talk.hears(failed)) == [("ResidualCurrent", True)], "a failure counts whenever it comes"


def test_a_failure_outlives_a_session_that_was_given_up() -> None:
    talk = awaiting()
    talk.hears(plugged_in, failed)
    anew = Session(Limits(32.0), has_plc=False, rcd_self_test=True)
    anew.inherit(state(talk))
    assert anew.state.stopped
    assert not anew.state.rcd_proven
    whole = Session(Limits(32.0), has_plc=False)
    whole.inherit(anew.state.__class__(Limits(32.0), has_plc=False, nominal_under_hlc=True))
    assert not whole.state.stopped


def test_why_says_so() -> None:
    at = opened(charging())
    at.state.rcd = RcdStage.RUNNING
    assert "rcd_test" in [blocker.code for blocker in why(at)]
    at.state.rcd, at.state.rcd_failed, at.state.faults = RcdStage.IDLE, True, {RCD: hal.Severity.STOP}
    assert (why(at)[0].code, why(at)[0].what) == ("fault_ResidualCurrent", RCD_FAILED[0])
    at.state.faults = {RCD: hal.Severity.EMERGENCY}
    assert why(at)[0].what == FAULTS[RCD][0], "the board's own word"
    well = charging()
    well.state.rcd = RcdStage.UNTESTED
    assert "rcd_untested" in [note.code for note in notes(well)]
    assert why(well) == []


class Device:
    """A board's diagnostics that answer as told."""

    def __init__(self, *outcomes: Verdict | Exception) -> None:
        self.outcomes = list(outcomes)
        self.asked: list[SelfTest] = []

    async def self_test(self, test: SelfTest) -> Verdict:
        self.asked.append(test)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def outcome_with(device: Device | None, monkeypatch: pytest.MonkeyPatch) -> RcdTested:
    monkeypatch.setattr(evse, "diagnostics_of", lambda _: device)
    bench = Bench()
    bench.evse.perform([e.TestRcd()])
    for _ in range(3):
        await asyncio.sleep(0)
    await bench.hears(hal.ModemReady(0), hal.ModemReady(0))
    (seen,) = [seen.fact for seen in bench.seen if isinstance(seen.fact, RcdTested)]
    assert isinstance(seen, RcdTested)
    return seen


async def test_the_evse_asks_the_board(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(Verdict.FAILED, hal.BoardUnavailable("no ACK"))
    assert await outcome_with(device, monkeypatch) == failed
    assert await outcome_with(device, monkeypatch) == silent
    assert device.asked == [SelfTest.RCD] * 2
    assert await outcome_with(None, monkeypatch) == unsupported


async def test_a_test_asked_for_anew_replaces_the_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(Verdict.FAILED, Verdict.PASSED)
    monkeypatch.setattr(evse, "diagnostics_of", lambda _: device)
    bench = Bench()
    bench.evse.perform([e.TestRcd(), e.TestRcd()])
    for _ in range(3):
        await asyncio.sleep(0)
    await bench.hears(hal.ModemReady(0), hal.ModemReady(0))
    assert len([seen for seen in bench.seen if isinstance(seen.fact, RcdTested)]) == 1


def test_under_any_outcome_no_permission_before_the_test_is_over() -> None:
    for outcome in (*Verdict, *RcdWord):
        talk = awaiting(has_plc=False)
        talk.hears(plugged_in, swipe, AuthorizationAnswered(CARD, YES))
        assert not levels(state(talk)).permit
        talk.hears(RcdTested(outcome))
        assert levels(state(talk)).permit is (outcome in (Verdict.PASSED, Verdict.UNSUPPORTED)), outcome
