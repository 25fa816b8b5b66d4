"""What charging profiles allow at a moment: OCPP 2.0.1 part 2, block K, without state.

Times are whole seconds of Unix time: a profile's own times are cut to them, so that every boundary is exact and a
composite schedule, which counts in seconds, can say what holds. Limits keep their unit: a limit in A bounds each phase,
one in W all phases together, and both may hold at once. Where a profile has no period at a moment, the one below it in
the stack holds.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ocpp_client.wire import Payload, parse_time

_RECURRENCE_S = {"Daily": 86_400, "Weekly": 7 * 86_400}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def unix(at: datetime) -> int:
    """The whole second `at` lies in."""
    return (at - _EPOCH) // timedelta(seconds=1)


def from_unix(seconds: int) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Supply:
    """An EVSE's output, as far as W and A relate by it; the voltage is phase to neutral."""

    phases: int
    voltage_v: float
    max_current_a: float = 1000.0
    """Its rating per phase: what holds where nothing limits."""
    dc: bool = False
    switches_phases: bool = False
    discharges: bool = False
    """Whether a limit below 0 is a set-point for a vehicle that can feed back."""

    def power_w(self, current_a: float, phases: int | None = None) -> float:
        return current_a * self.voltage_v * (phases or self.phases)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one profile, or several together, allow; `until` (Unix seconds) is when that may change, None for never."""

    current_a: float | None = None
    """Per phase."""
    power_w: float | None = None
    """In all."""
    phases: int | None = None
    phase_to_use: int | None = None
    least_current_a: float | None = None
    """minChargingRate, of the profile that holds: below it the vehicle charges badly."""
    least_power_w: float | None = None
    until: int | None = None

    @property
    def limits(self) -> bool:
        return self.current_a is not None or self.power_w is not None

    def limit_a(self, supply: Supply) -> float | None:
        """Per phase, in the phases that may be used."""
        by_power = None if self.power_w is None else self.power_w / supply.power_w(1.0, self._phases(supply))
        return _least(self.current_a, by_power)

    def limit_w(self, supply: Supply) -> float | None:
        by_current = None if self.current_a is None else supply.power_w(self.current_a, self._phases(supply))
        return _least(self.power_w, by_current)

    def least_a(self, supply: Supply) -> float:
        """minChargingRate per phase; 0 for none."""
        by_power = (self.least_power_w or 0.0) / supply.power_w(1.0, self._phases(supply))
        return max(self.least_current_a or 0.0, by_power)

    def _phases(self, supply: Supply) -> int:
        return min(self.phases or supply.phases, supply.phases)


@dataclass(frozen=True, slots=True)
class Period:
    start_s: int
    limit: float
    phases: int | None
    phase_to_use: int | None


@dataclass(frozen=True, slots=True)
class Schedule:
    number: int
    start: int | None
    duration_s: int | None
    in_watts: bool
    least: float | None
    periods: tuple[Period, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """A ChargingProfileType as it is calculated with. Of several schedules the vehicle's choice holds, or the first."""

    purpose: str
    stack_level: int
    valid_from: int | None
    valid_to: int | None
    relative: bool
    recurrence_s: int | None
    schedules: tuple[Schedule, ...]

    @classmethod
    def of(cls, payload: Payload) -> "Profile":
        kind = payload["chargingProfileKind"]
        return cls(
            purpose=payload["chargingProfilePurpose"],
            stack_level=payload["stackLevel"],
            valid_from=_time(payload, "validFrom"),
            valid_to=_time(payload, "validTo"),
            relative=kind == "Relative",
            recurrence_s=_RECURRENCE_S[payload["recurrencyKind"]] if kind == "Recurring" else None,
            schedules=tuple(_schedule(schedule) for schedule in payload["chargingSchedule"]),
        )

    def at(self, moment: int, relative_to: int | None, chosen: int | None = None) -> Allowance:
        """What it says at `moment`; it limits nothing where it has no period. `chosen` is a schedule's number.

        A relative profile with nothing to be relative to has not begun: its first period holds, no end in sight.
        """
        if self.valid_from is not None and moment < self.valid_from:
            return Allowance(until=self.valid_from)
        if self.valid_to is not None and moment >= self.valid_to:
            return Allowance()
        schedule = next((item for item in self.schedules if item.number == chosen), self.schedules[0])
        allowance = self._scheduled(schedule, moment, relative_to)
        return replace(allowance, until=earliest(allowance.until, self.valid_to))

    def _scheduled(self, schedule: Schedule, moment: int, relative_to: int | None) -> Allowance:
        start = relative_to if self.relative else schedule.start
        if start is None:
            return replace(_period(schedule, moment, None, moment), until=None)
        if moment < start:
            return Allowance(until=start)
        again = None
        if self.recurrence_s is not None:
            start += (moment - start) // self.recurrence_s * self.recurrence_s
            again = start + self.recurrence_s
        over = None if schedule.duration_s is None else start + schedule.duration_s
        end = earliest(over, again)
        if end is not None and moment >= end:
            return Allowance(until=again)
        return _period(schedule, start, end, moment)


def _period(schedule: Schedule, start: int, end: int | None, moment: int) -> Allowance:
    current, change = schedule.periods[0], end
    for period in schedule.periods:
        if start + period.start_s > moment:
            change = earliest(start + period.start_s, end)
            break
        current = period
    return Allowance(
        current_a=None if schedule.in_watts else current.limit,
        power_w=current.limit if schedule.in_watts else None,
        phases=current.phases,
        phase_to_use=current.phase_to_use,
        least_current_a=None if schedule.in_watts else schedule.least,
        least_power_w=schedule.least if schedule.in_watts else None,
        until=change,
    )


def stack_allowance(said: Iterable[tuple[int, Allowance]]) -> Allowance:
    """Of one purpose, each with its profile's stack level: the highest that says something."""
    until = None
    for _, allowance in sorted(said, key=lambda entry: -entry[0]):
        until = earliest(until, allowance.until)
        if allowance.limits:
            return replace(allowance, until=until)
    return Allowance(until=until)


def together(allowances: Iterable[Allowance]) -> Allowance:
    """All of them at once: the lowest current, the lowest power, the fewest phases."""
    result = Allowance()
    for one in allowances:
        result = Allowance(
            current_a=_least(result.current_a, one.current_a),
            power_w=_least(result.power_w, one.power_w),
            phases=_fewest(result.phases, one.phases),
            phase_to_use=result.phase_to_use or one.phase_to_use,
            least_current_a=_first(result.least_current_a, one.least_current_a),
            least_power_w=_first(result.least_power_w, one.least_power_w),
            until=earliest(result.until, one.until),
        )
    return result


def earliest(*times: int | None) -> int | None:
    return min((at for at in times if at is not None), default=None)


def _least(*values: float | None) -> float | None:
    return min((value for value in values if value is not None), default=None)


def _fewest(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _schedule(payload: Payload) -> Schedule:
    return Schedule(
        number=payload["id"],
        start=_time(payload, "startSchedule"),
        duration_s=payload.get("duration"),
        in_watts=payload["chargingRateUnit"] == "W",
        least=payload.get("minChargingRate"),
        periods=tuple(
            Period(period["startPeriod"], float(period["limit"]), period.get("numberPhases"), period.get("phaseToUse"))
            for period in payload["chargingSchedulePeriod"]
        ),
    )


def _time(payload: Payload, name: str) -> int | None:
    return None if payload.get(name) is None else unix(parse_time(payload[name]))
