"""What is offered to a vehicle to plan with: the limits that are known ahead, as power over time."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from decimal import Decimal

from secc.ports import DcView, LimitPeriod, StationView
from secc.v2g.quantities import decimal_value, physical_value
from secc.v2g.session import Offer, OfferEntry, Session
from secc.v2g.timing import RENEGOTIATION_INTERVAL_S

# A limit this far above what the schedule allows is worth a renegotiation; below, the limit in each response says all.
WORTHWHILE_RISE_A = 1.0

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


def wants_renegotiation(session: Session, view: StationView, now: float) -> bool:
    """Whether the vehicle planned with clearly less than it could draw now, and was not told lately."""
    if session.offer is None or view.dc is not None:
        return False
    if view.limit_a < session.offer.limit_a(now) + WORTHWHILE_RISE_A:
        return False
    asked = session.renegotiation_asked_s
    return asked is None or now - asked >= RENEGOTIATION_INTERVAL_S
