"""PaymentDetails: the contract certificate and the eMAID it is for (clause 8.4.3.6)."""

from dataclasses import replace

from iso15118.shared.messages.iso15118_2.body import PaymentDetailsReq, PaymentDetailsRes
from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode

from secc.ports import Contract, ContractPresented, ContractRefused
from secc.v2g.codes import CONTRACT_CODES, Refused
from secc.v2g.models import build
from secc.v2g.session import SESSION_ID_BYTES, Answer, Request, Session, State, Surroundings


def handle(request: Request, session: Session, around: Surroundings, _now: float) -> Answer:
    """Verify the chain and the eMAID here and now. The operator is asked only about contracts that hold."""
    message = request.message
    assert isinstance(message, PaymentDetailsReq)
    chain = message.cert_chain
    sub_cas = chain.sub_certificates.certificates if chain.sub_certificates else []
    verdict = around.certificates.check_contract([chain.certificate, *sub_cas], message.emaid, around.wall_time)
    if not isinstance(verdict, Contract):
        raise Refused(CONTRACT_CODES[verdict], (ContractRefused(message.emaid, verdict),), verdict.value)
    challenge = around.entropy[SESSION_ID_BYTES:]
    response = build(
        PaymentDetailsRes, ResponseCode=ResponseCode.OK, GenChallenge=challenge, EVSETimeStamp=around.unix_time
    )
    after = replace(
        session,
        state=State.AUTHORIZATION,
        contract=verdict,
        leaf_der=chain.certificate,
        challenge=challenge,
        signature_verified=False,
    )
    return Answer(response, after, (ContractPresented(verdict),))
