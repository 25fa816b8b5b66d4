"""What a private key is to the rest of the station: something that signs a digest and never shows itself.

Three back ends hold keys: the TPM (`certs/tpm/`), a software key encrypted under a secret that the TPM seals
(`certs/sealed.py`, for curves the chip lacks) and, for development only, files (`certs/file.py`). `Origin` says which,
and every status shows it.
"""

from enum import StrEnum
from typing import Protocol


class Curve(StrEnum):
    """The curves of ISO 15118-2 (P-256) and -20 (P-521), by their SEC names; P-384 is what many chips have besides."""

    P256 = "secp256r1"
    P384 = "secp384r1"
    P521 = "secp521r1"


class Origin(StrEnum):
    """Where the private half lives."""

    TPM = "tpm"
    TPM_SEALED = "tpm-sealed"
    FILE = "file"


class Purpose(StrEnum):
    """What a key and its chain are for."""

    SECC = "secc"
    """The vehicle's TLS of ISO 15118-2 (and of -20 where one leaf serves both)."""
    SECC_20 = "secc-20"
    """The vehicle's TLS 1.3 of ISO 15118-20."""
    CSMS = "csms"
    """The station's client certificate towards the CSMS (security profile 3)."""


class Key(Protocol):
    """One private key."""

    @property
    def key_id(self) -> str:
        """Stable name, unique over all stores, as in `tpm:81010010`."""
        ...

    @property
    def curve(self) -> Curve: ...

    @property
    def origin(self) -> Origin: ...

    @property
    def public_point(self) -> bytes:
        """X9.62 uncompressed point: 04, then x and y, each as long as the curve's field."""
        ...

    def sign(self, digest: bytes) -> bytes:
        """ECDSA over `digest` (32, 48 or 64 bytes: SHA-256, -384 or -512), as a DER Ecdsa-Sig-Value.

        Blocks for as long as the chip takes (a real TPM: 0.2 to 0.6 s). Raises KeyUnavailable.
        """
        ...


class KeyStore(Protocol):
    """A place that makes and keeps keys. Every call may block; every call may raise KeyUnavailable."""

    @property
    def origin(self) -> Origin: ...

    def create(self, curve: Curve) -> Key: ...

    def open(self, key_id: str) -> Key: ...

    def list(self) -> list[str]:
        """The ids of all keys that are there, in a stable order."""
        ...

    def retire(self, key_id: str) -> None:
        """Destroy the key; nothing brings it back."""
        ...
