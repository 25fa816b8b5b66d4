"""Authorization: the vehicle proves its contract, and the operator decides (clause 8.4.3.7)."""

from dataclasses import replace
from hmac import compare_digest

from iso15118.shared.messages.enums import EVSEProcessing
from iso15118.shared.messages.iso15118_2.body import AuthorizationReq, AuthorizationRes
from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode

from secc.ports import Authorization, PaymentOption
from secc.v2g import signature
from secc.v2g.codes import Refused, refusal_code
from secc.v2g.models import build
from secc.v2g.progress import await_decision, verdict
from secc.v2g.session import Answer, Request, Session, State, Surroundings


def handle(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    """OK and Finished on a yes, FAILED on a no, Ongoing until then."""
    assert isinstance(request.message, AuthorizationReq)
    assert session.payment is not None
    _check_proof(request, session, around)
    after = replace(session, signature_verified=session.contract is not None)
    said = verdict(session, around.view)
    if said is Authorization.ACCEPTED:
        state = State.CHARGE_PARAMETER_DISCOVERY
        return Answer(_response(EVSEProcessing.FINISHED), replace(after, state=state, waiting_since_s=None))
    if code := refusal_code(said, session.payment):
        raise Refused(code, detail=f"authorization {said.value}")
    progress = await_decision(request, after, now)
    response = _response(_ongoing(session.payment)) if progress.processing else None
    return Answer(response, progress.session, retry_s=progress.retry_s)


def _check_proof(request: Request, session: Session, around: Surroundings) -> None:
    """A contract's first AuthorizationReq must carry the challenge, signed; repetitions come on the same channel."""
    assert isinstance(request.message, AuthorizationReq)
    if session.contract is None or session.signature_verified:
        return
    if not compare_digest(request.message.gen_challenge or b"", session.challenge):
        raise Refused(ResponseCode.FAILED_CHALLENGE_INVALID)
    holds = signature.verify(
        request.signature, "AuthorizationReq", request.elements, session.leaf_der, around.certificates
    )
    if not holds:
        raise Refused(ResponseCode.FAILED_SIGNATURE_ERROR)


def _ongoing(payment: PaymentOption) -> EVSEProcessing:
    if payment is PaymentOption.EXTERNAL_PAYMENT:
        return EVSEProcessing.ONGOING_WAITING_FOR_CUSTOMER
    return EVSEProcessing.ONGOING


def _response(processing: EVSEProcessing) -> AuthorizationRes:
    return build(AuthorizationRes, ResponseCode=ResponseCode.OK, EVSEProcessing=processing)
