"""The schedule a vehicle is offered, and its plan held against it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secc.ports import PowerWanted
from secc.schedules import LimitPeriod
from secc.v2g import offers
from secc.v2g.planning import NO_ANSWER
from secc.v2g.session import Offer
from tests.secc.support import CHARGE_PARAMETERS, VIEW, Talk, amount

NOW = 1000.0


def offered(*steps: tuple[float, float], most_entries: int | None = None, limit_a: float = 16.0) -> list[tuple]:
    """(start, limit) of the offer for these (seconds from now, limit)."""
    return [
        (entry.start_s, entry.limit_a) for entry in made(*steps, most_entries=most_entries, limit_a=limit_a).entries
    ]


def made(*steps: tuple[float, float], most_entries: int | None = None, limit_a: float = 16.0) -> Offer:
    periods = tuple(LimitPeriod(NOW + at_s, ahead_a) for at_s, ahead_a in steps)
    view = replace(VIEW, limit_a=limit_a, schedule=periods)
    (only,) = offers.ac_offers(view, NO_ANSWER, phases=3, most_entries=most_entries, now=NOW)
    return only


def test_without_a_schedule_the_limit_lasts() -> None:
    assert offered() == [(0, 16.0)]


def test_changes_ahead() -> None:
    assert offered((3600, 10.0), (7200, 32.0)) == [(0, 16.0), (3600, 10.0), (7200, 32.0)]


def test_what_has_begun_or_is_beyond_a_day_is_left_out() -> None:
    assert offered((-10, 6.0), (0, 8.0), (86_400, 10.0)) == [(0, 16.0)]


def test_equal_limits_are_one_entry() -> None:
    assert offered((60, 16.0), (120, 10.0), (180, 10.0)) == [(0, 16.0), (120, 10.0)]


def test_rounding_promises_nothing() -> None:
    assert offered((10.5, 10.0), (20.5, 16.0)) == [(0, 16.0), (10, 10.0), (21, 16.0)]
    assert offered((0.5, 10.0)) == [(0, 10.0)]
    assert offered((0.1, 40.0), (0.5, 5.0)) == [(0, 5.0)]
    assert offered((0.1, 40.0), (0.5, 20.0)) == [(0, 16.0), (1, 20.0)]
    assert offered((9.2, 20.0), (9.8, 30.0)) == [(0, 16.0), (10, 30.0)]


def test_a_vehicle_with_little_room_is_offered_the_lowest_of_the_rest() -> None:
    steps = [(60.0, 10.0), (120.0, 20.0), (180.0, 8.0), (240.0, 32.0)]
    assert offered(*steps, most_entries=3) == [(0, 16.0), (60, 10.0), (120, 8.0)]
    assert offered(*steps, most_entries=1) == [(0, 8.0)]
    assert len(offered(*steps, most_entries=0)) == 5


@given(
    st.lists(st.tuples(st.integers(1, 300).map(lambda tenths: tenths / 10), st.integers(0, 80)), max_size=30),
    st.integers(1, 40),
    st.integers(0, 400).map(lambda tenths: tenths / 10),
)
def test_never_more_than_what_is_known(steps: list[tuple[float, int]], room: int, at_s: float) -> None:
    ordered = sorted(dict(steps).items())
    offer = made(*ordered, most_entries=room)
    known = [16.0, *(limit_a for start_s, limit_a in ordered if start_s <= at_s)][-1]
    assert offer.limit_a(NOW + at_s) <= known
    assert len(offer.entries) <= room
    starts = [entry.start_s for entry in offer.entries]
    assert starts == sorted(set(starts))
    assert starts[0] == 0


def at_power_delivery(**changes: object) -> Talk:
    talk = Talk().authorized()
    talk.station(schedule=(LimitPeriod(talk.now + 3600, 10.0),), **changes)
    response = talk.ask("ChargeParameterDiscoveryReq", CHARGE_PARAMETERS)
    (offer,) = response.elements["SAScheduleList"]["SAScheduleTuple"]
    assert offer["PMaxSchedule"]["PMaxScheduleEntry"] == [
        {"PMax": amount(11_040, "W"), "RelativeTimeInterval": {"start": 0}},
        {"PMax": amount(6_900, "W"), "RelativeTimeInterval": {"start": 3600, "duration": 86_400}},
    ]
    return talk


def plan(*steps: tuple[int, int]) -> dict:
    entries = [
        {"ChargingProfileEntryStart": start_s, "ChargingProfileEntryMaxPower": amount(power_w, "W")}
        for start_s, power_w in steps
    ]
    return {"ChargeProgress": "Start", "SAScheduleTupleID": 1, "ChargingProfile": {"ProfileEntry": entries}}


@pytest.mark.parametrize(
    ("steps", "fits"),
    [
        ([(0, 11_040), (3600, 6_900)], True),
        ([(0, 6_900)], True),
        ([(0, 11_040), (3599, 0)], True),
        ([(0, 11_040)], False),
        ([(0, 11_040), (3601, 6_900)], False),
        ([(0, 11_041), (3600, 6_900)], False),
        ([(0, 0), (7200, 6_901)], False),
        ([(0, 11_040), (0, 6_900)], True),
    ],
)
def test_a_plan_against_the_offer(steps: list, fits: bool) -> None:
    talk = at_power_delivery()
    response = talk.ask("PowerDeliveryReq", plan(*steps))
    if fits:
        assert response is None
        assert talk.facts[-1] == PowerWanted(True)
    else:
        assert response.code == "FAILED_ChargingProfileInvalid"


def test_a_rise_that_was_announced_needs_no_renegotiation() -> None:
    talk = Talk().authorized()
    talk.station(schedule=(LimitPeriod(talk.now + 30, 32.0),), contactor_closed=True)
    talk.ask("ChargeParameterDiscoveryReq", CHARGE_PARAMETERS)
    talk.ask("PowerDeliveryReq", {"ChargeProgress": "Start", "SAScheduleTupleID": 1})
    talk.tick()
    talk.station(limit_a=32.0)
    status = talk.ask("ChargingStatusReq").elements["AC_EVSEStatus"]
    assert status["EVSENotification"] == "ReNegotiation"
    talk.now += 31
    status = talk.ask("ChargingStatusReq").elements["AC_EVSEStatus"]
    assert status["EVSENotification"] == "None"
