"""A refusal, and which fault becomes which response code of ISO 15118-2 table 112."""

from enum import Enum

from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode

from secc.ports import Authorization, ContractFault, PaymentOption, SeccError, SeccFact


class Refused(SeccError):
    """A handler's refusal: the engine answers with this code, in the response asked for, and ends the session."""

    def __init__(self, code: str, facts: tuple[SeccFact, ...] = (), detail: str = "") -> None:
        self.code = str(code.value) if isinstance(code, Enum) else code
        super().__init__(self.code)
        self.facts = facts
        self.detail = detail


class NotARequest(SeccError):
    """The message is none a vehicle may send, so there is no response to answer it with."""


CONTRACT_CODES: dict[ContractFault, ResponseCode] = {
    ContractFault.NO_CHAIN: ResponseCode.FAILED_CERT_CHAIN_ERROR,
    ContractFault.MALFORMED: ResponseCode.FAILED_CERT_CHAIN_ERROR,
    ContractFault.UNKNOWN_ROOT: ResponseCode.FAILED_CERT_CHAIN_ERROR,
    ContractFault.BAD_SIGNATURE: ResponseCode.FAILED_CERT_CHAIN_ERROR,
    ContractFault.EXPIRED: ResponseCode.FAILED_CERTIFICATE_EXPIRED,
    # Table 112 has no code for a certificate that is not valid yet.
    ContractFault.NOT_YET_VALID: ResponseCode.FAILED_CERT_CHAIN_ERROR,
    ContractFault.WRONG_USAGE: ResponseCode.FAILED_CERT_CHAIN_ERROR,
    # The certificate holds, but not for the contract that was named. # unverified: table 112
    ContractFault.EMAID_MISMATCH: ResponseCode.FAILED_NO_CERTIFICATE_AVAILABLE,
    ContractFault.EMAID_SYNTAX: ResponseCode.FAILED_NO_CERTIFICATE_AVAILABLE,
}

_CONTRACT_REFUSALS: dict[Authorization, ResponseCode] = {
    Authorization.REJECTED: ResponseCode.FAILED_CERTIFICATE_NOT_ALLOWED_AT_THIS_EVSE,
    Authorization.CERTIFICATE_REVOKED: ResponseCode.FAILED_CERTIFICATE_REVOKED,
    Authorization.CERTIFICATE_EXPIRED: ResponseCode.FAILED_CERTIFICATE_EXPIRED,
    Authorization.NO_ANSWER: ResponseCode.FAILED,
}


def refusal_code(authorization: Authorization, payment: PaymentOption) -> ResponseCode | None:
    """The code for a negative word of the operator; None while there is none (PENDING) or it is positive."""
    code = _CONTRACT_REFUSALS.get(authorization)
    if code is not None and payment is PaymentOption.EXTERNAL_PAYMENT:
        # The certificate codes say nothing to a vehicle that showed none.
        return ResponseCode.FAILED
    return code
