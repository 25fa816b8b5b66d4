"""A certificate as OCPP 2.0.1 names it: CertificateHashDataType and OCSPRequestDataType."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.x509.ocsp import OCSPRequestBuilder
from cryptography.x509.oid import AuthorityInformationAccessOID

MAX_URL = 512


@dataclass(frozen=True, slots=True)
class OcspHashData:
    """Hashes (SHA256 unless another was asked for) and serial number in lower-case hex, the serial without prefix and
    leading zeros."""

    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str
    responder_url: str
    """Where the certificate's status is answered, or empty: the AIA extension names none."""


def hash_data(
    certificate: x509.Certificate, issuer: x509.Certificate, algorithm: SHA256 | SHA384 | SHA512 | None = None
) -> OcspHashData:
    """Hash data of one certificate; a root is its own issuer."""
    request = OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm or SHA256()).build()
    return OcspHashData(
        issuer_name_hash=request.issuer_name_hash.hex(),
        issuer_key_hash=request.issuer_key_hash.hex(),
        serial_number=f"{certificate.serial_number:x}",
        responder_url=responder_url(certificate),
    )


def path_hash_data(path: Sequence[x509.Certificate]) -> tuple[OcspHashData, ...]:
    """Hash data of every certificate of a path but its root: leaf, sub-CA 2, sub-CA 1."""
    return tuple(hash_data(certificate, issuer) for certificate, issuer in pairwise(path))


def responder_url(certificate: x509.Certificate) -> str:
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return ""
    for description in access:
        location = description.access_location
        if description.access_method == AuthorityInformationAccessOID.OCSP and isinstance(
            location, x509.UniformResourceIdentifier
        ):
            return location.value if len(location.value) <= MAX_URL else ""
    return ""
