"""What must hold while a DC output is on: every device awake, one voltage for all, good insulation. Pure.

`judge` tells all that is wrong. Whether a fault ends with its cause or stays is decided above (`hal.faults`).
"""

from hal.dc.ports import SupplyMode, SupplySetpoint
from hal.dc.seen import Seen
from hal.dc.thresholds import (
    INSULATION_FAULT_KOHM,
    OVER_CURRENT_FACTOR,
    OVER_CURRENT_OFFSET_A,
    OVER_CURRENT_S,
    SPREAD_S,
    SPREAD_V,
    TO_EARTH_READINGS,
    TO_EARTH_S,
    earth_limit,
)
from hal.ports import Fault
from hal.power_path import Stopwatch


class Supervision:
    def __init__(self, output_max_v: float, min_voltage_v: float) -> None:
        self._output_max_v = output_max_v
        self._min_voltage_v = min_voltage_v
        self._spread = Stopwatch()
        self._over_current = Stopwatch()
        self._to_earth = Stopwatch()
        self._to_earth_count = 0
        self._to_earth_at_s = float("-inf")

    def rest(self) -> None:
        """The output is off: nothing that was counted goes on."""
        self._spread.since_s = self._over_current.since_s = self._to_earth.since_s = None
        self._to_earth_count = 0

    def devices(self, seen: Seen, needs_monitor: bool, now: float) -> dict[Fault, str]:
        """What the devices say of themselves; and silence, where they are needed."""
        found = {}
        if seen.supply is None or not seen.supply_fresh(now):
            found[Fault.POWER_SUPPLY_FAILURE] = "the DC supply does not answer"
        elif seen.supply.fault:
            found[Fault.POWER_SUPPLY_FAILURE] = seen.supply.fault
        if seen.insulation is not None and seen.insulation.fault:
            found[Fault.ISOLATION_MONITOR_FAILURE] = seen.insulation.fault
        elif needs_monitor and not seen.insulation_fresh(now):
            found[Fault.ISOLATION_MONITOR_FAILURE] = "the insulation monitor does not answer"
        return found

    def judge(self, seen: Seen, told: SupplySetpoint, now: float) -> dict[Fault, str]:
        """Of an output that is connected to the vehicle, with the set-point the supply has."""
        found = {}
        if insulation := self._insulation(seen, now):
            found[Fault.RESISTANCE_FAULT] = insulation
        if spread := self._spread_of(seen, now):
            found[Fault.VOLTAGE_PLAUSIBILITY] = spread
        amps = seen.present_a(now)
        most_a = (told.current_a + OVER_CURRENT_OFFSET_A) * OVER_CURRENT_FACTOR
        self._over_current.run(told.mode is SupplyMode.EXPORT and amps > most_a, now)
        if self._over_current.due(OVER_CURRENT_S, now):
            found[Fault.OVER_CURRENT_FAILURE] = f"{amps:.1f} A, {told.current_a:.1f} A are set"
        return found

    def _spread_of(self, seen: Seen, now: float) -> str:
        volts = seen.outer_voltages(now)
        if seen.closed() and seen.supply is not None and seen.supply_fresh(now):
            volts.append(seen.supply.voltage_v)
        apart = len(volts) > 1 and max(volts) - min(volts) > SPREAD_V
        self._spread.run(apart, now)
        if self._spread.due(SPREAD_S, now):
            return f"devices measure {min(volts):.0f} to {max(volts):.0f} V"
        return ""

    def _insulation(self, seen: Seen, now: float) -> str:
        found = seen.insulation
        if found is None or not seen.insulation_fresh(now):
            return ""
        if found.resistance_kohm is not None and found.resistance_kohm < INSULATION_FAULT_KOHM:
            return f"insulation of {found.resistance_kohm:.0f} kohm"
        if found.taken_at_s > self._to_earth_at_s:
            self._to_earth_at_s = found.taken_at_s
            self._count_to_earth(seen, found.taken_at_s)
        if self._to_earth_count >= TO_EARTH_READINGS and self._to_earth.due(TO_EARTH_S, now):
            return f"{self._highest_to_earth(seen):.0f} V to earth"
        return ""

    def _count_to_earth(self, seen: Seen, at_s: float) -> None:
        volts = seen.insulation.voltage_v if seen.insulation else None
        # Below what the supply regulates, the two are not measured at one moment.
        high = (
            volts is not None
            and volts > self._min_voltage_v
            and self._highest_to_earth(seen) > earth_limit(volts, self._output_max_v)
        )
        self._to_earth.run(high, at_s)
        self._to_earth_count = self._to_earth_count + 1 if high else 0

    @staticmethod
    def _highest_to_earth(seen: Seen) -> float:
        found = seen.insulation
        if found is None:
            return 0.0
        return max(abs(found.positive_to_earth_v or 0.0), abs(found.negative_to_earth_v or 0.0))
