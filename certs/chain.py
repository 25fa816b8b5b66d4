"""Does a certificate chain hold: names, signatures, validity, usage, path length, up to a root we trust.

Written on cryptography.x509 rather than on OpenSSL's verifier, for reasons of its own: every refusal needs its reason
(each becomes another response code towards the vehicle), the time to judge at is an argument (a charger's clock may be
unset at start), and the profiles are ISO 15118's (Annex F of -2, Annex B of -20), not the web's.

A path is searched by names among what the peer sent, in whatever order it sent it; what does not belong to the path is
ignored. Signatures are then checked from the root down, so a certificate is believed only after its issuer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.errors import CertsError

MAX_DER = 4096
"""ISO 15118-2 caps a certificate at 800 bytes, -20 at 1600; some in the field are larger."""

MAX_CERTIFICATES = 6

HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
PARSE_ERRORS = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What cryptography raises for a certificate it cannot take; they have no root in common."""

MIN_RSA_BITS = 2048
CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


class ChainFault(StrEnum):
    """Why a chain was refused."""

    NO_CHAIN = "no chain"
    MALFORMED = "malformed certificate"
    UNKNOWN_ROOT = "unknown root"
    BAD_SIGNATURE = "chain signature wrong"
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    WRONG_USAGE = "key usage or path length wrong"


class ChainRefused(CertsError):
    """A chain does not hold; `fault` says why, `detail` names the certificate for the log."""

    def __init__(self, fault: ChainFault, detail: str) -> None:
        super().__init__(f"{fault.value}: {detail}")
        self.fault = fault
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Profile:
    """What the leaf of a chain must be, beyond what every leaf must."""

    name: str
    domain_component: str | None = None
    """DC the leaf's subject must carry."""
    foreign_components: frozenset[str] = field(default=frozenset())
    """DCs that show the leaf was issued for something else."""
    extended_usage: x509.ObjectIdentifier | None = None
    """Must be among the extended key usages, if the leaf has any."""
    rsa_allowed: bool = False
    """ISO 15118's PKIs are on elliptic curves throughout; an operator's own, for OCPP, may have RSA authorities."""


# unverified: ISO 15118-2 Annex F, subjects and usages of the leaf profiles
CONTRACT = Profile("contract", foreign_components=frozenset({"CPO", "CPS", "OEM", "V2G"}))
SECC = Profile("SECC", domain_component="CPO", extended_usage=ExtendedKeyUsageOID.SERVER_AUTH)
STATION = Profile("station", extended_usage=ExtendedKeyUsageOID.CLIENT_AUTH, rsa_allowed=True)


def load(der: bytes) -> x509.Certificate:
    """Parse one certificate whole, so that nothing fails later. Raises ChainRefused MALFORMED."""
    if len(der) > MAX_DER:
        raise ChainRefused(ChainFault.MALFORMED, f"{len(der)} bytes, at most {MAX_DER} are read")
    try:
        certificate = x509.load_der_x509_certificate(der)
        # cryptography parses these on first access.
        _ = certificate.subject, certificate.issuer, certificate.extensions, certificate.serial_number
        _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        certificate.public_key()
    except PARSE_ERRORS as error:
        raise ChainRefused(ChainFault.MALFORMED, str(error)) from error
    return certificate


def load_chain(chain_der: Sequence[bytes]) -> list[x509.Certificate]:
    """Parse what a peer sent, leaf first. Raises ChainRefused."""
    if not chain_der or not chain_der[0]:
        raise ChainRefused(ChainFault.NO_CHAIN, "nothing was sent")
    if len(chain_der) > MAX_CERTIFICATES:
        raise ChainRefused(ChainFault.MALFORMED, f"{len(chain_der)} certificates, at most {MAX_CERTIFICATES} are read")
    return [load(der) for der in chain_der]


def verify(
    chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate] | None, at: datetime, profile: Profile
) -> list[x509.Certificate]:
    """The path from the leaf (first of `chain`) to a root of `roots`, both included. `at` is timezone-aware.

    With `roots` None the path ends at the topmost certificate that was sent: good for our own chain alone, which
    others judge. Raises ChainRefused with the first thing wrong, in the order: path, kinds of keys, signatures,
    validity, usage and path length.
    """
    path = _path(chain, roots)
    for certificate in path:
        _check_key_kind(certificate, profile)
    for certificate, issuer in reversed(list(pairwise(path))):
        _check_signature(certificate, issuer)
    for certificate in path:
        _check_validity(certificate, at)
    for depth, issuer in enumerate(path[1:]):
        _check_authority(issuer, depth)
    _check_leaf(path[0], profile)
    return path


def label(certificate: x509.Certificate) -> str:
    """How logs name a certificate: its common name, or its serial number."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else f"serial {certificate.serial_number:x}"


def common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""


def domain_components(certificate: x509.Certificate) -> set[str]:
    return {str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.DOMAIN_COMPONENT)}


def is_root(certificate: x509.Certificate) -> bool:
    """A CA that signed itself."""
    basic = _basic_constraints(certificate)
    return basic is not None and basic.ca and signed_by(certificate, certificate)


def _path(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate] | None) -> list[x509.Certificate]:
    path, known = [chain[0]], [*(roots or ()), *chain[1:]]
    while len(path) == 1 or path[-1] not in (roots or ()):
        last = path[-1]
        issuers = [other for other in known if other.subject == last.issuer and other not in path]
        if not issuers and roots is None:
            return path
        if not issuers:
            raise ChainRefused(ChainFault.UNKNOWN_ROOT, f"{label(last)} leads to no root we hold")
        # Of several of one name (a renewed root beside the old one) the one that signed; else any, to be refused.
        path.append(next((issuer for issuer in issuers if signed_by(last, issuer)), issuers[0]))
    return path


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """By name, signature and a hash that still counts."""
    algorithm = certificate.signature_hash_algorithm if _names_a_hash(certificate) else None
    if algorithm is not None and not isinstance(algorithm, HASHES):
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _names_a_hash(certificate: x509.Certificate) -> bool:
    try:
        return certificate.signature_hash_algorithm is not None
    except UnsupportedAlgorithm:
        return False


def _check_key_kind(certificate: x509.Certificate, profile: Profile) -> None:
    key = certificate.public_key()
    good = isinstance(key, ed448.Ed448PublicKey) or (
        isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, CURVES)
    )
    if not good and not (profile.rsa_allowed and isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS):
        raise ChainRefused(ChainFault.MALFORMED, f"{label(certificate)}: no key of the {profile.name} profile's kinds")


def _check_signature(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    if not signed_by(certificate, issuer):
        detail = f"{label(certificate)} is not signed by {label(issuer)}"
        raise ChainRefused(ChainFault.BAD_SIGNATURE, detail)


def _check_validity(certificate: x509.Certificate, at: datetime) -> None:
    if at < certificate.not_valid_before_utc:
        raise ChainRefused(ChainFault.NOT_YET_VALID, f"{label(certificate)}: from {certificate.not_valid_before_utc}")
    if at > certificate.not_valid_after_utc:
        raise ChainRefused(ChainFault.EXPIRED, f"{label(certificate)}: until {certificate.not_valid_after_utc}")


def _check_authority(certificate: x509.Certificate, sub_cas_below: int) -> None:
    """A CA that may sign certificates, with at most its path length of CAs below it (RFC 5280, 4.2.1.9)."""
    _check_extensions(certificate)
    basic, usage = _basic_constraints(certificate), _key_usage(certificate)
    if basic is None or not basic.ca:
        raise ChainRefused(ChainFault.WRONG_USAGE, f"{label(certificate)} is no CA")
    if usage is not None and not usage.key_cert_sign:
        raise ChainRefused(ChainFault.WRONG_USAGE, f"{label(certificate)} may not sign certificates")
    if basic.path_length is not None and sub_cas_below > basic.path_length:
        detail = f"{label(certificate)} allows {basic.path_length} CAs below it, here are {sub_cas_below}"
        raise ChainRefused(ChainFault.WRONG_USAGE, detail)


def _check_leaf(certificate: x509.Certificate, profile: Profile) -> None:
    _check_extensions(certificate)
    basic, usage = _basic_constraints(certificate), _key_usage(certificate)
    if basic is not None and basic.ca:
        raise ChainRefused(ChainFault.WRONG_USAGE, f"{label(certificate)} is a CA, not a {profile.name} leaf")
    if usage is not None and not usage.digital_signature:
        raise ChainRefused(ChainFault.WRONG_USAGE, f"{label(certificate)} may not sign")
    components = domain_components(certificate)
    if profile.domain_component is not None and profile.domain_component not in components:
        detail = f"{label(certificate)} lacks DC={profile.domain_component} of a {profile.name} leaf"
        raise ChainRefused(ChainFault.WRONG_USAGE, detail)
    if foreign := components & profile.foreign_components:
        detail = f"{label(certificate)} has DC={min(foreign)}: no {profile.name} leaf"
        raise ChainRefused(ChainFault.WRONG_USAGE, detail)
    _check_extended_usage(certificate, profile)


def _check_extended_usage(certificate: x509.Certificate, profile: Profile) -> None:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if profile.extended_usage is not None and profile.extended_usage not in usages:
        raise ChainRefused(ChainFault.WRONG_USAGE, f"{label(certificate)} is not for a {profile.name}")


def _check_extensions(certificate: x509.Certificate) -> None:
    """A critical extension that is not understood refuses the certificate (RFC 5280, 4.2)."""
    for extension in certificate.extensions:
        if extension.critical and isinstance(extension.value, x509.UnrecognizedExtension):
            detail = f"{label(certificate)}: critical extension {extension.oid.dotted_string}"
            raise ChainRefused(ChainFault.WRONG_USAGE, detail)


def _basic_constraints(certificate: x509.Certificate) -> x509.BasicConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return None


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
