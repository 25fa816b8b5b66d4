"""From what the vehicle asks to what the supply is told: pre-charge at its voltage with little current, then the target
with a rising ramp. Pure.

A current that shall fall falls at once: the vehicle knows why, and less is never dangerous. One that shall rise rises
by `RAMP_A_PER_S`. In an orderly stop the current falls by the same ramp.
"""

from dataclasses import dataclass

from hal.dc.ports import OFF, SupplyCapabilities, SupplyMode, SupplySetpoint
from hal.dc.thresholds import CABLE_CHECK_CURRENT_A, PRE_CHARGE_TOLERANCE_V, RAMP_A_PER_S


@dataclass(frozen=True, slots=True)
class Target:
    """What the vehicle asks for. A negative current flows out of it."""

    voltage_v: float = 0.0
    current_a: float = 0.0


NOTHING = Target()


def pre_charge(target: Target, output: SupplyCapabilities) -> SupplySetpoint:
    """The vehicle's voltage, at no more current than matching two voltages takes."""
    if target.voltage_v <= 0:
        return OFF
    return SupplySetpoint(SupplyMode.EXPORT, min(target.voltage_v, output.max_voltage_v), CABLE_CHECK_CURRENT_A)


def matched(target: Target, present_v: float) -> bool:
    """Whether the vehicle may close its contactors, or already has."""
    return target.voltage_v > 0 and abs(present_v - target.voltage_v) <= PRE_CHARGE_TOLERANCE_V


class Ramp:
    """The current that is set now, signed as the target's."""

    def __init__(self) -> None:
        self.current_a = 0.0
        self._at_s: float | None = None

    def rest(self) -> None:
        self.current_a = 0.0
        self._at_s = None

    def follow(self, wanted_a: float, now: float) -> float:
        passed_s = 0.0 if self._at_s is None else max(0.0, now - self._at_s)
        self._at_s = now
        step_a = RAMP_A_PER_S * passed_s
        if self.current_a * wanted_a < 0:
            self.current_a = 0.0  # Through nothing to the other direction.
        if abs(wanted_a) <= abs(self.current_a):
            self.current_a = wanted_a
        else:
            self.current_a = max(
                -abs(wanted_a), min(abs(wanted_a), self.current_a + (step_a if wanted_a > 0 else -step_a))
            )
        return self.current_a

    def fall(self, now: float) -> float:
        """An orderly stop."""
        passed_s = 0.0 if self._at_s is None else max(0.0, now - self._at_s)
        self._at_s = now
        left_a = max(0.0, abs(self.current_a) - RAMP_A_PER_S * passed_s)
        self.current_a = left_a if self.current_a > 0 else -left_a
        return self.current_a


def setpoint(voltage_v: float, current_a: float, output: SupplyCapabilities, max_power_w: float) -> SupplySetpoint:
    """Cut to what the output can, and what it may now."""
    voltage_v = min(voltage_v, output.max_voltage_v)
    if voltage_v <= 0:
        return OFF
    if current_a < 0:
        most_a = min(output.max_import_current_a, output.max_import_power_w / voltage_v)
        return SupplySetpoint(SupplyMode.IMPORT, voltage_v, min(-current_a, most_a)) if most_a > 0 else OFF
    return SupplySetpoint(SupplyMode.EXPORT, voltage_v, min(current_a, output.max_current_a, max_power_w / voltage_v))
