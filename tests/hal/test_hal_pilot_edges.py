"""Deadlines kept to the moment, words and times in facts, and the last value on each side of a limit.

Found by changing the machines at random: each of these was a change that no other test noticed.
"""

import pytest

from hal.bcb import LONGEST_S, SHORTEST_S, BcbWatch
from hal.duty import current_for_duty, duty_for_current
from hal.pilot import BROKEN_S, LIMIT_GRACE_S, SETTLE_S, WAKE_AFTER_S
from hal.pilot_output import STEP_EF_S
from hal.ports import (
    BcbToggled,
    BoardFact,
    BoardFault,
    BoardLink,
    Contactor,
    CpMode,
    CpState,
    Fault,
    PluggedIn,
    Unplugged,
    VehiclePaused,
)
from hal.power_path import C1_LIMIT_S, CLOSE_LIMIT_S, LOCK_LIMIT_S
from hal.proximity import ProximityError, ampacity_a
from tests.hal.pilot_rig import Rig


def at_deadlines(rig: Rig, until_s: float) -> list[BoardFact]:
    """Nothing comes from the board; the machine is ticked when it asks for it, and only then."""
    rig.facts.clear()
    while (due_s := rig.machine.deadline()) is not None and due_s <= until_s:
        assert due_s > rig.now
        rig.now = due_s
        rig.facts += rig.machine.tick(rig.now)
    return rig.facts


def told(facts: list[BoardFact]) -> dict[Fault, str]:
    return {fact.fault: fact.detail for fact in facts if isinstance(fact, BoardFault) and fact.active}


# --- the machine asks for its own ticks ---


def test_a_state_settles_at_its_deadline() -> None:
    rig = Rig()
    rig.start()
    rig.cp("B")
    began_s = rig.now
    (plugged,) = [fact for fact in at_deadlines(rig, began_s + 1) if isinstance(fact, PluggedIn)]
    assert plugged.at_s == began_s + SETTLE_S[CpState.B]
    rig.wait(0.2)
    rig.cp("A")
    began_s = rig.now
    (gone,) = [fact for fact in at_deadlines(rig, began_s + 1) if isinstance(fact, Unplugged)]
    assert gone.at_s == began_s + SETTLE_S[CpState.A]


def test_a_broken_pilot_is_a_fault_at_its_deadline() -> None:
    rig = Rig()
    rig.plug_in_and_offer()
    rig.cp("E")
    began_s = rig.now
    (fault,) = [fact for fact in at_deadlines(rig, began_s + 1) if isinstance(fact, BoardFault)]
    assert (fault.fault, fault.at_s, fault.detail) == (Fault.PILOT_FAULT, began_s + BROKEN_S, "pilot reads E")


def test_a_sleeping_vehicle_is_woken_at_its_deadline_and_the_pilot_comes_back() -> None:
    rig = Rig()
    rig.plug_in_and_offer()
    rig.do(rig.machine.permit_power(True, rig.now))
    began_s = rig.now
    at_deadlines(rig, began_s + WAKE_AFTER_S)
    assert rig.now == began_s + WAKE_AFTER_S
    assert rig.told.cp_mode is CpMode.F
    at_deadlines(rig, rig.now + STEP_EF_S)
    assert rig.now == began_s + WAKE_AFTER_S + STEP_EF_S
    assert rig.told.cp_mode is CpMode.X1


def test_a_lowered_limit_follows_at_its_deadline_and_no_limit_at_once() -> None:
    rig = Rig()
    rig.charge()
    rig.do(rig.machine.limit_current(16.0, rig.now))
    rig.do(rig.machine.limit_current(10.0, rig.now))
    began_s = rig.now
    assert rig.told.limit_a == 16.0
    at_deadlines(rig, began_s + LIMIT_GRACE_S)
    assert rig.told.limit_a == 10.0
    assert rig.now == began_s + LIMIT_GRACE_S
    rig.do(rig.machine.limit_current(0.0, rig.now))
    assert rig.told.limit_a == 0.0, "supervision off is not a current a vehicle has to follow"


def test_c1_ends_at_its_deadline() -> None:
    rig = Rig()
    rig.charge()
    rig.do(rig.machine.offer_nothing(rig.now))
    began_s = rig.now
    at_deadlines(rig, began_s + C1_LIMIT_S)
    assert rig.now == began_s + C1_LIMIT_S
    assert not rig.told.allow_power


def test_the_time_in_c1_is_of_c1_alone() -> None:
    """X1 without power, or power with PWM, is no C1."""
    rig = Rig()
    rig.start()
    rig.cp("B")
    rig.wait(2 * C1_LIMIT_S)
    rig.do(rig.machine.offer_current(16.0, rig.now))
    rig.do(rig.machine.permit_power(True, rig.now))
    rig.cp("C")
    rig.wait(2 * C1_LIMIT_S)
    rig.do(rig.machine.offer_nothing(rig.now))
    rig.wait(C1_LIMIT_S - 0.2)
    assert rig.told.allow_power, "it began with X1 under power"


# --- whom to wake ---


@pytest.mark.parametrize(
    "case", ["no permission", "5 percent", "has been in C", "in C now", "woken before", "board away"]
)
def test_who_is_not_woken(case: str) -> None:
    rig = Rig()
    rig.plug_in_and_offer()
    if case != "no permission":
        rig.do(rig.machine.permit_power(True, rig.now))
    if case == "5 percent":
        rig.do(rig.machine.offer_hlc(rig.now))
    if case in ("has been in C", "in C now"):
        rig.cp("C")
        rig.wait(1)
    if case == "has been in C":
        rig.cp("B")
    if case == "woken before":
        rig.wait(WAKE_AFTER_S + STEP_EF_S + 1)
        rig.cp("B")
        rig.wait(7)
        assert rig.told.cp_mode is CpMode.X2
    if case == "board away":
        rig.facts += rig.machine.link_lost("unplugged", rig.now)
    modes = set()
    for _ in range(80):
        if case == "board away":
            rig.now += 1
            rig.machine.tick(rig.now)
        else:
            rig.wait(1)
        modes.add(rig.told.cp_mode)
    assert CpMode.F not in modes


# --- facts carry their words and times ---


def test_the_link_tells_who_and_when() -> None:
    rig = Rig()
    assert rig.machine.link_up("acme 1.0", True, 7.0)[0] == BoardLink(True, "acme 1.0", 7.0)
    assert rig.machine.link_lost("no STATE", 8.0)[0] == BoardLink(False, "no STATE", 8.0)
    (fault,) = [fact for fact in rig.machine.tick(8.0) if isinstance(fact, BoardFault)] or [None]
    assert fault is None, "told already, with the loss"


def test_times_of_a_toggle_and_of_an_unplug_that_was_missed() -> None:
    rig = Rig()
    rig.plug_in_and_offer()
    rig.cp("C")
    rig.wait(0.3, period_s=0.3)
    rig.facts.clear()
    rig.cp("B")
    rig.wait(0.1)
    paused, toggled = (fact for fact in rig.facts if isinstance(fact, VehiclePaused | BcbToggled))
    assert isinstance(toggled, BcbToggled)
    assert paused.at_s == toggled.at_s == pytest.approx(rig.now - 0.1 + SETTLE_S[CpState.B])
    rig.facts.clear()
    rig.board(unplug_count=1)
    gone = rig.facts[0]
    assert gone == Unplugged(rig.now)


def test_faults_of_several_sources_stand_together_each_with_its_words() -> None:
    rig = Rig()
    rig.follow_lock = rig.follow_contactor = False
    rig.plug_in_and_offer()
    rig.do(rig.machine.lock_connector(True, rig.now))
    rig.wait(LOCK_LIMIT_S + 0.2)
    rig.fault(Fault.HIGH_TEMPERATURE)
    rig.cp("D")
    assert told(rig.facts) == {
        Fault.CONNECTOR_LOCK_FAILURE: "does not lock",
        Fault.HIGH_TEMPERATURE: "reported by the board",
        Fault.VENTILATION_NOT_AVAILABLE: "the vehicle asks for ventilation",
    }
    rig.facts.clear()
    rig.board(tripped=True, cp=CpState.B)
    assert told(rig.facts) == {Fault.COMMUNICATION_FAULT: "the board's watchdog found us silent"}


def test_the_contactor_and_the_lock_say_what_they_do_not_do() -> None:
    rig = Rig()
    rig.charge()
    rig.follow_contactor = rig.follow_lock = False
    rig.do(rig.machine.permit_power(False, rig.now))
    rig.wait(1)
    assert told(rig.facts) == {
        Fault.EVSE_CONTACTOR_FAULT: "feedback closed without permission: welded, or the board does not obey"
    }
    rig = Rig()
    rig.follow_contactor = False
    rig.plug_in_and_offer()
    rig.do(rig.machine.permit_power(True, rig.now))
    rig.cp("C")
    rig.facts.clear()
    rig.wait(CLOSE_LIMIT_S + 0.2)
    assert told(rig.facts) == {Fault.EVSE_CONTACTOR_FAULT: "allowed, feedback open: does not close"}
    rig = Rig()
    rig.start()
    rig.do(rig.machine.lock_connector(True, rig.now))
    rig.follow_lock = False
    rig.do(rig.machine.lock_connector(False, rig.now))
    rig.wait(LOCK_LIMIT_S + 0.5)
    assert told(rig.facts) == {Fault.CONNECTOR_LOCK_FAILURE: "does not unlock"}


def test_f_on_the_pilot_is_no_broken_pilot_while_either_side_has_it() -> None:
    """The board puts F on by itself, or has not yet taken it off: nothing can be measured."""
    rig = Rig()
    rig.plug_in_and_offer()
    for _ in range(10):
        rig.now += 0.1
        rig.levels = rig.levels.__class__(
            cp=CpState.F,
            cp_mode=CpMode.F,
            duty_percent=0.0,
            contactor=Contactor.OPEN,
            locked=False,
            power_permitted=False,
            tripped=False,
            unplug_count=0,
            pp_ampacity_a=32.0,
            faults=frozenset(),
        )
        rig.facts += rig.machine.feed(rig.levels, rig.now)
    assert told(rig.facts) == {}


# --- both sides of a limit ---


@pytest.mark.parametrize(
    ("limit_a", "duty_percent"), [(51.0, 85.0), (51.01, 85.0), (52.5, 85.0), (52.53, 85.01), (6.0, 10.0), (80.0, 96.0)]
)
def test_the_duty_at_the_ends_of_its_ranges(limit_a: float, duty_percent: float) -> None:
    assert duty_for_current(limit_a) == pytest.approx(duty_percent, abs=0.011)
    assert current_for_duty(duty_for_current(limit_a)) <= limit_a + 1e-9


@pytest.mark.parametrize(
    ("duty_percent", "current_a"),
    [(7.99, 0), (8, 6), (9.99, 6), (10, 6), (10.5, 6.3), (85, 51), (96, 80), (97, 80), (97.1, 0)],
)
def test_the_current_at_the_ends_of_its_ranges(duty_percent: float, current_a: float) -> None:
    assert current_for_duty(duty_percent) == pytest.approx(current_a)


@pytest.mark.parametrize(
    ("held_s", "is_toggle"),
    [(SHORTEST_S, True), (SHORTEST_S - 0.001, False), (LONGEST_S, True), (LONGEST_S + 0.001, False)],
)
def test_a_toggle_at_the_ends_of_its_range(held_s: float, is_toggle: bool) -> None:
    watch = BcbWatch()
    assert not watch.entered(CpState.C, 0.0, powered=False)
    assert watch.entered(CpState.B, held_s, powered=False) is is_toggle


@pytest.mark.parametrize("first", [CpState.B, CpState.D])
def test_only_c_without_power_begins_a_toggle(first: CpState) -> None:
    watch = BcbWatch()
    watch.entered(first, 0.0, powered=False)
    assert not watch.entered(CpState.B, 0.3, powered=False)
    watch.entered(CpState.C, 1.0, powered=True)
    assert not watch.entered(CpState.B, 1.3, powered=False)


def test_a_shorted_proximity_pilot_names_its_resistance() -> None:
    assert ampacity_a(100) == 63.0, "three phases where nobody says how many"
    with pytest.raises(ProximityError, match="proximity pilot reads 12 ohm"):
        ampacity_a(12.4)
