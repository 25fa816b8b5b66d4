"""How much a vehicle may draw."""

import pytest

from sim.vehicle.current import Demand, PowerSchedule, duty_limit_a, is_digital


@pytest.mark.parametrize(
    ("duty_percent", "limit_a"),
    [
        (0, 0.0),
        (2.9, 0.0),
        (5, 0.0),
        (7.9, 0.0),
        (8, 6.0),
        (9.9, 6.0),
        (10, 6.0),
        (16, 9.6),
        (26.67, 16.0),
        (53.33, 32.0),
        (85, 51.0),
        (85.6, 54.0),
        (96, 80.0),
        (97, 80.0),
        (97.1, 0.0),
        (100, 0.0),
    ],
)
def test_a_duty_means_a_current(duty_percent: float, limit_a: float) -> None:
    assert duty_limit_a(duty_percent) == pytest.approx(limit_a, abs=0.01)


@pytest.mark.parametrize(("duty_percent", "digital"), [(2.9, False), (3, True), (5, True), (7, True), (7.1, False)])
def test_around_five_percent_the_station_wants_to_talk(duty_percent: float, digital: bool) -> None:
    assert is_digital(duty_percent) is digital


def test_the_lowest_of_all_limits_counts() -> None:
    demand = Demand(vehicle_max_a=32.0)
    assert demand.current_a(5.0, 0.0) == 32.0
    assert demand.current_a(26.67, 0.0) == pytest.approx(16.0, abs=0.01)

    with_evse = Demand(vehicle_max_a=32.0, evse_max_current_a=10.0)
    assert with_evse.current_a(5.0, 0.0) == 10.0
    assert with_evse.current_a(26.67, 0.0) == 10.0
    assert with_evse.current_a(11.0, 0.0) == pytest.approx(6.6)


def test_the_power_schedule_is_shared_by_the_phases() -> None:
    schedule = PowerSchedule(((0.0, 11040.0), (60.0, 5520.0), (120.0, 0.0)))
    three = Demand(vehicle_max_a=32.0).with_schedule(schedule, now_s=1000.0)
    one = Demand(vehicle_max_a=32.0, phases=1).with_schedule(schedule, now_s=1000.0)

    assert three.current_a(5.0, 1000.0) == pytest.approx(16.0)
    assert three.current_a(5.0, 1059.9) == pytest.approx(16.0)
    assert three.current_a(5.0, 1060.0) == pytest.approx(8.0)
    assert three.current_a(5.0, 1120.0) == 0.0
    assert one.current_a(5.0, 1000.0) == 32.0
    assert one.current_a(5.0, 1060.0) == pytest.approx(24.0)


def test_below_six_amps_nothing_is_drawn() -> None:
    assert Demand(vehicle_max_a=32.0, evse_max_current_a=5.9).current_a(5.0, 0.0) == 0.0
    assert Demand(vehicle_max_a=32.0, evse_max_current_a=6.0).current_a(5.0, 0.0) == 6.0


def test_a_steady_pilot_allows_nothing_whatever_the_messages_say() -> None:
    assert Demand(vehicle_max_a=32.0, evse_max_current_a=32.0).current_a(100.0, 0.0) == 0.0
