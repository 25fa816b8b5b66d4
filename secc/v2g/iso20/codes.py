"""Response codes of ISO 15118-20, and which fault becomes which (table 246).

A WARNING leaves the vehicle where it is, to pay otherwise or to leave; a FAILED ends the session.
"""

from iso15118.shared.messages.iso15118_20.common_types import ResponseCode

from secc.ports import Authorization, ContractFault, PaymentOption

CONTRACT_WARNINGS: dict[ContractFault, ResponseCode] = {
    ContractFault.NO_CHAIN: ResponseCode.WARN_CERT_VALIDATION_ERROR,
    ContractFault.MALFORMED: ResponseCode.WARN_CERT_VALIDATION_ERROR,
    ContractFault.UNKNOWN_ROOT: ResponseCode.WARN_CERT_VALIDATION_ERROR,
    ContractFault.BAD_SIGNATURE: ResponseCode.WARN_CERT_VALIDATION_ERROR,
    ContractFault.EXPIRED: ResponseCode.WARN_CERT_EXPIRED,
    ContractFault.NOT_YET_VALID: ResponseCode.WARN_CERT_NOT_YET_VALID,
    ContractFault.WRONG_USAGE: ResponseCode.WARN_CERT_VALIDATION_ERROR,
    ContractFault.EMAID_MISMATCH: ResponseCode.WARN_CERT_VALIDATION_ERROR,
    ContractFault.EMAID_SYNTAX: ResponseCode.WARN_CERT_VALIDATION_ERROR,
}

_CONTRACT_REFUSALS: dict[Authorization, ResponseCode] = {
    Authorization.REJECTED: ResponseCode.WARN_GENERAL_PNC_AUTH_ERROR,
    Authorization.CERTIFICATE_REVOKED: ResponseCode.WARN_CERT_REVOKED,
    Authorization.CERTIFICATE_EXPIRED: ResponseCode.WARN_CERT_EXPIRED,
    Authorization.NO_ANSWER: ResponseCode.WARN_GENERAL_PNC_AUTH_ERROR,
}


def refusal_warning(authorization: Authorization, payment: PaymentOption) -> ResponseCode | None:
    """The code for a negative word of the operator; None while there is none (PENDING) or it is positive."""
    code = _CONTRACT_REFUSALS.get(authorization)
    if code is not None and payment is PaymentOption.EXTERNAL_PAYMENT:
        return ResponseCode.WARN_EIM_AUTH_FAILED
    return code
