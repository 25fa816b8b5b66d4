"""Reservations: what is accepted, which EVSEs they hold back, how they end; then over a WebSocket."""

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from hal.quantities import EvseId
from ocpp_client.ports import ConnectorStatus, IdToken, ReservationsChanged
from ocpp_client.reservations import Reservation, Reservations, Standing, Standings, reservation_of
from ocpp_client.wire import format_time

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
CARD, OTHER = IdToken("04AABB", "ISO14443"), IdToken("04CCDD", "ISO14443")
ONE, TWO, THREE = EvseId(1), EvseId(2), EvseId(3)
TYPES = {ONE: "cType2", TWO: "cType2", THREE: "cCCS2"}
OPEN, PLUGGED, BUSY = Standing.OPEN, Standing.PLUGGED, Standing.BUSY
FAULTED, UNAVAILABLE = Standing.FAULTED, Standing.UNAVAILABLE


def reservation(
    number: int = 1,
    evse: EvseId | None = None,
    kind: str | None = None,
    token: IdToken = CARD,
    group_id: str | None = None,
    minutes: float = 30,
) -> Reservation:
    return Reservation(number, token, group_id, NOON + timedelta(minutes=minutes), evse, kind)


def standings(one: Standing = OPEN, two: Standing = OPEN, three: Standing = OPEN) -> Standings:
    return {ONE: one, TWO: two, THREE: three}


ALL_OPEN = standings()


def holding(*held: Reservation) -> Reservations:
    reservations = Reservations(TYPES)
    for one in held:
        assert reservations.reserve(one, ALL_OPEN) == "Accepted"
    return reservations


def exclusive(reservations: Reservations, at: Standings = ALL_OPEN) -> set[EvseId]:
    return {evse for evse in TYPES if reservations.on(evse, at).exclusive}


@pytest.mark.parametrize(
    ("standing", "answer"),
    [
        (OPEN, "Accepted"),
        (PLUGGED, "Occupied"),
        (BUSY, "Occupied"),
        (UNAVAILABLE, "Unavailable"),
        (FAULTED, "Faulted"),
    ],
)
def test_an_evse_by_its_number(standing: Standing, answer: str) -> None:
    assert Reservations(TYPES).reserve(reservation(evse=ONE), standings(standing)) == answer


def test_an_evse_that_is_reserved() -> None:
    reservations = holding(reservation(1, ONE))
    assert reservations.reserve(reservation(2, ONE, token=OTHER), ALL_OPEN) == "Occupied"
    assert exclusive(reservations) == {ONE}


def test_the_same_id_takes_the_place_of_the_old_one() -> None:
    reservations = holding(reservation(1, ONE))
    assert reservations.reserve(reservation(1, ONE, token=OTHER), ALL_OPEN) == "Accepted"
    assert [one.token for one in reservations.all()] == [OTHER]
    assert reservations.reserve(reservation(1, TWO), ALL_OPEN) == "Accepted"
    assert exclusive(reservations) == {TWO}
    assert reservations.reserve(reservation(1, ONE), standings(FAULTED)) == "Faulted"
    assert exclusive(reservations) == {TWO}, "the old one stays where the new one is refused"


def test_no_such_evse_or_connector() -> None:
    reservations = Reservations(TYPES)
    assert reservations.reserve(reservation(evse=EvseId(9)), ALL_OPEN) == "Rejected"
    assert reservations.reserve(reservation(evse=EvseId(0)), ALL_OPEN) == "Rejected"
    assert reservations.reserve(reservation(kind="cG105"), ALL_OPEN) == "Rejected"
    assert reservations.reserve(reservation(evse=ONE, kind="cCCS2"), ALL_OPEN) == "Rejected"


def test_any_evse_holds_none_back_while_another_is_open() -> None:
    reservations = holding(reservation(1))
    assert exclusive(reservations) == set()
    assert exclusive(reservations, standings(BUSY)) == set()
    assert exclusive(reservations, standings(BUSY, BUSY)) == {THREE}
    assert exclusive(reservations, standings(BUSY, PLUGGED, BUSY)) == {TWO}


def test_as_many_open_as_reserved() -> None:
    reservations = holding(reservation(1), reservation(2, token=OTHER), reservation(3))
    assert exclusive(reservations) == {ONE, TWO, THREE}
    assert reservations.reserve(reservation(4), ALL_OPEN) == "Occupied"
    assert reservations.reserve(reservation(4, ONE), ALL_OPEN) == "Occupied"


def test_a_connector_type() -> None:
    reservations = holding(reservation(1, kind="cCCS2"))
    assert exclusive(reservations) == {THREE}
    assert reservations.reserve(reservation(2, kind="cCCS2"), ALL_OPEN) == "Occupied"
    assert reservations.reserve(reservation(2, kind="cType2"), ALL_OPEN) == "Accepted"
    assert exclusive(reservations) == {THREE}
    assert reservations.reserve(reservation(3), ALL_OPEN) == "Accepted"
    assert exclusive(reservations) == {ONE, TWO, THREE}


def test_an_evse_by_number_is_not_taken_from_those_without() -> None:
    reservations = holding(reservation(1, kind="cCCS2"))
    assert reservations.reserve(reservation(2, THREE), ALL_OPEN) == "Occupied"
    assert reservations.reserve(reservation(2, TWO), ALL_OPEN) == "Accepted"


@pytest.mark.parametrize(
    ("at", "answer"),
    [
        (standings(BUSY, UNAVAILABLE, FAULTED), "Occupied"),
        (standings(UNAVAILABLE, UNAVAILABLE, FAULTED), "Unavailable"),
        (standings(FAULTED, FAULTED, FAULTED), "Faulted"),
        (standings(UNAVAILABLE, UNAVAILABLE, OPEN), "Accepted"),
    ],
)
def test_any_evse_when_none_is_open(at: Standings, answer: str) -> None:
    assert Reservations(TYPES).reserve(reservation(), at) == answer


def test_who_may_use_it() -> None:
    held = holding(reservation(7, ONE, group_id="fleet")).on(ONE, ALL_OPEN)
    assert held.admits(CARD, None)
    assert held.admits(IdToken("04aabb", "ISO14443"), None)
    assert held.admits(OTHER, "fleet")
    assert not held.admits(OTHER, "others")
    assert not held.admits(OTHER, None)
    assert not holding(reservation(7, ONE)).on(ONE, ALL_OPEN).admits(OTHER, None), "no group is no common group"
    assert (holder := held.holder(OTHER, "fleet")) is not None
    assert holder.reservation_id == 7


def test_they_expire() -> None:
    reservations = holding(reservation(1, ONE, minutes=5), reservation(2, TWO, minutes=10))
    assert reservations.next_expiry() == NOON + timedelta(minutes=5)
    assert reservations.expire(NOON + timedelta(minutes=4)) == []
    assert [one.id for one in reservations.expire(NOON + timedelta(minutes=5))] == [1]
    assert exclusive(reservations) == {TWO}


def test_what_cannot_be_kept_is_lost() -> None:
    reservations = holding(reservation(1, ONE), reservation(2, TWO), reservation(3))
    assert [one.id for one in reservations.lose(standings(FAULTED, BUSY))] == [1]
    assert [one.id for one in reservations.lose(standings(FAULTED, BUSY, UNAVAILABLE))] == [3]
    assert [one.id for one in reservations.all()] == [2]


def test_the_latest_of_any_evse_is_lost_first() -> None:
    reservations = holding(reservation(1), reservation(2), reservation(3, kind="cCCS2"))
    assert [one.id for one in reservations.lose(standings(PLUGGED, PLUGGED, BUSY))] == []
    assert [one.id for one in reservations.lose(standings(OPEN, FAULTED, OPEN))] == [3]
    assert [one.id for one in reservations.lose(standings(OPEN, FAULTED, FAULTED))] == [2]


def test_they_outlive_a_restart() -> None:
    reservations, again = (
        holding(reservation(1, ONE, group_id="fleet"), reservation(2, kind="cCCS2")),
        Reservations(TYPES),
    )
    again.restore(reservations.dump())
    assert again.all() == reservations.all()
    smaller = Reservations({TWO: "cType2"})
    smaller.restore(reservations.dump())
    assert [one.id for one in smaller.all()] == [2]


@pytest.mark.parametrize("text", ["{}x", "[1]", "[[1, 2]]", '[["a", 1, 2, 3, 4, 1, 6]]'])
def test_rubbish_on_the_disk_is_said(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        Reservations(TYPES).restore(text)


def test_a_request() -> None:
    made = reservation_of(
        {
            "id": 4,
            "evseId": 2,
            "expiryDateTime": "2026-05-01T12:30:00Z",
            "idToken": {"idToken": "04AABB", "type": "ISO14443"},
            "groupIdToken": {"idToken": "fleet", "type": "Central"},
            "connectorType": "cType2",
        }
    )
    assert made == reservation(4, TWO, "cType2", group_id="fleet")


def serves(held: list[Reservation], evses: set[EvseId]) -> bool:
    """By trying every way to give an EVSE to each: slow and obvious."""
    return any(
        all(one.connector_type in (None, TYPES[evse]) for one, evse in zip(held, chosen, strict=True))
        for chosen in permutations(sorted(evses), len(held))
    )


def test_every_accepted_one_can_be_served_and_none_is_refused_without_need() -> None:
    source = random.Random(3)
    for _ in range(1500):
        at = {evse: source.choice(list(Standing)) for evse in TYPES}
        reservations = Reservations(TYPES)
        for number in range(1, 6):
            evse = source.choice([None, None, *TYPES])
            kind = TYPES[evse] if evse else source.choice([None, "cType2", "cCCS2"])
            wanted = reservation(number, evse, kind)
            named = {one.evse_id for one in reservations.all()}
            unnamed = [one for one in reservations.all() if one.evse_id is None]
            free = {one for one in TYPES if at[one] is OPEN and one not in named}
            possible = (
                serves([*unnamed, wanted], free) if evse is None else evse in free and serves(unnamed, free - {evse})
            )
            assert (reservations.reserve(wanted, at) == "Accepted") is possible


# --- Over a WebSocket ---


def reserve(number: int = 1, seconds: float = 60.0, **more: Any) -> dict[str, Any]:
    expires = format_time(datetime.now(UTC) + timedelta(seconds=seconds))
    return {"id": number, "expiryDateTime": expires, "idToken": {"idToken": "04AABB", "type": "ISO14443"}} | more


async def test_a_restart_ends_what_has_expired_meanwhile(bench: Any, wait_until: Callable[..., Any]) -> None:
    station = await bench.station(evse_count=2)
    for evse in (ONE, TWO):
        station.connector_status(evse, ConnectorStatus.AVAILABLE)
    for number, seconds in ((1, 0.3), (2, 60.0)):
        answer = await bench.csms.call("ReserveNow", reserve(number, seconds, evseId=number))
        assert answer["status"] == "Accepted"
    await wait_until(lambda: len(bench.facts_of(ReservationsChanged)) == 2)
    await wait_until(lambda: '"2' in bench.journal.values.get("reservations", '"2'))
    await station.stop()
    await bench.csms.until(lambda: not bench.csms.stations)
    await asyncio.sleep(0.35)
    bench.facts.clear()
    await bench.station(evse_count=2)
    told = await bench.csms.until_received("ReservationStatusUpdate")
    assert told == {"reservationId": 1, "reservationUpdateStatus": "Expired"}
    assert [(fact.evse_id, fact.exclusive) for fact in bench.facts_of(ReservationsChanged)] == [(TWO, True)]


async def test_what_the_csms_may_not_ask(bench: Any) -> None:
    station = await bench.station()
    station.connector_status(ONE, ConnectorStatus.AVAILABLE)
    for payload in (reserve(evseId=7), reserve(seconds=-1), reserve(connectorType="cG105")):
        assert (await bench.csms.call("ReserveNow", payload))["status"] == "Rejected"
    assert (await bench.csms.call("CancelReservation", {"reservationId": 1}))["status"] == "Rejected"
