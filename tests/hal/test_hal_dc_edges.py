"""Both directions of a DC output, both sides of its limits, and what a vehicle that left leaves behind.

Found by changing the machines at random: each of these was a change that no other test noticed.
"""

from dataclasses import replace

import pytest

from hal.dc.cable_check import CableCheck, Step
from hal.dc.current_demand import Ramp, Target, matched, pre_charge, setpoint
from hal.dc.ports import OFF, InsulationReading, OverVoltageReading, SelfTest, SupplyMode, SupplySetpoint
from hal.dc.power_path import Stage
from hal.dc.seen import Seen
from hal.dc.thresholds import CABLE_CHECK_CURRENT_A, INSULATION_FAULT_KOHM, PRE_CHARGE_TOLERANCE_V, RAMP_A_PER_S
from hal.ports import CpState, Fault
from tests.hal.dc_rig import OUTPUT, Rig

BOTH_WAYS = replace(OUTPUT, max_import_current_a=50.0, max_import_power_w=10_000.0)


@pytest.mark.parametrize(
    ("wanted_a", "told"),
    [
        (100.0, SupplySetpoint(SupplyMode.EXPORT, 400.0, 100.0)),
        (300.0, SupplySetpoint(SupplyMode.EXPORT, 400.0, 150.0)),
        (0.5, SupplySetpoint(SupplyMode.EXPORT, 400.0, 0.5)),
        (0.0, SupplySetpoint(SupplyMode.EXPORT, 400.0, 0.0)),
        (-0.5, SupplySetpoint(SupplyMode.IMPORT, 400.0, 0.5)),
        (-20.0, SupplySetpoint(SupplyMode.IMPORT, 400.0, 20.0)),
        (-40.0, SupplySetpoint(SupplyMode.IMPORT, 400.0, 25.0)),
    ],
)
def test_what_is_wanted_is_cut_to_what_the_output_can(wanted_a: float, told: SupplySetpoint) -> None:
    assert setpoint(400.0, wanted_a, BOTH_WAYS, max_power_w=60_000) == told


def test_each_limit_of_the_output_binds() -> None:
    assert setpoint(160.0, 300.0, BOTH_WAYS, 60_000).current_a == 200.0, "its current"
    assert setpoint(160.0, -60.0, BOTH_WAYS, 60_000).current_a == 50.0, "its current, inward"
    assert setpoint(1200.0, 10.0, BOTH_WAYS, 60_000).voltage_v == 1000.0
    assert setpoint(0.5, 10.0, BOTH_WAYS, 60_000) == SupplySetpoint(SupplyMode.EXPORT, 0.5, 10.0)
    assert setpoint(0.0, 10.0, BOTH_WAYS, 60_000) == OFF
    assert setpoint(400.0, -10.0, OUTPUT, 60_000) == OFF, "one that only gives"
    small = replace(BOTH_WAYS, max_import_current_a=0.5)
    assert setpoint(400.0, -10.0, small, 60_000) == SupplySetpoint(SupplyMode.IMPORT, 400.0, 0.5)


def test_a_current_rises_by_the_ramp_in_either_direction_and_falls_at_once() -> None:
    for sign in (1, -1):
        ramp = Ramp()
        assert ramp.follow(sign * 100.0, 0.0) == 0.0
        assert ramp.follow(sign * 100.0, 1.0) == sign * RAMP_A_PER_S
        assert ramp.follow(sign * 30.0, 2.0) == sign * 30.0
        assert ramp.follow(sign * 100.0, 2.0) == sign * 30.0
        assert ramp.follow(sign * 10.0, 2.0) == sign * 10.0
        assert ramp.follow(sign * 10.0, 3.0) == sign * 10.0
        assert ramp.follow(sign * 0.5, 3.0) == sign * 0.5


def test_the_direction_turns_through_nothing() -> None:
    ramp = Ramp()
    ramp.follow(50.0, 0.0)
    assert ramp.follow(50.0, 1.0) == 25.0
    assert ramp.follow(-50.0, 1.0) == 0.0
    assert ramp.follow(-50.0, 1.1) == pytest.approx(-2.5)
    assert ramp.follow(0.5, 1.1) == 0.0
    assert ramp.follow(0.5, 1.11) == pytest.approx(0.25)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_orderly_stop_leads_to_nothing_from_either_direction(sign: int) -> None:
    ramp = Ramp()
    ramp.follow(sign * 100.0, 0.0)
    ramp.follow(sign * 100.0, 2.0)
    assert ramp.fall(2.0) == sign * 50.0
    assert ramp.fall(3.0) == sign * 25.0
    assert ramp.fall(3.98) == pytest.approx(sign * 0.5)
    assert ramp.fall(5.0) == 0.0
    ramp.rest()
    assert (ramp.current_a, ramp.fall(100.0)) == (0.0, 0.0)


def test_a_ramp_that_never_ran_has_nothing_to_fall_from() -> None:
    assert Ramp().fall(1_000.0) == 0.0


def test_pre_charge_needs_a_voltage_and_matches_within_its_tolerance() -> None:
    assert pre_charge(Target(), OUTPUT) == OFF
    assert pre_charge(Target(0.5), OUTPUT).voltage_v == 0.5
    assert pre_charge(Target(1200.0), OUTPUT) == SupplySetpoint(SupplyMode.EXPORT, 1000.0, CABLE_CHECK_CURRENT_A)
    assert matched(Target(380.0), 380.0 - PRE_CHARGE_TOLERANCE_V)
    assert not matched(Target(380.0), 380.1 + PRE_CHARGE_TOLERANCE_V)
    assert matched(Target(1.0), 1.0)
    assert not matched(Target(), 0.0)


# --- the whole path ---


def test_a_vehicle_that_takes_its_target_back_and_names_it_again() -> None:
    rig = Rig().checked()
    rig.machine.target(380.0, 1.0, rig.now)
    rig.pass_s(1.0)
    assert rig.stage is Stage.PRE_CHARGE
    rig.machine.target(0.0, 0.0, rig.now)
    rig.pass_s(0.1)
    assert rig.stage is Stage.READY
    assert rig.machine.orders.supply == OFF
    rig.machine.target(380.0, 1.0, rig.now)
    rig.pass_s(0.1)
    assert rig.stage is Stage.PRE_CHARGE


def test_it_waits_in_pre_charge_for_as_long_as_nothing_is_to_be_delivered() -> None:
    rig = Rig().checked()
    rig.machine.target(380.0, 1.0, rig.now)
    rig.pass_s(5.0)
    assert rig.stage is Stage.PRE_CHARGE


def test_a_vehicle_that_left_leaves_no_wish_behind() -> None:
    """Neither the permission nor the power delivery of the last one serves the next."""
    rig = Rig().charging()
    rig.cp = CpState.A
    rig.vehicle_closed = False
    rig.until(Stage.IDLE, 10)
    assert rig.machine.check is None
    rig.cp = CpState.C
    rig.pass_s(1.2)
    rig.machine.check_cable("NEXT", 450.0, rig.now)
    rig.pass_s(2.0)
    assert rig.stage is Stage.IDLE, "the permission was the last one's"
    rig.machine.permit(True, rig.now)
    rig.until(Stage.READY, 20)
    rig.machine.target(380.0, 1.0, rig.now)
    rig.pass_s(3.0)
    assert rig.stage is Stage.PRE_CHARGE, "so was the power delivery"


def test_after_an_emergency_a_check_alone_begins_nothing() -> None:
    rig = Rig().charging()
    rig.machine.emergency(rig.now)
    rig.vehicle_closed = False
    rig.until(Stage.IDLE, 10)
    rig.machine.check_cable("AGAIN", 450.0, rig.now)
    rig.pass_s(2.0)
    assert rig.stage is Stage.IDLE


def test_the_over_voltage_monitor_is_heard() -> None:
    rig = Rig().charging()
    rig.machine.over_voltage(OverVoltageReading(560.0, rig.now, emergency=True), rig.now)
    rig.pass_s(0.1)
    assert Fault.OVER_VOLTAGE in rig.machine.faults
    assert rig.stage in (Stage.OPENING, Stage.DISCHARGING)


def test_the_lowest_insulation_is_kept_and_the_limit_itself_is_good() -> None:
    check, seen = CableCheck("ID", 400.0, 0.0), Seen()
    check.step = Step.MEASURE
    values = (900.0, INSULATION_FAULT_KOHM, 800.0)
    for at, kohm in enumerate(values, 1):
        seen.insulation = InsulationReading(kohm, float(at), 400.0, 0.0, 0.0, SelfTest.PASSED, "")
        check.advance(seen, float(at))
    assert check.failure == ""
    assert check.lowest_kohm == INSULATION_FAULT_KOHM
    seen.insulation = None
    check.advance(seen, 5.0)
    assert check.lowest_kohm == INSULATION_FAULT_KOHM
