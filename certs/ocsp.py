"""OCSP responses for our own chains: checked when they come, kept on disk, stapled while they hold.

They come through the CSMS (OCPP 2.0.1 M06, GetCertificateStatus): the station asks with a certificate's hash data and
gets the responder's answer. What the vehicle sees is the responder's signature, not ours, so a response is judged as
the vehicle will judge it: for this certificate, good, current, and signed by the issuer or by one it authorised.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.chain import label
from certs.errors import CertsError
from certs.store import write_atomically
from certs.tls.identity import Identity

log = logging.getLogger(__name__)

MAX_DER = 16 * 1024
CLOCK_LEEWAY = timedelta(minutes=5)
HOLDS_WITHOUT_NEXT_UPDATE = timedelta(days=7)
"""OCPP 2.0.1 M06.FR.10: a response is asked for anew at least once a week."""


class OcspFault(StrEnum):
    """Why a response was not taken."""

    MALFORMED = "not an OCSP response"
    NO_ANSWER = "the responder gave no answer"
    OTHER_CERTIFICATE = "the response is for another certificate"
    NOT_GOOD = "the certificate is revoked or unknown"
    NOT_CURRENT = "the response does not hold now"
    BAD_SIGNATURE = "not signed by the issuer or by one it authorised"


class OcspRefused(CertsError):
    def __init__(self, fault: OcspFault, detail: str) -> None:
        super().__init__(f"{fault.value}: {detail}")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Held:
    """A response that may be stapled from `since` until `until`."""

    der: bytes
    since: datetime
    until: datetime


def check(der: bytes, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime) -> Held:
    """Judge a response as a vehicle would. Raises OcspRefused."""
    if len(der) > MAX_DER:
        raise OcspRefused(OcspFault.MALFORMED, f"{len(der)} bytes, at most {MAX_DER} are read")
    try:
        response = ocsp.load_der_ocsp_response(der)
    except ValueError as error:
        raise OcspRefused(OcspFault.MALFORMED, str(error)) from error
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise OcspRefused(OcspFault.NO_ANSWER, response.response_status.name)
    try:
        single = next((single for single in response.responses if _is_for(single, certificate, issuer)), None)
        if single is None:
            raise OcspRefused(OcspFault.OTHER_CERTIFICATE, label(certificate))
        if single.certificate_status is not ocsp.OCSPCertStatus.GOOD:
            raise OcspRefused(OcspFault.NOT_GOOD, f"{label(certificate)}: {single.certificate_status.name}")
        held = _times(der, single, at)
        _check_signer(response, issuer, at)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise OcspRefused(OcspFault.MALFORMED, str(error)) from error
    return held


def _is_for(single: ocsp.OCSPSingleResponse, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    algorithm = single.hash_algorithm
    if not isinstance(algorithm, hashes.SHA1 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512):
        return False
    ours = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm).build()
    return (
        single.serial_number == certificate.serial_number
        and single.issuer_name_hash == ours.issuer_name_hash
        and single.issuer_key_hash == ours.issuer_key_hash
    )


def _times(der: bytes, single: ocsp.OCSPSingleResponse, at: datetime) -> Held:
    since = single.this_update_utc
    until = single.next_update_utc or since + HOLDS_WITHOUT_NEXT_UPDATE
    if not since - CLOCK_LEEWAY <= at <= until:
        raise OcspRefused(OcspFault.NOT_CURRENT, f"from {since} until {until}")
    return Held(der, since, until)


def _check_signer(response: ocsp.OCSPResponse, issuer: x509.Certificate, at: datetime) -> None:
    """RFC 6960 4.2.2.2: the issuer itself, or a responder whose certificate it issued for OCSP signing."""
    signers = [issuer, *(delegate for delegate in response.certificates if _is_delegate(delegate, issuer, at))]
    if not any(_signed(response, signer) for signer in signers):
        raise OcspRefused(OcspFault.BAD_SIGNATURE, label(issuer))


def _is_delegate(certificate: x509.Certificate, issuer: x509.Certificate, at: datetime) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    current = certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc
    return current and ExtendedKeyUsageOID.OCSP_SIGNING in usages


def _signed(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    key, algorithm = signer.public_key(), response.signature_hash_algorithm
    if algorithm is None:
        return False
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), algorithm)
        else:
            return False
    except InvalidSignature:
        return False
    return True


class OcspCache:
    """Responses below `directory`, one file a certificate."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, der: bytes, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime) -> Held:
        """Keep a response that came from the CSMS. Raises OcspRefused."""
        held = check(der, certificate, issuer, at)
        write_atomically(self._file(certificate), der)
        return held

    def held(self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime) -> Held | None:
        """What may be stapled now."""
        try:
            return check(self._file(certificate).read_bytes(), certificate, issuer, at)
        except FileNotFoundError:
            return None
        except (OSError, OcspRefused) as error:
            log.info("no OCSP response to staple for %s: %s", label(certificate), error)
            return None

    def staples(self, path: Sequence[x509.Certificate], at: datetime) -> tuple[bytes | None, ...]:
        """For each certificate of a path but its root, what may be stapled now."""
        held = (self.held(certificate, issuer, at) for certificate, issuer in pairwise(path))
        return tuple(response.der if response is not None else None for response in held)

    def stapled(self, identity: Identity, at: datetime) -> Identity:
        """The identity with what may be stapled now; as it was if its root is not known."""
        if identity.root_der is None:
            return identity
        path = [x509.load_der_x509_certificate(der) for der in (*identity.chain_der, identity.root_der)]
        return replace(identity, staples=self.staples(path, at))

    def due(self, path: Sequence[x509.Certificate], at: datetime) -> list[tuple[x509.Certificate, x509.Certificate]]:
        """Certificates with their issuers whose response is missing or past half its time: ask for them now."""
        missing = []
        for certificate, issuer in pairwise(path):
            held = self.held(certificate, issuer, at)
            if held is None or at > held.since + (held.until - held.since) / 2:
                missing.append((certificate, issuer))
        return missing

    def _file(self, certificate: x509.Certificate) -> Path:
        name = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
        return self._directory / f"{name}.ocsp"
