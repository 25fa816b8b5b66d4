"""What is offered to a vehicle to plan with: the limits known ahead, and the operator's schedules within them."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from secc.ports import DcView, StationView
from secc.schedules import MAX_SCHEDULES, ChargingSchedule, LimitPeriod, ScheduleAnswer
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


@dataclass(frozen=True, slots=True)
class Series:
    """A value now, and what it changes to so many seconds from now, ascending."""

    first: float
    changes: tuple[tuple[float, float], ...] = ()

    def at(self, offset_s: float) -> float:
        return next((value for start_s, value in reversed(self.changes) if start_s <= offset_s), self.first)


def ac_offers(
    view: StationView, answer: ScheduleAnswer, *, phases: int, most_entries: int | None, now: float
) -> tuple[Offer, ...]:
    """The operator's schedules within the station's limits; without any, the limits themselves."""
    limits = Series(view.limit_a, _ahead(((period.from_s, period.limit_a) for period in view.schedule), now))

    def entry(start_s: int, limit_a: float) -> OfferEntry:
        watts = Decimal(repr(limit_a)) * Decimal(repr(view.nominal_voltage_v)) * phases
        return OfferEntry(start_s, limit_a, _sent_w(watts))

    def planned(schedule: ChargingSchedule) -> Series:
        return _series(((period.from_s, period.limit_a) for period in schedule.periods), now)

    if not answer.schedules:
        steps = _steps([limits], most_entries)
        return (Offer(TUPLE_ID, now, tuple(entry(*step) for step in steps)),)
    return tuple(
        Offer(
            schedule.tuple_id,
            now,
            tuple(entry(*step) for step in _steps([limits, planned(schedule)], most_entries)),
            planned=True,
        )
        for schedule in answer.schedules[:MAX_SCHEDULES]
    )


def dc_offers(
    view: StationView, dc: DcView, answer: ScheduleAnswer, *, most_entries: int | None, now: float
) -> tuple[Offer, ...]:
    """The output's power as it is and will be, and the operator's schedules within it."""
    limits = Series(dc.max_power_w, _ahead(_powers(view.schedule), now))

    def entry(start_s: int, power_w: float) -> OfferEntry:
        return OfferEntry(start_s, dc.max_current_a, _sent_w(Decimal(repr(power_w))))

    def offer(tuple_id: int, series: Sequence[Series], planned: bool) -> Offer:
        return Offer(tuple_id, now, tuple(entry(*step) for step in _steps(series, most_entries)), planned)

    if not answer.schedules:
        return (offer(TUPLE_ID, [limits], False),)
    return tuple(
        offer(schedule.tuple_id, [limits, _series(_powers(schedule.periods), now)], True)
        for schedule in answer.schedules[:MAX_SCHEDULES]
    )


def _powers(periods: Iterable[LimitPeriod]) -> Iterable[tuple[float, float]]:
    return ((period.from_s, period.power_w) for period in periods if period.power_w is not None)


def _series(periods: Iterable[tuple[float, float]], now: float) -> Series:
    """Of a schedule: what has begun holds now; before its first period nothing is limited by it."""
    known = list(periods)
    begun = [value for from_s, value in known if from_s <= now]
    return Series(begun[-1] if begun else math.inf, _ahead(known, now))


def _ahead(periods: Iterable[tuple[float, float]], now: float) -> tuple[tuple[float, float], ...]:
    return tuple((from_s - now, value) for from_s, value in periods if now < from_s < now + SCHEDULE_DURATION_S)


def _steps(series: Sequence[Series], most_entries: int | None) -> list[tuple[int, float]]:
    """(start in whole seconds, limit), each limit other than the one before.

    Each second is offered the lowest limit within it: rounding must promise nothing. What exceeds the entries a vehicle
    can take is offered at its lowest.
    """
    changes = sorted({0.0, *(start_s for one in series for start_s, _ in one.changes)})
    limits = [min(one.at(offset_s) for one in series) for offset_s in changes]
    steps: list[tuple[int, float]] = []
    for second in sorted({whole for change in changes for whole in (math.floor(change), math.ceil(change))}):
        first, end = bisect_right(changes, second) - 1, bisect_left(changes, second + 1)
        lowest = min(limits[first:end])
        if not steps or lowest != steps[-1][1]:
            steps.append((second, lowest))
    room = max(1, min(most_entries or MAX_ENTRIES, MAX_ENTRIES))
    if len(steps) > room:
        steps = [*steps[: room - 1], (steps[room - 1][0], min(limit for _, limit in steps[room - 1 :]))]
    return steps


def _sent_w(watts: Decimal) -> Decimal:
    """What a PhysicalValue can say of it, so that a plan is compared with what was really offered."""
    sent = physical_value(watts, "W")
    return decimal_value(sent["Value"], sent["Multiplier"])


def wants_renegotiation(session: Session, view: StationView, now: float) -> bool:
    """Whether the operator has another schedule, or the vehicle planned with clearly less than it could draw now.

    Not if it was told lately.
    """
    asked = session.renegotiation_asked_s
    if session.offer is None or (asked is not None and now - asked < RENEGOTIATION_INTERVAL_S):
        return False
    if view.renegotiation_id != session.renegotiation_id:
        return True
    if view.dc is not None or session.offer.planned:
        return False
    return view.limit_a >= session.offer.limit_a(now) + WORTHWHILE_RISE_A
