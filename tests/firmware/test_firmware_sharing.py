"""Shares of one limit: in virtual time, with vehicles that take their time to follow."""

import random
from collections.abc import Callable
from math import inf

import pytest

from firmware.sharing import FOLLOW_S, TURN_S, Demand, Grant, PhaseAmps, Sharing, allot
from hal.quantities import EvseId

ALL = (0, 1, 2)
PRESENT = Demand(True, most_a=32.0)


def ids(count: int) -> list[EvseId]:
    return [EvseId(number) for number in range(1, count + 1)]


def three(amps: float) -> PhaseAmps:
    return (amps, amps, amps)


def right(limit: PhaseAmps, *demands: Demand, phases: dict[int, tuple[int, ...]] | None = None) -> list[float]:
    evses = ids(len(demands))
    loads = {evse: (phases or {}).get(int(evse), ALL) for evse in evses}
    return list(allot(limit, dict(zip(evses, demands, strict=True)), loads, evses).values())


# --- What is right ---


def test_equal_vehicles_get_equal_shares() -> None:
    assert right(three(40.0), PRESENT, PRESENT, PRESENT, PRESENT) == [10.0] * 4


def test_what_one_cannot_use_is_the_others() -> None:
    assert right(three(40.0), Demand(True, most_a=8.0), PRESENT, PRESENT) == [8.0, 16.0, 16.0]
    small = Demand(True, most_a=32.0, useful_a=8.0)
    assert right(three(40.0), small, PRESENT, PRESENT) == [8.0, 16.0, 16.0]
    assert right(three(44.0), small, PRESENT) == [12.0, 32.0], "nobody else can use it"


def test_who_must_leave_soon_gets_what_it_needs_first() -> None:
    urgent, calm = Demand(True, most_a=32.0, needed_a=22.0), Demand(True, most_a=32.0, needed_a=3.0)
    assert right(three(40.0), urgent, calm, calm) == [24.0, 8.0, 8.0]
    assert right(three(36.0), urgent, PRESENT) == [18.0, 18.0], "one that said nothing is not the one to pay for it"


def test_where_the_least_is_too_much_for_all_the_first_are_served() -> None:
    assert right(three(20.0), PRESENT, PRESENT, PRESENT, PRESENT) == [6.6, 6.6, 6.6, 0.0]
    assert right(three(5.9), PRESENT) == [0.0]


def test_a_vehicle_that_charges_badly_below_its_least_is_not_served_below() -> None:
    assert right(three(20.0), PRESENT, Demand(True, least_a=15.0, most_a=32.0)) == [20.0, 0.0]
    assert right(three(24.0), PRESENT, Demand(True, least_a=15.0, most_a=32.0)) == [9.0, 15.0]


def test_a_phase_bounds_only_those_that_load_it() -> None:
    phases = {1: (0,), 2: (1,), 3: (0,)}
    assert right((20.0, 16.0, 40.0), PRESENT, PRESENT, PRESENT, phases=phases) == [10.0, 16.0, 10.0]
    phases = {1: ALL, 2: (0,), 3: (1,)}
    assert right((20.0, 20.0, 20.0), PRESENT, PRESENT, Demand(True, most_a=6.0), phases=phases) == [10.0, 10.0, 6.0]


def test_what_is_left_stands_ready_for_the_next_vehicle() -> None:
    absent = Demand(most_a=32.0)
    assert right(three(40.0), PRESENT, absent) == [32.0, 8.0]
    assert right(three(34.0), PRESENT, absent) == [32.0, 0.0], "less than 6 A is nothing"
    assert right(three(1000.0), absent, absent) == [32.0, 32.0]


# --- How it gets there ---


class Site:
    """EVSEs that take a grant over at once, and vehicles that follow the pilot after `delay_s`."""

    def __init__(self, count: int, limit_a: float, delay_s: Callable[[], float] = lambda: 0.0) -> None:
        self.sharing = Sharing(dict.fromkeys(ids(count), ALL), three(limit_a))
        self.now = 0.0
        self.limit_a = limit_a
        self.vehicles = {evse: Vehicle() for evse in ids(count)}
        self._delay_s = delay_s

    def run(self, seconds: float, tick_s: float = 0.5) -> None:
        end = self.now + seconds
        while self.now < end:
            self.step()
            self.now += tick_s
            for evse, vehicle in self.vehicles.items():
                vehicle.follow(self.now)
                self.sharing.drawn(evse, vehicle.draws_a, self.now)

    def step(self) -> list[Grant]:
        grants = self.sharing.step(self.now)
        for grant in grants:
            self.sharing.taken(grant.evse, grant.limit_a, self.now)
            self.vehicles[grant.evse].tell(grant.limit_a, self.now + self._delay_s())
            self.sharing.shown(grant.evse, grant.limit_a, self.now)
        assert self.offered() <= self.limit_a + 1e-6, "the sum of what is offered"
        return grants

    def set_limit(self, limit_a: float) -> None:
        self.limit_a = limit_a
        self.sharing.set_limit(three(limit_a))

    def offered(self) -> float:
        return sum(self.sharing.granted.values())

    def drawn(self) -> float:
        return sum(vehicle.draws_a for vehicle in self.vehicles.values())


class Vehicle:
    """Draws all it may; it lowers late and raises at once: the worst there is."""

    def __init__(self) -> None:
        self.draws_a = 0.0
        self._told: list[tuple[float, float]] = []

    def tell(self, limit_a: float, due_s: float) -> None:
        if limit_a >= self.draws_a:
            self.draws_a, self._told = limit_a, []
        else:
            self._told.append((due_s, limit_a))

    def follow(self, now: float) -> None:
        for due_s, limit_a in list(self._told):
            if now >= due_s:
                self.draws_a = min(self.draws_a, limit_a)
                self._told.remove((due_s, limit_a))


def test_a_second_vehicle_waits_until_the_first_has_followed() -> None:
    site = Site(2, 32.0, lambda: 3.0)
    one, two = ids(2)
    site.sharing.demand(one, PRESENT)
    assert site.step() == [Grant(one, 32.0)]
    site.run(10.0)
    site.sharing.demand(two, PRESENT)
    assert site.step() == [Grant(one, 16.0)]
    site.run(2.5)
    assert site.sharing.granted[two] == 0.0
    assert site.sharing.load() == three(32.0), "it must be taken to draw as before"
    site.run(1.5)
    assert site.sharing.granted == {one: 16.0, two: 16.0}
    assert site.drawn() == 32.0


def test_without_a_meter_five_seconds_must_do() -> None:
    sharing = Sharing(dict.fromkeys(ids(2), ALL), three(32.0))
    one, two = ids(2)
    sharing.demand(one, PRESENT)
    sharing.step(0.0)
    sharing.demand(two, PRESENT)
    assert sharing.step(10.0) == [Grant(one, 16.0)]
    assert sharing.step(100.0) == [], "the EVSE has not taken it over"
    sharing.taken(one, 16.0, 100.0)
    assert sharing.deadline() == 100.0 + FOLLOW_S, "what it shows, nothing, is no more than that"
    assert sharing.step(104.9) == []
    assert sharing.step(105.0) == [Grant(two, 16.0)]


def test_what_a_vehicle_was_not_told_is_not_free() -> None:
    sharing = Sharing(dict.fromkeys(ids(2), ALL), three(32.0))
    one, two = ids(2)
    sharing.demand(one, PRESENT)
    sharing.step(0.0)
    sharing.shown(one, 32.0, 0.0)
    sharing.demand(two, PRESENT)
    sharing.step(10.0)
    sharing.taken(one, 16.0, 10.0)
    sharing.drawn(one, 6.0, 11.0)
    assert sharing.step(60.0) == [], "the pilot still says 32 A: it may draw them again"
    sharing.shown(one, 16.0, 61.0)
    assert sharing.step(61.0) == [], "the reading is older than that"
    sharing.drawn(one, 16.3, 61.2)
    assert sharing.step(61.2) == [Grant(two, 16.0)]


def test_a_grant_that_was_overtaken_frees_nothing() -> None:
    sharing = Sharing(dict.fromkeys(ids(1), ALL), three(32.0))
    [one] = ids(1)
    sharing.demand(one, PRESENT)
    sharing.step(0.0)
    sharing.set_limit(three(16.0))
    sharing.step(1.0)
    sharing.set_limit(three(10.0))
    sharing.step(2.0)
    sharing.taken(one, 16.0, 2.1)
    sharing.step(60.0)
    assert sharing.load() == three(32.0)
    sharing.taken(one, 10.0, 60.0)
    sharing.step(65.0)
    assert sharing.load() == three(10.0)


def test_small_rises_are_let_be() -> None:
    site = Site(1, 16.0)
    site.sharing.demand(EvseId(1), PRESENT)
    site.step()
    site.set_limit(16.4)
    assert site.step() == []
    site.set_limit(16.5)
    assert site.step() == [Grant(EvseId(1), 16.5)]


def test_they_take_turns_where_not_all_can_charge() -> None:
    site = Site(4, 20.0)
    for evse in ids(4):
        site.sharing.demand(evse, PRESENT)
    assert site.sharing.deadline() is not None
    served = dict.fromkeys(ids(4), 0)
    for _ in range(40):
        site.run(TURN_S, tick_s=TURN_S / 4)
        for evse, amps in site.sharing.granted.items():
            served[evse] += amps > 0
    assert min(served.values()) >= 28, "three quarters of the time each"


def test_a_turn_is_kept_while_the_limit_bears_it() -> None:
    site = Site(2, 10.0)
    one, two = ids(2)
    site.sharing.demand(one, PRESENT)
    site.run(60.0)
    site.sharing.demand(two, PRESENT)
    site.run(60.0)
    assert site.sharing.granted == {one: 10.0, two: 0.0}
    site.run(TURN_S)
    assert site.sharing.granted == {one: 0.0, two: 10.0}


def test_four_evses_under_a_limit_that_falls_by_half_and_rises_a_thousand_times() -> None:
    """The sum offered is never above it (each step asserts that), what is drawn never above what held 5 s before."""
    dice = random.Random(9)
    site = Site(4, 40.0, lambda: dice.uniform(0.0, FOLLOW_S - 0.5))
    for evse in ids(4):
        site.sharing.demand(evse, PRESENT)
    least_served = dict.fromkeys(ids(4), 0.0)
    for _ in range(1000):
        for limit_a in (20.0, 40.0):
            site.set_limit(limit_a)
            site.step()
            site.run(FOLLOW_S, tick_s=0.5)
            assert site.drawn() <= limit_a + 1e-6
            site.run(dice.uniform(5.0, 20.0), tick_s=0.5)
            assert site.drawn() <= limit_a + 1e-6
            for evse, amps in site.sharing.granted.items():
                least_served[evse] += amps > 0
    assert min(least_served.values()) / 2000 > 0.8, "none starves: three of four at 20 A, all at 40 A"


@pytest.mark.parametrize("seed", range(20))
def test_random_sites_never_exceed_any_phase(seed: int) -> None:
    dice = random.Random(seed)
    count = dice.randrange(1, 6)
    evses = ids(count)
    phases = {evse: dice.choice((ALL, (0,), (1,), (2,))) for evse in evses}
    limit = three(40.0)
    sharing, now = Sharing(phases, limit), 0.0
    for _ in range(300):
        now += dice.uniform(0.0, 8.0)
        evse = dice.choice(evses)
        match dice.randrange(5):
            case 0:
                limit = (dice.uniform(0, 80), dice.uniform(0, 80), dice.uniform(0, 80))
                sharing.set_limit(limit)
            case 1:
                needed = dice.choice((None, dice.uniform(0, 40)))
                sharing.demand(evse, Demand(dice.random() < 0.8, dice.uniform(6, 12), dice.uniform(0, 63), inf, needed))
            case 2:
                sharing.taken(evse, sharing.granted[evse], now)
            case 3:
                sharing.shown(evse, dice.uniform(0, 40), now)
            case _:
                sharing.drawn(evse, dice.uniform(0, 40), now)
        before = sharing.load()
        sharing.step(now)
        for phase in range(3):
            offered = sum(amps for number, amps in sharing.granted.items() if phase in phases[number])
            assert offered <= limit[phase] + 1e-6
            assert sharing.load()[phase] <= max(before[phase], limit[phase]) + 1e-6, "given before free"
