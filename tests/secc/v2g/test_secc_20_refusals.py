"""Each refusal of ISO 15118-20: the right response type, its code, no power, and the end of the session or not."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from secc.exi import Namespace, encode
from secc.ports import (
    Authorization,
    CableCheckWanted,
    CertificateAction,
    CertificateAnswer,
    CertificateRequested,
    ContractFault,
    ContractPresented,
    ContractRefused,
    EndReason,
    Insulation,
    PowerWanted,
    StopReason,
)
from secc.v2g.conversation import Channel
from secc.v2g.iso20.authorization import MAX_ATTEMPTS
from secc.v2g.iso20.certificate_installation import empty
from secc.v2g.iso20.codes import CONTRACT_WARNINGS
from secc.v2g.iso20.failures import REQUESTS
from secc.v2g.iso20.protocol import ALLOWED, HANDLERS
from secc.v2g.iso20.timing import CHARGE_LOOP
from secc.v2g.session import State
from secc.v2gtp import Frame, PayloadType
from tests.secc.support import (
    CONTRACT_DER,
    EMAID,
    ENTROPY,
    SESSION_ID,
    VIEW,
    Response,
    StubCertificates,
    certificate,
    make_key,
    reading,
)
from tests.secc.v2g.talk20 import (
    AC_BPT_PARAMETERS,
    AC_DYNAMIC_LOOP,
    AC_LOOP,
    AC_PARAMETERS,
    AC_WISH,
    DC_20_VIEW,
    DC_PARAMETERS,
    DC_WISH,
    DYNAMIC,
    EIM,
    EVCC_ID_20,
    PNC,
    PROOF,
    SCHEDULED,
    Talk20,
    dc_loop,
    entry,
    frame20,
    power20,
    pre_charge20,
    rational,
    select,
    signed,
)

CHAIN = {"Certificate": CONTRACT_DER, "SubCertificates": {"Certificate": [b"sub"]}}
ROOTS = {"RootCertificateID": [{"X509IssuerName": "CN=Root", "X509SerialNumber": 1}]}
INSTALLATION = {
    "OEMProvisioningCertificateChain": {"Id": "id1", **CHAIN},
    "ListOfRootCertificateIDs": ROOTS,
    "MaximumContractCertificateChains": 1,
}
METERING_DATA = {
    "Id": "m1",
    "SessionID": bytes.fromhex(SESSION_ID),
    "MeterInfo": {"MeterID": "METER-1", "ChargedEnergyReadingWh": 10},
    "Dynamic_SMDTControlMode": {},
}

# One valid request of each type.
GOOD: dict[str, dict] = {
    "SessionSetupReq": {"EVCCID": EVCC_ID_20},
    "AuthorizationSetupReq": {},
    "AuthorizationReq": EIM,
    "CertificateInstallationReq": INSTALLATION,
    "ServiceDiscoveryReq": {},
    "ServiceDetailReq": {"ServiceID": 1},
    "ServiceSelectionReq": select(1),
    "ScheduleExchangeReq": SCHEDULED,
    "PowerDeliveryReq": power20("Start"),
    "MeteringConfirmationReq": {"SignedMeteringData": METERING_DATA},
    "SessionStopReq": {"ChargingSession": "Terminate"},
    "VehicleCheckInReq": {"EVCheckInStatus": "CheckIn", "ParkingMethod": "Manual"},
    "VehicleCheckOutReq": {"EVCheckOutStatus": "CheckOut", "CheckOutTime": 0},
    "AC_ChargeParameterDiscoveryReq": AC_PARAMETERS,
    "AC_ChargeLoopReq": AC_LOOP,
    "DC_ChargeParameterDiscoveryReq": DC_PARAMETERS,
    "DC_CableCheckReq": {},
    "DC_PreChargeReq": pre_charge20(),
    "DC_ChargeLoopReq": dc_loop(),
    "DC_WeldingDetectionReq": {"EVProcessing": "Ongoing"},
    "WPT_FinePositioningSetupReq": {
        "EVProcessing": "Finished",
        "EVDeviceFinePositioningMethodList": {"WPT_FinePositioningMethod": ["Manual"]},
        "EVDevicePairingMethodList": {"WPT_PairingMethod": ["Optical"]},
        "EVDeviceAlignmentCheckMethodList": {"WPT_AlignmentCheckMethod": ["PowerCheck"]},
        "NaturalOffset": 0,
    },
    "WPT_FinePositioningReq": {"EVProcessing": "Finished", "EVResultCode": "EVResultSuccess"},
    "WPT_PairingReq": {"EVProcessing": "Finished", "EVResultCode": "EVResultSuccess"},
    "WPT_ChargeParameterDiscoveryReq": {
        "EVPCMaxReceivablePower": rational(11, 3),
        "SDMaxGroundClearence": 200,
        "SDMinGroundClearence": 100,
        "EVPCNaturalFrequency": rational(85, 3),
        "EVPCDeviceLocalControl": True,
    },
    "WPT_AlignmentCheckReq": {"EVProcessing": "Finished", "EVResultCode": "EVResultSuccess"},
    "WPT_ChargeLoopReq": {
        "MeterInfoRequested": False,
        "EVPCPowerRequest": rational(11, 3),
        "EVPCPowerOutput": rational(10, 3),
        "EVPCChargeDiagnostics": "EVPCNoIssue",
    },
    "ACDP_VehiclePositioningReq": {"EVMobilityStatus": False, "EVPositioningSupport": True},
    "ACDP_ConnectReq": {"EVElectricalChargingDeviceStatus": "State_B"},
    "ACDP_DisconnectReq": {"EVElectricalChargingDeviceStatus": "State_B"},
    "ACDP_SystemStatusReq": {
        "EVTechnicalStatus": {"EVReadyToCharge": True, "EVImmobilizationRequest": False},
    },
}

Reach = Callable[[Talk20], Talk20]
AC_REACH: dict[State, Reach] = {
    State.AUTHORIZATION_SETUP: Talk20.set_up,
    State.AUTHORIZATION: Talk20.authorizing,
    State.SERVICE_DISCOVERY: Talk20.authorized,
    State.SERVICE_SELECTION: Talk20.discovered,
    State.CHARGE_PARAMETER_DISCOVERY: Talk20.selected,
    State.SCHEDULE_EXCHANGE: Talk20.with_parameters,
    State.POWER_DELIVERY: Talk20.scheduled,
    State.AC_CHARGE_LOOP: Talk20.charging,
    State.STANDBY: Talk20.standing_by,
    State.SESSION_STOP: Talk20.stopped,
}
DC_REACH: dict[State, Reach] = {
    **{state: reach for state, reach in AC_REACH.items() if state not in (State.POWER_DELIVERY, State.AC_CHARGE_LOOP)},
    State.CABLE_CHECK: Talk20.scheduled,
    State.PRE_CHARGE: Talk20.cable_checked,
    State.DC_CHARGE_LOOP: Talk20.charging,
}
AC_ONLY = {name for name in GOOD if name.startswith("AC_")}
DC_ONLY = {name for name in GOOD if name.startswith("DC_")}


def reached(kind: str, state: State) -> Talk20:
    talk = (AC_REACH if kind == "AC" else DC_REACH)[state](Talk20(VIEW if kind == "AC" else DC_20_VIEW))
    assert talk.state is state
    return talk


def assert_refused(talk: Talk20, response: Response | None, request: str, code: str) -> None:
    assert response is not None
    assert response.name == request.removesuffix("Req") + "Res"
    assert response.code == code
    assert talk.end.reason is EndReason.REFUSED
    assert talk.end.detail.startswith(f"{request}: {code}")
    if talk.facts_of(PowerWanted):
        assert talk.facts_of(PowerWanted)[-1] == PowerWanted(False)
    assert talk.send20(frame20("SessionStopReq", GOOD["SessionStopReq"], SESSION_ID)) == []


def test_every_request_is_known_and_every_state_reachable() -> None:
    assert set(GOOD) == frozenset().union(*REQUESTS.values())
    not_offered = REQUESTS[Namespace.ISO_20_WPT] | REQUESTS[Namespace.ISO_20_ACDP]
    assert set(HANDLERS) == set(GOOD) - not_offered
    assert {*AC_REACH, *DC_REACH} == set(ALLOWED) - {State.SESSION_SETUP, State.ENDED}
    assert set(CONTRACT_WARNINGS) == set(ContractFault)


# --- the authorization that really refuses ---


@pytest.mark.parametrize(
    "verdict", [Authorization.PENDING, Authorization.REJECTED, Authorization.NO_ANSWER], ids=lambda each: each.value
)
@pytest.mark.parametrize("request_name", sorted(set(GOOD) - ALLOWED[State.AUTHORIZATION]))
def test_nothing_follows_an_authorization_that_was_not_accepted(request_name: str, verdict: Authorization) -> None:
    talk = Talk20().authorizing()
    talk.station(authorization=verdict)
    talk.ask("AuthorizationReq", EIM) or talk.wait(0.3)
    assert_refused(talk, talk.ask(request_name, GOOD[request_name]), request_name, "FAILED_SequenceError")
    assert not talk.facts_of(PowerWanted)
    assert not talk.facts_of(CableCheckWanted)


@pytest.mark.parametrize(
    ("verdict", "request_elements", "code"),
    [
        (Authorization.REJECTED, EIM, "WARNING_EIMAuthorizationFailure"),
        (Authorization.NO_ANSWER, EIM, "WARNING_EIMAuthorizationFailure"),
        (Authorization.REJECTED, PNC, "WARNING_GeneralPnCAuthorizationError"),
        (Authorization.NO_ANSWER, PNC, "WARNING_GeneralPnCAuthorizationError"),
        (Authorization.CERTIFICATE_REVOKED, PNC, "WARNING_CertificateRevoked"),
        (Authorization.CERTIFICATE_EXPIRED, PNC, "WARNING_CertificateExpired"),
    ],
)
def test_the_operator_says_no(verdict: Authorization, request_elements: dict, code: str) -> None:
    talk = Talk20().authorizing()
    talk.station(authorization=verdict)
    signature = signed() if request_elements is PNC else None
    response = talk.ask("AuthorizationReq", request_elements, signature=signature)
    assert (response.code, response.elements["EVSEProcessing"]) == (code, "Finished")
    assert talk.state is State.AUTHORIZATION
    assert_refused(talk, talk.ask("ServiceDiscoveryReq"), "ServiceDiscoveryReq", "FAILED_SequenceError")


def test_a_refused_contract_and_then_a_card() -> None:
    talk = Talk20().authorizing()
    talk.station(authorization=Authorization.REJECTED, authorization_of=EMAID)
    assert talk.ask("AuthorizationReq", PNC, signature=signed()).code.startswith("WARNING")
    assert talk.ask("AuthorizationReq", EIM) is None
    assert talk.wait(0.3).code == "OK"
    talk.station(authorization=Authorization.ACCEPTED, authorization_of="")
    assert talk.ask("AuthorizationReq", EIM).code == "OK"
    assert talk.conversation.session.contract is None


def test_the_word_on_another_contract_is_not_this_one_s() -> None:
    talk = Talk20().authorizing()
    talk.station(authorization=Authorization.ACCEPTED, authorization_of="DEOTHER12345678")
    assert talk.ask("AuthorizationReq", PNC, signature=signed()) is None
    assert talk.wait(0.3).elements["EVSEProcessing"] == "Ongoing"


def test_tries_are_counted() -> None:
    talk = Talk20().authorizing()
    talk.station(authorization=Authorization.REJECTED)
    for _ in range(MAX_ATTEMPTS - 1):
        assert talk.ask("AuthorizationReq", EIM).code == "WARNING_EIMAuthorizationFailure"
    assert_refused(talk, talk.ask("AuthorizationReq", EIM), "AuthorizationReq", "FAILED")


def test_an_operator_who_never_answers_about_a_contract() -> None:
    talk = Talk20().authorizing()
    signature, codes = signed(), []
    while not talk.conversation.ended:
        assert talk.now < 1060.0
        answer = talk.ask("AuthorizationReq", PNC, signature=signature) or talk.wait(0.3)
        codes.append(answer.code)
    assert set(codes[:-1]) == {"OK"}
    assert talk.now > 1054.0
    assert talk.end.detail == "AuthorizationReq: FAILED (authorization took too long)"


@pytest.mark.parametrize("fault", list(ContractFault), ids=lambda fault: fault.name)
def test_a_contract_that_does_not_hold(fault: ContractFault) -> None:
    talk = Talk20(certificates=StubCertificates(fault)).authorizing()
    talk.station(authorization=Authorization.ACCEPTED)
    response = talk.ask("AuthorizationReq", PNC, signature=signed())
    assert response.code == CONTRACT_WARNINGS[fault].value
    assert talk.facts_of(ContractRefused) == [ContractRefused(EMAID, fault)]
    assert not talk.facts_of(ContractPresented)
    assert talk.state is State.AUTHORIZATION


def test_another_challenge() -> None:
    talk = Talk20().authorizing()
    talk.station(authorization=Authorization.ACCEPTED)
    proof = {**PROOF, "GenChallenge": bytes(16)}
    request = {"SelectedAuthorizationService": "PnC", "PnC_AReqAuthorizationMode": proof}
    response = talk.ask("AuthorizationReq", request, signature=signed(proof))
    assert (response.code, talk.state) == ("WARNING_ChallengeInvalid", State.AUTHORIZATION)
    assert talk.certificates.asked == []


@pytest.mark.parametrize(
    "signature",
    [
        None,
        signed(key=make_key()),
        signed({**PROOF, "Id": "id2"}),
        signed({**PROOF, "GenChallenge": bytes(16)}),
        signed(bits=512),
        signed(digest_algorithm="http://www.w3.org/2001/04/xmlenc#sha512"),
    ],
    ids=["none", "another key", "another element", "another content", "hash without its curve", "another digest"],
)
def test_a_signature_that_does_not_hold(signature: dict | None) -> None:
    talk = Talk20().authorizing()
    talk.station(authorization=Authorization.ACCEPTED)
    response = talk.ask("AuthorizationReq", PNC, signature=signature)
    assert_refused(talk, response, "AuthorizationReq", "FAILED_SignatureError")
    assert not talk.facts_of(ContractPresented)


def test_a_repeated_request_with_another_contract_must_prove_it() -> None:
    talk = Talk20().authorizing()
    assert talk.ask("AuthorizationReq", PNC, signature=signed()) is None
    talk.wait(0.3)
    chain = {"Certificate": certificate("DEOTHER1", make_key()), "SubCertificates": {"Certificate": [b"sub"]}}
    request = {**PNC, "PnC_AReqAuthorizationMode": {**PROOF, "ContractCertificateChain": chain}}
    talk.station(authorization=Authorization.ACCEPTED)
    response = talk.ask("AuthorizationReq", request, signature=signed())
    assert_refused(talk, response, "AuthorizationReq", "FAILED_SignatureError")


@pytest.mark.parametrize(
    ("changes", "request_elements"),
    [
        ({"accepts_contract": False}, PNC),
        ({"accepts_external_payment": False}, EIM),
        ({"accepts_contract": False, "accepts_external_payment": False}, EIM),
        ({}, {"SelectedAuthorizationService": "PnC", "EIM_AReqAuthorizationMode": {}}),
        ({}, {"SelectedAuthorizationService": "EIM", "PnC_AReqAuthorizationMode": PROOF}),
    ],
    ids=["no contracts", "no cards", "nothing", "PnC without proof", "EIM with proof"],
)
def test_a_way_to_pay_that_is_not_offered(changes: dict, request_elements: dict) -> None:
    talk = Talk20()
    talk.station(authorization=Authorization.ACCEPTED, **changes)
    talk.authorizing()
    response = talk.ask("AuthorizationReq", request_elements, signature=signed())
    assert (response.code, talk.state) == ("WARNING_AuthorizationSelectionInvalid", State.AUTHORIZATION)


def test_a_certificate_that_is_none_has_no_emaid() -> None:
    talk = Talk20(certificates=StubCertificates(ContractFault.MALFORMED)).authorizing()
    chain = {"Certificate": b"junk", "SubCertificates": {"Certificate": [b"sub"]}}
    proof = {**PROOF, "ContractCertificateChain": chain}
    request = {"SelectedAuthorizationService": "PnC", "PnC_AReqAuthorizationMode": proof}
    assert talk.ask("AuthorizationReq", request, signature=signed(proof)).code == "WARNING_CertificateValidationError"
    assert talk.certificates.asked == [([b"junk", b"sub"], "")]


# --- only over mutual TLS 1.3 ---


@pytest.mark.parametrize("channel", [Channel(tls=False), Channel(tls=True)], ids=["TCP", "TLS 1.2 or one-sided"])
@pytest.mark.parametrize("wish", [AC_WISH, DC_WISH])
def test_it_is_not_spoken_otherwise(channel: Channel, wish: tuple) -> None:
    talk = Talk20(VIEW if wish is AC_WISH else DC_20_VIEW, channel=channel)
    assert talk.negotiate(wish)["ResponseCode"] == "Failed_NoNegotiation"
    assert talk.end.reason is EndReason.REFUSED


@pytest.mark.parametrize(("view", "wish"), [(VIEW, DC_WISH), (DC_20_VIEW, AC_WISH)])
def test_what_the_station_cannot_do_is_not_negotiated(view: object, wish: tuple) -> None:
    assert Talk20(view).negotiate(wish)["ResponseCode"] == "Failed_NoNegotiation"


def test_it_is_not_offered_unless_told() -> None:
    from secc.v2g.protocols import DEFAULT

    assert Talk20(offered=DEFAULT).negotiate(AC_WISH)["ResponseCode"] == "Failed_NoNegotiation"


# --- content ---


@pytest.mark.parametrize(
    ("state", "request_name", "elements", "code"),
    [
        (State.SERVICE_SELECTION, "ServiceDetailReq", {"ServiceID": 3}, "FAILED_ServiceIDInvalid"),
        (State.SERVICE_SELECTION, "ServiceDetailReq", {"ServiceID": 5}, "FAILED_ServiceIDInvalid"),
        (State.SERVICE_SELECTION, "ServiceSelectionReq", select(2), "FAILED_NoEnergyTransferServiceSelected"),
        (State.SERVICE_SELECTION, "ServiceSelectionReq", select(5), "FAILED_NoEnergyTransferServiceSelected"),
        (State.SERVICE_SELECTION, "ServiceSelectionReq", select(1, 9), "FAILED_ServiceSelectionInvalid"),
        (
            State.SERVICE_SELECTION,
            "ServiceSelectionReq",
            {**select(1), "SelectedVASList": {"SelectedService": [{"ServiceID": 65, "ParameterSetID": 1}]}},
            "FAILED_ServiceSelectionInvalid",
        ),
        (
            State.CHARGE_PARAMETER_DISCOVERY,
            "AC_ChargeParameterDiscoveryReq",
            AC_BPT_PARAMETERS,
            "FAILED_WrongChargeParameter",
        ),
        (
            State.CHARGE_PARAMETER_DISCOVERY,
            "AC_ChargeParameterDiscoveryReq",
            {
                "AC_CPDReqEnergyTransferMode": {
                    name: rational(0) for name in AC_PARAMETERS["AC_CPDReqEnergyTransferMode"]
                }
            },
            "FAILED_WrongChargeParameter",
        ),
        (State.SCHEDULE_EXCHANGE, "ScheduleExchangeReq", DYNAMIC, "FAILED"),
        (
            State.POWER_DELIVERY,
            "PowerDeliveryReq",
            power20("Start", entry(3680), tuple_id=2),
            "FAILED_ScheduleSelectionInvalid",
        ),
        (State.POWER_DELIVERY, "PowerDeliveryReq", power20("Start", entry(11_042)), "FAILED_EVPowerProfileInvalid"),
        (
            State.POWER_DELIVERY,
            "PowerDeliveryReq",
            power20("Start", entry(3690, Power_L2=rational(0))),
            "FAILED_EVPowerProfileInvalid",
        ),
        (
            State.POWER_DELIVERY,
            "PowerDeliveryReq",
            power20("Start", entry(3680, 60), entry(20_000, 60)),
            "FAILED_EVPowerProfileInvalid",
        ),
        (State.POWER_DELIVERY, "PowerDeliveryReq", power20("ScheduleRenegotiation"), "FAILED_SequenceError"),
        (State.AC_CHARGE_LOOP, "PowerDeliveryReq", power20("Start"), "FAILED_SequenceError"),
        (State.AC_CHARGE_LOOP, "AC_ChargeLoopReq", AC_DYNAMIC_LOOP, "FAILED"),
        (
            State.AC_CHARGE_LOOP,
            "SessionStopReq",
            {"ChargingSession": "ServiceRenegotiation"},
            "FAILED_SequenceError",
        ),
        (
            State.AC_CHARGE_LOOP,
            "MeteringConfirmationReq",
            {"SignedMeteringData": METERING_DATA},
            "FAILED_MeteringSignatureNotValid",
        ),
    ],
)
def test_content_that_is_refused(state: State, request_name: str, elements: dict, code: str) -> None:
    talk = reached("AC", state)
    assert_refused(talk, talk.ask(request_name, elements), request_name, code)


def test_a_confirmation_that_the_contract_did_not_sign() -> None:
    talk = Talk20().authorizing()
    talk.station(authorization=Authorization.ACCEPTED)
    talk.ask("AuthorizationReq", PNC, signature=signed())
    for name, elements in (
        ("ServiceDiscoveryReq", {}),
        ("ServiceSelectionReq", select(1, 2)),
        ("AC_ChargeParameterDiscoveryReq", AC_PARAMETERS),
        ("ScheduleExchangeReq", DYNAMIC),
        ("PowerDeliveryReq", power20("Start", entry(30_000), dynamic=True)),
    ):
        talk.ask(name, elements)
    talk.station(contactor_closed=True, meter=reading(10.0), receipt_required=True)
    talk.tick20()
    loop = talk.ask("AC_ChargeLoopReq", AC_DYNAMIC_LOOP).elements
    data = {**METERING_DATA, "MeterInfo": loop["MeterInfo"]}
    response = talk.ask("MeteringConfirmationReq", {"SignedMeteringData": data})
    assert_refused(talk, response, "MeteringConfirmationReq", "FAILED_MeteringSignatureNotValid")


def test_a_plan_over_a_whole_day_may_end_early() -> None:
    talk = Talk20().scheduled()
    assert talk.ask("PowerDeliveryReq", power20("Start", entry(0, 0), entry(11_040, 60), entry(3000, 60))) is None


@pytest.mark.parametrize(
    ("parameters", "view"),
    [
        ({"EVMaximumVoltage": rational(0)}, DC_20_VIEW),
        ({"EVMinimumVoltage": rational(1000)}, DC_20_VIEW),
    ],
)
def test_dc_voltages_that_do_not_meet(parameters: dict, view: object) -> None:
    talk = Talk20(view).selected()
    request = {"DC_CPDReqEnergyTransferMode": {**DC_PARAMETERS["DC_CPDReqEnergyTransferMode"], **parameters}}
    response = talk.ask("DC_ChargeParameterDiscoveryReq", request)
    assert_refused(talk, response, "DC_ChargeParameterDiscoveryReq", "FAILED_WrongChargeParameter")


# --- power ---


@pytest.mark.parametrize("state", [State.SCHEDULE_EXCHANGE, State.CABLE_CHECK], ids=lambda state: state.value)
@pytest.mark.parametrize("progress", ["Start", "Standby", "ScheduleRenegotiation"])
def test_no_start_without_a_cable_check(state: State, progress: str) -> None:
    talk = reached("DC", state)
    assert_refused(talk, talk.ask("PowerDeliveryReq", power20(progress)), "PowerDeliveryReq", "FAILED_SequenceError")
    assert not talk.facts_of(PowerWanted)


@pytest.mark.parametrize("state", [State.SCHEDULE_EXCHANGE, State.CABLE_CHECK, State.PRE_CHARGE], ids=lambda s: s.value)
def test_a_vehicle_may_give_up_before_power(state: State) -> None:
    talk = reached("DC", state)
    assert talk.ask("PowerDeliveryReq", power20("Stop")).code == "OK"
    assert talk.ask("SessionStopReq", {"ChargingSession": "Terminate"}).code == "OK"


@pytest.mark.parametrize("present_v", [0.0, 379.0, 421.0])
def test_no_start_without_a_matched_voltage(present_v: float) -> None:
    talk = Talk20(DC_20_VIEW).pre_charged()
    talk.output(present_voltage_v=present_v)
    response = talk.ask("PowerDeliveryReq", power20("Start"))
    assert_refused(talk, response, "PowerDeliveryReq", "FAILED_PowerDeliveryNotApplied")


def test_no_start_without_a_pre_charge() -> None:
    talk = Talk20(DC_20_VIEW).cable_checked()
    response = talk.ask("PowerDeliveryReq", power20("Start"))
    assert_refused(talk, response, "PowerDeliveryReq", "FAILED_PowerDeliveryNotApplied")


@pytest.mark.parametrize(
    "changes",
    [
        {"stop": StopReason.OPERATOR},
        {"rcd_tripped": True},
        {"authorization": Authorization.REJECTED},
        {"authorization": Authorization.PENDING},
    ],
    ids=["operator", "RCD", "rejected since", "withdrawn"],
)
def test_no_start_against_the_station(changes: dict) -> None:
    talk = Talk20().scheduled()
    talk.station(**changes)
    response = talk.ask("PowerDeliveryReq", power20("Start"))
    assert_refused(talk, response, "PowerDeliveryReq", "FAILED_PowerDeliveryNotApplied")
    assert not talk.facts_of(PowerWanted)


def test_a_contactor_that_does_not_close() -> None:
    talk = Talk20().scheduled()
    assert talk.ask("PowerDeliveryReq", power20("Start")) is None
    assert_refused(talk, talk.wait(3.1), "PowerDeliveryReq", "FAILED_PowerDeliveryNotApplied")


def test_a_cable_that_is_not_sound() -> None:
    talk = Talk20(DC_20_VIEW).scheduled()
    assert talk.ask("DC_CableCheckReq") is None
    talk.output(cable_check_id=ENTROPY.hex().upper(), cable_check=Insulation.FAULT)
    (response,) = talk.tick20()
    assert_refused(talk, response, "DC_CableCheckReq", "FAILED")


def test_no_pre_charge_against_the_station() -> None:
    talk = Talk20(DC_20_VIEW).cable_checked()
    talk.station(stop=StopReason.FAULT)
    assert_refused(talk, talk.ask("DC_PreChargeReq", pre_charge20()), "DC_PreChargeReq", "FAILED")


# --- time ---


@pytest.mark.parametrize(("kind", "state"), [("AC", State.AC_CHARGE_LOOP), ("DC", State.DC_CHARGE_LOOP)])
def test_a_vehicle_that_falls_silent_in_the_loop_loses_power_soon(kind: str, state: State) -> None:
    assert CHARGE_LOOP.standard_s == 0.5
    talk = reached(kind, state)
    talk.pass_time(CHARGE_LOOP.whole_s - 0.01)
    assert not talk.conversation.ended
    talk.pass_time(0.02)
    assert talk.end.reason is EndReason.SEQUENCE_TIMEOUT
    assert talk.facts_of(PowerWanted)[-1] == PowerWanted(False)


# --- frames ---


def test_a_payload_type_of_discovery_is_stepped_over() -> None:
    talk = Talk20().authorizing()
    for payload_type in (PayloadType.SDP_REQUEST, PayloadType.SDP_RESPONSE):
        assert talk.send20(Frame(payload_type, b"\x80")) == []
    assert talk.conversation.stepped_over == 2
    assert talk.ask("AuthorizationReq", EIM) is None
    assert not talk.conversation.ended


def test_a_common_message_under_the_payload_type_of_the_negotiation() -> None:
    talk = Talk20().set_up()
    sent = frame20("AuthorizationSetupReq", {}, SESSION_ID)
    out = talk.conversation.feed(replace(sent, payload_type=PayloadType.EXI), talk.around(), talk.now)
    assert [frame.payload_type for frame in out.frames] == [PayloadType.EXI]
    assert talk.state is State.AUTHORIZATION


def test_before_the_protocol_is_agreed_on_only_its_negotiation_is_read() -> None:
    talk = Talk20()
    assert talk.send20(frame20("SessionSetupReq", GOOD["SessionSetupReq"], "00" * 8)) == []
    assert talk.negotiate(AC_WISH)["ResponseCode"] == "OK_SuccessfulNegotiation"


@pytest.mark.parametrize(
    "frame",
    [
        Frame(PayloadType.COMMON, b"junk"),
        Frame(PayloadType.AC, frame20("SessionSetupReq", GOOD["SessionSetupReq"], "00" * 8).payload),
        Frame(
            PayloadType.COMMON,
            encode(
                Namespace.ISO_20_COMMON,
                {
                    "SessionStopRes": {
                        "Header": {"SessionID": bytes(8), "TimeStamp": 0},
                        "ResponseCode": "OK",
                    }
                },
            ),
        ),
    ],
    ids=["junk", "another schema", "a response"],
)
def test_what_is_no_request_ends_the_session(frame: Frame) -> None:
    talk = Talk20().authorizing()
    assert talk.send20(frame) == []
    assert talk.end.reason is EndReason.PROTOCOL_ERROR
    assert talk.closed


# --- certificates ---


def installing() -> Talk20:
    talk = Talk20()
    talk.station(offers_certificates=True)
    return talk.authorizing()


def installed(session_id: str = SESSION_ID, code: str = "OK") -> bytes:
    header = {"SessionID": bytes.fromhex(session_id), "TimeStamp": 0}
    message = {"CertificateInstallationRes": {"Header": header, "ResponseCode": code, **empty()}}
    return encode(Namespace.ISO_20_COMMON, message)


REQUEST_ID = ENTROPY.hex().upper()


def test_certificate_installation_goes_to_the_operator_unread_and_so_does_the_answer() -> None:
    talk = installing()
    sent = frame20("CertificateInstallationReq", INSTALLATION, SESSION_ID)
    assert talk.send20(sent) == []
    schema = "urn:iso:std:iso:15118:-20:CommonMessages"
    assert talk.facts[-1] == CertificateRequested(REQUEST_ID, CertificateAction.INSTALL, schema, sent.payload)
    talk.pass_time(2.0)
    talk.station(certificate_answer=CertificateAnswer(REQUEST_ID, installed()))
    out = talk.conversation.tick(talk.around(), talk.now)
    assert out.frames == [Frame(PayloadType.COMMON, installed())]
    assert talk.ask("AuthorizationReq", EIM) is None


def test_an_answer_under_another_session_id_is_put_under_ours() -> None:
    talk = installing()
    talk.ask("CertificateInstallationReq", INSTALLATION)
    talk.station(certificate_answer=CertificateAnswer(REQUEST_ID, installed("00" * 8)))
    (response,) = talk.tick20()
    assert (response.code, response.session_id) == ("OK", SESSION_ID)


@pytest.mark.parametrize("answer", [None, b"", b"junk", installed()[:40]], ids=["none", "empty", "junk", "cut off"])
def test_without_a_certificate_the_vehicle_may_pay_otherwise(answer: bytes | None) -> None:
    talk = installing()
    talk.ask("CertificateInstallationReq", INSTALLATION)
    talk.station(certificate_answer=CertificateAnswer(REQUEST_ID, answer))
    (response,) = talk.tick20()
    assert response.code == "WARNING_NoCertificateAvailable"
    talk.station(authorization=Authorization.ACCEPTED)
    assert talk.ask("AuthorizationReq", EIM).code == "OK"


def test_an_operator_who_does_not_answer_in_time() -> None:
    talk = installing()
    talk.station(certificate_answer=CertificateAnswer("EARLIER", installed()))
    assert talk.ask("CertificateInstallationReq", INSTALLATION) is None
    talk.pass_time(4.4)
    assert talk.wait(0.2).code == "WARNING_NoCertificateAvailable"


def test_a_failure_of_the_operator_s_ends_the_session() -> None:
    talk = installing()
    talk.ask("CertificateInstallationReq", INSTALLATION)
    talk.station(certificate_answer=CertificateAnswer(REQUEST_ID, installed(code="FAILED_SignatureError")))
    (response,) = talk.tick20()
    assert response.code == "FAILED_SignatureError"
    assert talk.end.reason is EndReason.REFUSED


def test_installation_where_it_is_not_offered() -> None:
    talk = Talk20().authorizing()
    response = talk.ask("CertificateInstallationReq", INSTALLATION)
    assert_refused(talk, response, "CertificateInstallationReq", "FAILED_SequenceError")


def test_session_setup_repeated_starts_over() -> None:
    talk = Talk20().authorizing()
    assert talk.ask("SessionSetupReq", {"EVCCID": EVCC_ID_20}).code == "OK_NewSessionEstablished"
    assert talk.state is State.AUTHORIZATION_SETUP
