"""The signing keys in the TPM's slots, as the rest of the station knows keys."""

from certs.errors import KeyFault, KeyUnavailable
from certs.keystore import Curve, Origin
from certs.tpm.chip import KeyAttributes
from certs.tpm.objects import SIGNING_KEY
from certs.tpm.owner import SLOTS, Tpm


class TpmKey:
    """A signing key in a slot of the TPM."""

    origin = Origin.TPM

    def __init__(self, tpm: Tpm, persistent: int, curve: Curve, public_point: bytes) -> None:
        self.handle = persistent
        self.key_id = f"tpm:{persistent:08x}"
        self.curve = curve
        self.public_point = public_point
        self._tpm = tpm

    def sign(self, digest: bytes) -> bytes:
        return self._tpm.sign(self.handle, self.public_point, digest)

    def describe(self) -> KeyAttributes:
        """What the TPM says of the key. Raises KeyUnavailable."""
        return self._tpm.attributes(self.handle)


class TpmKeyStore:
    """Keys in the TPM's slots. Needs the SRK: `Tpm.ensure_srk`, at provisioning."""

    origin = Origin.TPM

    def __init__(self, tpm: Tpm) -> None:
        self.tpm = tpm

    def create(self, curve: Curve) -> TpmKey:
        return self._key(self.tpm.create(curve))

    def open(self, key_id: str) -> TpmKey:
        store, _, handle = key_id.partition(":")
        try:
            persistent = int(handle, 16)
        except ValueError:
            persistent = 0
        if store != "tpm" or persistent not in SLOTS:
            raise KeyUnavailable(KeyFault.NO_SUCH_KEY, f"{key_id!r} names no slot of the TPM")
        return self._key(persistent)

    def list(self) -> list[str]:
        return [f"tpm:{handle:08x}" for handle in self.tpm.handles()]

    def retire(self, key_id: str) -> None:
        self.tpm.evict(self.open(key_id).handle)

    def _key(self, persistent: int) -> TpmKey:
        attributes = self.tpm.checked(persistent, SIGNING_KEY)
        return TpmKey(self.tpm, persistent, attributes.curve, self.tpm.public_point(persistent))
