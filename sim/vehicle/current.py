"""How much a vehicle may draw: the lowest of what it can, what the messages say and what the pilot's duty says."""

import math
from dataclasses import dataclass, field, replace

MIN_CURRENT_A = 6.0
"""IEC 61851-1 knows no charging current between 0 and 6 A."""

DIGITAL_DUTY_PERCENT = (3.0, 7.0)
"""Within this the pilot sets no current: high-level communication does. IEC 61851-1 Table A.8 # unverified"""


def duty_limit_a(duty_percent: float) -> float:
    """The current per phase that a nominal duty cycle allows, 0 where it allows none.

    IEC 61851-1 Table A.8. # unverified: the edges between the ranges
    """
    if 8 <= duty_percent < 10:
        return MIN_CURRENT_A
    if 10 <= duty_percent <= 85:
        return duty_percent * 0.6
    if 85 < duty_percent <= 96:
        return (duty_percent - 64) * 2.5
    if 96 < duty_percent <= 97:
        return 80.0
    return 0.0


def is_digital(duty_percent: float) -> bool:
    """Whether the duty (nominally 5 %) asks for high-level communication."""
    low, high = DIGITAL_DUTY_PERCENT
    return low <= duty_percent <= high


@dataclass(frozen=True, slots=True)
class PowerSchedule:
    """PMaxSchedule of one SAScheduleTuple, ISO 15118-2 8.5.2.14: power of all phases together."""

    steps: tuple[tuple[float, float], ...]
    """(start in seconds since the schedule was received, PMax in W), ascending."""

    def power_w(self, elapsed_s: float) -> float:
        """PMax now; before the first step its own, as schedules begin at 0."""
        power_w = self.steps[0][1]
        for start_s, step_w in self.steps:
            if start_s <= elapsed_s:
                power_w = step_w
        return power_w


@dataclass(frozen=True, slots=True)
class Demand:
    """What binds the vehicle's current, per phase."""

    vehicle_max_a: float
    phases: int = 3
    voltage_v: float = 230.0
    """Phase to neutral."""
    evse_max_current_a: float | None = None
    """Of the last response that had an EVSEMaxCurrent."""
    schedule: PowerSchedule | None = None
    scheduled_at_s: float = field(default=0.0)
    """When the schedule was received, in monotonic seconds."""

    def with_schedule(self, schedule: PowerSchedule, now_s: float) -> "Demand":
        return replace(self, schedule=schedule, scheduled_at_s=now_s)

    def current_a(self, duty_percent: float, now_s: float) -> float:
        """Current per phase in A to draw now: 0, or 6 A and more."""
        limit_a = min(self.vehicle_max_a, self._schedule_limit_a(now_s))
        if self.evse_max_current_a is not None:
            limit_a = min(limit_a, self.evse_max_current_a)
        if not is_digital(duty_percent):
            limit_a = min(limit_a, duty_limit_a(duty_percent))
        return limit_a if limit_a >= MIN_CURRENT_A else 0.0

    def _schedule_limit_a(self, now_s: float) -> float:
        if self.schedule is None:
            return math.inf
        return self.schedule.power_w(now_s - self.scheduled_at_s) / (self.phases * self.voltage_v)
