"""Several EVSEs under one limit for each phase of the site's supply: who may draw how much. Pure.

`allot` says what would be right; `Sharing` leads there so that the limit is not exceeded for a moment. It lowers first:
what an EVSE gives up is free only once its vehicle has been told (by the pilot's duty or a V2G response) and has
followed, which its meter shows, or 5 s after it was told (IEC 61851-1 table A.6, sequence 6). Then it raises others.

Right is: everybody at the connector gets the least a vehicle can charge with, then what it needs to be done in time,
then what is left, always in equal steps (max-min fairness over the phases each one loads). Where the least is too much
for all, they take turns: who has been served the shortest comes first, so nobody starves. What vehicles leave is kept
in readiness for connectors without one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import floor, inf

from firmware.limits import MINIMUM_A
from hal.quantities import EvseId

PhaseAmps = tuple[float, float, float]
"""L1, L2, L3 of the site's supply."""

FOLLOW_S = 5.0
"""How long a vehicle may take to follow what it was told."""
TURN_S = 900.0
"""How long an EVSE keeps its turn where not all can be served."""
WORTH_A = 0.5
"""A rise of less is not worth a change of the pilot's duty."""
TOLERANCE_A = 0.5
"""How far above its limit a meter may read a vehicle that follows it (IEC 61851-1 allows for the pilot's own error)."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one EVSE can make of current, per phase."""

    present: bool = False
    """A vehicle is at the connector and may charge."""
    least_a: float = MINIMUM_A
    most_a: float = inf
    useful_a: float = inf
    """The vehicle's own maximum: more is granted only where nobody else can use it."""
    needed_a: float | None = None
    """The current that brings the vehicle its energy by its departure; None: it did not say."""


@dataclass(frozen=True, slots=True)
class Grant:
    evse: EvseId
    limit_a: float


@dataclass(slots=True)
class _Share:
    """How one EVSE stands."""

    phases: tuple[int, ...]
    demand: Demand = Demand()
    granted_a: float = 0.0
    holds_a: float = 0.0
    """What its vehicle must be taken to draw: above `granted_a` until it has followed."""
    shown_a: float = 0.0
    """What the vehicle was told last, by pilot or V2G."""
    taken: bool = True
    """Whether the EVSE has taken `granted_a` over."""
    told_at_s: float | None = None
    """Since when the vehicle knows of a limit no higher than `granted_a`."""
    drawn_a: float = 0.0
    drawn_at_s: float = -inf
    served_s: float = 0.0
    """Of this vehicle's time here."""


@dataclass(slots=True)
class _Filling:
    """Raises currents in equal steps, each up to its own top, until the phases are full."""

    room: list[float]
    phases: Mapping[EvseId, tuple[int, ...]]
    given: dict[EvseId, float] = field(default_factory=dict)

    def fits(self, evse: EvseId, amps: float) -> bool:
        return all(self.room[phase] >= amps - 1e-9 for phase in self.phases[evse])

    def give(self, evse: EvseId, amps: float) -> None:
        self.given[evse] = self.given.get(evse, 0.0) + amps
        for phase in self.phases[evse]:
            self.room[phase] -= amps

    def fill(self, tops: Mapping[EvseId, float]) -> None:
        rising = {evse for evse, top in tops.items() if top > self.given.get(evse, 0.0)}
        while rising:
            step = min(
                *(tops[evse] - self.given.get(evse, 0.0) for evse in rising),
                *(
                    self.room[phase] / users
                    for phase in range(3)
                    if (users := sum(phase in self.phases[evse] for evse in rising))
                ),
            )
            for evse in rising:
                self.give(evse, max(step, 0.0))
            rising = {
                evse
                for evse in rising
                if tops[evse] - self.given[evse] > 1e-6 and min(self.room[phase] for phase in self.phases[evse]) > 1e-6
            }


def allot(
    limit: PhaseAmps,
    demands: Mapping[EvseId, Demand],
    phases: Mapping[EvseId, tuple[int, ...]],
    order: Sequence[EvseId],
) -> dict[EvseId, float]:
    """What is right for each. `order` says who comes first where the least is too much for all."""
    filling = _Filling(list(limit), phases)
    served = []
    for evse in order:
        least = demands[evse].least_a
        if demands[evse].present and demands[evse].most_a >= least and filling.fits(evse, least):
            filling.give(evse, least)
            served.append(evse)
    fair = min(limit) / max(len(served), 1)
    useful = {evse: min(demands[evse].useful_a, demands[evse].most_a) for evse in served}
    needed = {evse: fair if (said := demands[evse].needed_a) is None else said for evse in served}
    filling.fill({evse: min(needed[evse], useful[evse]) for evse in served})
    filling.fill(useful)
    filling.fill({evse: demands[evse].most_a for evse in served})
    spare = [evse for evse in order if not demands[evse].present]
    filling.fill({evse: demands[evse].most_a for evse in spare})
    return {evse: _grantable(filling.given.get(evse, 0.0), demands[evse]) for evse in order}


def _grantable(amps: float, demand: Demand) -> float:
    """The vehicle's own limit to the last digit, else whole tenths; less than the least is nothing."""
    exact = demand.most_a if amps >= demand.most_a - 1e-6 else floor(amps * 10 + 1e-6) / 10
    return exact if exact >= demand.least_a else 0.0


class Sharing:
    """`phases` names the site's phases (0 to 2) that each EVSE loads.

    Tell it what happens, then `step`: the grants are to be carried out in their order. `deadline` says when to `step`
    though nothing happens.
    """

    def __init__(self, phases: Mapping[EvseId, tuple[int, ...]], limit: PhaseAmps) -> None:
        self._shares = {evse: _Share(loaded) for evse, loaded in phases.items()}
        self._phases = dict(phases)
        self._limit = limit
        self._turn_ends_s = -inf
        self._order = list(phases)
        self._stepped_s: float | None = None

    # --- What happens ---

    def set_limit(self, limit: PhaseAmps) -> None:
        self._limit = limit

    def demand(self, evse: EvseId, demand: Demand) -> None:
        share = self._shares[evse]
        if demand.present and not share.demand.present:
            share.served_s = 0.0
        share.demand = demand

    def taken(self, evse: EvseId, limit_a: float, now: float) -> None:
        """The EVSE has taken a grant over: whatever it offers from now on is within it."""
        share = self._shares[evse]
        if limit_a == share.granted_a:
            share.taken = True
            self._see(share, now)

    def shown(self, evse: EvseId, limit_a: float, now: float) -> None:
        """The vehicle has been told this limit."""
        share = self._shares[evse]
        share.shown_a = limit_a
        self._see(share, now)

    def drawn(self, evse: EvseId, amps: float, at_s: float) -> None:
        """The highest of the phases' currents, as measured at `at_s`."""
        share = self._shares[evse]
        share.drawn_a, share.drawn_at_s = amps, at_s

    @staticmethod
    def _see(share: _Share, now: float) -> None:
        if share.told_at_s is None and share.taken and share.shown_a <= share.granted_a + 0.05:
            share.told_at_s = now

    # --- What follows ---

    def step(self, now: float) -> list[Grant]:
        """The grants that change: first what is taken away, then what others get by what has become free."""
        self._count(now)
        self._release(now)
        right = allot(self._limit, {evse: s.demand for evse, s in self._shares.items()}, self._phases, self._turns(now))
        return [*self._lower(right), *self._raise(right)]

    def deadline(self) -> float | None:
        due = [s.told_at_s + FOLLOW_S for s in self._shares.values() if s.told_at_s is not None and not _follows(s)]
        if any(s.demand.present for s in self._shares.values()):
            due.append(self._turn_ends_s)
        return min(due, default=None)

    @property
    def granted(self) -> dict[EvseId, float]:
        return {evse: share.granted_a for evse, share in self._shares.items()}

    def ceiling_a(self, evse: EvseId) -> float:
        """What the EVSE could be granted were it alone."""
        return min(self._limit[phase] for phase in self._shares[evse].phases)

    def load(self) -> PhaseAmps:
        """What the vehicles must be taken to draw from each phase, and no more."""
        held = [sum(s.holds_a for s in self._shares.values() if phase in s.phases) for phase in range(3)]
        return held[0], held[1], held[2]

    def _count(self, now: float) -> None:
        passed = 0.0 if self._stepped_s is None else now - self._stepped_s
        self._stepped_s = now
        for share in self._shares.values():
            if share.demand.present and share.granted_a > 0:
                share.served_s += passed

    def _release(self, now: float) -> None:
        for share in self._shares.values():
            if _follows(share) or share.told_at_s is None:
                continue
            seen = share.drawn_at_s >= share.told_at_s and share.drawn_a <= share.granted_a + TOLERANCE_A
            if seen or now >= share.told_at_s + FOLLOW_S:
                share.holds_a = share.granted_a

    def _turns(self, now: float) -> list[EvseId]:
        """Who is served keeps its turn until it ends, unless the limit no longer bears it."""
        over = now >= self._turn_ends_s

        def key(evse: EvseId) -> tuple[bool, float, float, int]:
            share = self._shares[evse]
            keeps = share.granted_a > 0 and not over
            needed = share.demand.needed_a or 0.0
            return not keeps, share.served_s, -needed, int(evse)

        if over:
            self._turn_ends_s = now + TURN_S
        self._order = sorted(self._shares, key=key)
        return self._order

    def _lower(self, right: Mapping[EvseId, float]) -> Iterable[Grant]:
        for evse, share in self._shares.items():
            if right[evse] < share.granted_a:
                share.granted_a = right[evse]
                share.taken, share.told_at_s = False, None
                yield Grant(evse, share.granted_a)

    def _raise(self, right: Mapping[EvseId, float]) -> Iterable[Grant]:
        """Only in full, by what is free: one change of the pilot's duty instead of two."""
        for evse in self._order:
            share, wanted = self._shares[evse], right[evse]
            if wanted < share.granted_a + WORTH_A or wanted > share.holds_a + self._free(share) + 1e-6:
                continue
            share.granted_a = wanted
            share.holds_a = max(share.holds_a, wanted)
            share.taken, share.told_at_s = False, None
            yield Grant(evse, wanted)

    def _free(self, share: _Share) -> float:
        load = self.load()
        return min(self._limit[phase] - load[phase] for phase in share.phases)


def _follows(share: _Share) -> bool:
    return share.holds_a <= share.granted_a
