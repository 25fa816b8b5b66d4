"""Whole sessions of ISO 15118-20, as bytes, in virtual time."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from secc.exi import Namespace
from secc.ports import (
    Authorization,
    ContractPresented,
    DcTarget,
    EndReason,
    Insulation,
    LimitSent,
    MessageAnswered,
    PausedSession,
    PaymentOption,
    PaymentSelected,
    PowerWanted,
    ReceiptVerified,
    SessionSetUp,
    StopReason,
    V2GEnded,
)
from secc.schedules import EnergyRequested, LimitPeriod, ProfilePeriod, ScheduleSelected
from secc.v2g.conversation import Channel
from secc.v2g.session import State
from tests.secc.support import (
    CHALLENGE,
    CONTRACT,
    CONTRACT_DER,
    EMAID,
    SESSION_ID,
    VIEW,
    Talk,
    certificate,
    reading,
    signature_of,
)
from tests.secc.v2g.talk20 import (
    AC_BPT_DYNAMIC_LOOP,
    AC_BPT_LOOP,
    AC_DYNAMIC_LOOP,
    AC_LOOP,
    AC_PARAMETERS,
    AC_WISH,
    BPT_VIEW,
    CHECK_ID,
    DC_20_VIEW,
    DC_BPT_VIEW,
    DC_PARAMETERS,
    DC_WISH,
    DYNAMIC,
    EIM,
    EVCC_ID_20,
    PNC,
    SCHEDULED,
    Talk20,
    dc_dynamic_loop,
    dc_loop,
    entry,
    number,
    power20,
    pre_charge20,
    rational,
    select,
    signed,
)


def test_ac_plug_and_charge_from_plug_to_stop() -> None:
    talk = Talk20()
    assert talk.negotiate(AC_WISH) == {"ResponseCode": "OK_SuccessfulNegotiation", "SchemaID": 1}
    setup = talk.ask("SessionSetupReq", {"EVCCID": EVCC_ID_20})
    assert (setup.code, setup.session_id) == ("OK_NewSessionEstablished", SESSION_ID)
    assert setup.elements["EVSEID"] == "DE*EVS*E0001"
    talk.session_id = setup.session_id

    ways = talk.ask("AuthorizationSetupReq").elements
    assert ways["AuthorizationServices"] == ["PnC", "EIM"]
    assert ways["PnC_ASResAuthorizationMode"] == {"GenChallenge": CHALLENGE}
    assert ways["CertificateInstallationService"] is False

    assert talk.ask("AuthorizationReq", PNC, signature=signed()) is None
    assert talk.certificates.asked == [([CONTRACT_DER, b"sub"], EMAID)]
    ongoing = talk.wait(0.3)
    assert (ongoing.code, ongoing.elements["EVSEProcessing"]) == ("OK", "Ongoing")
    talk.station(authorization=Authorization.ACCEPTED, authorization_of=EMAID)
    finished = talk.ask("AuthorizationReq", PNC, signature=signed())
    assert (finished.code, finished.elements["EVSEProcessing"]) == ("OK", "Finished")
    assert len(talk.certificates.asked) == 1

    services = talk.ask("ServiceDiscoveryReq").elements
    assert services["ServiceRenegotiationSupported"] is True
    assert services["EnergyTransferServiceList"] == {"Service": [{"ServiceID": 1, "FreeService": False}]}
    sets = talk.ask("ServiceDetailReq", {"ServiceID": 1}).elements["ServiceParameterList"]["ParameterSet"]
    named = [{each["Name"]: each["intValue"] for each in chosen["Parameter"]} for chosen in sets]
    shared = {"Connector": 2, "EVSENominalVoltage": 230, "MobilityNeedsMode": 1, "Pricing": 0}
    assert named == [{**shared, "ControlMode": 1}, {**shared, "ControlMode": 2}]
    assert talk.ask("ServiceSelectionReq", select(1)).code == "OK"

    able = talk.ask("AC_ChargeParameterDiscoveryReq", AC_PARAMETERS).elements["AC_CPDResEnergyTransferMode"]
    assert [number(able[f"EVSEMaximumChargePower{phase}"]) for phase in ("", "_L2", "_L3")] == [3680.0] * 3
    assert number(able["EVSEMinimumChargePower"]) == 1380.0
    assert number(able["EVSENominalFrequency"]) == 50.0

    plan = talk.ask("ScheduleExchangeReq", SCHEDULED).elements
    assert plan["EVSEProcessing"] == "Finished"
    (offered,) = plan["Scheduled_SEResControlMode"]["ScheduleTuple"]
    schedule = offered["ChargingSchedule"]["PowerSchedule"]
    assert schedule["TimeAnchor"] == talk.around().unix_time
    (only,) = schedule["PowerScheduleEntries"]["PowerScheduleEntry"]
    assert (only["Duration"], number(only["Power"]), number(only["Power_L3"])) == (86_400, 3680.0, 3680.0)

    assert talk.ask("PowerDeliveryReq", power20("Start", entry(3680), processing="Ongoing")).code == "OK"
    assert not talk.facts_of(PowerWanted)
    assert talk.ask("PowerDeliveryReq", power20("Start", entry(11_040))) is None
    talk.station(contactor_closed=True)
    (started,) = talk.tick20()
    assert started.code == "OK"

    talk.station(meter=reading(1234.9))
    loop = talk.ask("AC_ChargeLoopReq", AC_LOOP).elements
    assert "EVSEStatus" not in loop
    assert (loop["MeterInfo"]["MeterID"], loop["MeterInfo"]["ChargedEnergyReadingWh"]) == ("METER-1", 1234)
    target = loop["Scheduled_AC_CLResControlMode"]
    assert [number(target[f"EVSETargetActivePower{phase}"]) for phase in ("", "_L2", "_L3")] == [3680.0] * 3

    assert talk.ask("PowerDeliveryReq", power20("Stop")).code == "OK"
    assert talk.ask("SessionStopReq", {"ChargingSession": "Terminate"}).code == "OK"
    assert [fact for fact in talk.facts if not isinstance(fact, MessageAnswered)] == [
        SessionSetUp(SESSION_ID, EVCC_ID_20, "ISO 15118-20"),
        PaymentSelected(PaymentOption.CONTRACT),
        ContractPresented(CONTRACT),
        EnergyRequested(
            "AC",
            20_000.0,
            7200.0,
            pytest.approx(11_000 / 690),
            2.0,
            max_schedules=3,
            max_power_w=11_000.0,
            min_power_w=1380.0,
            max_energy_wh=30_000.0,
            min_energy_wh=1_000.0,
        ),
        LimitSent(SESSION_ID, 16.0, "ScheduleExchangeRes"),
        PowerWanted(True),
        ScheduleSelected(1, (ProfilePeriod(0.0, 11_040.0),)),
        PowerWanted(False),
        V2GEnded(SESSION_ID, EndReason.TERMINATED, "SessionStopReq: OK"),
    ]


def test_external_payment_waits_for_the_customer() -> None:
    talk = Talk20().authorizing()
    assert talk.ask("AuthorizationReq", EIM) is None
    assert talk.wait(0.3).elements["EVSEProcessing"] == "Ongoing_WaitingForCustomerInteraction"
    talk.pass_time(50.0)
    talk.station(authorization=Authorization.ACCEPTED)
    assert talk.ask("AuthorizationReq", EIM).elements["EVSEProcessing"] == "Finished"
    assert talk.facts_of(PaymentSelected) == [PaymentSelected(PaymentOption.EXTERNAL_PAYMENT)]
    assert talk.state is State.SERVICE_DISCOVERY


def test_a_contract_with_p_521_and_sha_512() -> None:
    key = ec.generate_private_key(ec.SECP521R1())
    proof = {
        **PNC["PnC_AReqAuthorizationMode"],
        "ContractCertificateChain": {
            "Certificate": certificate(EMAID, key),
            "SubCertificates": {"Certificate": [b"sub"]},
        },
    }
    talk = Talk20().authorizing()
    talk.station(authorization=Authorization.ACCEPTED, authorization_of=EMAID)
    request = {"SelectedAuthorizationService": "PnC", "PnC_AReqAuthorizationMode": proof}
    assert talk.ask("AuthorizationReq", request, signature=signed(proof, key=key, bits=512)).code == "OK"


def test_ac_under_dynamic_control_follows_the_station() -> None:
    talk = Talk20(dynamic=True).charging()
    loop = talk.ask("AC_ChargeLoopReq", AC_DYNAMIC_LOOP).elements
    assert number(loop["Dynamic_AC_CLResControlMode"]["EVSETargetActivePower"]) == 3680.0
    talk.station(limit_a=10.5)
    loop = talk.ask("AC_ChargeLoopReq", AC_DYNAMIC_LOOP).elements
    assert number(loop["Dynamic_AC_CLResControlMode"]["EVSETargetActivePower_L2"]) == 2415.0
    assert talk.facts_of(LimitSent)[-1] == LimitSent(SESSION_ID, 10.5, "AC_ChargeLoopRes")
    talk.station(limit_a=32.0)
    assert "EVSEStatus" not in talk.ask("AC_ChargeLoopReq", AC_DYNAMIC_LOOP).elements


def test_under_dynamic_control_no_schedule_is_offered() -> None:
    talk = Talk20(dynamic=True).with_parameters()
    plan = talk.ask("ScheduleExchangeReq", DYNAMIC).elements
    assert plan["Dynamic_SEResControlMode"] == {}


def test_ac_bidirectional() -> None:
    talk = Talk20(BPT_VIEW, service=5).discovered()
    sets = talk.ask("ServiceDetailReq", {"ServiceID": 5}).elements["ServiceParameterList"]["ParameterSet"]
    names = {each["Name"] for each in sets[0]["Parameter"]}
    assert names >= {"BPTChannel", "GeneratorMode", "GridCodeIslandingDetectionMethod"}
    talk = Talk20(BPT_VIEW, service=5).selected()
    answer = talk.ask("AC_ChargeParameterDiscoveryReq", talk.parameter_request).elements
    able = answer["BPT_AC_CPDResEnergyTransferMode"]
    assert number(able["EVSEMaximumDischargePower_L3"]) == 2300.0
    talk = Talk20(BPT_VIEW, service=5).charging()
    loop = talk.ask("AC_ChargeLoopReq", AC_BPT_LOOP).elements
    assert number(loop["BPT_Scheduled_AC_CLResControlMode"]["EVSETargetActivePower"]) == 3680.0


def test_ac_bidirectional_under_dynamic_control_feeds_back_what_it_is_told() -> None:
    talk = Talk20(BPT_VIEW, service=5, dynamic=True).charging()

    def target() -> float:
        mode = talk.ask("AC_ChargeLoopReq", AC_BPT_DYNAMIC_LOOP).elements["BPT_Dynamic_AC_CLResControlMode"]
        return number(mode["EVSETargetActivePower"])

    assert target() == 3680.0
    talk.station(discharge_a=6.0)
    assert target() == -1380.0
    talk.station(discharge_a=16.0)
    assert target() == -2300.0
    talk.station(stop=StopReason.OPERATOR)
    assert target() == 0.0


def test_a_vehicle_that_only_charges_is_never_told_to_feed_back() -> None:
    talk = Talk20(BPT_VIEW, dynamic=True).charging()
    talk.station(discharge_a=6.0)
    mode = talk.ask("AC_ChargeLoopReq", AC_DYNAMIC_LOOP).elements["Dynamic_AC_CLResControlMode"]
    assert number(mode["EVSETargetActivePower"]) == 3680.0


def test_a_dc_session_from_parameters_to_stop() -> None:
    talk = Talk20(DC_20_VIEW).selected()
    answer = talk.ask("DC_ChargeParameterDiscoveryReq", DC_PARAMETERS).elements
    assert number(answer["DC_CPDResEnergyTransferMode"]["EVSEMaximumVoltage"]) == 920.0
    plan = talk.ask("ScheduleExchangeReq", SCHEDULED).elements["Scheduled_SEResControlMode"]["ScheduleTuple"]
    (only,) = plan[0]["ChargingSchedule"]["PowerSchedule"]["PowerScheduleEntries"]["PowerScheduleEntry"]
    assert number(only["Power"]) == 50_000.0
    assert talk.ask("DC_CableCheckReq") is None
    talk.output(cable_check_id=CHECK_ID)
    assert talk.wait(0.3).elements["EVSEProcessing"] == "Ongoing"
    talk.output(cable_check=Insulation.VALID)
    assert talk.ask("DC_CableCheckReq").elements["EVSEProcessing"] == "Finished"
    talk.output(present_voltage_v=120.3)
    assert number(talk.ask("DC_PreChargeReq", pre_charge20()).elements["EVSEPresentVoltage"]) == 120.3
    assert talk.facts_of(DcTarget) == [DcTarget(400.0, 2.0)]
    talk.output(present_voltage_v=399.0)
    talk.ask("DC_PreChargeReq", {**pre_charge20(), "EVProcessing": "Finished"})
    assert talk.ask("PowerDeliveryReq", power20("Start", entry(50, 86_400) | {"Power": rational(50, 3)})) is None
    talk.station(contactor_closed=True)
    talk.tick20()
    talk.output(present_voltage_v=388.0, present_current_a=99.9)
    loop = talk.ask("DC_ChargeLoopReq", dc_loop()).elements
    assert (number(loop["EVSEPresentVoltage"]), number(loop["EVSEPresentCurrent"])) == (388.0, 99.9)
    assert number(loop["Scheduled_DC_CLResControlMode"]["EVSEMaximumChargeCurrent"]) == 200.0
    assert talk.facts_of(DcTarget)[-1] == DcTarget(400.0, 100.0)
    assert talk.ask("PowerDeliveryReq", power20("Stop")).code == "OK"
    assert talk.facts_of(DcTarget)[-1] == DcTarget(0.0, 0.0)
    talk.output(present_voltage_v=12.0)
    welding = talk.ask("DC_WeldingDetectionReq", {"EVProcessing": "Ongoing"}).elements
    assert number(welding["EVSEPresentVoltage"]) == 12.0
    assert talk.ask("SessionStopReq", {"ChargingSession": "Terminate"}).code == "OK"


@pytest.mark.parametrize(
    ("loop", "target", "limits"),
    [
        (dc_loop(500, 100), DcTarget(420.0, 100.0), (False, False, False)),
        (dc_loop(400, 250), DcTarget(400.0, 125.0), (True, True, False)),
        (dc_loop(400, -50), DcTarget(400.0, 0.0), (False, False, False)),
        (dc_loop(-10, 50), DcTarget(0.0, 0.0), (False, False, False)),
    ],
    ids=["the vehicle's own voltage limit", "current and power", "no discharge agreed", "nonsense"],
)
def test_dc_targets_are_cut_to_the_limits(loop: dict, target: DcTarget, limits: tuple[bool, bool, bool]) -> None:
    talk = Talk20(DC_20_VIEW).charging()
    elements = talk.ask("DC_ChargeLoopReq", loop).elements
    assert talk.facts_of(DcTarget)[-1] == target
    names = ("EVSEPowerLimitAchieved", "EVSECurrentLimitAchieved", "EVSEVoltageLimitAchieved")
    assert tuple(elements[name] for name in names) == limits


def test_dc_under_dynamic_control_gets_all_that_both_bear() -> None:
    talk = Talk20(DC_20_VIEW, dynamic=True).charging()
    elements = talk.ask("DC_ChargeLoopReq", dc_dynamic_loop()).elements
    assert talk.facts_of(DcTarget)[-1] == DcTarget(420.0, pytest.approx(50_000 / 420))
    assert number(elements["Dynamic_DC_CLResControlMode"]["EVSEMaximumChargePower"]) == 50_000.0
    talk.ask("DC_ChargeLoopReq", dc_dynamic_loop(EVMaximumChargePower=rational(398, 1)))
    assert talk.facts_of(DcTarget)[-1] == DcTarget(420.0, pytest.approx(10.0))


def test_dc_bidirectional_discharges_within_what_the_station_takes_back() -> None:
    talk = Talk20(DC_BPT_VIEW, service=6).charging()
    loop = talk.ask("DC_ChargeLoopReq", dc_loop(400, -30, "BPT_")).elements
    assert talk.facts_of(DcTarget)[-1] == DcTarget(400.0, -30.0)
    assert number(loop["BPT_Scheduled_DC_CLResControlMode"]["EVSEMaximumDischargeCurrent"]) == 50.0
    assert loop["EVSECurrentLimitAchieved"] is False
    loop = talk.ask("DC_ChargeLoopReq", dc_loop(420, -80, "BPT_")).elements
    assert talk.facts_of(DcTarget)[-1] == DcTarget(420.0, pytest.approx(-20_000 / 420))
    assert (loop["EVSECurrentLimitAchieved"], loop["EVSEPowerLimitAchieved"]) == (True, True)
    talk.station(stop=StopReason.FAULT)
    talk.ask("DC_ChargeLoopReq", dc_loop(400, -30, "BPT_"))
    assert talk.facts_of(DcTarget)[-1].current_a == 0.0


def test_dc_bidirectional_under_dynamic_control() -> None:
    talk = Talk20(DC_BPT_VIEW, service=6, dynamic=True).charging()
    loop = talk.ask("DC_ChargeLoopReq", dc_dynamic_loop("BPT_")).elements
    assert number(loop["BPT_Dynamic_DC_CLResControlMode"]["EVSEMaximumDischargePower"]) == 20_000.0


def test_the_schedule_has_the_limits_that_are_known_ahead() -> None:
    talk = Talk20().with_parameters()
    talk.station(schedule=(LimitPeriod(talk.now + 3600, 10.0),))
    plan = talk.ask("ScheduleExchangeReq", SCHEDULED).elements["Scheduled_SEResControlMode"]["ScheduleTuple"]
    entries = plan[0]["ChargingSchedule"]["PowerSchedule"]["PowerScheduleEntries"]["PowerScheduleEntry"]
    assert [(each["Duration"], number(each["Power"])) for each in entries] == [(3600, 3680.0), (82_800, 2300.0)]


def test_the_station_asks_to_stop_and_the_vehicle_stops() -> None:
    talk = Talk20().charging()
    talk.station(stop=StopReason.OPERATOR)
    loop = talk.ask("AC_ChargeLoopReq", AC_LOOP).elements
    assert loop["EVSEStatus"] == {"NotificationMaxDelay": 0, "EVSENotification": "Terminate"}
    assert number(loop["Scheduled_AC_CLResControlMode"]["EVSETargetActivePower"]) == 0.0
    assert talk.ask("PowerDeliveryReq", power20("Stop")).code == "OK"


def test_a_higher_limit_is_renegotiated_under_power() -> None:
    talk = Talk20().charging()
    talk.station(limit_a=32.0)
    assert talk.ask("AC_ChargeLoopReq", AC_LOOP).elements["EVSEStatus"]["EVSENotification"] == "ScheduleRenegotiation"
    assert "EVSEStatus" not in talk.ask("AC_ChargeLoopReq", AC_LOOP).elements
    assert talk.ask("PowerDeliveryReq", power20("ScheduleRenegotiation")).code == "OK"
    plan = talk.ask("ScheduleExchangeReq", SCHEDULED).elements["Scheduled_SEResControlMode"]["ScheduleTuple"]
    (only,) = plan[0]["ChargingSchedule"]["PowerSchedule"]["PowerScheduleEntries"]["PowerScheduleEntry"]
    assert number(only["Power"]) == 7360.0
    assert talk.ask("PowerDeliveryReq", power20("Start")).code == "OK"
    assert talk.facts_of(PowerWanted) == [PowerWanted(True)]
    assert talk.ask("AC_ChargeLoopReq", AC_LOOP).code == "OK"


def test_a_dc_vehicle_renegotiates_without_another_cable_check() -> None:
    talk = Talk20(DC_20_VIEW).charging()
    assert talk.ask("PowerDeliveryReq", power20("ScheduleRenegotiation")).code == "OK"
    assert talk.ask("ScheduleExchangeReq", SCHEDULED).code == "OK"
    talk.output(present_voltage_v=350.0)
    assert talk.ask("PowerDeliveryReq", power20("Start")).code == "OK"
    assert talk.state is State.DC_CHARGE_LOOP
    assert talk.facts_of(PowerWanted) == [PowerWanted(True)]


@pytest.mark.parametrize(("view", "service"), [(VIEW, 1), (DC_20_VIEW, 2)], ids=["AC", "DC"])
def test_service_renegotiation_goes_back_to_discovery_still_authorized(view: object, service: int) -> None:
    talk = Talk20(view, service=service).stopped()
    assert talk.ask("SessionStopReq", {"ChargingSession": "ServiceRenegotiation"}).code == "OK"
    assert not talk.conversation.ended
    assert talk.ask("ServiceDiscoveryReq").code == "OK"
    assert talk.ask("ServiceSelectionReq", select(service, 2)).code == "OK"
    assert talk.ask(f"{talk.prefix}_ChargeParameterDiscoveryReq", talk.parameter_request).code == "OK"
    assert talk.ask("ScheduleExchangeReq", DYNAMIC).code == "OK"
    if view.dc:
        wanted = talk.ask("PowerDeliveryReq", power20("Start"))
        assert wanted.code == "FAILED_SequenceError"


def test_a_pause_and_the_session_joined_again() -> None:
    talk = Talk20().stopped()
    assert talk.ask("SessionStopReq", {"ChargingSession": "Pause"}).code == "OK"
    assert talk.end.reason is EndReason.PAUSED
    paused = PausedSession(SESSION_ID, EVCC_ID_20)
    assert talk.facts_of(PausedSession) == [paused]
    assert talk.conversation.session.paused == paused
    again = Talk20(paused=paused)
    again.negotiate(AC_WISH)
    joined = again.ask("SessionSetupReq", {"EVCCID": EVCC_ID_20}, session_id=SESSION_ID)
    assert (joined.code, joined.session_id) == ("OK_OldSessionJoined", SESSION_ID)
    assert again.state is State.AUTHORIZATION_SETUP


@pytest.mark.parametrize(
    ("vehicle", "code"),
    [("aa", "OK_OldSessionJoined"), ("bb", "OK_NewSessionEstablished"), ("", "OK_NewSessionEstablished")],
)
def test_a_session_is_joined_only_with_the_certificate_that_was_shown(vehicle: str, code: str) -> None:
    first = Talk20(channel=Channel(True, True, "aa")).stopped()
    first.ask("SessionStopReq", {"ChargingSession": "Pause"})
    (paused,) = first.facts_of(PausedSession)
    assert paused.vehicle == "aa"
    again = Talk20(paused=paused, channel=Channel(True, True, vehicle))
    again.negotiate(AC_WISH)
    assert again.ask("SessionSetupReq", {"EVCCID": EVCC_ID_20}, session_id=SESSION_ID).code == code


@pytest.mark.parametrize(
    ("session_id", "evcc_id"), [(SESSION_ID, "OTHER"), ("FF" * 8, EVCC_ID_20), ("00" * 8, EVCC_ID_20)]
)
def test_nobody_else_joins_a_paused_session(session_id: str, evcc_id: str) -> None:
    talk = Talk20(paused=PausedSession(SESSION_ID, EVCC_ID_20))
    talk.negotiate(AC_WISH)
    assert talk.ask("SessionSetupReq", {"EVCCID": evcc_id}, session_id=session_id).code == "OK_NewSessionEstablished"


def test_metering_confirmation() -> None:
    talk = Talk20().authorizing()
    talk.station(authorization=Authorization.ACCEPTED, authorization_of=EMAID)
    assert talk.ask("AuthorizationReq", PNC, signature=signed()).code == "OK"
    for name, elements in (
        ("ServiceDiscoveryReq", {}),
        ("ServiceSelectionReq", select(1)),
        ("AC_ChargeParameterDiscoveryReq", AC_PARAMETERS),
        ("ScheduleExchangeReq", SCHEDULED),
    ):
        assert talk.ask(name, elements).code == "OK"
    talk.ask("PowerDeliveryReq", power20("Start"))
    talk.station(contactor_closed=True, meter=reading(500.0), receipt_required=True)
    talk.tick20()
    loop = talk.ask("AC_ChargeLoopReq", {**AC_LOOP, "MeterInfoRequested": False}).elements
    assert loop["EVSEStatus"]["EVSENotification"] == "MeteringConfirmation"
    data = {
        "Id": "m1",
        "SessionID": bytes.fromhex(SESSION_ID),
        "MeterInfo": loop["MeterInfo"],
        "Scheduled_SMDTControlMode": {"SelectedScheduleTupleID": 1},
    }
    signature = signature_of("SignedMeteringData", data, namespace=Namespace.ISO_20_COMMON)
    assert talk.ask("AC_ChargeLoopReq", AC_LOOP).code == "OK"
    assert talk.ask("MeteringConfirmationReq", {"SignedMeteringData": data}, signature=signature).code == "OK"
    assert talk.facts_of(ReceiptVerified) == [ReceiptVerified(500)]
    again = talk.ask("MeteringConfirmationReq", {"SignedMeteringData": data}, signature=signature)
    assert again.code == "FAILED_MeteringSignatureNotValid"


def test_a_vehicle_names_the_services_it_knows() -> None:
    talk = Talk20(BPT_VIEW).authorized()
    some = talk.ask("ServiceDiscoveryReq", {"SupportedServiceIDs": {"ServiceID": [5, 65]}}).elements
    assert [each["ServiceID"] for each in some["EnergyTransferServiceList"]["Service"]] == [5]
    talk = Talk20(BPT_VIEW).authorized()
    none = talk.ask("ServiceDiscoveryReq", {"SupportedServiceIDs": {"ServiceID": [3]}}).elements
    assert [each["ServiceID"] for each in none["EnergyTransferServiceList"]["Service"]] == [1, 5]


def test_dc_bidirectional_is_offered_where_the_output_takes_back() -> None:
    services = Talk20(DC_BPT_VIEW).authorized().ask("ServiceDiscoveryReq").elements["EnergyTransferServiceList"]
    assert [each["ServiceID"] for each in services["Service"]] == [2, 6]


def test_a_single_phase_station_speaks_of_one_phase() -> None:
    talk = Talk20(replace(BPT_VIEW, phases=1)).with_parameters()
    plan = talk.ask("ScheduleExchangeReq", SCHEDULED).elements["Scheduled_SEResControlMode"]["ScheduleTuple"]
    (only,) = plan[0]["ChargingSchedule"]["PowerSchedule"]["PowerScheduleEntries"]["PowerScheduleEntry"]
    assert "Power_L2" not in only


def test_iso_15118_2_is_spoken_beside_it() -> None:
    talk = Talk20()
    answer = talk.negotiate(("urn:iso:15118:2:2013:MsgDef", 2, 0, 2), AC_WISH)
    assert answer["SchemaID"] == 2
    talk = Talk20()
    assert talk.negotiate(DC_WISH, ("urn:iso:15118:2:2013:MsgDef", 2, 0, 2))["SchemaID"] == 2
    assert Talk.ask(talk, "SessionSetupReq", {"EVCCID": b"\x02\0\0\0\0\x01"}).code == "OK_NewSessionEstablished"
