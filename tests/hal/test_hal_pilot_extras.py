"""Cables by their resistance, BCB toggles, and vehicles that sleep."""

import math

import pytest

from hal.ports import BcbToggled, BoardFact, CpMode
from hal.proximity import ProximityError, ampacity_a
from tests.hal.pilot_rig import Rig


@pytest.mark.parametrize(
    ("resistance_ohm", "current_a"),
    [
        (60, 63.0),
        (100, 63.0),
        (140, 63.0),
        (141, 32.0),
        (220, 32.0),
        (308, 32.0),
        (309, 20.0),
        (680, 20.0),
        (936, 20.0),
        (937, 13.0),
        (1500, 13.0),
        (2460, 13.0),
        (3000, 13.0),
        (4500, 13.0),
        (4501, None),
        (math.inf, None),
    ],
)
def test_a_cable_by_its_resistance(resistance_ohm: float, current_a: float | None) -> None:
    assert ampacity_a(resistance_ohm) == current_a


def test_one_phase_carries_70_a() -> None:
    assert (ampacity_a(100, phases=1), ampacity_a(220, phases=1)) == (70.0, 32.0)


@pytest.mark.parametrize("resistance_ohm", [0.0, 59.9, math.nan])
def test_a_short_is_no_cable(resistance_ohm: float) -> None:
    with pytest.raises(ProximityError):
        ampacity_a(resistance_ohm)


def toggles(facts: list[BoardFact]) -> int:
    return sum(isinstance(fact, BcbToggled) for fact in facts)


def toggle(rig: Rig, held_s: float) -> None:
    rig.cp("C")
    rig.wait(held_s, period_s=held_s)
    rig.cp("B")
    rig.wait(0.2)


@pytest.mark.parametrize(("held_s", "told"), [(0.1, 0), (0.149, 0), (0.151, 1), (0.3, 1), (0.549, 1), (0.56, 0)])
def test_c_held_for_200_to_400_ms_is_a_toggle(held_s: float, told: int) -> None:
    rig = Rig()
    rig.plug_in_and_offer()
    toggle(rig, held_s)
    assert toggles(rig.facts) == told


def test_each_of_three_toggles_is_told_after_its_states() -> None:
    rig = Rig()
    rig.plug_in_and_offer()
    rig.facts.clear()
    for _ in range(3):
        toggle(rig, 0.3)
    assert [name for name in rig.heard() if name != "PilotOffered"] == [
        "VehicleReady",
        "VehiclePaused",
        "BcbToggled",
    ] * 3


def test_with_power_it_is_the_end_of_a_charge() -> None:
    rig = Rig()
    rig.charge()
    rig.cp("B")
    rig.wait(0.2)
    toggle(rig, 0.3)
    assert toggles(rig.facts) == 0


def test_unplugged_out_of_c_is_no_toggle() -> None:
    rig = Rig()
    rig.plug_in_and_offer()
    rig.cp("C")
    rig.wait(0.3)
    rig.cp("A")
    rig.wait(0.2)
    assert toggles(rig.facts) == 0


# --- wake-up ---


def offered(rig: Rig) -> None:
    rig.plug_in_and_offer()
    rig.do(rig.machine.permit_power(True, rig.now))


def test_a_vehicle_that_sleeps_is_woken_once() -> None:
    rig = Rig()
    offered(rig)
    rig.wait(29.5)
    assert rig.told.cp_mode is CpMode.X2
    rig.wait(1.0)
    assert rig.told.cp_mode is CpMode.F
    rig.wait(3.0)
    assert rig.told.cp_mode is CpMode.F
    rig.board(cp=rig.levels.cp)
    rig.wait(1.0)
    rig.cp("B")
    assert rig.told.cp_mode is CpMode.X1
    rig.wait(0.8)
    assert (rig.told.cp_mode, rig.told.duty_percent) == (CpMode.X2, 26.66)
    rig.wait(120)
    assert rig.told.cp_mode is CpMode.X2, "once is enough"


def test_a_woken_vehicle_charges() -> None:
    rig = Rig()
    offered(rig)
    rig.wait(35.5)
    rig.cp("B")
    rig.wait(1.0)
    rig.cp("C")
    assert rig.told.allow_power


def test_the_next_vehicle_is_woken_too() -> None:
    rig = Rig()
    offered(rig)
    rig.wait(40)
    for state in "AB":
        rig.cp(state)
        rig.wait(1.0)
    rig.do(rig.machine.offer_current(16, rig.now))
    rig.do(rig.machine.permit_power(True, rig.now))
    rig.wait(31)
    assert rig.told.cp_mode is CpMode.F


def test_unplugged_while_it_is_being_woken() -> None:
    rig = Rig()
    offered(rig)
    rig.wait(30.5)
    assert rig.told.cp_mode is CpMode.F
    rig.board(unplug_count=1)
    rig.cp("A")
    rig.wait(5)
    rig.cp("A")
    assert rig.told.cp_mode is CpMode.X1


@pytest.mark.parametrize("case", ["charged", "hlc", "not permitted", "nothing offered"])
def test_who_is_not_woken(case: str) -> None:
    rig = Rig()
    if case == "charged":
        rig.charge()
        rig.cp("B")
    else:
        rig.plug_in_and_offer()
        rig.do(rig.machine.permit_power(case != "not permitted", rig.now))
    if case == "hlc":
        rig.do(rig.machine.offer_hlc(rig.now))
        rig.wait(6)
    if case == "nothing offered":
        rig.do(rig.machine.offer_nothing(rig.now))
    mode = rig.told.cp_mode
    rig.wait(60)
    assert rig.told.cp_mode is mode
    assert mode is not CpMode.F
