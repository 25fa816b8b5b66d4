"""Duty cycle and current of the control pilot: IEC 61851-1 tables A.7 (EVSE) and A.8 (vehicle)."""

import math

HLC_DUTY_PERCENT = 5.0
"""Asks for digital communication before anything else (table A.7)."""
MIN_CURRENT_A = 6.0
MAX_CURRENT_A = 80.0
_LINEAR_MAX_A = 51.0
_STEEP_MIN_A = 52.5
"""The second range starts here: 85 % reads 51 A, and 52.5 A would be 85 % again."""


def duty_for_current(limit_a: float) -> float:
    """The duty in percent, in steps of 0.01, that offers at most `limit_a` (6 to 80 A; more is offered as 80).

    Raises ValueError below 6 A: there is no such duty.
    """
    if limit_a < MIN_CURRENT_A:
        raise ValueError(f"no duty offers {limit_a} A")
    if limit_a <= _LINEAR_MAX_A:
        return _floor(limit_a / 0.6)
    if limit_a <= _STEEP_MIN_A:
        return 85.0
    return _floor(min(limit_a, MAX_CURRENT_A) / 2.5 + 64)


def current_for_duty(duty_percent: float) -> float:
    """What a vehicle may draw by this duty, in A; 0 where it offers none or leaves it to digital communication."""
    if duty_percent < 8 or duty_percent > 97:
        return 0.0
    if duty_percent < 10:
        return MIN_CURRENT_A
    if duty_percent <= 85:
        return duty_percent * 0.6
    return min((duty_percent - 64) * 2.5, MAX_CURRENT_A)


def is_valid_duty(duty_percent: float) -> bool:
    """Whether an EVSE may put this duty on the pilot."""
    return duty_percent == HLC_DUTY_PERCENT or 10 <= duty_percent <= 96


def _floor(duty_percent: float) -> float:
    # A duty is never rounded up: it would offer more than asked. The epsilon undoes binary fractions such as 6 / 0.6.
    return math.floor(duty_percent * 100 + 1e-6) / 100
