"""Conversations with the pilot machine, in virtual time."""

from dataclasses import replace

import pytest

from hal.levels import Setpoints
from hal.pilot import PilotMachine
from hal.ports import (
    BoardFault,
    BoardLink,
    Contactor,
    ContactorChanged,
    CpMode,
    CpState,
    Fault,
    PilotOffered,
    Severity,
    VehicleReady,
)
from tests.hal.pilot_rig import Rig


@pytest.fixture
def rig() -> Rig:
    return Rig()


def board_faults(rig: Rig) -> list[tuple[Fault, bool]]:
    return [(fact.fault, fact.active) for fact in rig.facts if isinstance(fact, BoardFault)]


def test_before_anybody_has_spoken_the_board_is_asked_for_nothing() -> None:
    machine = PilotMachine()
    assert machine.setpoints == Setpoints(CpMode.X1, 100.0, allow_power=False, lock=False, limit_a=0.0)
    assert machine.deadline() is None
    assert machine.levels is None
    assert machine.faults == frozenset()


def test_a_board_that_has_not_said_what_it_has_is_taken_to_have_nothing() -> None:
    rig = Rig()
    rig.machine = PilotMachine()
    rig.follow_lock = False
    rig.charge()
    rig.do(rig.machine.lock_connector(True, rig.now))
    rig.wait(5)
    assert board_faults(rig) == []
    rig.cp("D")
    assert not rig.told.allow_power


# --- the vehicle's state ---


def test_plug_charge_pause_unplug(rig: Rig) -> None:
    rig.start()
    assert rig.heard() == ["BoardLink", "PilotOffered"]
    rig.cp("B")
    assert rig.heard() == []
    rig.wait(0.1)
    assert rig.heard() == ["PluggedIn"]
    rig.do(rig.machine.offer_current(16, rig.now))
    assert rig.facts == [PilotOffered(CpMode.X2, 26.66, rig.now)]
    rig.heard()
    rig.cp("C")
    assert rig.facts == [VehicleReady(rig.now, ventilation=False)]
    rig.heard()
    rig.do(rig.machine.permit_power(True, rig.now))
    assert rig.facts == [ContactorChanged(Contactor.CLOSED, rig.now)]
    rig.heard()
    rig.cp("B")
    assert rig.heard() == ["ContactorChanged"]
    rig.wait(0.1)
    assert rig.heard() == ["VehiclePaused"]
    rig.cp("A")
    rig.wait(0.1)
    assert rig.heard() == ["Unplugged", "PilotOffered"]
    assert rig.told.cp_mode is CpMode.X1


def test_a_vehicle_straight_to_c_is_plugged_in_and_ready(rig: Rig) -> None:
    rig.start()
    rig.heard()
    rig.cp("C")
    assert rig.heard() == ["PluggedIn", "VehicleReady"]
    assert not rig.told.allow_power


def test_a_vehicle_that_was_there_first_is_found(rig: Rig) -> None:
    rig.levels = replace(rig.levels, cp=CpState.B, unplug_count=7)
    rig.start()
    rig.wait(0.1)
    assert rig.heard() == ["BoardLink", "PilotOffered", "PluggedIn"]


def test_a_vehicle_pulled_out_of_c_is_unplugged_without_a_pause(rig: Rig) -> None:
    rig.charge()
    rig.cp("A")
    assert not rig.told.allow_power
    rig.wait(0.1)
    assert "VehiclePaused" not in (names := rig.heard())
    assert "Unplugged" in names


def test_a_bouncing_plug_is_one_vehicle(rig: Rig) -> None:
    rig.start()
    rig.heard()
    for state in "BABABAB":
        rig.cp(state)
        rig.wait(0.03)
    rig.wait(0.2)
    assert rig.heard() == ["PluggedIn"]


def test_the_next_vehicle_gets_nothing_of_the_last(rig: Rig) -> None:
    rig.charge()
    rig.cp("A")
    rig.wait(0.1)
    rig.cp("C")
    rig.wait(10)
    assert rig.told.cp_mode is CpMode.X1
    assert not rig.told.allow_power


def test_a_replug_between_two_frames_is_two_vehicles(rig: Rig) -> None:
    rig.charge()
    rig.board(unplug_count=1)
    assert rig.heard()[:3] == ["Unplugged", "PluggedIn", "VehicleReady"]
    assert not rig.told.allow_power


def test_an_unplug_seen_and_counted_is_told_once(rig: Rig) -> None:
    rig.plug_in_and_offer()
    rig.cp("A")
    rig.wait(0.1)
    rig.board(unplug_count=1)
    rig.cp("B")
    rig.wait(0.2)
    assert rig.heard().count("Unplugged") == 1


def test_a_permission_before_the_vehicle_does_not_count(rig: Rig) -> None:
    rig.start()
    rig.do(rig.machine.permit_power(True, rig.now))
    rig.do(rig.machine.offer_current(16, rig.now))
    rig.cp("C")
    rig.wait(1)
    assert rig.told.cp_mode is CpMode.X2
    assert not rig.told.allow_power


def test_bcb_toggle_of_200_ms_passes(rig: Rig) -> None:
    rig.plug_in_and_offer()
    rig.do(rig.machine.offer_nothing(rig.now))
    rig.heard()
    for state in "CBCB":
        rig.cp(state)
        rig.wait(0.2)
    assert rig.heard() == ["VehicleReady", "VehiclePaused", "BcbToggled"] * 2
    assert not rig.told.allow_power


# --- what goes on the pilot ---


def test_no_pwm_without_a_vehicle(rig: Rig) -> None:
    rig.start()
    rig.do(rig.machine.offer_hlc(rig.now))
    rig.wait(6)
    assert rig.told.cp_mode is CpMode.X1
    rig.cp("B")
    rig.wait(0.1)
    assert (rig.told.cp_mode, rig.told.duty_percent) == (CpMode.X2, 5.0)


def test_duties_are_5_s_apart_and_the_last_wish_wins(rig: Rig) -> None:
    rig.plug_in_and_offer(32)
    rig.wait(1)
    rig.do(rig.machine.offer_current(20, rig.now))
    rig.wait(1)
    rig.do(rig.machine.offer_current(10, rig.now))
    rig.wait(2.9)
    assert rig.told.duty_percent == 53.33
    rig.wait(0.2)
    assert rig.told.duty_percent == 16.66


def test_a_detour_over_x1_does_not_shorten_the_interval(rig: Rig) -> None:
    rig.plug_in_and_offer(32)
    rig.wait(1)
    rig.do(rig.machine.offer_nothing(rig.now))
    assert rig.told.cp_mode is CpMode.X1
    rig.do(rig.machine.offer_current(10, rig.now))
    rig.wait(3.9)
    assert rig.told.cp_mode is CpMode.X1
    rig.wait(0.2)
    assert rig.told.duty_percent == 16.66


def test_the_next_vehicle_waits_for_no_interval_of_the_last(rig: Rig) -> None:
    rig.plug_in_and_offer(32)
    rig.cp("A")
    rig.wait(0.1)
    rig.cp("B")
    rig.wait(0.1)
    rig.do(rig.machine.offer_current(10, rig.now))
    assert rig.told.duty_percent == 16.66


def test_the_same_duty_may_resume_at_once(rig: Rig) -> None:
    rig.plug_in_and_offer(32)
    rig.do(rig.machine.offer_nothing(rig.now))
    rig.do(rig.machine.offer_current(32, rig.now))
    assert rig.told.duty_percent == 53.33


@pytest.mark.parametrize(("limit_a", "mode", "duty"), [(5.9, CpMode.X1, 100.0), (6.0, CpMode.X2, 10.0)])
def test_less_than_6_a_is_x1(rig: Rig, limit_a: float, mode: CpMode, duty: float) -> None:
    rig.plug_in_and_offer(limit_a)
    assert (rig.told.cp_mode, rig.told.duty_percent) == (mode, duty)


def test_f_goes_out_at_once_stays_300_ms_and_leads_over_x1(rig: Rig) -> None:
    rig.charge()
    rig.do(rig.machine.signal_error(rig.now))
    assert rig.told == Setpoints(CpMode.F, 0.0, allow_power=False, lock=False, limit_a=0.0)
    rig.do(rig.machine.offer_current(16, rig.now))
    rig.wait(0.2)
    assert rig.told.cp_mode is CpMode.F
    rig.wait(0.2)
    assert rig.told.cp_mode is CpMode.X1
    rig.cp("C")
    rig.wait(0.6)
    assert rig.told.cp_mode is CpMode.X1
    rig.wait(0.2)
    assert rig.told.cp_mode is CpMode.X2
    assert not rig.told.allow_power, "the permission ended with F"


def test_f_without_a_vehicle(rig: Rig) -> None:
    rig.start()
    rig.do(rig.machine.signal_error(rig.now))
    assert rig.told.cp_mode is CpMode.F
    rig.wait(1)
    assert "PluggedIn" not in rig.heard()
    rig.do(rig.machine.offer_nothing(rig.now))
    assert rig.told.cp_mode is CpMode.X1


def test_state_e_ends_the_permission(rig: Rig) -> None:
    rig.charge()
    rig.do(rig.machine.signal_unavailable(rig.now))
    assert rig.told.cp_mode is CpMode.E
    assert not rig.told.allow_power


# --- power ---


@pytest.mark.parametrize("state", ["A", "B", "E", "F"])
def test_power_ends_with_the_first_level_that_is_not_c_or_d(rig: Rig, state: str) -> None:
    rig.charge()
    rig.cp(state)
    assert not rig.told.allow_power


def test_power_waits_for_the_pwm_to_be_confirmed(rig: Rig) -> None:
    rig.start()
    rig.cp("C")
    rig.machine.permit_power(True, rig.now)
    rig.machine.offer_current(16, rig.now)
    assert not rig.told.allow_power
    rig.board()
    assert rig.told.allow_power


def test_power_waits_for_the_lock_that_was_asked_for(rig: Rig) -> None:
    rig.plug_in_and_offer()
    rig.follow_lock = False
    rig.do(rig.machine.lock_connector(True, rig.now))
    rig.do(rig.machine.permit_power(True, rig.now))
    rig.cp("C")
    assert not rig.told.allow_power
    rig.board(locked=True)
    assert rig.told.allow_power


def test_a_tethered_cable_needs_no_lock() -> None:
    rig = Rig(has_lock=False)
    rig.follow_lock = False
    rig.start()
    rig.do(rig.machine.lock_connector(True, rig.now))
    rig.charge()
    rig.wait(5)
    assert board_faults(rig) == []


def test_with_the_pwm_off_a_vehicle_has_6_s_to_leave_c(rig: Rig) -> None:
    rig.charge()
    rig.do(rig.machine.offer_nothing(rig.now))
    rig.wait(5.9)
    assert rig.levels.contactor is Contactor.CLOSED
    rig.wait(0.2)
    assert rig.levels.contactor is Contactor.OPEN
    rig.wait(1)
    assert not rig.told.allow_power


def test_a_vehicle_that_leaves_c_in_time_opens_without_load(rig: Rig) -> None:
    rig.charge()
    rig.do(rig.machine.offer_nothing(rig.now))
    rig.wait(1)
    rig.cp("B")
    assert rig.levels.contactor is Contactor.OPEN
    assert board_faults(rig) == []


def test_pwm_back_within_the_6_s_charges_on(rig: Rig) -> None:
    rig.charge()
    rig.do(rig.machine.offer_nothing(rig.now))
    rig.wait(3)
    rig.do(rig.machine.offer_current(16, rig.now))
    rig.wait(10)
    assert rig.levels.contactor is Contactor.CLOSED


def test_state_d_without_ventilation(rig: Rig) -> None:
    rig.charge()
    rig.cp("D")
    assert not rig.told.allow_power
    assert board_faults(rig) == [(Fault.VENTILATION_NOT_AVAILABLE, True)]
    assert VehicleReady(rig.now, ventilation=True) in rig.facts
    rig.facts.clear()
    rig.cp("C")
    assert rig.told.allow_power
    assert board_faults(rig) == [(Fault.VENTILATION_NOT_AVAILABLE, False)]


def test_state_d_with_ventilation() -> None:
    rig = Rig(has_ventilation=True)
    rig.charge()
    rig.cp("D")
    assert rig.levels.contactor is Contactor.CLOSED
    assert board_faults(rig) == []


@pytest.mark.parametrize("fault", [Fault.RESIDUAL_CURRENT, Fault.EMERGENCY_STOP, Fault.DIODE_FAULT])
def test_an_emergency_opens_at_once_and_clears(rig: Rig, fault: Fault) -> None:
    rig.charge()
    rig.fault(fault)
    assert rig.levels.contactor is Contactor.OPEN
    came = next(fact for fact in rig.facts if isinstance(fact, BoardFault))
    assert (came.fault, came.active, came.severity) == (fault, True, Severity.EMERGENCY)
    rig.facts.clear()
    rig.fault()
    assert board_faults(rig) == [(fault, False)]


def test_a_stop_fault_leaves_the_order_to_the_session_but_nothing_closes_again(rig: Rig) -> None:
    rig.charge()
    rig.fault(Fault.POWER_LOSS)
    assert rig.levels.contactor is Contactor.CLOSED
    rig.do(rig.machine.permit_power(False, rig.now))
    rig.do(rig.machine.permit_power(True, rig.now))
    assert rig.levels.contactor is Contactor.OPEN


def test_a_warning_lets_charging_go_on(rig: Rig) -> None:
    rig.charge()
    rig.fault(Fault.HIGH_TEMPERATURE)
    assert rig.levels.contactor is Contactor.CLOSED
    rig.do(rig.machine.permit_power(False, rig.now))
    rig.do(rig.machine.permit_power(True, rig.now))
    assert rig.levels.contactor is Contactor.CLOSED


# --- the contactor ---


def test_a_welded_contactor_is_latched_with_f(rig: Rig) -> None:
    rig.charge()
    rig.follow_contactor = False
    rig.do(rig.machine.permit_power(False, rig.now))
    rig.wait(0.4)
    assert board_faults(rig) == []
    rig.wait(0.2)
    assert board_faults(rig) == [(Fault.EVSE_CONTACTOR_FAULT, True)]
    assert [fact.contactor for fact in rig.facts if isinstance(fact, ContactorChanged)] == [Contactor.WELDED]
    assert rig.told.cp_mode is CpMode.F
    rig.board(contactor=Contactor.OPEN)
    rig.do(rig.machine.offer_current(16, rig.now))
    rig.do(rig.machine.permit_power(True, rig.now))
    rig.wait(10)
    assert rig.told.cp_mode is CpMode.F
    assert not rig.told.allow_power
    rig.do(rig.machine.reset_faults(rig.now))
    rig.wait(1)
    assert (Fault.EVSE_CONTACTOR_FAULT, False) in board_faults(rig)
    assert rig.told.cp_mode is not CpMode.F


def test_a_contactor_that_opens_a_little_late_is_not_welded(rig: Rig) -> None:
    rig.charge()
    rig.follow_contactor = False
    rig.do(rig.machine.permit_power(False, rig.now))
    rig.wait(0.4)
    rig.board(contactor=Contactor.OPEN)
    rig.wait(5)
    assert board_faults(rig) == []


def test_a_loop_that_was_late_judges_by_what_it_reads_now(rig: Rig) -> None:
    rig.charge()
    rig.machine.permit_power(False, rig.now)
    rig.now += 2
    rig.board(contactor=Contactor.OPEN, power_permitted=False)
    assert board_faults(rig) == []


def test_the_boards_own_word_on_welding_counts(rig: Rig) -> None:
    rig.charge()
    rig.follow_contactor = False
    rig.board(contactor=Contactor.WELDED)
    assert rig.told.cp_mode is CpMode.F
    assert board_faults(rig) == [(Fault.EVSE_CONTACTOR_FAULT, True)]


def test_a_board_that_goes_on_driving_against_the_order(rig: Rig) -> None:
    rig.charge()
    rig.follow_contactor = rig.follow_coil = False
    rig.do(rig.machine.permit_power(False, rig.now))
    rig.wait(0.6)
    assert rig.levels.power_permitted
    assert board_faults(rig) == [(Fault.EVSE_CONTACTOR_FAULT, True)]
    assert rig.told.cp_mode is CpMode.F


def test_a_contactor_that_stays_when_the_board_lets_go(rig: Rig) -> None:
    rig.charge()
    rig.follow_contactor = rig.follow_coil = False
    rig.board(power_permitted=False)
    rig.wait(0.4)
    assert board_faults(rig) == []
    rig.wait(0.2)
    assert board_faults(rig) == [(Fault.EVSE_CONTACTOR_FAULT, True)]
    assert not rig.told.allow_power


def test_a_board_that_refuses_without_a_word(rig: Rig) -> None:
    rig.plug_in_and_offer()
    rig.follow_contactor = rig.follow_coil = False
    rig.do(rig.machine.permit_power(True, rig.now))
    rig.cp("C")
    rig.wait(2.9)
    assert board_faults(rig) == []
    rig.wait(0.2)
    assert board_faults(rig) == [(Fault.EVSE_CONTACTOR_FAULT, True)]


def test_a_board_that_opens_for_a_fault_it_names_has_no_contactor_fault(rig: Rig) -> None:
    rig.charge()
    rig.follow_contactor = rig.follow_coil = False
    rig.board(faults=frozenset({Fault.POWER_LOSS}), power_permitted=False, contactor=Contactor.OPEN)
    rig.wait(5)
    assert board_faults(rig) == [(Fault.POWER_LOSS, True)]


def test_the_boards_own_word_on_not_closing_counts(rig: Rig) -> None:
    rig.plug_in_and_offer()
    rig.follow_contactor = False
    rig.do(rig.machine.permit_power(True, rig.now))
    rig.cp("C")
    rig.board(contactor=Contactor.STUCK_OPEN)
    assert board_faults(rig) == [(Fault.EVSE_CONTACTOR_FAULT, True)]
    assert not rig.told.allow_power


def test_a_contactor_that_does_not_close_is_tried_again_only_by_a_new_permission(rig: Rig) -> None:
    rig.plug_in_and_offer()
    rig.follow_contactor = False
    rig.do(rig.machine.permit_power(True, rig.now))
    rig.cp("C")
    rig.wait(2.9)
    assert rig.told.allow_power
    rig.wait(0.2)
    assert not rig.told.allow_power
    assert board_faults(rig) == [(Fault.EVSE_CONTACTOR_FAULT, True)]
    rig.wait(10)
    assert not rig.told.allow_power
    rig.do(rig.machine.permit_power(False, rig.now))
    assert board_faults(rig)[-1] == (Fault.EVSE_CONTACTOR_FAULT, False)
    rig.follow_contactor = True
    rig.do(rig.machine.permit_power(True, rig.now))
    assert rig.levels.contactor is Contactor.CLOSED


# --- the lock ---


def test_unlocking_waits_for_the_open_contactor(rig: Rig) -> None:
    rig.plug_in_and_offer()
    rig.do(rig.machine.lock_connector(True, rig.now))
    rig.do(rig.machine.permit_power(True, rig.now))
    rig.cp("C")
    rig.do(rig.machine.lock_connector(False, rig.now))
    rig.wait(1)
    assert rig.told.lock, "charging"
    rig.follow_contactor = False
    rig.do(rig.machine.permit_power(False, rig.now))
    rig.wait(0.3)
    assert rig.told.lock, "still closed"
    rig.board(contactor=Contactor.OPEN)
    assert rig.told.lock, "this report may be older than the order"
    rig.wait(0.2)
    assert not rig.told.lock


def test_a_welded_contactor_keeps_the_connector_locked(rig: Rig) -> None:
    rig.plug_in_and_offer()
    rig.do(rig.machine.lock_connector(True, rig.now))
    rig.do(rig.machine.permit_power(True, rig.now))
    rig.cp("C")
    rig.follow_contactor = False
    rig.do(rig.machine.permit_power(False, rig.now))
    rig.do(rig.machine.lock_connector(False, rig.now))
    rig.wait(10)
    assert rig.told.lock


@pytest.mark.parametrize("lock", [True, False])
def test_a_jammed_lock_is_a_fault_after_3_s(rig: Rig, lock: bool) -> None:
    rig.plug_in_and_offer()
    if not lock:
        rig.do(rig.machine.lock_connector(True, rig.now))
        rig.wait(1)
    rig.follow_lock = False
    rig.do(rig.machine.lock_connector(lock, rig.now))
    rig.wait(2.8)
    assert board_faults(rig) == []
    rig.wait(0.4)
    assert board_faults(rig) == [(Fault.CONNECTOR_LOCK_FAILURE, True)]
    rig.follow_lock = True
    rig.board()
    assert board_faults(rig)[-1] == (Fault.CONNECTOR_LOCK_FAILURE, False)


# --- pilot faults and the link ---


@pytest.mark.parametrize("state", ["E", "F"])
def test_a_broken_pilot_is_a_fault_and_no_unplugging(rig: Rig, state: str) -> None:
    rig.charge()
    rig.cp(state)
    assert not rig.told.allow_power
    rig.wait(0.2)
    assert board_faults(rig) == []
    rig.wait(0.1)
    assert board_faults(rig) == [(Fault.PILOT_FAULT, True)]
    rig.cp("C")
    assert (Fault.PILOT_FAULT, False) in board_faults(rig)
    names = rig.heard()
    assert "Unplugged" not in names
    assert "VehiclePaused" not in names


def test_after_f_the_pilot_has_time_to_be_measured_again(rig: Rig) -> None:
    rig.start()
    rig.do(rig.machine.signal_error(rig.now))
    rig.wait(1)
    rig.do(rig.machine.offer_nothing(rig.now))
    rig.wait(0.2)
    rig.cp("A")
    rig.wait(1)
    assert board_faults(rig) == []


def test_a_lost_link_ends_the_permission_and_keeps_the_rest(rig: Rig) -> None:
    rig.charge()
    rig.do(rig.machine.limit_current(16, rig.now))
    rig.do(rig.machine.lock_connector(True, rig.now))
    rig.facts.clear()
    facts = rig.machine.link_lost("silent", rig.now)
    assert facts == [
        BoardLink(False, "silent", rig.now),
        BoardFault(Fault.COMMUNICATION_FAULT, True, Severity.EMERGENCY, "silent", rig.now),
    ]
    assert rig.told == Setpoints(CpMode.X2, 26.66, allow_power=False, lock=True, limit_a=16)
    assert rig.machine.levels is None
    rig.machine.permit_power(True, rig.now)
    rig.do(rig.machine.link_up("back", True, rig.now))
    assert board_faults(rig) == [(Fault.COMMUNICATION_FAULT, False)]
    rig.wait(1)
    assert not rig.told.allow_power, "a permission given blindly does not count"
    rig.do(rig.machine.permit_power(True, rig.now))
    assert rig.told.allow_power


def test_a_replug_behind_a_lost_link_is_noticed_but_a_restarted_board_counts_anew(rig: Rig) -> None:
    rig.plug_in_and_offer()
    rig.machine.link_lost("silent", rig.now)
    rig.do(rig.machine.link_up("back", True, rig.now))
    rig.board(unplug_count=3)
    assert rig.heard().count("Unplugged") == 1
    rig.wait(0.2)
    rig.heard()
    rig.machine.link_lost("reset", rig.now)
    rig.levels = replace(rig.levels, unplug_count=0)
    rig.do(rig.machine.link_up("back", False, rig.now))
    assert "Unplugged" not in rig.heard()


def test_the_boards_watchdog_needs_a_new_permission(rig: Rig) -> None:
    rig.charge()
    rig.board(tripped=True, cp_mode=CpMode.F, cp=CpState.F)
    assert board_faults(rig) == [(Fault.COMMUNICATION_FAULT, True), (Fault.COMMUNICATION_FAULT, False)]
    rig.cp("C")
    rig.wait(5)
    assert not rig.told.allow_power
    rig.do(rig.machine.permit_power(True, rig.now))
    assert rig.levels.contactor is Contactor.CLOSED


# --- over-current supervision ---


def test_a_lowered_limit_follows_the_vehicle_a_raised_one_leads(rig: Rig) -> None:
    rig.charge(32)
    rig.do(rig.machine.limit_current(32, rig.now))
    assert rig.told.limit_a == 32
    rig.do(rig.machine.limit_current(10, rig.now))
    rig.wait(9.9)
    assert rig.told.limit_a == 32
    rig.wait(0.2)
    assert rig.told.limit_a == 10
    rig.do(rig.machine.limit_current(20, rig.now))
    assert rig.told.limit_a == 20
