"""Is a firmware image the manufacturer's: the certificate it was signed with, and the signature over it (OCPP L01).

RSA keys sign with RSASSA-PSS, elliptic curves with ECDSA, both over SHA-256.
# unverified: OCPP 2.0.1 L01.FR.12 names RSA-PSS and ECSchnorr; what manufacturers' tools make for curves is ECDSA.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs import chain
from certs.chain import ChainFault, ChainRefused, Profile

FIRMWARE = Profile("firmware", extended_usage=ExtendedKeyUsageOID.CODE_SIGNING, rsa_allowed=True)
MAX_SIGNATURE = 1024
"""Bytes: RSA-8192."""


def check_signer(certificate_pem: str, roots: Sequence[x509.Certificate], at: datetime) -> list[x509.Certificate]:
    """The path from the signing certificate to one of `roots`. Raises ChainRefused.

    `certificate_pem` may carry sub-CAs after the leaf.
    """
    try:
        certificates = x509.load_pem_x509_certificates(certificate_pem.encode())
    except ValueError as error:
        raise ChainRefused(ChainFault.MALFORMED, str(error)) from error
    loaded = chain.load_chain([certificate.public_bytes(Encoding.DER) for certificate in certificates])
    return chain.verify(loaded, roots, at, FIRMWARE)


def signature_holds(certificate_pem: str, signature: str, digest: bytes) -> bool:
    """Whether `signature` (base64) is the certificate's over an image with this SHA-256 `digest`."""
    try:
        key = x509.load_pem_x509_certificates(certificate_pem.encode())[0].public_key()
        octets = base64.b64decode("".join(signature.split()), validate=True)
    except (*chain.PARSE_ERRORS, binascii.Error, IndexError):
        return False
    if not 0 < len(octets) <= MAX_SIGNATURE:
        return False
    algorithm = utils.Prehashed(hashes.SHA256())
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(octets, digest, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
            key.verify(octets, digest, pss, algorithm)
        else:
            return False
    except InvalidSignature:
        return False
    return True
