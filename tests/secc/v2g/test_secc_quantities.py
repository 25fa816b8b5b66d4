"""PhysicalValue: exact where sixteen bits allow it, never above."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secc.v2g.quantities import decimal_value, physical_value


@pytest.mark.parametrize(
    ("value", "digits", "multiplier"),
    [
        (16.0, 16, 0),
        (0.0, 0, 0),
        (13.75, 1375, -2),
        (230.0, 230, 0),
        (Decimal("11040"), 11040, 0),
        (Decimal("22080"), 22080, 0),
        (Decimal("43470"), 4347, 1),
        (Decimal("32767"), 32767, 0),
        (Decimal("32768"), 3276, 1),
        (1 / 3, 333, -3),
    ],
)
def test_values(value: float | Decimal, digits: int, multiplier: int) -> None:
    assert physical_value(value, "W") == {"Multiplier": multiplier, "Unit": "W", "Value": digits}


@given(st.decimals(min_value=0, max_value=32_767_000, allow_nan=False, places=3))
def test_never_more_than_the_value_and_close_to_it(value: Decimal) -> None:
    sent = physical_value(value, "W")
    offered = decimal_value(sent["Value"], sent["Multiplier"])
    assert offered <= value
    assert value - offered <= max(Decimal("0.001"), value / 3000)


def test_what_no_physical_value_can_hold() -> None:
    with pytest.raises(OverflowError):
        physical_value(Decimal(10) ** 9, "W")
