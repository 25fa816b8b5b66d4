"""Secrets of the operator side, sealed by the TPM: implements `ocpp_client.ports.SecretStore`."""

import asyncio
from pathlib import Path

from certs.errors import CertsError, KeyFault, KeyUnavailable
from certs.tpm import Tpm
from certs.vault import Vault, open_or_begin_anew
from firmware.journal import SqliteJournal
from ocpp_client.ports import SecretStoreError

PASSWORD = "BasicAuthPassword"
"""The name of the OCPP variable, and of the secret."""
JOURNAL_KEY, JOURNAL_KEY_SIZE = "journal-key", 32


class SealedSecrets:
    """In a vault below `directory`. The TPM opens it once, at the first use; every use is in a thread of its own."""

    def __init__(self, directory: Path, tpm: Tpm) -> None:
        self._directory = directory
        self._tpm = tpm
        self._vault: Vault | None = None
        self.set_aside: Path | None = None
        """Where the secrets went that the TPM no longer opens."""
        self._turn = asyncio.Lock()

    async def journal_key(self) -> bytes:
        """The key of the station's journal, made at the first call. Raises KeyUnavailable, OSError."""
        async with self._turn:
            return await asyncio.to_thread(lambda: self._opened().ensure(JOURNAL_KEY, JOURNAL_KEY_SIZE))

    async def get(self, name: str) -> str | None:
        def read() -> str | None:
            # A station without secrets needs no vault, and no TPM to make one.
            if self._vault is None and not self._directory.exists():
                return None
            try:
                return self._opened().get(name).decode()
            except KeyUnavailable as error:
                if error.reason is KeyFault.NO_SUCH_KEY:
                    return None
                raise

        async with self._turn:
            try:
                return await asyncio.to_thread(read)
            except (CertsError, OSError, ValueError) as error:
                raise SecretStoreError(str(error)) from error

    async def put(self, name: str, value: str) -> None:
        async with self._turn:
            try:
                await asyncio.to_thread(lambda: self._opened().put(name, value.encode()))
            except (CertsError, OSError) as error:
                raise SecretStoreError(str(error)) from error

    def _opened(self) -> Vault:
        if self._vault is None:
            self._vault, self.set_aside = open_or_begin_anew(self._directory, self._tpm)
        return self._vault


def told_lost(secrets: SealedSecrets, journal: SqliteJournal) -> str:
    """What this start could not read and set aside, for the operator; empty when nothing."""
    parts = []
    if secrets.set_aside is not None:
        parts.append(f"secrets of another TPM: {secrets.set_aside.name}")
    if journal.set_aside is not None:
        parts.append(f"damaged journal: {journal.set_aside.name}")
    if journal.adopted.set_aside:
        parts.append(f"{journal.adopted.set_aside} journal entries under a lost key")
    return "; ".join(parts)
