"""Plug & Charge: is this contract chain good, is the eMAID its own, and did its key sign this?"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from certs import chain, emaid
from certs.chain import ChainFault, ChainRefused
from certs.hashdata import OcspHashData, path_hash_data

HASHES: dict[int, hashes.HashAlgorithm] = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}


class ContractFault(StrEnum):
    """Why a contract was refused."""

    NO_CHAIN = "no chain"
    MALFORMED = "malformed certificate"
    UNKNOWN_ROOT = "unknown root"
    BAD_SIGNATURE = "chain signature wrong"
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    WRONG_USAGE = "key usage or path length wrong"
    EMAID_MISMATCH = "eMAID differs from the certificate's common name"
    EMAID_SYNTAX = "eMAID malformed"


@dataclass(frozen=True, slots=True)
class VerifiedContract:
    """A contract chain that leads to a root we hold, or with `central` holds as far as it was sent."""

    emaid: str
    """As the certificate's common name has it, in upper case without hyphens."""
    chain_pem: str
    """Leaf first, sub-CAs after, without the root."""
    ocsp: tuple[OcspHashData, ...]
    """Of the same certificates, in the same order; of a `central` one but for the topmost, whose issuer is unknown."""
    central: bool = False


@dataclass(frozen=True, slots=True)
class ContractRefusal:
    fault: ContractFault
    detail: str


def check_contract(
    chain_der: Sequence[bytes],
    claimed: str,
    roots: Sequence[x509.Certificate],
    at: datetime,
    *,
    central: bool = False,
) -> VerifiedContract | ContractRefusal:
    """Judge a contract chain (leaf first) and the eMAID `claimed` with it, at a timezone-aware moment.

    With `central` a chain whose root alone is unknown is good too: the operator verifies that one (C07.FR.06).
    """
    try:
        sent = chain.load_chain(chain_der)
        path, known = _path(sent, roots, at, central)
    except ChainRefused as refused:
        return ContractRefusal(ContractFault[refused.fault.name], refused.detail)
    if emaid.normalised(claimed) is None:
        return ContractRefusal(ContractFault.EMAID_SYNTAX, f"{claimed[:40]!r}")
    account = emaid.normalised(chain.common_name(path[0]))
    if account is None or not emaid.same_account(claimed, account):
        detail = f"{claimed} against {chain.common_name(path[0])!r}"
        return ContractRefusal(ContractFault.EMAID_MISMATCH, detail)
    pem = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in (path[:-1] if known else path))
    return VerifiedContract(account, pem.decode("ascii"), path_hash_data(path), central=not known)


def _path(
    sent: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], at: datetime, central: bool
) -> tuple[list[x509.Certificate], bool]:
    """The path, and whether it ends at a root of ours. Raises ChainRefused."""
    try:
        return chain.verify(sent, roots, at, chain.CONTRACT), True
    except ChainRefused as refused:
        if not central or refused.fault is not ChainFault.UNKNOWN_ROOT:
            raise
        path = chain.verify(sent, None, at, chain.CONTRACT)
        if len(path) < 2 or len(path) < len(sent):
            raise
    return path, False


def verify_signature(leaf_der: bytes, data: bytes, signature: bytes) -> bool:
    """ECDSA over `data` by the leaf's key; `signature` is r followed by s, each as long as the curve's field.

    P-256 goes with SHA-256, P-521 with SHA-512 (ISO 15118-2 7.9.2.4.2, -20 7.9.2.4).
    """
    try:
        key = chain.load(leaf_der).public_key()
    except ChainRefused:
        return False
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.key_size not in HASHES:
        return False
    size = (key.curve.key_size + 7) // 8
    if len(signature) != 2 * size:
        return False
    r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
    try:
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(HASHES[key.curve.key_size]))
    except InvalidSignature:
        return False
    return True
