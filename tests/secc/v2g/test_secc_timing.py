"""Every timer of the SECC, in virtual time."""

from secc.ports import Authorization, EndReason, MessageAnswered, PowerWanted, V2GEnded
from tests.secc.support import (
    AUTHORIZATION,
    ISO_2_WISH,
    SESSION_ID,
    Response,
    Talk,
    app_protocol_req,
    message,
    power,
    signature_of,
)


def test_a_vehicle_that_connects_and_says_nothing() -> None:
    talk = Talk()
    assert talk.pass_time(59.9) == []
    assert not talk.facts
    talk.pass_time(0.2)
    assert talk.end == V2GEnded("", EndReason.SEQUENCE_TIMEOUT, "in state SessionSetup")
    assert talk.closed


def test_a_vehicle_that_falls_silent_while_charging_loses_its_power() -> None:
    talk = Talk().charging()
    talk.pass_time(59.9)
    assert talk.ask("ChargingStatusReq").code == "OK"
    talk.pass_time(59.9)
    assert not talk.facts_of(V2GEnded)
    talk.pass_time(0.2)
    assert talk.facts[-2:] == [
        PowerWanted(False),
        V2GEnded(SESSION_ID, EndReason.SEQUENCE_TIMEOUT, "in state Charging"),
    ]
    assert talk.closed


def test_the_contactor_has_three_seconds() -> None:
    talk = Talk().parameters()
    assert talk.ask("PowerDeliveryReq", power("Start")) is None
    assert talk.pass_time(2.99) == []
    response = talk.wait(0.02)
    assert (response.name, response.code) == ("PowerDeliveryRes", "FAILED_PowerDeliveryNotApplied")
    assert talk.facts_of(PowerWanted) == [PowerWanted(True), PowerWanted(False)]
    assert talk.end.detail == "PowerDeliveryReq: FAILED_PowerDeliveryNotApplied (the contactor did not close)"
    assert 3.0 <= talk.facts_of(MessageAnswered)[-1].took_s < 3.1


def test_a_contactor_that_closes_is_seen_without_being_told() -> None:
    talk = Talk().parameters()
    talk.ask("PowerDeliveryReq", power("Start"))
    talk.pass_time(1.0)
    talk.station(contactor_closed=True)
    assert talk.wait(0.06).code == "OK"


def test_an_operator_who_never_answers_about_a_contract() -> None:
    """The vehicle would leave the loop after 60 s; it gets an answer before."""
    talk = Talk().present()
    signature = signature_of("AuthorizationReq", AUTHORIZATION)
    started = talk.now
    while True:
        assert talk.ask("AuthorizationReq", AUTHORIZATION, signature=signature) is None
        response = talk.wait(0.3)
        if response.code != "OK":
            break
        assert response.elements["EVSEProcessing"] == "Ongoing"
        signature = None
    assert response.code == "FAILED"
    assert 55 <= talk.now - started < 56
    assert talk.end.detail.endswith("(authorization took too long)")


def test_the_operator_s_own_word_that_nobody_answers_comes_first() -> None:
    talk = Talk().present()
    talk.station(authorization=Authorization.NO_ANSWER)
    response = talk.ask("AuthorizationReq", AUTHORIZATION, signature=signature_of("AuthorizationReq", AUTHORIZATION))
    assert response.code == "FAILED"


def test_a_driver_may_look_for_the_card_for_minutes() -> None:
    talk = Talk().select("ExternalPayment")
    for _ in range(600):
        assert talk.ask("AuthorizationReq") is None
        assert talk.wait(0.3).elements["EVSEProcessing"] == "Ongoing_WaitingForCustomerInteraction"
    talk.station(authorization=Authorization.ACCEPTED)
    assert talk.ask("AuthorizationReq").elements["EVSEProcessing"] == "Finished"


def test_ongoing_answers_are_paced() -> None:
    talk = Talk().select("ExternalPayment")
    assert talk.ask("AuthorizationReq") is None
    assert talk.pass_time(0.24) == []
    assert talk.wait(0.02).code == "OK"


def test_a_vehicle_that_stops_and_stays_connected_is_closed_after_five_seconds() -> None:
    talk = Talk().charging()
    talk.ask("SessionStopReq", {"ChargingSession": "Terminate"})
    talk.pass_time(4.9)
    assert not talk.closed
    talk.pass_time(0.2)
    assert talk.closed
    assert len(talk.facts_of(V2GEnded)) == 1


def test_what_comes_after_the_end_is_ignored() -> None:
    talk = Talk().charging()
    talk.ask("SessionStopReq", {"ChargingSession": "Terminate"})
    facts = list(talk.facts)
    assert talk.ask("ChargingStatusReq") is None
    assert talk.facts == facts


def test_a_vehicle_that_does_not_wait_for_responses() -> None:
    talk = Talk().select("ExternalPayment")
    for _ in range(5):
        assert talk.ask("AuthorizationReq") is None
    assert not talk.facts_of(V2GEnded)
    talk.ask("AuthorizationReq")
    assert talk.end.reason is EndReason.PROTOCOL_ERROR
    assert talk.closed


def test_messages_sent_ahead_are_answered_in_order() -> None:
    talk = Talk()
    payloads = talk.send(app_protocol_req(ISO_2_WISH))
    for name, elements in (("SessionSetupReq", {"EVCCID": b"\x01" * 6}), ("ServiceDiscoveryReq", {})):
        payloads += talk.send(message(name, elements, SESSION_ID))
    assert len(payloads) == 3
    assert [Response.of(payload).name for payload in payloads[1:]] == ["SessionSetupRes", "ServiceDiscoveryRes"]


def test_a_lost_connection_takes_the_power_back() -> None:
    talk = Talk().charging()
    talk.take(talk.conversation.lose(EndReason.CONNECTION_LOST, "reset", talk.now))
    assert talk.facts[-2:] == [PowerWanted(False), V2GEnded(SESSION_ID, EndReason.CONNECTION_LOST, "reset")]
    talk.take(talk.conversation.lose(EndReason.LINK_DOWN, "later", talk.now))
    assert len(talk.facts_of(V2GEnded)) == 1


def test_a_connection_lost_while_a_request_is_held() -> None:
    talk = Talk().parameters()
    talk.ask("PowerDeliveryReq", power("Start"))
    talk.take(talk.conversation.lose(EndReason.CONNECTION_LOST, "reset", talk.now))
    talk.station(contactor_closed=True)
    assert talk.pass_time(10.0) == []
    assert talk.facts_of(PowerWanted) == [PowerWanted(True), PowerWanted(False)]
