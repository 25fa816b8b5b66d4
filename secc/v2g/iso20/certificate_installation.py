"""CertificateInstallation: the vehicle's message to the operator and back (clause 8.3.4.3.5).

Passed on unread, as in ISO 15118-2. Without a certificate the vehicle is warned, not ended: it may pay otherwise.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from iso15118.shared.messages.iso15118_20.common_types import ResponseCode

from secc.exi import ExiError, Namespace, decode, encode
from secc.ports import CertificateAction, CertificateRequested, EndReason
from secc.v2g.codes import Refused
from secc.v2g.elements import Elements
from secc.v2g.iso20.session import Session20
from secc.v2g.iso20.session_setup import installs_certificates
from secc.v2g.session import Answer, Passed, Request, State, Surroundings
from secc.v2g.timing import CERTIFICATE_PERFORMANCE_TIME_S

RESPONSE = "CertificateInstallationRes"
DH_PUBLIC_KEY_BYTES = 133
ENCRYPTED_KEY_BYTES = 94


def handle(request: Request, session: Session20, around: Surroundings, now: float) -> Answer:
    """Ask the operator once, wait for the answer, pass it on. Afterwards the vehicle goes on to Authorization."""
    if not installs_certificates(session, around.view):
        raise Refused(ResponseCode.FAILED_SEQUENCE_ERROR, detail="certificate installation not offered")
    deadline = request.arrived_s + CERTIFICATE_PERFORMANCE_TIME_S
    if not session.certificate_request_id:
        request_id = around.entropy.hex().upper()
        schema = Namespace.ISO_20_COMMON.value
        asked = CertificateRequested(request_id, CertificateAction.INSTALL, schema, request.octets)
        return Answer(None, replace(session, certificate_request_id=request_id), (asked,), retry_s=deadline)
    answer = around.view.certificate_answer
    if answer is not None and answer.request_id == session.certificate_request_id:
        if answer.exi_response is None:
            return _without(session, "the operator has none")
        return _pass(session, answer.exi_response)
    if now >= deadline:
        return _without(session, "the operator did not answer in time")
    return Answer(None, session, retry_s=deadline)


def _without(session: Session20, detail: str) -> Answer:
    after = replace(session, certificate_request_id="")
    return Answer({"ResponseCode": ResponseCode.WARN_NO_CERT_AVAILABLE, **empty()}, after, detail=detail)


def empty() -> Elements:
    """The schema wants a certificate in every response, even in one that brings none."""
    chain = {"Certificate": b"\0", "SubCertificates": {"Certificate": [b"\0"]}}
    return {
        "EVSEProcessing": "Finished",
        "CPSCertificateChain": chain,
        "SignedInstallationData": {
            "Id": "id1",
            "ContractCertificateChain": chain,
            "ECDHCurve": "SECP521",
            "DHPublicKey": bytes(DH_PUBLIC_KEY_BYTES),
            "SECP521_EncryptedPrivateKey": bytes(ENCRYPTED_KEY_BYTES),
        },
        "RemainingContractCertificateChains": 0,
    }


def _pass(session: Session20, octets: bytes) -> Answer:
    after = replace(session, certificate_request_id="")
    try:
        passed = _checked(session.session_id, octets)
    except (ExiError, KeyError):
        return _without(session, f"the operator's answer is no {RESPONSE}")
    if passed.code.startswith("FAILED"):
        return Answer(passed, replace(after, state=State.ENDED, end=EndReason.REFUSED), detail="by the operator")
    return Answer(passed, after)


def _checked(session_id: str, octets: bytes) -> Passed:
    """The operator's octets, with our session id where it put another one: signatures do not cover the header."""
    document = decode(Namespace.ISO_20_COMMON, octets)
    response = cast(Mapping[str, object], document[RESPONSE])
    header = cast(Mapping[str, object], response["Header"])
    code = str(response["ResponseCode"])
    if header["SessionID"] != bytes.fromhex(session_id):
        ours = {**response, "Header": {**header, "SessionID": bytes.fromhex(session_id)}}
        octets = encode(Namespace.ISO_20_COMMON, {RESPONSE: ours})
    return Passed(octets, code)
