"""CertificateInstallation and CertificateUpdate, passed between vehicle and operator."""

import pytest

from secc.exi import Namespace, decode, encode
from secc.ports import (
    CertificateAction,
    CertificateAnswer,
    CertificateRequested,
    EndReason,
    MessageAnswered,
)
from tests.secc.support import (
    CONTRACT_DER,
    EMAID,
    ENTROPY,
    PAYMENT_DETAILS,
    SESSION_ID,
    Response,
    Talk,
    message,
    selection,
    signature_of,
)

ROOTS = {"RootCertificateID": [{"X509IssuerName": "CN=Root", "X509SerialNumber": 1}]}
INSTALLATION = {"Id": "C1", "OEMProvisioningCert": CONTRACT_DER, "ListOfRootCertificateIDs": ROOTS}
UPDATE = {
    "Id": "C1",
    "ContractSignatureCertChain": {"Certificate": CONTRACT_DER},
    "eMAID": EMAID,
    "ListOfRootCertificateIDs": ROOTS,
}
CONTENT = {
    "ResponseCode": "OK",
    "SAProvisioningCertificateChain": {"Certificate": b"cps"},
    "ContractSignatureCertChain": {"Id": "id1", "Certificate": b"contract"},
    "ContractSignatureEncryptedPrivateKey": {"Id": "id2", "value": b"key"},
    "DHpublickey": {"Id": "id3", "value": b"point"},
    "eMAID": {"Id": "id4", "value": EMAID},
}
REQUEST_ID = ENTROPY.hex().upper()
BOTH = [{"ServiceID": 1}, {"ServiceID": 2, "ParameterSetID": 1}, {"ServiceID": 2, "ParameterSetID": 2}]


def selected(services: list[dict] = BOTH) -> Talk:
    talk = Talk()
    talk.station(offers_certificates=True)
    talk.discover()
    request = {"SelectedPaymentOption": "Contract", "SelectedServiceList": {"SelectedService": services}}
    assert talk.ask("PaymentServiceSelectionReq", request).code == "OK"
    return talk


def installed(name: str = "CertificateInstallationRes", session_id: str = SESSION_ID, **changes: object) -> bytes:
    return message(name, {**CONTENT, **changes}, session_id, signature_of("AuthorizationReq", {"Id": "id1"}))


def test_the_service_is_offered_with_its_two_parameter_sets() -> None:
    talk = Talk()
    talk.station(offers_certificates=True)
    talk.set_up()
    (service,) = talk.ask("ServiceDiscoveryReq").elements["ServiceList"]["Service"]
    assert service == {
        "ServiceID": 2,
        "ServiceName": "Certificate",
        "ServiceCategory": "ContractCertificate",
        "FreeService": True,
    }
    sets = talk.ask("ServiceDetailReq", {"ServiceID": 2}).elements["ServiceParameterList"]["ParameterSet"]
    assert sets == [
        {"ParameterSetID": 1, "Parameter": [{"Name": "Service", "stringValue": "Installation"}]},
        {"ParameterSetID": 2, "Parameter": [{"Name": "Service", "stringValue": "Update"}]},
    ]


@pytest.mark.parametrize(
    ("tls", "changes"),
    [(False, {}), (True, {"accepts_contract": False}), (True, {"offers_certificates": False})],
    ids=["no TLS", "no contracts", "no operator for it"],
)
def test_it_is_not_offered(tls: bool, changes: dict) -> None:
    talk = Talk(tls=tls)
    talk.station(**{"offers_certificates": True, **changes})
    talk.set_up()
    assert "ServiceList" not in talk.ask("ServiceDiscoveryReq").elements
    response = talk.ask("PaymentServiceSelectionReq", selection("ExternalPayment", 1, 2))
    assert response.code == "FAILED_ServiceSelectionInvalid"


@pytest.mark.parametrize(
    ("request_name", "elements", "action"),
    [
        ("CertificateInstallationReq", INSTALLATION, CertificateAction.INSTALL),
        ("CertificateUpdateReq", UPDATE, CertificateAction.UPDATE),
    ],
)
def test_the_message_goes_to_the_operator_unread_and_so_does_the_answer(
    request_name: str, elements: dict, action: CertificateAction
) -> None:
    talk = selected()
    sent = message(request_name, elements, SESSION_ID)
    assert talk.send(sent) == []
    assert talk.facts[-1] == CertificateRequested(REQUEST_ID, action, "urn:iso:15118:2:2013:MsgDef", sent)
    talk.pass_time(2.0)
    answer = installed(request_name.replace("Req", "Res"))
    talk.station(certificate_answer=CertificateAnswer(REQUEST_ID, answer))
    assert talk.tick() == [answer]
    assert len(talk.facts_of(CertificateRequested)) == 1
    assert 2.0 <= talk.facts_of(MessageAnswered)[-1].took_s < 2.1
    assert talk.ask("PaymentDetailsReq", PAYMENT_DETAILS).code == "OK"


def test_an_answer_under_another_session_id_is_put_under_ours() -> None:
    talk = selected()
    talk.ask("CertificateInstallationReq", INSTALLATION)
    document = decode(Namespace.ISO_2, installed(session_id="00" * 8))
    foreign = encode(Namespace.ISO_2, document)
    talk.station(certificate_answer=CertificateAnswer(REQUEST_ID, foreign))
    document["V2G_Message"]["Header"]["SessionID"] = bytes.fromhex(SESSION_ID)
    assert talk.tick() == [encode(Namespace.ISO_2, document)]
    assert "Signature" in document["V2G_Message"]["Header"]


def test_an_answer_to_an_earlier_request_is_not_taken() -> None:
    talk = selected()
    talk.station(certificate_answer=CertificateAnswer("EARLIER", installed()))
    assert talk.ask("CertificateInstallationReq", INSTALLATION) is None
    assert talk.pass_time(4.4) == []
    response = talk.wait(0.2)
    assert (response.name, response.code) == ("CertificateInstallationRes", "FAILED")
    assert talk.end.detail.endswith("(the operator did not answer in time)")


def test_the_operator_has_no_certificate() -> None:
    talk = selected()
    talk.ask("CertificateInstallationReq", INSTALLATION)
    talk.station(certificate_answer=CertificateAnswer(REQUEST_ID, None))
    (answer,) = talk.tick()
    assert Response.of(answer).code == "FAILED_NoCertificateAvailable"
    assert talk.end.reason is EndReason.REFUSED


def test_the_operator_s_own_refusal_is_passed_on() -> None:
    talk = selected()
    talk.ask("CertificateInstallationReq", INSTALLATION)
    refusal = installed(ResponseCode="FAILED_CertificateRevoked")
    talk.station(certificate_answer=CertificateAnswer(REQUEST_ID, refusal))
    assert talk.tick() == [refusal]
    assert talk.end.detail == "CertificateInstallationReq: FAILED_CertificateRevoked (by the operator)"


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x80\xff",
        installed("CertificateUpdateRes"),
        message("SessionStopRes", {"ResponseCode": "OK"}, SESSION_ID),
        encode(Namespace.ISO_2, {"V2G_Message": {"Header": {"SessionID": bytes(8)}, "Body": {}}}),
    ],
    ids=["empty", "no EXI", "another response", "a short response", "no body"],
)
def test_an_answer_that_would_harm_the_vehicle(octets: bytes) -> None:
    talk = selected()
    talk.ask("CertificateInstallationReq", INSTALLATION)
    talk.station(certificate_answer=CertificateAnswer(REQUEST_ID, octets))
    (answer,) = talk.tick()
    response = Response.of(answer)
    assert (response.name, response.code) == ("CertificateInstallationRes", "FAILED")


@pytest.mark.parametrize(
    ("services", "request_name", "elements"),
    [
        ([{"ServiceID": 1}], "CertificateInstallationReq", INSTALLATION),
        (BOTH[:2], "CertificateUpdateReq", UPDATE),
        ([BOTH[0], BOTH[2]], "CertificateInstallationReq", INSTALLATION),
    ],
)
def test_what_was_not_selected_is_refused(services: list, request_name: str, elements: dict) -> None:
    talk = selected(services)
    assert talk.ask(request_name, elements).code == "FAILED_SequenceError"
    assert not talk.facts_of(CertificateRequested)


def test_a_selection_without_parameter_set_means_either() -> None:
    talk = selected([{"ServiceID": 1}, {"ServiceID": 2}])
    assert talk.ask("CertificateUpdateReq", UPDATE) is None
    assert talk.facts_of(CertificateRequested)[0].action is CertificateAction.UPDATE


def test_an_unknown_parameter_set() -> None:
    talk = Talk()
    talk.station(offers_certificates=True)
    talk.discover()
    services = {"SelectedService": [{"ServiceID": 1}, {"ServiceID": 2, "ParameterSetID": 3}]}
    response = talk.ask(
        "PaymentServiceSelectionReq", {"SelectedPaymentOption": "Contract", "SelectedServiceList": services}
    )
    assert response.code == "FAILED_ServiceSelectionInvalid"
