"""Secrets in flash that only this station's TPM opens: BasicAuth password, database key, software keys.

A key-encryption key of 32 bytes is sealed in the TPM; the secrets lie beside it under AES-256-GCM, each bound to its
name. The sealed key is not tied to platform registers: a firmware update changes those, and a charger must not lose
its secrets to its own update.
"""

import logging
import secrets
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from certs.errors import KeyFault, KeyUnavailable
from certs.store import write_atomically
from certs.tpm import Sealed, Tpm

log = logging.getLogger(__name__)

KEK = "kek.sealed"
KEK_SIZE, NONCE_SIZE = 32, 12
LOST = {KeyFault.FOREIGN_SECRET, KeyFault.BAD_FILE}
"""Why no later opening would succeed either."""


class Vault:
    """Secrets by name below `directory`. Opening reads the TPM once; every call may raise KeyUnavailable."""

    def __init__(self, directory: Path, tpm: Tpm) -> None:
        self._directory = directory
        self._cipher = AESGCM(self._key(tpm))

    def put(self, name: str, secret: bytes) -> None:
        nonce = secrets.token_bytes(NONCE_SIZE)
        write_atomically(self._file(name), nonce + self._cipher.encrypt(nonce, secret, name.encode()))

    def get(self, name: str) -> bytes:
        """Raises KeyUnavailable NO_SUCH_KEY, or BAD_FILE for one that was changed or moved."""
        try:
            content = self._file(name).read_bytes()
            return self._cipher.decrypt(content[:NONCE_SIZE], content[NONCE_SIZE:], name.encode())
        except FileNotFoundError as error:
            raise KeyUnavailable(KeyFault.NO_SUCH_KEY, name) from error
        except (OSError, InvalidTag, ValueError) as error:
            raise KeyUnavailable(KeyFault.BAD_FILE, f"{name}: {type(error).__name__}") from error

    def ensure(self, name: str, size: int) -> bytes:
        """The secret of that name, or one of `size` random bytes from now on."""
        try:
            return self.get(name)
        except KeyUnavailable as error:
            if error.reason is not KeyFault.NO_SUCH_KEY:
                raise
        self.put(name, secrets.token_bytes(size))
        return self.get(name)

    def names(self) -> list[str]:
        return sorted(file.stem for file in self._directory.glob("*.secret"))

    def delete(self, name: str) -> None:
        try:
            self._file(name).unlink()
        except FileNotFoundError as error:
            raise KeyUnavailable(KeyFault.NO_SUCH_KEY, name) from error

    def _key(self, tpm: Tpm) -> bytes:
        """The sealed key, made at the first opening. A lost one is not replaced while secrets lie under it."""
        file = self._directory / KEK
        try:
            return tpm.unseal(Sealed.from_bytes(file.read_bytes()))
        except FileNotFoundError as error:
            if self.names():
                raise KeyUnavailable(KeyFault.BAD_FILE, f"{file} is gone, the secrets under it are lost") from error
        key = secrets.token_bytes(KEK_SIZE)
        write_atomically(file, tpm.seal(key).to_bytes())
        return key

    def _file(self, name: str) -> Path:
        if not name or not all(letter.isalnum() or letter in "-_" for letter in name):
            raise KeyUnavailable(KeyFault.NO_SUCH_KEY, f"{name!r} names no secret")
        return self._directory / f"{name}.secret"


def open_or_begin_anew(directory: Path, tpm: Tpm) -> tuple[Vault, Path | None]:
    """A vault, and where the one went whose key is lost; a TPM that may yet answer is waited for, not given up.

    Raises KeyUnavailable, OSError.
    """
    try:
        return Vault(directory, tpm), None
    except KeyUnavailable as error:
        if error.reason not in LOST:
            raise
        reason = error
    aside = directory.with_name(f"{directory.name}.unreadable-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    directory.rename(aside)
    log.error("the vault's key is lost (%s): its secrets are set aside as %s", reason, aside.name)
    return Vault(directory, tpm), aside
