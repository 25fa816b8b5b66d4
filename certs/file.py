"""Keys in files, for development alone: whoever reads the flash has them.

The configuration must allow it by name, and every status shows the origin `file`. A station whose TPM is missing never
comes here by itself.
"""

import secrets
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from certs.errors import KeyFault, KeyUnavailable
from certs.keystore import Curve, Origin

CURVES: dict[Curve, type[ec.EllipticCurve]] = {
    Curve.P256: ec.SECP256R1,
    Curve.P384: ec.SECP384R1,
    Curve.P521: ec.SECP521R1,
}
HASHES: dict[int, type[hashes.HashAlgorithm]] = {32: hashes.SHA256, 48: hashes.SHA384, 64: hashes.SHA512}


class SoftwareKey:
    """A private key in this process's memory."""

    def __init__(self, key_id: str, private: ec.EllipticCurvePrivateKey, origin: Origin) -> None:
        self.key_id = key_id
        self.origin = origin
        self.curve = Curve(private.curve.name)
        self.public_point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self._private = private

    def sign(self, digest: bytes) -> bytes:
        return self._private.sign(digest, ec.ECDSA(Prehashed(HASHES[len(digest)]())))


class FileKeyStore:
    """Keys as PKCS #8 PEM files in `directory`. Raises KeyUnavailable NOT_ALLOWED unless `allowed`."""

    origin = Origin.FILE

    def __init__(self, directory: Path, allowed: bool) -> None:
        if not allowed:
            raise KeyUnavailable(KeyFault.NOT_ALLOWED, str(directory))
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory

    def create(self, curve: Curve) -> SoftwareKey:
        private, key_id = ec.generate_private_key(CURVES[curve]()), f"file:{secrets.token_hex(4)}"
        file = self._file(key_id)
        file.touch(mode=0o600, exist_ok=False)
        file.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return SoftwareKey(key_id, private, self.origin)

    def open(self, key_id: str) -> SoftwareKey:
        try:
            private = load_pem_private_key(self._file(key_id).read_bytes(), None)
        except FileNotFoundError as error:
            raise KeyUnavailable(KeyFault.NO_SUCH_KEY, key_id) from error
        except (OSError, ValueError, TypeError) as error:
            raise KeyUnavailable(KeyFault.BAD_FILE, f"{key_id}: {error}") from error
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name not in set(Curve):
            raise KeyUnavailable(KeyFault.BAD_FILE, f"{key_id}: no key on a NIST curve")
        return SoftwareKey(key_id, private, self.origin)

    def list(self) -> list[str]:
        return sorted(f"file:{file.stem}" for file in self._directory.glob("*.key"))

    def retire(self, key_id: str) -> None:
        try:
            self._file(key_id).unlink()
        except FileNotFoundError as error:
            raise KeyUnavailable(KeyFault.NO_SUCH_KEY, key_id) from error

    def _file(self, key_id: str) -> Path:
        store, _, name = key_id.partition(":")
        if store != "file" or not name.isalnum():
            raise KeyUnavailable(KeyFault.NO_SUCH_KEY, f"{key_id!r} names no key file")
        return self._directory / f"{name}.key"
