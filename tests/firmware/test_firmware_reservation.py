"""Reservations in the session and in `why`: who is let in, who is turned away, and what is said about it."""

from datetime import UTC, datetime

import pytest

from firmware import effects as e
from firmware.control.why import notes, why
from firmware.facts import AuthorizationAnswered
from hal.quantities import EvseId
from ocpp_client import ports as ocpp
from secc import ports as secc
from tests.firmware.test_firmware_control_why import charging, heard
from tests.firmware.test_firmware_session import (
    CARD,
    CONTRACT,
    EMAID,
    OTHER,
    YES,
    Talk,
    contract_presented,
    of_group,
    other_swipe,
    plugged_in,
    swipe,
    unplugged,
)

UNTIL = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
HOLDER = ocpp.ReservationHolder(7, CARD, "fleet", UNTIL)
RESERVED = ocpp.ReservationsChanged(EvseId(1), (HOLDER,), exclusive=True)
SHARED = ocpp.ReservationsChanged(EvseId(1), (HOLDER,), exclusive=False)
USE = e.UseReservation(7, CARD)


def talk(reserved: ocpp.ReservationsChanged = RESERVED, *, has_plc: bool = False) -> Talk:
    made = Talk(has_plc=has_plc)
    made.hears(reserved, plugged_in)
    return made


def test_the_holder_uses_it_before_the_transaction_starts() -> None:
    effects = talk().hears(swipe, AuthorizationAnswered(CARD, YES))
    assert effects.index(USE) < [type(effect) for effect in effects].index(e.StartTransaction)


def test_another_driver_is_turned_away_and_the_holder_may_come() -> None:
    reader = talk()
    effects = reader.hears(other_swipe, AuthorizationAnswered(OTHER, YES))
    assert not any(isinstance(effect, e.StartTransaction | e.PermitPower | e.UseReservation) for effect in effects)
    assert reader.session.state.turned_away
    assert USE in reader.hears(swipe, AuthorizationAnswered(CARD, YES))
    assert not reader.session.state.turned_away


def test_the_group_may_use_it() -> None:
    use = e.UseReservation(7, OTHER)
    assert use in talk().hears(other_swipe, AuthorizationAnswered(OTHER, of_group("fleet")))
    assert use not in talk().hears(other_swipe, AuthorizationAnswered(OTHER, of_group("others")))


def test_where_others_are_open_anybody_may_come() -> None:
    effects = talk(SHARED).hears(other_swipe, AuthorizationAnswered(OTHER, YES))
    assert any(isinstance(effect, e.StartTransaction) for effect in effects)
    assert not any(isinstance(effect, e.UseReservation) for effect in effects)
    assert USE in talk(SHARED).hears(swipe, AuthorizationAnswered(CARD, YES))


def test_a_contract_of_another_driver_is_refused_to_the_vehicle() -> None:
    vehicle = talk(has_plc=True)
    vehicle.hears(contract_presented, AuthorizationAnswered(EMAID, YES))
    assert vehicle.session.state.authorization is secc.Authorization.REJECTED
    assert vehicle.session.contract == CONTRACT.emaid


@pytest.mark.parametrize(("token", "begins"), [(CARD, True), (OTHER, False)])
def test_a_remote_start(token: ocpp.IdToken, begins: bool) -> None:
    effects = talk().hears(ocpp.RemoteStart(EvseId(1), token, 3))
    assert any(isinstance(effect, e.StartTransaction) for effect in effects) is begins


def test_who_was_let_in_before_stays() -> None:
    session = Talk(has_plc=False)
    session.hears(plugged_in, other_swipe, AuthorizationAnswered(OTHER, YES))
    assert session.hears(RESERVED) == []
    assert session.session.state.authorized


def test_the_end_of_a_reservation_lets_everybody_in() -> None:
    session = talk()
    session.hears(ocpp.ReservationsChanged(EvseId(1)), other_swipe)
    assert any(isinstance(one, e.StartTransaction) for one in session.hears(AuthorizationAnswered(OTHER, YES)))


def test_a_session_started_anew_knows_of_it() -> None:
    before, after = talk(), Talk(has_plc=False)
    after.session.inherit(before.session.state)
    assert not after.session.state.admits(OTHER, None)


def test_who_unplugs_is_forgotten() -> None:
    session = talk()
    session.hears(other_swipe, AuthorizationAnswered(OTHER, YES), unplugged)
    assert not session.session.state.turned_away


# --- why ---


def test_why_names_the_reservation() -> None:
    at = charging()
    at.state.authorization, at.state.token, at.state.reserved = secc.Authorization.PENDING, None, RESERVED
    (blocker,) = why(at)
    assert (blocker.code, "reservation 7 until 2026-05-01 12:30 UTC" in blocker.what) == ("reserved", True)
    assert "the token is good" not in blocker.what


def test_why_says_that_the_token_is_good_but_the_evse_is_not_for_it() -> None:
    at = heard(charging(), AuthorizationAnswered(OTHER, YES))
    at.state.authorization, at.state.token = secc.Authorization.PENDING, None
    at.state.reserved, at.state.turned_away = RESERVED, True
    assert why(at)[0].what.startswith("the token is good, but")


def test_a_reserved_evse_without_a_vehicle_is_a_note() -> None:
    at = charging()
    at.state.plugged, at.state.reserved = False, RESERVED
    at.state.authorization = secc.Authorization.PENDING
    assert [blocker.code for blocker in why(at)] == ["no_vehicle"]
    assert [note.code for note in notes(at)] == ["reserved"]
    at.state.reserved = SHARED
    assert notes(at) == []
