"""SAScheduleList: the limits that are known ahead, as PMax over time (clauses 8.5.2.12 to 8.5.2.15)."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from decimal import Decimal

from iso15118.shared.messages.iso15118_2.datatypes import SAScheduleList

from secc.ports import DcView, LimitPeriod, StationView
from secc.v2g.models import build
from secc.v2g.quantities import decimal_value, physical_value
from secc.v2g.session import Offer, OfferEntry

TUPLE_ID = 1

# A schedule must reach to the departure or, without one, over 24 hours [V2G2-305]; this is also the type's largest.
SCHEDULE_DURATION_S = 86_400

# PMaxSchedule's most entries; a vehicle may ask for fewer.
MAX_ENTRIES = 1024


def offer(view: StationView, *, phases: int, most_entries: int | None, now: float) -> Offer:
    """The limit now and as it will change. What exceeds the entries a vehicle can take is offered at its lowest."""
    steps = _steps(view, now)
    room = max(1, min(most_entries or MAX_ENTRIES, MAX_ENTRIES))
    if len(steps) > room:
        lowest = min(limit_a for _, limit_a in steps[room - 1 :])
        steps = [*steps[: room - 1], (steps[room - 1][0], lowest)]
    entries = (OfferEntry(start_s, limit_a, _p_max_w(view, limit_a, phases)) for start_s, limit_a in steps)
    return Offer(TUPLE_ID, now, tuple(entries))


def dc_offer(dc: DcView, now: float) -> Offer:
    """The output's power as it is now."""
    sent = physical_value(dc.max_power_w, "W")
    power_w = decimal_value(sent["Value"], sent["Multiplier"])
    return Offer(TUPLE_ID, now, (OfferEntry(0, dc.max_current_a, power_w),))


def sa_schedule_list(made: Offer) -> SAScheduleList:
    entries = [_entry(entry, last=entry is made.entries[-1]) for entry in made.entries]
    schedule = {"SAScheduleTupleID": made.tuple_id, "PMaxSchedule": {"PMaxScheduleEntry": entries}}
    return build(SAScheduleList, SAScheduleTuple=[schedule])


def _steps(view: StationView, now: float) -> list[tuple[int, float]]:
    """(start in whole seconds, limit), each limit other than the one before.

    Each second is offered the lowest limit within it: rounding must promise nothing.
    """
    ahead = _ahead(view.schedule, now)
    changes = [0.0, *(period.from_s - now for period in ahead)]
    limits = [view.limit_a, *(period.limit_a for period in ahead)]
    steps: list[tuple[int, float]] = []
    for second in sorted({whole for change in changes for whole in (math.floor(change), math.ceil(change))}):
        first, end = bisect_right(changes, second) - 1, bisect_left(changes, second + 1)
        lowest = min(limits[first:end])
        if not steps or lowest != steps[-1][1]:
            steps.append((second, lowest))
    return steps


def _ahead(periods: Sequence[LimitPeriod], now: float) -> list[LimitPeriod]:
    return [period for period in periods if now < period.from_s < now + SCHEDULE_DURATION_S]


def _p_max_w(view: StationView, limit_a: float, phases: int) -> Decimal:
    """What a PhysicalValue can say of it, so that a plan is compared with what was really offered."""
    sent = physical_value(Decimal(repr(limit_a)) * Decimal(repr(view.nominal_voltage_v)) * phases, "W")
    return decimal_value(sent["Value"], sent["Multiplier"])


def _entry(entry: OfferEntry, *, last: bool) -> dict[str, object]:
    interval = {"start": entry.start_s, **({"duration": SCHEDULE_DURATION_S} if last else {})}
    return {"PMax": physical_value(entry.p_max_w, "W"), "RelativeTimeInterval": interval}
