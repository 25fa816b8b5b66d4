"""Whole sessions of ISO 15118-2 AC, as bytes, in virtual time."""

import pytest

from secc.ports import (
    Authorization,
    ContractPresented,
    EndReason,
    LimitSent,
    MessageAnswered,
    PaymentOption,
    PaymentSelected,
    PowerWanted,
    ReceiptVerified,
    SessionSetUp,
    StopReason,
    V2GEnded,
)
from secc.schedules import EnergyRequested, ProfilePeriod, ScheduleSelected
from tests.secc.support import (
    AUTHORIZATION,
    CHALLENGE,
    CHARGE_PARAMETERS,
    CONTRACT,
    CONTRACT_DER,
    EMAID,
    EVCC_ID,
    PAYMENT_DETAILS,
    SESSION_ID,
    Response,
    Talk,
    power,
    reading,
    selection,
    signature_of,
)


def test_plug_and_charge_from_plug_to_stop() -> None:
    talk = Talk()
    assert talk.negotiate() == {"ResponseCode": "OK_SuccessfulNegotiation", "SchemaID": 1}

    setup = talk.ask("SessionSetupReq", {"EVCCID": EVCC_ID})
    assert setup.name == "SessionSetupRes"
    assert (setup.code, setup.session_id) == ("OK_NewSessionEstablished", SESSION_ID)
    assert setup.elements["EVSEID"] == "DE*EVS*E0001"
    talk.session_id = setup.session_id

    services = talk.ask("ServiceDiscoveryReq").elements
    assert services["PaymentOptionList"] == {"PaymentOption": ["Contract", "ExternalPayment"]}
    assert services["ChargeService"]["SupportedEnergyTransferMode"] == {
        "EnergyTransferMode": ["AC_three_phase_core", "AC_single_phase_core"]
    }
    assert talk.ask("PaymentServiceSelectionReq", selection("Contract")).code == "OK"
    assert talk.ask("PaymentDetailsReq", PAYMENT_DETAILS).elements["GenChallenge"] == CHALLENGE
    assert talk.certificates.asked == [([CONTRACT_DER], EMAID)]

    signature = signature_of("AuthorizationReq", AUTHORIZATION)
    assert talk.ask("AuthorizationReq", AUTHORIZATION, signature=signature) is None
    ongoing = talk.wait(0.3)
    assert (ongoing.code, ongoing.elements["EVSEProcessing"]) == ("OK", "Ongoing")
    talk.station(authorization=Authorization.ACCEPTED)
    finished = talk.ask("AuthorizationReq", AUTHORIZATION, signature=signature)
    assert (finished.code, finished.elements["EVSEProcessing"]) == ("OK", "Finished")

    parameters = talk.ask("ChargeParameterDiscoveryReq", CHARGE_PARAMETERS).elements
    (schedule,) = parameters["SAScheduleList"]["SAScheduleTuple"]
    (entry,) = schedule["PMaxSchedule"]["PMaxScheduleEntry"]
    assert entry["PMax"] == {"Multiplier": 0, "Unit": "W", "Value": 11_040}
    assert parameters["AC_EVSEChargeParameter"]["EVSEMaxCurrent"] == {"Multiplier": 0, "Unit": "A", "Value": 16}

    assert talk.ask("PowerDeliveryReq", power("Start", {"Multiplier": 0, "Unit": "W", "Value": 11_040})) is None
    assert talk.facts[-1] == PowerWanted(True)
    talk.pass_time(0.5)
    talk.station(contactor_closed=True)
    (answer,) = talk.tick()
    assert Response.of(answer).code == "OK"

    talk.station(meter=reading(1234.9), receipt_required=True)
    status = talk.ask("ChargingStatusReq").elements
    assert status["MeterInfo"] == {"MeterID": "METER-1", "MeterReading": 1234}
    assert status["ReceiptRequired"] is True
    assert status["AC_EVSEStatus"] == {"NotificationMaxDelay": 0, "EVSENotification": "None", "RCD": False}
    receipt = {
        "Id": "ID2",
        "SessionID": bytes.fromhex(SESSION_ID),
        "SAScheduleTupleID": 1,
        "MeterInfo": status["MeterInfo"],
    }
    signed = signature_of("MeteringReceiptReq", receipt)
    assert talk.ask("MeteringReceiptReq", receipt, signature=signed).code == "OK"
    assert talk.ask("ChargingStatusReq").elements["ReceiptRequired"] is False

    assert talk.ask("PowerDeliveryReq", power("Stop")).code == "OK"
    assert talk.ask("SessionStopReq", {"ChargingSession": "Terminate"}).code == "OK"

    assert [fact for fact in talk.facts if not isinstance(fact, MessageAnswered)] == [
        SessionSetUp(SESSION_ID, EVCC_ID.hex(), "ISO 15118-2"),
        PaymentSelected(PaymentOption.CONTRACT),
        ContractPresented(CONTRACT),
        EnergyRequested("AC_three_phase_core", 20_000.0, 7200.0, 16.0, 6.0, max_schedules=3, max_voltage_v=400.0),
        LimitSent(SESSION_ID, 16.0, "ChargeParameterDiscoveryRes"),
        PowerWanted(True),
        ScheduleSelected(1, (ProfilePeriod(0.0, 11_040.0),)),
        ReceiptVerified(1234),
        PowerWanted(False),
        V2GEnded(SESSION_ID, EndReason.TERMINATED, "SessionStopReq: OK"),
    ]
    names = [fact.request for fact in talk.facts_of(MessageAnswered)]
    assert names[:3] == ["supportedAppProtocolReq", "SessionSetupReq", "ServiceDiscoveryReq"]
    assert names[-2:] == ["PowerDeliveryReq", "SessionStopReq"]
    assert not talk.closed


def test_external_payment_without_tls() -> None:
    talk = Talk(tls=False).discover()
    assert talk.ask("PaymentServiceSelectionReq", selection("ExternalPayment")).code == "OK"
    assert talk.ask("AuthorizationReq") is None
    assert talk.wait(0.3).elements["EVSEProcessing"] == "Ongoing_WaitingForCustomerInteraction"
    talk.station(authorization=Authorization.ACCEPTED)
    assert talk.ask("AuthorizationReq").elements["EVSEProcessing"] == "Finished"
    assert talk.ask("ChargeParameterDiscoveryReq", CHARGE_PARAMETERS).code == "OK"


def test_a_decision_is_answered_at_once_though_the_answer_was_held() -> None:
    talk = Talk().select("ExternalPayment")
    assert talk.ask("AuthorizationReq") is None
    talk.now += 0.02
    talk.station(authorization=Authorization.ACCEPTED)
    (answer,) = talk.tick()
    assert Response.of(answer).elements["EVSEProcessing"] == "Finished"
    assert abs(talk.facts_of(MessageAnswered)[-1].took_s - 0.02) < 1e-9


def test_a_lower_limit_is_in_the_next_response_and_reported_once() -> None:
    talk = Talk().charging()
    talk.station(limit_a=10.5)
    assert talk.ask("ChargingStatusReq").elements["EVSEMaxCurrent"] == {"Multiplier": -1, "Unit": "A", "Value": 105}
    talk.ask("ChargingStatusReq")
    assert talk.facts_of(LimitSent)[1:] == [LimitSent(SESSION_ID, 10.5, "ChargingStatusRes")]


def test_the_station_asks_to_stop_and_the_vehicle_stops() -> None:
    talk = Talk().charging()
    talk.station(stop=StopReason.OPERATOR)
    assert talk.ask("ChargingStatusReq").elements["AC_EVSEStatus"]["EVSENotification"] == "StopCharging"
    assert talk.ask("PowerDeliveryReq", power("Stop")).code == "OK"


def test_a_tripped_rcd_is_told_and_stops() -> None:
    talk = Talk().charging()
    talk.station(rcd_tripped=True)
    status = talk.ask("ChargingStatusReq").elements["AC_EVSEStatus"]
    assert (status["RCD"], status["EVSENotification"]) == (True, "StopCharging")


def test_a_higher_limit_is_renegotiated_while_charging_goes_on() -> None:
    talk = Talk().charging()
    talk.station(limit_a=32.0)
    assert talk.ask("ChargingStatusReq").elements["AC_EVSEStatus"]["EVSENotification"] == "ReNegotiation"
    assert talk.ask("ChargingStatusReq").elements["AC_EVSEStatus"]["EVSENotification"] == "None"
    assert talk.ask("PowerDeliveryReq", power("Renegotiate")).code == "OK"
    offer = talk.ask("ChargeParameterDiscoveryReq", CHARGE_PARAMETERS).elements
    (schedule,) = offer["SAScheduleList"]["SAScheduleTuple"]
    assert schedule["PMaxSchedule"]["PMaxScheduleEntry"][0]["PMax"]["Value"] == 22_080
    answer = talk.ask("PowerDeliveryReq", power("Start", {"Multiplier": 0, "Unit": "W", "Value": 22_080}))
    assert answer.code == "OK"
    assert talk.facts_of(PowerWanted) == [PowerWanted(True)]
    assert talk.ask("ChargingStatusReq").elements["AC_EVSEStatus"]["EVSENotification"] == "None"


def test_a_vehicle_that_does_not_renegotiate_is_reminded_each_minute_only() -> None:
    talk = Talk().charging()
    talk.station(limit_a=32.0)
    told = []
    for _ in range(121):
        told.append(talk.ask("ChargingStatusReq").elements["AC_EVSEStatus"]["EVSENotification"])
        talk.now += 1.0
    assert told.count("ReNegotiation") == 3


def test_receipts_are_asked_for_every_half_minute() -> None:
    talk = Talk().charging()
    talk.station(meter=reading(10.0), receipt_required=True)
    asked = 0
    for number in range(61):
        status = talk.ask("ChargingStatusReq").elements
        if status["ReceiptRequired"]:
            asked += 1
            receipt = {"Id": f"R{number}", "SessionID": bytes.fromhex(SESSION_ID), "MeterInfo": status["MeterInfo"]}
            signed = signature_of("MeteringReceiptReq", receipt)
            assert talk.ask("MeteringReceiptReq", receipt, signature=signed).code == "OK"
        talk.now += 1.0
    assert asked == 3


def test_who_pays_with_a_card_signs_no_receipt() -> None:
    talk = Talk().charging("ExternalPayment")
    talk.station(meter=reading(10.0), receipt_required=True)
    assert talk.ask("ChargingStatusReq").elements["ReceiptRequired"] is False


@pytest.mark.parametrize(
    ("energy_wh", "sent"), [(999_999_999.9, 999_999_999), (0.0, 0), (1_000_000_000.0, None), (-1.0, None)]
)
def test_a_reading_that_does_not_fit_is_not_told(energy_wh: float, sent: int | None) -> None:
    talk = Talk().charging()
    talk.station(meter=reading(energy_wh), receipt_required=True)
    status = talk.ask("ChargingStatusReq").elements
    assert status.get("MeterInfo", {}).get("MeterReading") == sent
    assert status["ReceiptRequired"] is (sent is not None)


def test_single_phase_is_offered_a_third() -> None:
    talk = Talk().authorized()
    request = {**CHARGE_PARAMETERS, "RequestedEnergyTransferMode": "AC_single_phase_core"}
    (schedule,) = talk.ask("ChargeParameterDiscoveryReq", request).elements["SAScheduleList"]["SAScheduleTuple"]
    assert schedule["PMaxSchedule"]["PMaxScheduleEntry"][0]["PMax"]["Value"] == 3680
