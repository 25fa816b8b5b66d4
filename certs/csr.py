"""Certificate signing requests by a key that never shows itself, and the subjects a station asks for.

OCPP 2.0.1 A02/A03 (SignCertificate): the CSMS gets the CSR, and sends the chain back in CertificateSigned.
"""

from dataclasses import dataclass
from typing import NoReturn

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.keystore import Curve, Key, Purpose

CURVES: dict[Curve, type[ec.EllipticCurve]] = {
    Curve.P256: ec.SECP256R1,
    Curve.P384: ec.SECP384R1,
    Curve.P521: ec.SECP521R1,
}
ALGORITHMS: dict[Curve, hashes.SHA256 | hashes.SHA384 | hashes.SHA512] = {
    Curve.P256: hashes.SHA256(),
    Curve.P384: hashes.SHA384(),
    Curve.P521: hashes.SHA512(),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """Who the certificate is for. `common_name`: the SECC id for a SECC leaf, the station's serial number for OCPP."""

    common_name: str
    organization: str
    country: str
    """ISO 3166, two letters."""


def build(key: Key, purpose: Purpose, subject: Subject) -> bytes:
    """A PKCS #10 request in PEM. Raises KeyUnavailable, and ValueError for a subject X.509 cannot carry."""
    names = [
        x509.NameAttribute(NameOID.COMMON_NAME, subject.common_name),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject.organization),
        x509.NameAttribute(NameOID.COUNTRY_NAME, subject.country),
    ]
    if purpose is not Purpose.CSMS:
        names.append(x509.NameAttribute(NameOID.DOMAIN_COMPONENT, "CPO"))
    usage = ExtendedKeyUsageOID.CLIENT_AUTH if purpose is Purpose.CSMS else ExtendedKeyUsageOID.SERVER_AUTH
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name(names))
        .add_extension(_DIGITAL_SIGNATURE, critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    )
    return builder.sign(_Signer(key), ALGORITHMS[key.curve]).public_bytes(Encoding.PEM)


def public_key(key: Key) -> ec.EllipticCurvePublicKey:
    """The key's public half as cryptography has it."""
    return ec.EllipticCurvePublicKey.from_encoded_point(CURVES[key.curve](), key.public_point)


_DIGITAL_SIGNATURE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=True,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


class _Signer(ec.EllipticCurvePrivateKey):
    """A `Key` in the clothes of a private key of cryptography, which asks it for nothing but signatures."""

    def __init__(self, key: Key) -> None:
        self._key = key

    def sign(
        self, data: "bytes | bytearray | memoryview", signature_algorithm: ec.EllipticCurveSignatureAlgorithm
    ) -> bytes:
        algorithm = signature_algorithm.algorithm
        assert not isinstance(algorithm, Prehashed)
        digest = hashes.Hash(algorithm)
        digest.update(data)
        return self._key.sign(digest.finalize())

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return public_key(self._key)

    @property
    def curve(self) -> ec.EllipticCurve:
        return CURVES[self._key.curve]()

    @property
    def key_size(self) -> int:
        return self.curve.key_size

    def exchange(self, *_: object) -> NoReturn:
        raise NotImplementedError

    def private_numbers(self) -> NoReturn:
        raise NotImplementedError

    def private_bytes(self, *_: object, **__: object) -> NoReturn:
        raise NotImplementedError

    def __copy__(self) -> "_Signer":
        return _Signer(self._key)

    def __deepcopy__(self, memo: dict[int, object]) -> "_Signer":
        return _Signer(self._key)
