"""The duty table both ways: IEC 61851-1 tables A.7 and A.8."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.duty import HLC_DUTY_PERCENT, current_for_duty, duty_for_current, is_valid_duty


@pytest.mark.parametrize(
    ("limit_a", "duty"),
    [(6, 10.0), (10, 16.66), (16, 26.66), (32, 53.33), (51, 85.0), (52, 85.0), (52.5, 85.0), (63, 89.2), (80, 96.0)],
)
def test_duty_of_the_usual_currents(limit_a: float, duty: float) -> None:
    assert duty_for_current(limit_a) == duty


def test_more_than_the_table_knows_is_offered_as_80_a() -> None:
    assert duty_for_current(125) == 96.0


@pytest.mark.parametrize("limit_a", [5.99, 0.0, -1.0])
def test_below_6_a_there_is_no_duty(limit_a: float) -> None:
    with pytest.raises(ValueError, match="no duty"):
        duty_for_current(limit_a)


@pytest.mark.parametrize(
    ("duty", "limit_a"),
    [
        (0, 0),
        (2.9, 0),
        (5, 0),
        (7.9, 0),
        (8, 6),
        (9.9, 6),
        (10, 6),
        (50, 30),
        (85, 51),
        (86, 55),
        (96, 80),
        (97, 80),
        (98, 0),
    ],
)
def test_what_a_vehicle_reads(duty: float, limit_a: float) -> None:
    assert current_for_duty(duty) == pytest.approx(limit_a)


@given(st.floats(min_value=6, max_value=200))
def test_a_duty_never_offers_more_than_asked_nor_much_less(limit_a: float) -> None:
    offered_a = current_for_duty(duty_for_current(limit_a))
    assert offered_a <= limit_a + 1e-6
    # 51 to 52.5 A have no duty of their own; elsewhere a step of 0.01 % is 25 mA at most.
    assert offered_a >= min(limit_a, 80) - (1.5 if 51 < limit_a < 52.6 else 0.03)
    assert is_valid_duty(duty_for_current(limit_a))


@pytest.mark.parametrize("duty", [0, 4.99, 5.01, 9.99, 96.01, 100])
def test_what_no_evse_puts_on_the_pilot(duty: float) -> None:
    assert not is_valid_duty(duty)


def test_5_percent_is_valid_and_offers_nothing_by_itself() -> None:
    assert is_valid_duty(HLC_DUTY_PERCENT)
    assert current_for_duty(HLC_DUTY_PERCENT) == 0
