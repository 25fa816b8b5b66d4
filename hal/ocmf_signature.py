"""Are these signed meter values the meter's own? The door to `cryptography` for OCMF signatures.

The daemon signs nothing: it passes records on, and a technician, or a test, asks here.
"""

import base64
import binascii
from enum import Enum

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from hal.ocmf import OcmfError, OcmfRecord

MAX_KEY_LENGTH = 4096
_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "secp192r1": ec.SECP192R1,
    "secp256r1": ec.SECP256R1,
    "secp256k1": ec.SECP256K1,
    "secp384r1": ec.SECP384R1,
    "secp521r1": ec.SECP521R1,
    "brainpool256r1": ec.BrainpoolP256R1,
    "brainpoolP256r1": ec.BrainpoolP256R1,
    "brainpool384r1": ec.BrainpoolP384R1,
    "brainpoolP384r1": ec.BrainpoolP384R1,
}
_HASHES: dict[str, type[HashAlgorithm]] = {"SHA256": SHA256, "SHA384": SHA384, "SHA512": SHA512}


class Verdict(Enum):
    VALID = "the meter with this key signed exactly this"
    TAMPERED = "the signature does not fit: another key, or the record was altered"
    UNKNOWN_ALGORITHM = "signed by an algorithm that is not known here"
    WRONG_KEY = "the key is of another curve than the signature"


def verify(record: OcmfRecord, public_key: str) -> Verdict:
    """`public_key` as `load_key` takes it. Raises OcmfError for what is no key."""
    algorithm = _algorithm(record.algorithm)
    if algorithm is None:
        return Verdict.UNKNOWN_ALGORITHM
    curve, hashed = algorithm
    key = load_key(public_key, curve)
    if key.curve.name != curve.name:
        return Verdict.WRONG_KEY
    try:
        key.verify(record.signature, record.signed, ec.ECDSA(hashed))
    except InvalidSignature:
        return Verdict.TAMPERED
    return Verdict.VALID


def load_key(text: str, curve: ec.EllipticCurve) -> ec.EllipticCurvePublicKey:
    """PEM, or hex or base64 of a DER SubjectPublicKeyInfo or of a point on `curve`, with its leading 04 or without.

    Raises OcmfError.
    """
    if len(text) > MAX_KEY_LENGTH:
        raise OcmfError("public key: too long")
    try:
        if text.lstrip().startswith("-----BEGIN"):
            return _elliptic(load_pem_public_key(text.encode()))
        raw = _binary(text)
        if raw[:1] == b"\x30":
            return _elliptic(load_der_public_key(raw))
        if len(raw) == 2 * ((curve.key_size + 7) // 8):
            raw = b"\x04" + raw
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, raw)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise OcmfError(f"public key: {error}") from error


def _algorithm(name: str) -> tuple[ec.EllipticCurve, HashAlgorithm] | None:
    kind, _, rest = name.partition("-")
    curve, _, hashed = rest.partition("-")
    if kind != "ECDSA" or curve not in _CURVES or hashed not in _HASHES:
        return None
    return _CURVES[curve](), _HASHES[hashed]()


def _binary(text: str) -> bytes:
    compact = "".join(text.split())
    try:
        return bytes.fromhex(compact)
    except ValueError:
        try:
            return base64.b64decode(compact, validate=True)
        except binascii.Error as error:
            raise OcmfError("public key: neither PEM, hex nor base64") from error


def _elliptic(key: object) -> ec.EllipticCurvePublicKey:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise OcmfError("public key: not of an elliptic curve")
    return key
