"""What an operator may do with a request for a contract certificate, through OCPP, to the vehicle's response."""

import asyncio
import base64
from collections.abc import Callable

import pytest

from ocpp_client.ev_certificates import MAX_EXI_REQUEST, MAX_EXI_RESPONSE, ev_certificate
from ocpp_client.wire import Payload
from secc.ports import Authorization, CertificateAnswer, CertificateRequested, EndReason
from secc.v2g.session import State
from tests.conformance.v2g.ways import ISO_2_AC, ISO_20_AC, Way, installed_20
from tests.secc.support import Response, Talk
from tests.secc.v2g.talk20 import EIM
from tests.secc.v2g.test_secc_certificates import installed
from tests.secc.v2g.test_secc_refusals import GOOD

CASES = [
    pytest.param(ISO_2_AC, State.PAYMENT_DETAILS, "CertificateInstallationReq", id="-2 installation"),
    pytest.param(ISO_2_AC, State.PAYMENT_DETAILS, "CertificateUpdateReq", id="-2 update"),
    pytest.param(ISO_20_AC, State.AUTHORIZATION, "CertificateInstallationReq", id="-20 installation"),
]
every_request = pytest.mark.parametrize(("way", "state", "name"), CASES)


def good_answer(way: Way, name: str) -> bytes:
    return installed_20() if way is ISO_20_AC else installed(name.replace("Req", "Res"))


def accepted(octets: bytes) -> Payload:
    return {"status": "Accepted", "exiResponse": base64.b64encode(octets).decode()}


def brought(talk: Talk, way: Way, name: str, elements: dict, answer: Payload | None) -> Response:
    """The vehicle's response when the CSMS gives this answer to what the station asks of it; None: it says nothing."""
    assert talk.ask(name, elements) is None
    (asked,) = talk.facts_of(CertificateRequested)

    async def csms(_action: str, _payload: Payload) -> Payload | None:
        return answer

    exi = asyncio.run(ev_certificate(csms, asked.schema, asked.action.value, asked.exi_request))
    talk.station(certificate_answer=CertificateAnswer(asked.request_id, exi))
    response = way.tick(talk)
    assert response is not None
    return response


def assert_may_pay_otherwise(way: Way, talk: Talk, response: Response) -> None:
    """In -20 in the same session; in -2, where a FAILED ends it, in the next one."""
    if way is ISO_20_AC:
        assert response.code == "WARNING_NoCertificateAvailable"
        assert not talk.conversation.ended
        talk.station(authorization=Authorization.ACCEPTED)
        assert talk.ask("AuthorizationReq", EIM).code == "OK"
        return
    assert response.code in ("FAILED_NoCertificateAvailable", "FAILED")
    assert talk.end.reason is EndReason.REFUSED
    assert Talk().charging("ExternalPayment").state is State.CHARGING


@every_request
def test_an_answer_reaches_the_vehicle_to_the_octet(way: Way, state: State, name: str) -> None:
    talk = way.reached(state)
    elements, _ = way.wish(state, name)
    assert brought(talk, way, name, elements, accepted(good_answer(way, name))).code == "OK"


ANSWERS: dict[str, Callable[[bytes], Payload | None]] = {
    "refused": lambda _good: {"status": "Failed", "exiResponse": ""},
    "refused with content": lambda good: {**accepted(good), "status": "Failed"},
    "empty": lambda _good: {"status": "Accepted", "exiResponse": ""},
    "none at all": lambda _good: None,
    "no base64": lambda _good: {"status": "Accepted", "exiResponse": "###"},
    "no EXI": lambda _good: accepted(b"\xff" * 40),
    "cut off": lambda good: accepted(good[: len(good) // 2]),
    "longer than OCPP 2.0.1 allows": lambda good: accepted(good + bytes(MAX_EXI_RESPONSE * 3 // 4)),
}


@every_request
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_what_is_no_certificate(way: Way, state: State, name: str, answer: Callable) -> None:
    talk = way.reached(state)
    elements, _ = way.wish(state, name)
    response = brought(talk, way, name, elements, answer(good_answer(way, name)))
    assert_may_pay_otherwise(way, talk, response)


@every_request
def test_a_request_longer_than_ocpp_allows(way: Way, state: State, name: str) -> None:
    """It is not sent; the vehicle hears that there is none, rather than nothing."""
    talk = way.reached(state)
    elements, _ = way.wish(state, name)
    long = b"\x30" * 700
    sub_cas = {"SubCertificates": {"Certificate": [long] * 3}}
    if way is ISO_20_AC:
        chain = {**elements["OEMProvisioningCertificateChain"], "Certificate": b"\x30" * 1500, **sub_cas}
        wish = {**elements, "OEMProvisioningCertificateChain": chain}
    else:
        root = {"X509IssuerName": "CN=" + "R" * 60, "X509SerialNumber": 1}
        wish = {**elements, "ListOfRootCertificateIDs": {"RootCertificateID": [root] * 20}}
        own = "OEMProvisioningCert" if "OEMProvisioningCert" in elements else "ContractSignatureCertChain"
        wish[own] = long + b"\x30" * 100 if own == "OEMProvisioningCert" else {"Certificate": long, **sub_cas}
    sent: list[Payload] = []

    async def csms(_action: str, payload: Payload) -> Payload:
        sent.append(payload)
        return accepted(good_answer(way, name))

    assert talk.ask(name, wish) is None
    (asked,) = talk.facts_of(CertificateRequested)
    exi_request = asked.exi_request + bytes(max(0, MAX_EXI_REQUEST - len(asked.exi_request)))
    exi = asyncio.run(ev_certificate(csms, asked.schema, asked.action.value, exi_request))
    assert (exi, sent) == (None, [])
    talk.station(certificate_answer=CertificateAnswer(asked.request_id, exi))
    response = way.tick(talk)
    assert response is not None
    assert_may_pay_otherwise(way, talk, response)


@every_request
def test_an_answer_that_comes_too_late_is_not_passed_on(way: Way, state: State, name: str) -> None:
    talk = way.reached(state)
    elements, _ = way.wish(state, name)
    assert talk.ask(name, elements) is None
    (asked,) = talk.facts_of(CertificateRequested)
    talk.now += 4.6
    response = way.tick(talk)
    assert response is not None
    talk.station(certificate_answer=CertificateAnswer(asked.request_id, good_answer(way, name)))
    assert way.tick(talk) is None
    assert_may_pay_otherwise(way, talk, response)


def test_every_message_of_the_service_is_tried() -> None:
    of_the_service = {name for name in GOOD if name.startswith("Certificate")}
    assert {case.values[2] for case in CASES} == of_the_service
