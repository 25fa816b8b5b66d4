"""The cable check: is there a short circuit, does the monitor work, is the insulation good, at the vehicle's voltage?

    SHORT_TEST -> RAMP_UP -> SELF_TEST -> MEASURE -> RAMP_DOWN -> DONE

Each step has its time, and the whole has `CABLE_CHECK_LIMIT_S`; what does not come in time is a failed check, as is a
bad value. The order has reasons: a short circuit shows at little voltage, before there is enough for an arc; a monitor
proves itself at the test voltage, before its word counts; and the vehicle finds the cable dead again when it goes on.
The contactor is closed, and kept so, by whoever drives this. Pure.
"""

from enum import Enum

from hal.dc.ports import OFF, Insulation, InsulationReading, SelfTest, SupplyMode, SupplySetpoint
from hal.dc.seen import Seen
from hal.dc.thresholds import (
    CABLE_CHECK_CURRENT_A,
    CABLE_CHECK_LIMIT_S,
    CABLE_CHECK_RAMP_S,
    CABLE_CHECK_TOLERANCE_V,
    INSULATION_FAULT_KOHM,
    MEASUREMENTS,
    SAFE_V,
    SHORT_CIRCUIT_OHM,
    SHORT_CIRCUIT_S,
    SHORT_CIRCUIT_TEST_V,
)


class Step(Enum):
    SHORT_TEST = "short-circuit test"
    RAMP_UP = "voltage up"
    SELF_TEST = "self-test of the insulation monitor"
    MEASURE = "insulation measurement"
    RAMP_DOWN = "voltage down"
    DONE = "done"


NEXT: dict[Step, Step] = {
    Step.SHORT_TEST: Step.RAMP_UP,
    Step.RAMP_UP: Step.SELF_TEST,
    Step.SELF_TEST: Step.MEASURE,
    Step.MEASURE: Step.RAMP_DOWN,
    Step.RAMP_DOWN: Step.DONE,
}

STEP_LIMIT_S: dict[Step, float] = {Step.RAMP_UP: CABLE_CHECK_RAMP_S, Step.RAMP_DOWN: CABLE_CHECK_RAMP_S}


class CableCheck:
    """One check. `advance` until it is `over`; then `insulation` is VALID, or FAULT with a `failure`."""

    def __init__(self, check_id: str, voltage_v: float, now: float) -> None:
        self.check_id = check_id
        self.voltage_v = voltage_v
        self.insulation = Insulation.UNKNOWN
        self.failure = ""
        self.step = Step.SHORT_TEST
        self.lowest_kohm: float | None = None
        self._began_s = now
        self._step_at_s = now
        self._self_test_seen = False
        self._counted: InsulationReading | None = None
        self._good = 0

    @property
    def over(self) -> bool:
        return self.step is Step.DONE or bool(self.failure)

    @property
    def wants_self_test(self) -> bool:
        """Until the monitor is seen at it."""
        return self.step is Step.SELF_TEST and not self._self_test_seen

    @property
    def setpoint(self) -> SupplySetpoint:
        if self.over or self.step is Step.RAMP_DOWN:
            return OFF
        voltage_v = min(SHORT_CIRCUIT_TEST_V, self.voltage_v) if self.step is Step.SHORT_TEST else self.voltage_v
        return SupplySetpoint(SupplyMode.EXPORT, voltage_v, CABLE_CHECK_CURRENT_A)

    def advance(self, seen: Seen, now: float) -> None:
        if self.over:
            return
        if now - self._began_s >= CABLE_CHECK_LIMIT_S:
            self._fail(f"not done after {CABLE_CHECK_LIMIT_S:.0f} s: {self.step.value}")
            return
        passed = self._passed(seen, now)
        if self.failure:
            return
        limit_s = STEP_LIMIT_S.get(self.step)
        if passed:
            self._counted = seen.insulation
            self._go_on(now)
        elif limit_s is not None and now - self._step_at_s >= limit_s:
            self._fail(f"{self.step.value}: {seen.present_v(now):.0f} V after {limit_s:.0f} s")

    def _go_on(self, now: float) -> None:
        self.step = NEXT[self.step]
        self._step_at_s = now
        if self.step is Step.DONE:
            self.insulation = Insulation.VALID

    def _fail(self, why: str) -> None:
        self.failure = why
        self.insulation = Insulation.FAULT

    def _passed(self, seen: Seen, now: float) -> bool:
        step = self.step
        if step is Step.SHORT_TEST:
            return self._no_short(seen, now)
        if step is Step.RAMP_UP:
            return self._has_taken(seen) and abs(seen.present_v(now) - self.voltage_v) <= CABLE_CHECK_TOLERANCE_V
        if step is Step.SELF_TEST:
            return self._self_tested(seen)
        if step is Step.MEASURE:
            return self._measured(seen)
        self._measured(seen)  # A value that comes now is as good a reason to fail.
        volts = seen.touchable_v(now)
        return volts is not None and volts < SAFE_V

    def _has_taken(self, seen: Seen) -> bool:
        """Whether the supply's last word is about this step."""
        return seen.supply is not None and seen.supply.taken_at_s > self._step_at_s

    def _no_short(self, seen: Seen, now: float) -> bool:
        if seen.supply is None or not self._has_taken(seen):
            return False
        volts, amps = seen.supply.voltage_v, abs(seen.supply.current_a)
        if volts >= self.setpoint.voltage_v - CABLE_CHECK_TOLERANCE_V:
            return True
        if now - self._step_at_s < SHORT_CIRCUIT_S:
            return False
        if amps > 0 and volts / amps < SHORT_CIRCUIT_OHM:
            self._fail(f"short circuit: {volts:.0f} V at {amps:.1f} A")
        # A supply that is only slow has the next step's time.
        return not self.failure

    def _self_tested(self, seen: Seen) -> bool:
        found = seen.insulation
        if found is None or found.taken_at_s <= self._step_at_s:
            return False
        if found.self_test is SelfTest.RUNNING:
            self._self_test_seen = True
        if not self._self_test_seen:
            return False
        if found.self_test is SelfTest.FAILED:
            self._fail("the insulation monitor failed its self-test")
        return found.self_test is SelfTest.PASSED

    def _measured(self, seen: Seen) -> bool:
        found = seen.insulation
        if found is None or found.resistance_kohm is None or found is self._counted:
            return False
        self._counted = found
        self.lowest_kohm = min(self.lowest_kohm or found.resistance_kohm, found.resistance_kohm)
        if found.resistance_kohm < INSULATION_FAULT_KOHM:
            self._fail(f"insulation of {found.resistance_kohm:.0f} kohm, {INSULATION_FAULT_KOHM:.0f} are needed")
            return False
        self._good += 1
        return self._good >= MEASUREMENTS
