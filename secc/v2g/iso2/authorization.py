"""Authorization: the vehicle proves its contract, and the operator decides (clause 8.4.3.7)."""

from dataclasses import replace
from hmac import compare_digest

from iso15118.shared.messages.enums import EVSEProcessing
from iso15118.shared.messages.iso15118_2.body import AuthorizationReq, AuthorizationRes
from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode

from secc.ports import Authorization, PaymentOption, StationView
from secc.v2g import signature
from secc.v2g.codes import Refused, refusal_code
from secc.v2g.models import build
from secc.v2g.session import Answer, Request, Session, State, Surroundings
from secc.v2g.timing import ONGOING_PACE_S, ONGOING_PERFORMANCE_TIME_S


def handle(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    """OK and Finished on a yes, FAILED on a no, Ongoing until then.

    Only a contract has a time limit here: who pays with a card is bound by the operator's own connection timeout.
    """
    assert isinstance(request.message, AuthorizationReq)
    assert session.payment is not None
    _check_proof(request, session, around)
    since = now if session.waiting_since_s is None else session.waiting_since_s
    after = replace(session, signature_verified=session.contract is not None, waiting_since_s=since)
    verdict = _verdict(session, around.view)
    if verdict is Authorization.ACCEPTED:
        state = State.CHARGE_PARAMETER_DISCOVERY
        return Answer(_response(EVSEProcessing.FINISHED), replace(after, state=state, waiting_since_s=None))
    if code := refusal_code(verdict, session.payment):
        raise Refused(code, detail=f"authorization {verdict.value}")
    if session.payment is PaymentOption.CONTRACT and now - since >= ONGOING_PERFORMANCE_TIME_S:
        raise Refused(ResponseCode.FAILED, detail="authorization took too long")
    if now - request.arrived_s < ONGOING_PACE_S:
        return Answer(None, after, retry_s=request.arrived_s + ONGOING_PACE_S)
    return Answer(_response(_ongoing(session.payment)), after)


def _verdict(session: Session, view: StationView) -> Authorization:
    """The word on this contract. That on another one, shown earlier at the same plug, may still stand in the view."""
    if session.contract is not None and view.authorization_of not in ("", session.contract.emaid):
        return Authorization.PENDING
    return view.authorization


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
