"""Vehicles on the road: each oddity was captured from a real one, and each is charged."""

import pytest

from secc.exi import ExiError, Namespace, decode
from secc.ports import EndReason, PausedSession, PowerWanted, SessionSetUp
from secc.v2g.iso2.tolerance import repaired
from tests.secc.support import (
    DIN_WISH,
    EVCC_ID,
    ISO_2_WISH,
    SESSION_ID,
    Talk,
    amount,
    message,
    power,
)


def test_vw_wishes_for_din_first_at_an_ac_station() -> None:
    talk = Talk()
    second = (ISO_2_WISH[0], 2, 0, 2)
    assert talk.negotiate(DIN_WISH, second) == {"ResponseCode": "OK_SuccessfulNegotiation", "SchemaID": 2}


def test_vw_stops_straight_after_power_delivery_start() -> None:
    talk = Talk().charging()
    assert talk.ask("SessionStopReq", {"ChargingSession": "Terminate"}).code == "OK"
    assert talk.facts_of(PowerWanted) == [PowerWanted(True), PowerWanted(False)]


def test_opel_repeats_session_setup_on_a_live_connection() -> None:
    talk = Talk().select()
    response = talk.ask("SessionSetupReq", {"EVCCID": EVCC_ID}, session_id="00" * 8)
    assert response.code == "OK_NewSessionEstablished"
    assert talk.ask("ServiceDiscoveryReq").code == "OK"
    assert len(talk.facts_of(SessionSetUp)) == 2


def test_starting_over_forgets_the_authorization() -> None:
    talk = Talk().present()
    talk.ask("SessionSetupReq", {"EVCCID": EVCC_ID})
    talk.ask("ServiceDiscoveryReq")
    assert talk.conversation.session.contract is None
    assert talk.ask("AuthorizationReq").code == "FAILED_SequenceError"


def test_session_setup_is_not_repeated_under_power() -> None:
    talk = Talk().charging()
    assert talk.ask("SessionSetupReq", {"EVCCID": EVCC_ID}).code == "FAILED_SequenceError"
    assert talk.facts_of(PowerWanted)[-1] == PowerWanted(False)


@pytest.mark.parametrize("session_id", ["", "00", "0000000000000000", "0102030405060799"])
def test_a_first_session_setup_may_carry_any_id(session_id: str) -> None:
    talk = Talk()
    talk.negotiate()
    response = talk.ask("SessionSetupReq", {"EVCCID": EVCC_ID}, session_id=session_id)
    assert (response.code, response.session_id) == ("OK_NewSessionEstablished", SESSION_ID)


def test_subaru_sends_an_empty_session_id_throughout() -> None:
    talk = Talk()
    talk.negotiate()
    talk.ask("SessionSetupReq", {"EVCCID": EVCC_ID}, session_id="")
    response = talk.ask("ServiceDiscoveryReq", session_id="")
    assert (response.code, response.session_id) == ("OK", SESSION_ID)


def test_tesla_appends_a_stray_byte() -> None:
    talk = Talk().set_up()
    (answer,) = talk.send(message("ServiceDiscoveryReq", {}, SESSION_ID) + b"\x00")
    assert answer


def test_seres_plans_with_more_than_three_phases() -> None:
    plan = repaired("PowerDeliveryReq", power("Start", amount(11, "W", 3), amount(5, "W", 3), phases=4))
    phases = [entry["ChargingProfileEntryMaxNumberOfPhasesInUse"] for entry in plan["ChargingProfile"]["ProfileEntry"]]
    assert phases == [3, 3]
    # As captured: the value does not fit the type, but its two bits hold it.
    talk = Talk().parameters()
    fitting = message("PowerDeliveryReq", power("Start", amount(11, "W", 3), phases=3), SESSION_ID)
    captured = _with_phases_four(fitting)
    assert talk.send(captured) == []
    assert talk.facts[-1] == PowerWanted(True)


def _with_phases_four(octets: bytes) -> bytes:
    """Of three phases (10) make four (11): the one place where a bit more makes a readable message of it."""
    wanted = power("Start", amount(11, "W", 3), phases=4)
    for position in range(len(octets) * 8):
        changed = (int.from_bytes(octets) ^ (1 << position)).to_bytes(len(octets))
        try:
            if decode(Namespace.ISO_2, changed)["V2G_Message"]["Body"] == {"PowerDeliveryReq": wanted}:
                return changed
        except ExiError:
            continue
    raise AssertionError("no such message")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (amount(25, "m"), amount(1500, "s")),
        (amount(2, "h"), amount(7200, "s")),
        (amount(1500, "s"), amount(1500, "s")),
        (amount(1200, "m"), amount(7200, "s", 1)),
    ],
)
def test_byd_mg_and_xpeng_count_the_remaining_time_in_minutes(value: dict, seconds: dict) -> None:
    request = {"RemainingTimeToFullSoC": value, "ChargingComplete": False}
    assert repaired("CurrentDemandReq", request)["RemainingTimeToFullSoC"] == seconds
    assert request["RemainingTimeToFullSoC"] is value


def test_a_remaining_time_beyond_everything_is_left_out() -> None:
    request = {"RemainingTimeToFullSoC": amount(32767, "h", 3)}
    assert repaired("CurrentDemandReq", request)["RemainingTimeToFullSoC"] is None


def test_a_plan_up_to_the_exact_offer_is_accepted() -> None:
    """11.04 kW was offered; rounded to 11.00 the vehicle would be refused for its own arithmetic."""
    talk = Talk().parameters()
    assert talk.ask("PowerDeliveryReq", power("Start", amount(1104, "W", 1))) is None
    assert talk.facts[-1] == PowerWanted(True)


def test_the_offer_stands_though_the_limit_sinks_before_the_start() -> None:
    talk = Talk().parameters()
    talk.station(limit_a=6.0)
    assert talk.ask("PowerDeliveryReq", power("Start", amount(11_040, "W"))) is None
    talk.station(contactor_closed=True)
    talk.tick()
    assert talk.ask("ChargingStatusReq").elements["EVSEMaxCurrent"]["Value"] == 6


def test_the_vehicle_that_paused_joins_its_session_again() -> None:
    before = Talk().charging()
    assert before.ask("SessionStopReq", {"ChargingSession": "Pause"}).code == "OK"
    (paused,) = before.facts_of(PausedSession)
    assert paused == PausedSession(SESSION_ID, EVCC_ID.hex())
    assert before.end.reason is EndReason.PAUSED

    talk = Talk(paused=PausedSession("AA" * 8, EVCC_ID.hex()))
    talk.negotiate()
    response = talk.ask("SessionSetupReq", {"EVCCID": EVCC_ID}, session_id="AA" * 8)
    assert (response.code, response.session_id) == ("OK_OldSessionJoined", "AA" * 8)


@pytest.mark.parametrize(
    ("evcc_id", "session_id"),
    [(bytes(6), "AA" * 8), (EVCC_ID, "BB" * 8), (EVCC_ID, "00" * 8)],
    ids=["another vehicle", "another session", "a new session"],
)
def test_nobody_else_joins_it(evcc_id: bytes, session_id: str) -> None:
    talk = Talk(paused=PausedSession("AA" * 8, EVCC_ID.hex()))
    talk.negotiate()
    response = talk.ask("SessionSetupReq", {"EVCCID": evcc_id}, session_id=session_id)
    assert response.code == "OK_NewSessionEstablished"
    assert talk.conversation.session.paused is None


def test_a_connection_lost_before_session_setup_keeps_the_pause() -> None:
    paused = PausedSession("AA" * 8, EVCC_ID.hex())
    talk = Talk(paused=paused)
    talk.negotiate()
    talk.take(talk.conversation.lose(EndReason.CONNECTION_LOST, "", talk.now))
    assert talk.conversation.session.paused == paused
