"""The DC power path as conversations: the way up, each way down, and what each device can do wrong."""

import pytest

from hal.dc.ports import Insulation, SupplyMode
from hal.dc.power_path import CLOSED_STAGES, TRANSITIONS, Event, Stage
from hal.dc.thresholds import emergency_voltage
from hal.dc.thresholds import test_voltage as voltage_of_test
from hal.faults import LATCHED, UNTIL_UNPLUGGED
from hal.ports import Contactor, CpState, Fault
from tests.hal.dc_rig import BATTERY_V, VEHICLE_MAX_V, Rig


def test_every_stage_has_its_way_out() -> None:
    assert set(TRANSITIONS) == set(Stage)
    for stage in CLOSED_STAGES:
        assert TRANSITIONS[stage][Event.EMERGENCY] is Stage.OPENING
    reached = {after for ways in TRANSITIONS.values() for after in ways.values()}
    assert reached == set(Stage)


def test_the_way_up() -> None:
    rig = Rig().plugged()
    began_s = rig.now
    rig.machine.check_cable("ID", VEHICLE_MAX_V, rig.now)
    rig.until(Stage.READY, 25)
    assert rig.now - began_s < 25
    assert rig.machine.insulation is Insulation.VALID
    assert rig.machine.check is not None
    assert rig.machine.check.check_id == "ID"
    assert rig.machine.check.voltage_v == VEHICLE_MAX_V + 50
    assert rig.supply_v < 60, "the vehicle finds the cable dead"
    assert rig.contactor is Contactor.CLOSED
    rig.machine.target(BATTERY_V, 50.0, rig.now)
    rig.pass_s(2)
    assert rig.machine.orders.supply.current_a == 2.0, "pre-charge at 2 A, whatever is asked"
    assert abs(rig.supply_v - BATTERY_V) <= 20
    rig.vehicle_closed = True
    rig.machine.deliver(True, rig.now)
    rig.until(Stage.CHARGING, 1)
    began_s = rig.now
    rig.machine.target(BATTERY_V + 20, 100.0, rig.now)
    rig.pass_s(2)
    assert rig.supply_a == pytest.approx(50, abs=2), "25 A/s"
    rig.pass_s(3)
    assert rig.supply_a == 100
    assert not rig.machine.faults


def test_no_power_before_output_and_battery_match() -> None:
    rig = Rig().checked()
    rig.machine.target(BATTERY_V, 2.0, rig.now)
    rig.machine.deliver(True, rig.now)
    rig.machine.tick(rig.now)
    assert rig.stage is Stage.PRE_CHARGE
    rig.until(Stage.CHARGING, 2)
    assert abs(rig.supply_v - BATTERY_V) <= 20


def test_nothing_begins_without_a_check_or_a_permission() -> None:
    rig = Rig(cp=CpState.C)
    rig.pass_s(1.2)
    rig.machine.target(BATTERY_V, 10, rig.now)
    rig.machine.deliver(True, rig.now)
    rig.pass_s(2)
    assert (rig.stage, rig.contactor) == (Stage.IDLE, Contactor.OPEN)
    rig.machine.check_cable("ID", VEHICLE_MAX_V, rig.now)
    rig.pass_s(2)
    assert (rig.stage, rig.contactor) == (Stage.IDLE, Contactor.OPEN)
    rig.machine.permit(True, rig.now)
    rig.until(Stage.CHECKING, 1)


def test_an_orderly_stop() -> None:
    """Current down, supply off, contactor open, connector dead, unlocked."""
    rig = Rig().charging(100)
    rig.machine.target(BATTERY_V + 10, 100, rig.now)
    stop_s = rig.now
    rig.machine.permit(False, rig.now)
    rig.pass_s(1)
    assert rig.stage is Stage.RAMP_DOWN
    assert rig.supply_a == pytest.approx(75, abs=3)
    rig.until(Stage.OPENING, 5)
    assert rig.supply_a < 1
    rig.vehicle_closed = False
    rig.until(Stage.IDLE, 5).pass_s(0.1)
    times = [rig.at_s(word, stop_s) for word in ("supply off", "close False", "contactor open", "unlock True")]
    assert times == sorted(times)
    assert times[1] > times[0], "the contactor waits for the supply"


def test_the_vehicle_ends_it() -> None:
    rig = Rig().charging(100)
    stop_s = rig.now
    rig.machine.target(0, 0, rig.now)
    rig.machine.deliver(False, rig.now)
    rig.until(Stage.DISCHARGING, 3)
    assert rig.at_s("supply off", stop_s) < rig.at_s("close False", stop_s)
    # It looks for welded contacts with the battery at the inlet.
    rig.pass_s(3)
    assert rig.stage is Stage.DISCHARGING
    assert not rig.machine.orders.unlock
    rig.vehicle_closed = False
    rig.until(Stage.IDLE, 3)
    assert not rig.machine.faults


def test_an_emergency_opens_at_once() -> None:
    rig = Rig().charging(100)
    stop_s = rig.now
    rig.machine.emergency(rig.now)
    assert rig.machine.orders.supply.mode is SupplyMode.OFF
    assert not rig.machine.orders.close
    rig.pass_s(0.05)
    assert rig.contactor is Contactor.OPEN
    assert rig.at_s("contactor open", stop_s) - stop_s <= 0.1
    rig.machine.permit(True, rig.now)
    rig.pass_s(5)
    assert rig.stage is Stage.DISCHARGING, "the vehicle's contactors are closed still"
    rig.vehicle_closed = False
    rig.until(Stage.IDLE, 3).pass_s(3)
    assert rig.stage is Stage.IDLE, "nothing begins again by itself"


@pytest.mark.parametrize("state", [CpState.B, CpState.A])
def test_a_vehicle_that_leaves_state_c_under_load(state: CpState) -> None:
    rig = Rig().charging(100)
    stop_s = rig.now
    rig.cp = state
    rig.pass_s(0.03)
    assert rig.machine.orders.supply.mode is SupplyMode.OFF
    assert rig.at_s("supply off", stop_s) - stop_s <= 0.02
    assert rig.contactor is Contactor.OPEN


def test_a_board_out_of_reach_ends_everything() -> None:
    rig = Rig().charging(100)
    rig.machine.board(None, None, rig.now)
    assert rig.machine.orders.supply.mode is SupplyMode.OFF
    assert not rig.machine.orders.close
    assert not rig.machine.orders.unlock


def test_the_contactor_opens_by_itself() -> None:
    rig = Rig().charging(100)
    rig.contactor = Contactor.OPEN
    rig.machine.board(rig.cp, rig.contactor, rig.now)
    assert rig.machine.orders.supply.mode is SupplyMode.OFF


def test_a_limit_of_power_binds_the_current() -> None:
    rig = Rig().charging(100)
    rig.machine.limit_power(7800, rig.now)
    rig.pass_s(0.1)
    assert rig.machine.orders.supply.current_a == pytest.approx(20)
    rig.machine.limit_power(1e9, rig.now)
    rig.pass_s(5)
    assert rig.machine.orders.supply.current_a == 100


def test_less_is_followed_at_once() -> None:
    rig = Rig().charging(100)
    rig.machine.target(BATTERY_V + 10, 30, rig.now)
    assert rig.machine.orders.supply.current_a == 30


def test_the_voltage_never_exceeds_what_the_vehicle_named() -> None:
    rig = Rig().charging(10)
    rig.machine.target(900, 10, rig.now)
    assert rig.machine.orders.supply.voltage_v == VEHICLE_MAX_V


def test_another_check_after_a_stop() -> None:
    """Renegotiation of ISO 15118-2 leads through the cable check again."""
    rig = Rig().charging(50)
    rig.machine.target(0, 0, rig.now)
    rig.machine.deliver(False, rig.now)
    rig.vehicle_closed = False
    rig.machine.check_cable("SECOND", VEHICLE_MAX_V, rig.now)
    rig.until(Stage.READY, 30)
    assert rig.machine.check is not None
    assert rig.machine.check.check_id == "SECOND"


# --- the cable check ---


def failed(rig: Rig) -> str:
    rig.plugged()
    rig.machine.check_cable("ID", VEHICLE_MAX_V, rig.now)
    rig.pass_s(40)
    assert rig.stage is Stage.IDLE
    assert rig.contactor is Contactor.OPEN
    assert rig.machine.insulation is Insulation.FAULT
    return rig.machine.faults[Fault.CABLE_CHECK_FAULT]


def test_a_short_circuit() -> None:
    rig = Rig(load_ohm=50)
    assert "short circuit: 100 V at 2.0 A" in failed(rig)
    began_s, off_s = rig.at_s("supply export"), rig.at_s("supply off", rig.at_s("supply export"))
    assert off_s - began_s <= 1.5
    assert max(rig.machine.orders.supply.current_a, 2.0) < 5


def test_a_load_that_is_no_short_circuit_fails_at_voltage() -> None:
    assert "voltage up" in failed(Rig(load_ohm=150))


def test_insulation_too_low() -> None:
    assert "insulation of 99 kohm" in failed(Rig(kohm=99))


def test_a_failed_self_test() -> None:
    assert "failed its self-test" in failed(Rig(self_test_good=False))


def test_a_self_test_without_end() -> None:
    rig = Rig(self_test_s=60)
    assert "not done after 25 s: self-test" in failed(rig)


def test_a_cable_that_stays_live_after_the_check() -> None:
    rig = Rig(discharges=False).plugged()
    rig.machine.check_cable("ID", VEHICLE_MAX_V, rig.now)
    rig.pass_s(22)
    assert "voltage down" in rig.machine.faults[Fault.CABLE_CHECK_FAULT]
    rig.pass_s(15)
    assert "500 V though it is off" in rig.machine.faults[Fault.POWER_SUPPLY_FAILURE]
    rig.cp = CpState.A
    rig.pass_s(1)
    rig.plugged()
    rig.machine.check_cable("AGAIN", VEHICLE_MAX_V, rig.now)
    rig.pass_s(2)
    assert rig.contactor is Contactor.OPEN, "nothing closes onto a live supply"


def test_no_check_on_a_live_cable() -> None:
    """Some vehicle's contactors are welded."""
    rig = Rig(vehicle_closed=True).plugged()
    rig.machine.check_cable("ID", VEHICLE_MAX_V, rig.now)
    rig.pass_s(3)
    assert rig.stage is Stage.IDLE
    assert rig.contactor is Contactor.OPEN
    assert "380 V" in rig.machine.faults[Fault.CONNECTOR_VOLTAGE_HIGH]
    rig.vehicle_closed = False
    rig.until(Stage.CHECKING, 3)


def test_a_contactor_that_does_not_close() -> None:
    rig = Rig(stuck_open=True).plugged()
    rig.machine.check_cable("ID", VEHICLE_MAX_V, rig.now)
    rig.until(Stage.CLOSING, 1).until(Stage.IDLE, 6)


def test_the_permission_ends_within_a_check() -> None:
    rig = Rig().plugged()
    rig.machine.check_cable("ID", VEHICLE_MAX_V, rig.now)
    rig.until(Stage.CHECKING, 2).pass_s(1)
    rig.machine.permit(False, rig.now)
    rig.until(Stage.IDLE, 6)
    assert not rig.machine.faults
    assert rig.at_s("supply off", 101.5) < rig.at_s("close False", 101.5)


@pytest.mark.parametrize(
    ("vehicle_v", "output_v", "volts"),
    [(450, 1000, 500), (400, 1000, 450), (400, 420, 420), (800, 1000, 880), (950, 1000, 1000)],
)
def test_the_voltage_of_the_test(vehicle_v: float, output_v: float, volts: float) -> None:
    assert voltage_of_test(vehicle_v, output_v) == pytest.approx(volts)


@pytest.mark.parametrize(
    ("maximum_v", "volts"), [(400, 550), (500, 550), (501, 825), (750, 825), (850, 935), (1000, 1100), (1250, 1375)]
)
def test_the_emergency_voltage(maximum_v: float, volts: float) -> None:
    assert emergency_voltage(maximum_v) == volts


# --- while charging ---


def ended(rig: Rig, within_s: float) -> float:
    """How long until the contactor is open; the order was kept."""
    since_s = rig.now
    rig.until(Stage.DISCHARGING, within_s)
    rig.vehicle_closed = False
    rig.until(Stage.IDLE, 12)
    return rig.at_s("contactor open", since_s) - since_s


def test_insulation_falls_mid_charge() -> None:
    rig = Rig().charging()
    rig.kohm = 40
    assert ended(rig, 2) <= 1.1
    assert rig.machine.insulation is Insulation.FAULT
    rig.kohm = 2000
    rig.pass_s(5)
    assert Fault.RESISTANCE_FAULT in rig.machine.faults, "found with this vehicle"
    rig.cp = CpState.A
    rig.pass_s(1)
    assert not rig.machine.faults


def test_voltage_to_earth() -> None:
    rig = Rig().charging()
    rig.to_earth = (500.0, -10.0)
    rig.pass_s(2)
    assert rig.stage is Stage.CHARGING, "two readings and two seconds"
    assert ended(rig, 4) <= 2.1
    assert "500 V to earth" in rig.machine.faults[Fault.RESISTANCE_FAULT]


def test_devices_that_disagree_for_half_a_minute() -> None:
    rig = Rig().charging()
    rig.lies_v = 60
    rig.pass_s(29)
    assert rig.stage is Stage.CHARGING
    rig.pass_s(3)
    assert rig.stage is not Stage.CHARGING
    rig.lies_v = 0
    ended(rig, 6)
    assert "380 to 440 V" in rig.machine.faults[Fault.VOLTAGE_PLAUSIBILITY]


def test_a_short_disagreement_is_none() -> None:
    rig = Rig().charging()
    for _ in range(3):
        rig.lies_v = 60
        rig.pass_s(20)
        rig.lies_v = 0
        rig.pass_s(2)
    assert rig.stage is Stage.CHARGING


def test_over_voltage_at_error_level() -> None:
    """For less than 200 ms it is allowed, after 400 ms it ends."""
    rig = Rig().charging()
    rig.over_v = VEHICLE_MAX_V - BATTERY_V + 40
    assert ended(rig, 2) <= 0.25 + 0.4 + 0.05 + 0.02
    assert "error level: 490 V, agreed are 450 V" in rig.machine.faults[Fault.OVER_VOLTAGE]


def test_over_voltage_at_emergency_level() -> None:
    rig = Rig().charging()
    rig.over_v = 550 - BATTERY_V
    assert ended(rig, 1) <= 0.25 + 0.05
    assert "emergency level: 550 V" in rig.machine.faults[Fault.OVER_VOLTAGE]


def test_a_supply_that_dies_mid_charge() -> None:
    rig = Rig().charging()
    rig.supply_silent = True
    assert ended(rig, 4) <= 1.5 + 1.0 + 0.1
    assert rig.machine.faults[Fault.POWER_SUPPLY_FAILURE] == "the DC supply does not answer"
    rig.supply_silent = False
    rig.pass_s(1)
    assert not rig.machine.faults


def test_a_supply_with_a_fault_of_its_own() -> None:
    rig = Rig().charging()
    rig.supply_fault = "fan"
    assert ended(rig, 6) <= 5.1
    assert rig.machine.faults[Fault.POWER_SUPPLY_FAILURE] == "fan"


def test_a_monitor_that_falls_silent_mid_charge() -> None:
    rig = Rig().charging()
    rig.monitor_silent = True
    rig.pass_s(4)
    rig.until(Stage.RAMP_DOWN, 1)
    assert Fault.ISOLATION_MONITOR_FAILURE in rig.machine.faults


def test_a_supply_that_gives_too_much_current() -> None:
    rig = Rig().charging(50)
    rig.machine.target(BATTERY_V + 10, 20, rig.now)
    for _ in range(70):
        rig.pass_s(0.1)
        if rig.stage is not Stage.CHARGING:
            break
        rig._flow = lambda: setattr(rig, "supply_a", 40.0)  # type: ignore[method-assign]
    assert "40.0 A, 20.0 A are set" in rig.machine.faults[Fault.OVER_CURRENT_FAILURE]
    rig.cp = CpState.A
    rig.pass_s(1)
    assert Fault.OVER_CURRENT_FAILURE in rig.machine.faults, "latched"
    rig.machine.reset_faults(rig.now)
    assert Fault.OVER_CURRENT_FAILURE not in rig.machine.faults


def test_a_welded_contactor_keeps_the_connector_locked() -> None:
    rig = Rig().charging()
    rig.welded = True
    rig.contactor = Contactor.CLOSED
    rig.machine.permit(False, rig.now)
    rig.pass_s(20)
    assert rig.stage is Stage.OPENING
    assert not rig.machine.orders.unlock
    assert rig.machine.orders.supply.mode is SupplyMode.OFF


def test_voltage_that_does_not_leave_the_connector() -> None:
    rig = Rig().charging()
    rig.machine.permit(False, rig.now)
    rig.until(Stage.DISCHARGING, 8).pass_s(11)
    assert "380 V" in rig.machine.faults[Fault.CONNECTOR_VOLTAGE_HIGH]
    assert not rig.machine.orders.unlock
    rig.vehicle_closed = False
    rig.until(Stage.IDLE, 2).pass_s(0.1)
    assert rig.machine.orders.unlock
    assert not rig.machine.faults


def test_what_stays_and_what_passes() -> None:
    assert not LATCHED & UNTIL_UNPLUGGED
