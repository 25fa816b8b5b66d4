"""PhysicalValueType and RationalNumberType: a 16 bit value and a power of ten."""

from decimal import ROUND_DOWN, ROUND_FLOOR, Decimal
from typing import TypedDict

MIN_MULTIPLIER = -3
MAX_MULTIPLIER = 3
MAX_VALUE = 32767
MAX_EXPONENT = 9


class PhysicalValue(TypedDict):
    Multiplier: int
    Unit: str
    Value: int


def physical_value(value: float | Decimal, unit: str) -> PhysicalValue:
    """`value` exactly where 16 bits allow it; else rounded down, so that no limit is promised that does not hold.

    Vehicles compute with what they are offered: 16 A on three phases of 230 V is 11040 W, not 11.0 kW.
    """
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    for multiplier in range(MIN_MULTIPLIER, MAX_MULTIPLIER + 1):
        digits = (exact.scaleb(-multiplier)).to_integral_value(ROUND_FLOOR)
        if abs(digits) <= MAX_VALUE:
            return _without_trailing_zeros(int(digits), multiplier, unit)
    raise OverflowError(f"{value} {unit} is beyond any PhysicalValue")


def _without_trailing_zeros(digits: int, multiplier: int, unit: str) -> PhysicalValue:
    while multiplier < 0 and digits % 10 == 0:
        digits, multiplier = digits // 10, multiplier + 1
    return {"Multiplier": multiplier, "Unit": unit, "Value": digits}


class RationalNumber(TypedDict):
    """Of ISO 15118-20."""

    Exponent: int
    Value: int


def rational_number(value: float | Decimal) -> RationalNumber:
    """`value` exactly where 16 bits allow it; else rounded towards 0. Exponents as in `physical_value` suffice."""
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    for exponent in range(MIN_MULTIPLIER, MAX_EXPONENT + 1):
        digits = int(exact.scaleb(-exponent).to_integral_value(ROUND_DOWN))
        if abs(digits) <= MAX_VALUE:
            break
    else:
        raise OverflowError(f"{value} is beyond any electrical quantity")
    while exponent < 0 and digits % 10 == 0:
        digits, exponent = digits // 10, exponent + 1
    return {"Exponent": exponent, "Value": digits}


def decimal_value(value: int, multiplier: int) -> Decimal:
    return Decimal(value).scaleb(multiplier)
