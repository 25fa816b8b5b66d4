"""Software keys under the TPM's lock, for curves the chip lacks: ISO 15118-20's P-521, above all.

The key is made and used in this process's memory; in flash it lies in the vault, which only this TPM opens. That is
less than a key in the chip, and `Origin.TPM_SEALED` says so wherever the status is shown.
"""

import secrets

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from certs.errors import KeyFault, KeyUnavailable
from certs.file import CURVES, SoftwareKey
from certs.keystore import Curve, Origin
from certs.vault import Vault

PREFIX = "key-"


class SealedKeyStore:
    """Keys in a vault."""

    origin = Origin.TPM_SEALED

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def create(self, curve: Curve) -> SoftwareKey:
        private, name = ec.generate_private_key(CURVES[curve]()), secrets.token_hex(4)
        self._vault.put(PREFIX + name, private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
        return SoftwareKey(f"tpm-sealed:{name}", private, self.origin)

    def open(self, key_id: str) -> SoftwareKey:
        try:
            private = load_der_private_key(self._vault.get(_name(key_id)), None)
        except ValueError as error:
            raise KeyUnavailable(KeyFault.BAD_FILE, f"{key_id}: {error}") from error
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise KeyUnavailable(KeyFault.BAD_FILE, f"{key_id}: no key on a NIST curve")
        return SoftwareKey(key_id, private, self.origin)

    def list(self) -> list[str]:
        return [f"tpm-sealed:{name[len(PREFIX) :]}" for name in self._vault.names() if name.startswith(PREFIX)]

    def retire(self, key_id: str) -> None:
        self._vault.delete(_name(key_id))


def _name(key_id: str) -> str:
    store, _, name = key_id.partition(":")
    if store != Origin.TPM_SEALED.value or not name.isalnum():
        raise KeyUnavailable(KeyFault.NO_SUCH_KEY, f"{key_id!r} names no sealed key")
    return PREFIX + name
