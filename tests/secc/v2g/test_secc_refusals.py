"""Each refusal: the right response type, its code, no power, and the end of the session."""

from collections.abc import Callable

import pytest

from secc.exi import Namespace, encode
from secc.ports import (
    Authorization,
    ContractFault,
    ContractRefused,
    EndReason,
    PowerWanted,
    ReceiptVerified,
    StopReason,
    V2GEnded,
)
from secc.v2g.codes import CONTRACT_CODES
from secc.v2g.iso2.failures import REQUESTS
from secc.v2g.iso2.protocol import ALLOWED, HANDLERS
from secc.v2g.session import State
from tests.secc.support import (
    AUTHORIZATION,
    CHARGE_PARAMETERS,
    CONTRACT_DER,
    DC_CHARGE_PARAMETERS,
    DC_STATUS,
    EMAID,
    EVCC_ID,
    PAYMENT_DETAILS,
    SESSION_ID,
    Response,
    StubCertificates,
    Talk,
    amount,
    certificate,
    make_key,
    message,
    power,
    reading,
    selection,
    signature_of,
)

METER = {"MeterID": "METER-1", "MeterReading": 10}
RECEIPT = {"Id": "R1", "SessionID": bytes.fromhex(SESSION_ID), "SAScheduleTupleID": 1, "MeterInfo": METER}
ROOTS = {"RootCertificateID": [{"X509IssuerName": "CN=Root", "X509SerialNumber": 1}]}

# One valid request of each type.
GOOD: dict[str, dict] = {
    "SessionSetupReq": {"EVCCID": EVCC_ID},
    "ServiceDiscoveryReq": {},
    "ServiceDetailReq": {"ServiceID": 1},
    "PaymentServiceSelectionReq": selection("Contract"),
    "PaymentDetailsReq": PAYMENT_DETAILS,
    "CertificateInstallationReq": {
        "Id": "C1",
        "OEMProvisioningCert": CONTRACT_DER,
        "ListOfRootCertificateIDs": ROOTS,
    },
    "CertificateUpdateReq": {
        "Id": "C1",
        "ContractSignatureCertChain": {"Certificate": CONTRACT_DER},
        "eMAID": EMAID,
        "ListOfRootCertificateIDs": ROOTS,
    },
    "AuthorizationReq": AUTHORIZATION,
    "ChargeParameterDiscoveryReq": CHARGE_PARAMETERS,
    "PowerDeliveryReq": power("Start"),
    "ChargingStatusReq": {},
    "MeteringReceiptReq": RECEIPT,
    "SessionStopReq": {"ChargingSession": "Terminate"},
    "CableCheckReq": {"DC_EVStatus": DC_STATUS},
    "PreChargeReq": {
        "DC_EVStatus": DC_STATUS,
        "EVTargetVoltage": amount(400, "V"),
        "EVTargetCurrent": amount(2, "A"),
    },
    "CurrentDemandReq": {
        "DC_EVStatus": DC_STATUS,
        "EVTargetCurrent": amount(50, "A"),
        "ChargingComplete": False,
        "EVTargetVoltage": amount(400, "V"),
    },
    "WeldingDetectionReq": {"DC_EVStatus": DC_STATUS},
}


def awaiting_receipt(talk: Talk) -> Talk:
    talk.charging()
    talk.station(meter=reading(10.0), receipt_required=True)
    talk.ask("ChargingStatusReq")
    return talk


def stopped(talk: Talk) -> Talk:
    talk.charging()
    talk.ask("PowerDeliveryReq", power("Stop"))
    return talk


DC_REQUESTS = {"CableCheckReq", "PreChargeReq", "CurrentDemandReq", "WeldingDetectionReq"}

REACH: dict[State, Callable[[Talk], Talk]] = {
    State.SERVICE_DISCOVERY: Talk.set_up,
    State.SERVICE_SELECTION: Talk.discover,
    State.PAYMENT_DETAILS: Talk.select,
    State.AUTHORIZATION: Talk.present,
    State.CHARGE_PARAMETER_DISCOVERY: Talk.authorized,
    State.POWER_DELIVERY: Talk.parameters,
    State.CHARGING: Talk.charging,
    State.METERING_RECEIPT: awaiting_receipt,
    State.SESSION_STOP: stopped,
}


def assert_refused(talk: Talk, response: Response | None, request: str, code: str) -> None:
    assert response is not None
    assert response.name == request.removesuffix("Req") + "Res"
    assert response.code == code
    assert talk.end.reason is EndReason.REFUSED
    assert talk.end.detail.startswith(f"{request}: {code}")
    if talk.facts_of(PowerWanted):
        assert talk.facts_of(PowerWanted)[-1] == PowerWanted(False)
    assert talk.send(b"\x80") == []


def test_every_request_is_known_and_every_state_reachable() -> None:
    assert set(GOOD) == REQUESTS
    assert set(HANDLERS) <= REQUESTS
    of_dc = {State.CABLE_CHECK, State.PRE_CHARGE, State.CURRENT_DEMAND}
    assert set(REACH) == set(ALLOWED) - {State.SESSION_SETUP, State.ENDED} - of_dc
    assert set(CONTRACT_CODES) == set(ContractFault)


def test_a_vehicle_may_leave_while_its_start_is_held() -> None:
    talk = Talk().parameters()
    assert talk.ask("PowerDeliveryReq", power("Start")) is None
    assert talk.ask("SessionStopReq", {"ChargingSession": "Terminate"}) is None
    talk.station(contactor_closed=True)
    start, stop = (Response.of(payload) for payload in talk.tick())
    assert (start.name, stop.name) == ("PowerDeliveryRes", "SessionStopRes")
    assert talk.facts_of(PowerWanted) == [PowerWanted(True), PowerWanted(False)]


# --- content ---


def test_content_the_model_refuses_is_answered_in_the_right_type() -> None:
    talk = Talk()
    talk.negotiate()
    response = talk.ask("SessionSetupReq", {"EVCCID": b""})
    assert_refused(talk, response, "SessionSetupReq", "FAILED")


def test_dc_parameters_for_an_ac_mode() -> None:
    talk = Talk().authorized()
    request = {**DC_CHARGE_PARAMETERS, "RequestedEnergyTransferMode": "AC_three_phase_core"}
    response = talk.ask("ChargeParameterDiscoveryReq", request)
    assert_refused(talk, response, "ChargeParameterDiscoveryReq", "FAILED_WrongChargeParameter")


def test_dc_at_an_ac_station() -> None:
    talk = Talk().authorized()
    response = talk.ask("ChargeParameterDiscoveryReq", DC_CHARGE_PARAMETERS)
    assert_refused(talk, response, "ChargeParameterDiscoveryReq", "FAILED_WrongEnergyTransferMode")


def test_three_phases_of_one() -> None:
    talk = Talk().authorized()
    talk.station(phases=1)
    response = talk.ask("ChargeParameterDiscoveryReq", CHARGE_PARAMETERS)
    assert_refused(talk, response, "ChargeParameterDiscoveryReq", "FAILED_WrongEnergyTransferMode")


# --- services and payment ---


def test_details_of_a_service_that_is_not_offered() -> None:
    talk = Talk().discover()
    assert talk.ask("ServiceDetailReq", {"ServiceID": 1}).code == "OK"
    response = talk.ask("ServiceDetailReq", {"ServiceID": 3})
    assert response.elements["ServiceID"] == 3
    assert_refused(talk, response, "ServiceDetailReq", "FAILED_ServiceIDInvalid")


@pytest.mark.parametrize(
    ("chosen", "code"),
    [
        (selection("Contract", 2), "FAILED_NoChargeServiceSelected"),
        (selection("Contract", 1, 3), "FAILED_ServiceSelectionInvalid"),
    ],
)
def test_service_selection(chosen: dict, code: str) -> None:
    talk = Talk().discover()
    assert_refused(talk, talk.ask("PaymentServiceSelectionReq", chosen), "PaymentServiceSelectionReq", code)


@pytest.mark.parametrize(
    ("tls", "changes", "payment"),
    [
        (False, {}, "Contract"),
        (True, {"accepts_contract": False}, "Contract"),
        (True, {"accepts_external_payment": False}, "ExternalPayment"),
        (False, {"accepts_external_payment": False}, "ExternalPayment"),
    ],
    ids=["contract without TLS", "contract not offered", "card not offered", "nothing left to offer"],
)
def test_payment_that_was_not_offered(tls: bool, changes: dict, payment: str) -> None:
    talk = Talk(tls=tls)
    talk.station(**changes)
    talk.discover()
    response = talk.ask("PaymentServiceSelectionReq", selection(payment))
    assert_refused(talk, response, "PaymentServiceSelectionReq", "FAILED_PaymentSelectionInvalid")


# --- the contract ---


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (ContractFault.UNKNOWN_ROOT, "FAILED_CertChainError"),
        (ContractFault.BAD_SIGNATURE, "FAILED_CertChainError"),
        (ContractFault.NO_CHAIN, "FAILED_CertChainError"),
        (ContractFault.MALFORMED, "FAILED_CertChainError"),
        (ContractFault.WRONG_USAGE, "FAILED_CertChainError"),
        (ContractFault.NOT_YET_VALID, "FAILED_CertChainError"),
        (ContractFault.EXPIRED, "FAILED_CertificateExpired"),
        (ContractFault.EMAID_MISMATCH, "FAILED_NoCertificateAvailable"),
        (ContractFault.EMAID_SYNTAX, "FAILED_NoCertificateAvailable"),
    ],
)
def test_a_contract_that_does_not_hold(fault: ContractFault, code: str) -> None:
    talk = Talk(certificates=StubCertificates(fault)).select()
    response = talk.ask("PaymentDetailsReq", PAYMENT_DETAILS)
    assert response.elements["GenChallenge"] == bytes(16)
    assert_refused(talk, response, "PaymentDetailsReq", code)
    assert talk.facts_of(ContractRefused) == [ContractRefused(EMAID, fault)]


@pytest.mark.parametrize(
    ("word", "code"),
    [
        (Authorization.REJECTED, "FAILED_CertificateNotAllowedAtThisEVSE"),
        (Authorization.CERTIFICATE_REVOKED, "FAILED_CertificateRevoked"),
        (Authorization.CERTIFICATE_EXPIRED, "FAILED_CertificateExpired"),
        (Authorization.NO_ANSWER, "FAILED"),
    ],
)
@pytest.mark.parametrize("payment", ["Contract", "ExternalPayment"])
def test_the_operator_refuses(word: Authorization, code: str, payment: str) -> None:
    talk = Talk().present() if payment == "Contract" else Talk().select(payment)
    request = AUTHORIZATION if payment == "Contract" else {}
    signature = signature_of("AuthorizationReq", AUTHORIZATION) if payment == "Contract" else None
    assert talk.ask("AuthorizationReq", request, signature=signature) is None
    talk.station(authorization=word)
    (answer,) = talk.tick()
    assert_refused(talk, Response.of(answer), "AuthorizationReq", code if payment == "Contract" else "FAILED")


@pytest.mark.parametrize("word", [Authorization.ACCEPTED, Authorization.REJECTED])
def test_the_word_on_another_contract_is_no_word_on_this_one(word: Authorization) -> None:
    talk = Talk().present()
    talk.station(authorization=word, authorization_of="DEABCC12345678")
    signature = signature_of("AuthorizationReq", AUTHORIZATION)
    assert talk.ask("AuthorizationReq", AUTHORIZATION, signature=signature) is None
    assert talk.wait(0.3).elements["EVSEProcessing"] == "Ongoing"
    talk.station(authorization=Authorization.ACCEPTED, authorization_of=EMAID)
    assert talk.ask("AuthorizationReq", AUTHORIZATION).elements["EVSEProcessing"] == "Finished"


OTHER_KEY = make_key()


@pytest.mark.parametrize(
    ("request_elements", "signature", "code"),
    [
        (AUTHORIZATION, None, "FAILED_SignatureError"),
        (AUTHORIZATION, signature_of("AuthorizationReq", AUTHORIZATION, OTHER_KEY), "FAILED_SignatureError"),
        (AUTHORIZATION, signature_of("AuthorizationReq", AUTHORIZATION, uri="#ID9"), "FAILED_SignatureError"),
        (
            AUTHORIZATION,
            signature_of("AuthorizationReq", {**AUTHORIZATION, "GenChallenge": bytes(16)}),
            "FAILED_SignatureError",
        ),
        (
            AUTHORIZATION,
            signature_of("AuthorizationReq", AUTHORIZATION, algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1"),
            "FAILED_SignatureError",
        ),
        (
            AUTHORIZATION,
            signature_of("AuthorizationReq", AUTHORIZATION, digest_algorithm="http://www.w3.org/2000/09/xmldsig#sha1"),
            "FAILED_SignatureError",
        ),
        (
            {"GenChallenge": AUTHORIZATION["GenChallenge"]},
            signature_of("AuthorizationReq", AUTHORIZATION),
            "FAILED_SignatureError",
        ),
        (
            {**AUTHORIZATION, "GenChallenge": bytes(16)},
            signature_of("AuthorizationReq", {**AUTHORIZATION, "GenChallenge": bytes(16)}),
            "FAILED_ChallengeInvalid",
        ),
        ({}, None, "FAILED_ChallengeInvalid"),
    ],
    ids=[
        "no signature",
        "another key",
        "another element referenced",
        "digest of something else",
        "another signature algorithm",
        "another digest algorithm",
        "no Id",
        "another challenge",
        "empty",
    ],
)
def test_a_proof_that_does_not_hold(request_elements: dict, signature: dict | None, code: str) -> None:
    talk = Talk().present()
    talk.station(authorization=Authorization.ACCEPTED)
    response = talk.ask("AuthorizationReq", request_elements, signature=signature)
    assert_refused(talk, response, "AuthorizationReq", code)


def test_a_truncated_signature_value() -> None:
    talk = Talk().present()
    signature = signature_of("AuthorizationReq", AUTHORIZATION)
    signature["SignatureValue"] = {"value": signature["SignatureValue"]["value"][:63]}
    response = talk.ask("AuthorizationReq", AUTHORIZATION, signature=signature)
    assert_refused(talk, response, "AuthorizationReq", "FAILED_SignatureError")


def test_two_references_prove_nothing() -> None:
    talk = Talk().present()
    signature = signature_of("AuthorizationReq", AUTHORIZATION)
    signature["SignedInfo"]["Reference"] *= 2
    response = talk.ask("AuthorizationReq", AUTHORIZATION, signature=signature)
    assert_refused(talk, response, "AuthorizationReq", "FAILED_SignatureError")


def test_a_reference_without_uri_proves_nothing() -> None:
    talk = Talk().present()
    signature = signature_of("AuthorizationReq", AUTHORIZATION)
    del signature["SignedInfo"]["Reference"][0]["URI"]
    response = talk.ask("AuthorizationReq", AUTHORIZATION, signature=signature)
    assert_refused(talk, response, "AuthorizationReq", "FAILED_SignatureError")


def test_the_key_of_another_certificate_in_the_chain_does_not_sign() -> None:
    talk = Talk().select()
    chain = {"Certificate": certificate(EMAID, OTHER_KEY), "SubCertificates": {"Certificate": [CONTRACT_DER]}}
    talk.ask("PaymentDetailsReq", {"eMAID": EMAID, "ContractSignatureCertChain": chain})
    assert len(talk.certificates.asked[0][0]) == 2
    signature = signature_of("AuthorizationReq", AUTHORIZATION)
    response = talk.ask("AuthorizationReq", AUTHORIZATION, signature=signature)
    assert_refused(talk, response, "AuthorizationReq", "FAILED_SignatureError")


# --- power ---


@pytest.mark.parametrize(
    ("request_elements", "code"),
    [
        (power("Start", tuple_id=2), "FAILED_TariffSelectionInvalid"),
        (power("Start", amount(11_041, "W")), "FAILED_ChargingProfileInvalid"),
        (power("Start", amount(11_040, "W"), amount(23, "W", 3)), "FAILED_ChargingProfileInvalid"),
        (power("Renegotiate"), "FAILED_SequenceError"),
    ],
)
def test_a_plan_beyond_the_offer(request_elements: dict, code: str) -> None:
    talk = Talk().parameters()
    response = talk.ask("PowerDeliveryReq", request_elements)
    assert_refused(talk, response, "PowerDeliveryReq", code)
    assert PowerWanted(True) not in talk.facts


def test_starting_twice() -> None:
    talk = Talk().charging()
    assert_refused(talk, talk.ask("PowerDeliveryReq", power("Start")), "PowerDeliveryReq", "FAILED_SequenceError")


@pytest.mark.parametrize(
    "changes",
    [
        {"stop": StopReason.FAULT},
        {"stop": StopReason.OPERATOR},
        {"rcd_tripped": True},
        {"authorization": Authorization.REJECTED},
        {"authorization": Authorization.PENDING},
    ],
    ids=str,
)
def test_a_station_that_allows_no_power(changes: dict) -> None:
    talk = Talk().parameters()
    talk.station(**changes)
    response = talk.ask("PowerDeliveryReq", power("Start"))
    assert_refused(talk, response, "PowerDeliveryReq", "FAILED_PowerDeliveryNotApplied")
    assert PowerWanted(True) not in talk.facts


def test_a_fault_while_the_contactor_closes() -> None:
    talk = Talk().parameters()
    assert talk.ask("PowerDeliveryReq", power("Start")) is None
    talk.station(stop=StopReason.FAULT)
    (answer,) = talk.tick()
    assert_refused(talk, Response.of(answer), "PowerDeliveryReq", "FAILED_PowerDeliveryNotApplied")


def test_a_contactor_that_was_closed_before_is_still_asked_for() -> None:
    """Only feedback that follows our wish counts as an answer to it."""
    talk = Talk().parameters()
    talk.station(contactor_closed=True)
    assert talk.ask("PowerDeliveryReq", power("Start")) is None
    assert talk.facts_of(PowerWanted) == [PowerWanted(True)]
    (answer,) = talk.tick()
    assert Response.of(answer).code == "OK"


# --- receipts ---


@pytest.mark.parametrize(
    "receipt",
    [
        {**RECEIPT, "MeterInfo": {**METER, "MeterReading": 11}},
        {**RECEIPT, "MeterInfo": {"MeterID": "METER-2", "MeterReading": 10}},
        {**RECEIPT, "SAScheduleTupleID": 2},
        {**RECEIPT, "SessionID": bytes(8)},
    ],
    ids=["other value", "other meter", "other tuple", "other session"],
)
def test_a_receipt_for_something_else(receipt: dict) -> None:
    talk = awaiting_receipt(Talk())
    signature = signature_of("MeteringReceiptReq", receipt)
    response = talk.ask("MeteringReceiptReq", receipt, signature=signature)
    assert_refused(talk, response, "MeteringReceiptReq", "FAILED_MeteringSignatureNotValid")
    assert not talk.facts_of(ReceiptVerified)


@pytest.mark.parametrize("signature", [None, signature_of("MeteringReceiptReq", RECEIPT, OTHER_KEY)])
def test_a_receipt_nobody_signed(signature: dict | None) -> None:
    talk = awaiting_receipt(Talk())
    response = talk.ask("MeteringReceiptReq", RECEIPT, signature=signature)
    assert_refused(talk, response, "MeteringReceiptReq", "FAILED_MeteringSignatureNotValid")


def test_a_vehicle_may_stop_instead_of_signing() -> None:
    talk = awaiting_receipt(Talk())
    assert talk.ask("PowerDeliveryReq", power("Stop")).code == "OK"


# --- what is no request at all ---


def test_a_response_in_place_of_a_request_ends_the_connection() -> None:
    talk = Talk().set_up()
    assert talk.send(message("SessionStopRes", {"ResponseCode": "OK"}, SESSION_ID)) == []
    assert talk.end == V2GEnded(SESSION_ID, EndReason.PROTOCOL_ERROR, "SessionStopRes")
    assert talk.closed


def test_an_empty_body_ends_the_connection() -> None:
    talk = Talk().set_up()
    header = {"SessionID": bytes.fromhex(SESSION_ID)}
    assert talk.send(encode(Namespace.ISO_2, {"V2G_Message": {"Header": header, "Body": {}}})) == []
    assert talk.end.detail == "empty body"


def test_bytes_that_are_no_exi_end_the_connection() -> None:
    talk = Talk().charging()
    assert talk.send(b"\x80\xff\xff\xff") == []
    assert talk.end.reason is EndReason.PROTOCOL_ERROR
    assert talk.facts_of(PowerWanted)[-1] == PowerWanted(False)


def test_a_station_with_one_phase_offers_one() -> None:
    talk = Talk()
    talk.station(phases=1)
    talk.set_up()
    service = talk.ask("ServiceDiscoveryReq").elements["ChargeService"]
    assert service["SupportedEnergyTransferMode"] == {"EnergyTransferMode": ["AC_single_phase_core"]}
