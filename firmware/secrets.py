"""Secrets of the operator side, sealed by the TPM: implements `ocpp_client.ports.SecretStore`."""

import asyncio
from pathlib import Path

from certs.errors import CertsError, KeyFault, KeyUnavailable
from certs.tpm import Tpm
from certs.vault import Vault
from ocpp_client.ports import SecretStoreError

PASSWORD = "BasicAuthPassword"
"""The name of the OCPP variable, and of the secret."""


class SealedSecrets:
    """In a vault below `directory`. The TPM opens it once, at the first use; every use is in a thread of its own."""

    def __init__(self, directory: Path, tpm: Tpm) -> None:
        self._directory = directory
        self._tpm = tpm
        self._vault: Vault | None = None
        self._turn = asyncio.Lock()

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
            self._vault = Vault(self._directory, self._tpm)
        return self._vault
