"""Profiles over a span of time: the schedule that results of them all (GetCompositeSchedule, K08). Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from ocpp_client.profile_rules import ProfileRefused
from ocpp_client.profiles import Profiles
from ocpp_client.schedule import Allowance, Supply, earliest, from_unix, unix
from ocpp_client.wire import Payload, format_time

MAX_COMPOSITE_PERIODS = 256
MAX_BOUNDARIES = 1000
"""More periods, or moments at which one profile or another changes, are not computed at once: a year of profiles that
recur would hold up the link. The schedule's duration then ends where they do."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` (Unix seconds) until `until` (None: for ever) the same holds."""

    start: int
    until: int | None
    allowance: Allowance


def spans(profiles: Profiles, evse_id: int, start: int, *, begun: bool = True) -> Iterator[Span]:
    """What holds for an EVSE from `start` on, without end where a profile recurs.

    `begun`: what is relative to a transaction that has not begun is taken to begin at `start`.
    """
    at: int | None = start
    while at is not None:
        allowance = profiles.allowance(evse_id, at, asked_at=start if begun else None)
        yield Span(at, allowance.until, allowance)
        at = allowance.until


def composite(profiles: Profiles, evse_id: int, at: datetime, duration_s: int, unit: str | None) -> Payload:
    """GetCompositeSchedule's CompositeScheduleType from the second of `at` on. Raises ProfileRefused.

    Never above what holds: a limit is rounded down to OCPP's one decimal. Where nothing limits, the EVSE's rating does;
    the station may draw what its EVSEs may in all, as far as its own limits allow.
    """
    if not 0 <= evse_id <= profiles.evse_count:
        raise ProfileRefused("UnknownEvse", f"no EVSE {evse_id}")
    supply = profiles.supply
    unit = unit or ("W" if supply.dc else "A")
    start = unix(at)
    end = start + duration_s
    moment, periods = start, list[Payload]()
    for _ in range(MAX_BOUNDARIES):
        if moment >= end or len(periods) == MAX_COMPOSITE_PERIODS:
            break
        limit, phases, until = _at(profiles, evse_id, moment, start, unit)
        period: Payload = {"startPeriod": moment - start, "limit": _rounded_down(limit)}
        if not supply.dc:
            period["numberPhases"] = phases
        if not periods or periods[-1] | {"startPeriod": 0} != period | {"startPeriod": 0}:
            periods.append(period)
        moment = end if until is None else min(until, end)
    return {
        "evseId": evse_id,
        "duration": moment - start,
        "scheduleStart": format_time(from_unix(start)),
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": periods,
    }


def _at(profiles: Profiles, evse_id: int, moment: int, start: int, unit: str) -> tuple[float, int, int | None]:
    """Limit, phases, and until when."""
    supply = profiles.supply
    if evse_id:
        allowance = profiles.allowance(evse_id, moment, asked_at=start)
        phases = min(allowance.phases or supply.phases, supply.phases)
        return _bounded(allowance, supply, unit), phases, allowance.until
    station = profiles.allowance(0, moment)
    each = [profiles.allowance(number, moment, asked_at=start) for number in range(1, profiles.evse_count + 1)]
    own = station.limit_a(supply) if unit == "A" else station.limit_w(supply)
    whole = sum(_bounded(allowance, supply, unit) for allowance in each)
    until = earliest(station.until, *(allowance.until for allowance in each))
    phases = min(station.phases or supply.phases, supply.phases)
    return whole if own is None else min(own, whole), phases, until


def _bounded(allowance: Allowance, supply: Supply, unit: str) -> float:
    """By the rating too, which is per phase."""
    phases = min(allowance.phases or supply.phases, supply.phases)
    if unit == "A":
        limit_a = allowance.limit_a(supply)
        return supply.max_current_a if limit_a is None else min(limit_a, supply.max_current_a)
    limit_w, rating_w = allowance.limit_w(supply), supply.power_w(supply.max_current_a, phases)
    return rating_w if limit_w is None else min(limit_w, rating_w)


def _rounded_down(limit: float) -> float:
    return math.floor(round(limit * 10, 6)) / 10
