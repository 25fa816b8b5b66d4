"""Authorization: the vehicle proves its contract, and the operator decides (clause 8.3.4.3.4).

A refusal is a WARNING with EVSEProcessing Finished, and the vehicle stays where it is: only an ACCEPTED opens the way
to ServiceDiscovery.
"""

from collections.abc import Sequence
from dataclasses import replace
from hmac import compare_digest
from typing import cast

from cryptography import x509
from cryptography.x509.oid import NameOID
from iso15118.shared.messages.iso15118_20.common_types import ResponseCode

from secc.exi import Namespace
from secc.ports import (
    Authorization,
    Contract,
    ContractFault,
    ContractPresented,
    ContractRefused,
    PaymentOption,
    PaymentSelected,
    SeccFact,
    StationView,
)
from secc.v2g import signature
from secc.v2g.codes import Refused
from secc.v2g.elements import Elements, child, octets, text
from secc.v2g.iso20.codes import CONTRACT_WARNINGS, refusal_warning
from secc.v2g.iso20.session import Session20
from secc.v2g.iso20.session_setup import offered_payments
from secc.v2g.progress import Processing, await_decision, verdict
from secc.v2g.session import Answer, Request, State, Surroundings

# A vehicle may have several contracts and a driver with a card; more tries are a guess or a loop.
MAX_ATTEMPTS = 5

PROOF = "PnC_AReqAuthorizationMode"
WAITING_FOR_CUSTOMER = "Ongoing_WaitingForCustomerInteraction"

_PAYMENTS = {"PnC": PaymentOption.CONTRACT, "EIM": PaymentOption.EXTERNAL_PAYMENT}


def handle(request: Request, session: Session20, around: Surroundings, now: float) -> Answer:
    """OK and Finished on a yes, WARNING and Finished on a no, Ongoing until then."""
    payment = _PAYMENTS[text(request.elements, "SelectedAuthorizationService")]
    proves = PROOF in request.elements
    if payment not in _possible(session, around.view) or (payment is PaymentOption.CONTRACT) != proves:
        return _warn(session, ResponseCode.WARN_AUTH_SELECTION_INVALID, "not offered")
    if payment is PaymentOption.CONTRACT and not _proven(request, session):
        return _present(request, session, around, now)
    facts: tuple[SeccFact, ...] = ()
    if session.payment is not payment:
        session = replace(
            session, payment=payment, contract=None, leaf_der=b"", signature_verified=False, waiting_since_s=None
        )
        facts = (PaymentSelected(payment),)
    return _decide(request, session, around, now, facts)


def _possible(session: Session20, view: StationView) -> list[PaymentOption]:
    """What is offered, unless it was offered only because something had to be."""
    external = PaymentOption.EXTERNAL_PAYMENT
    return [way for way in offered_payments(session, view) if way is not external or view.accepts_external_payment]


def _proven(request: Request, session: Session20) -> bool:
    """A repeated request comes on the same channel and need not prove the same contract again."""
    return session.signature_verified and _leaf(request) == session.leaf_der


def _leaf(request: Request) -> bytes:
    return octets(child(child(request.elements, PROOF), "ContractCertificateChain"), "Certificate")


def _present(request: Request, session: Session20, around: Surroundings, now: float) -> Answer:
    """Challenge, chain, signature. The operator is asked only about contracts that hold and whose owner this is."""
    proof = child(request.elements, PROOF)
    if not compare_digest(octets(proof, "GenChallenge"), session.challenge):
        return _warn(session, ResponseCode.WARN_CHALLENGE_INVALID, "another challenge")
    chain = child(proof, "ContractCertificateChain")
    sub_cas = cast(Sequence[bytes], child(chain, "SubCertificates").get("Certificate", ()))
    leaf = octets(chain, "Certificate")
    emaid = _common_name(leaf)
    found = around.certificates.check_contract([leaf, *sub_cas], emaid, around.wall_time)
    if not isinstance(found, Contract):
        answer = _warn(session, CONTRACT_WARNINGS[found], found.value)
        return replace(answer, facts=(ContractRefused(emaid, found),))
    if not _signed(request, proof, leaf, around):
        raise Refused(ResponseCode.FAILED_SIGNATURE_ERROR, (ContractRefused(emaid, ContractFault.BAD_SIGNATURE),))
    after = replace(
        session,
        payment=PaymentOption.CONTRACT,
        contract=found,
        leaf_der=leaf,
        signature_verified=True,
        waiting_since_s=None,
    )
    return _decide(request, after, around, now, (PaymentSelected(PaymentOption.CONTRACT), ContractPresented(found)))


def _common_name(leaf_der: bytes) -> str:
    """The eMAID: the request names none beside the certificate. Empty if there is none to be read."""
    try:
        subject = x509.load_der_x509_certificate(leaf_der).subject
    except ValueError:
        return ""
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def _signed(request: Request, proof: Elements, leaf: bytes, around: Surroundings) -> bool:
    """P-256 is what ISO 15118-2 contracts have, which vehicles of both protocols carry."""
    return signature.verify(
        request.signature,
        PROOF,
        proof,
        leaf,
        around.certificates,
        namespace=Namespace.ISO_20_COMMON,
        suites=(signature.P_521, signature.P_256),
    )


def _decide(
    request: Request, session: Session20, around: Surroundings, now: float, facts: tuple[SeccFact, ...]
) -> Answer:
    assert session.payment is not None
    said = _said(session, around.view)
    if said is Authorization.ACCEPTED:
        response = _response(ResponseCode.OK, Processing.FINISHED)
        return Answer(response, replace(session, state=State.SERVICE_DISCOVERY, waiting_since_s=None), facts)
    if code := refusal_warning(said, session.payment):
        answer = _warn(session, code, f"authorization {said.value}")
        return replace(answer, facts=facts)
    progress = await_decision(request, session, now)
    if progress.processing is None:
        return Answer(None, progress.session, facts, retry_s=progress.retry_s)
    ongoing = Processing.ONGOING if session.payment is PaymentOption.CONTRACT else WAITING_FOR_CUSTOMER
    return Answer(_response(ResponseCode.OK, ongoing), progress.session, facts)


def _said(session: Session20, view: StationView) -> Authorization:
    """A refused contract is no word on who then pays with a card."""
    said = verdict(session, view)
    if session.contract is None and view.authorization_of and said is not Authorization.ACCEPTED:
        return Authorization.PENDING
    return said


def _warn(session: Session20, code: ResponseCode, detail: str) -> Answer:
    if session.attempts + 1 >= MAX_ATTEMPTS:
        raise Refused(ResponseCode.FAILED, detail=f"{code.value} for the last time: {detail}")
    after = replace(
        session,
        attempts=session.attempts + 1,
        payment=None,
        contract=None,
        leaf_der=b"",
        signature_verified=False,
        waiting_since_s=None,
    )
    return Answer(_response(code, Processing.FINISHED), after, detail=detail)


def _response(code: ResponseCode, processing: str) -> Elements:
    return {"ResponseCode": code, "EVSEProcessing": processing}
