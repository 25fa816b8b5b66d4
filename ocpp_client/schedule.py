"""What a charging profile allows at a moment: OCPP 2.0.1 part 2, block K, without state.

Times are UTC. A limit in W becomes A per phase by the phases and the nominal voltage. A schedule's own end is not an
end of limiting by itself: where a profile has no period at a moment, the one below it in the stack holds (K01, K08).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ocpp_client.wire import Payload, parse_time

_RECURRENCE = {"Daily": timedelta(days=1), "Weekly": timedelta(weeks=1)}


@dataclass(frozen=True, slots=True)
class Supply:
    """How W and A relate at an EVSE; phase to neutral."""

    phases: int
    voltage_v: float


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one profile, or several together, allow at a moment; `until` is when that may change, None for never."""

    limit_a: float | None
    phases: int | None
    until: datetime | None


def profile_allowance(profile: Payload, at: datetime, tx_started: datetime | None, supply: Supply) -> Allowance:
    """By one profile; `limit_a` None where it says nothing at `at`."""
    valid_from, valid_to = _time(profile, "validFrom"), _time(profile, "validTo")
    if valid_from is not None and at < valid_from:
        return Allowance(None, None, valid_from)
    if valid_to is not None and at >= valid_to:
        return Allowance(None, None, None)
    allowance = _within(profile, at, tx_started, supply)
    return Allowance(allowance.limit_a, allowance.phases, earliest(allowance.until, valid_to))


def _within(profile: Payload, at: datetime, tx_started: datetime | None, supply: Supply) -> Allowance:
    changes: list[datetime] = []
    for schedule in profile["chargingSchedule"]:
        start, end = _span(profile, schedule, at, tx_started)
        if start is None:
            continue
        if at < start:
            changes.append(start)
        elif end is None or at < end:
            return _period(schedule, start, end, at, supply)
        elif (recurrence := _recurrence(profile)) is not None:
            changes.append(start + recurrence)
    return Allowance(None, None, min(changes, default=None))


def _span(
    profile: Payload, schedule: Payload, at: datetime, tx_started: datetime | None
) -> tuple[datetime | None, datetime | None]:
    """Start and end of the schedule's run that concerns `at`."""
    start = tx_started if profile["chargingProfileKind"] == "Relative" else _time(schedule, "startSchedule")
    if start is None:
        return None, None
    recurrence = _recurrence(profile)
    if recurrence is not None and at >= start:
        start += recurrence * ((at - start) // recurrence)
    end = start + timedelta(seconds=schedule["duration"]) if schedule.get("duration") is not None else None
    if recurrence is not None:
        end = min(end, start + recurrence) if end is not None else start + recurrence
    return start, end


def _recurrence(profile: Payload) -> timedelta | None:
    if profile["chargingProfileKind"] != "Recurring":
        return None
    return _RECURRENCE[profile["recurrencyKind"]]


def _period(schedule: Payload, start: datetime, end: datetime | None, at: datetime, supply: Supply) -> Allowance:
    offset_s = (at - start).total_seconds()
    current = None
    for period in schedule["chargingSchedulePeriod"]:
        if period["startPeriod"] > offset_s:
            change = start + timedelta(seconds=period["startPeriod"])
            return _limit(schedule, current, supply, earliest(change, end))
        current = period
    return _limit(schedule, current, supply, end)


def _limit(schedule: Payload, period: Payload | None, supply: Supply, until: datetime | None) -> Allowance:
    if period is None:
        return Allowance(None, None, until)
    phases = min(period.get("numberPhases") or supply.phases, supply.phases)
    limit = float(period["limit"])
    if schedule["chargingRateUnit"] == "W":
        limit /= phases * supply.voltage_v
    return Allowance(max(limit, 0.0), phases, until)


def stack_allowance(
    profiles: Iterable[Payload], at: datetime, tx_started: datetime | None, supply: Supply
) -> Allowance:
    """By the profiles of one purpose: the highest stack level that says something at `at` (K01.FR.32)."""
    until = None
    for profile in sorted(profiles, key=lambda profile: -int(profile["stackLevel"])):
        allowance = profile_allowance(profile, at, tx_started, supply)
        until = earliest(until, allowance.until)
        if allowance.limit_a is not None:
            return Allowance(allowance.limit_a, allowance.phases, until)
    return Allowance(None, None, until)


def lowest(allowances: Sequence[Allowance]) -> Allowance:
    """The purposes together: the lowest of their limits."""
    until = earliest(*(allowance.until for allowance in allowances))
    limiting = [allowance for allowance in allowances if allowance.limit_a is not None]
    if not limiting:
        return Allowance(None, None, until)
    least = min(limiting, key=lambda allowance: allowance.limit_a or 0.0)
    return Allowance(least.limit_a, least.phases, until)


def earliest(*times: datetime | None) -> datetime | None:
    return min((at for at in times if at is not None), default=None)


def _time(payload: Payload, name: str) -> datetime | None:
    return None if payload.get(name) is None else parse_time(payload[name])
