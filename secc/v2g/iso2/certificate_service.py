"""CertificateInstallation and CertificateUpdate: the vehicle's message to the operator and back (8.4.3.10, 8.4.3.11).

Both are read and answered by a certificate provisioning service behind the operator; here they pass unread, but for
what keeps a vehicle from harm: the answer must be the response it waits for, of its own session, and in time.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode

from secc.exi import ExiError, Namespace, decode, encode
from secc.ports import CertificateAction, CertificateRequested, EndReason
from secc.v2g.codes import Refused
from secc.v2g.session import Answer, Passed, Request, Session, State, Surroundings
from secc.v2g.timing import CERTIFICATE_PERFORMANCE_TIME_S

_ACTIONS = {
    "CertificateInstallationReq": CertificateAction.INSTALL,
    "CertificateUpdateReq": CertificateAction.UPDATE,
}


def handle(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    """Ask the operator once, wait for the answer, pass it on. Afterwards the vehicle goes on to PaymentDetails."""
    action = _ACTIONS[request.name]
    if action not in session.certificate_actions:
        raise Refused(ResponseCode.FAILED_SEQUENCE_ERROR, detail="certificate service not selected")
    deadline = request.arrived_s + CERTIFICATE_PERFORMANCE_TIME_S
    if not session.certificate_request_id:
        request_id = around.entropy.hex().upper()
        asked = CertificateRequested(request_id, action, Namespace.ISO_2.value, request.octets)
        return Answer(None, replace(session, certificate_request_id=request_id), (asked,), retry_s=deadline)
    answer = around.view.certificate_answer
    if answer is not None and answer.request_id == session.certificate_request_id:
        if answer.exi_response is None:
            raise Refused(ResponseCode.FAILED_NO_CERTIFICATE_AVAILABLE, detail="the operator has none")
        return _pass(request, session, answer.exi_response)
    if now >= deadline:
        raise Refused(ResponseCode.FAILED, detail="the operator did not answer in time")
    return Answer(None, session, retry_s=deadline)


def _pass(request: Request, session: Session, octets: bytes) -> Answer:
    passed = _checked(request.name.removesuffix("Req") + "Res", session.session_id, octets)
    after = replace(session, certificate_request_id="")
    if passed.code.startswith("FAILED"):
        return Answer(passed, replace(after, state=State.ENDED, end=EndReason.REFUSED), detail="by the operator")
    return Answer(passed, after)


def _checked(name: str, session_id: str, octets: bytes) -> Passed:
    """The operator's octets, with our session id where it put another one: signatures do not cover the header."""
    try:
        document = decode(Namespace.ISO_2, octets)
        message = cast(Mapping[str, Mapping[str, object]], document["V2G_Message"])
        response = cast(Mapping[str, object], message["Body"][name])
        code = ResponseCode(response["ResponseCode"])
        if message["Header"]["SessionID"] != bytes.fromhex(session_id):
            header = {**message["Header"], "SessionID": bytes.fromhex(session_id)}
            octets = encode(Namespace.ISO_2, {"V2G_Message": {**message, "Header": header}})
    except (ExiError, KeyError) as error:
        raise Refused(ResponseCode.FAILED, detail=f"the operator's answer is no {name}") from error
    return Passed(octets, code.value)
