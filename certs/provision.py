"""Give a station its keys and certificates: what `evse provision` and the demo do, resumable at every step."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from certs import chain
from certs.csr import Subject
from certs.keystore import Curve, KeyStore, Origin, Purpose
from certs.rotation import Rotation
from certs.sealed import SealedKeyStore
from certs.store import CertificateStore, Reconciled, RootKind
from certs.tls.identity import Identity
from certs.tpm import Chip, KeyAttributes, Tpm, TpmKey, TpmKeyStore
from certs.vault import Vault

ROOTS_OF: dict[Purpose, tuple[RootKind, ...] | None] = {
    Purpose.SECC: (RootKind.V2G,),
    Purpose.SECC_20: (RootKind.V2G,),
    # The operator judges our client certificate; the station need not hold its root.
    Purpose.CSMS: None,
}

Issue = Callable[[bytes], bytes | str]
"""A CSR (PEM) to a chain (PEM, leaf first)."""


@dataclass(frozen=True, slots=True)
class TakenOver:
    """The TPM as it was found and made ready."""

    chip: Chip
    srk: KeyAttributes
    reconciled: Reconciled


def take_over(tpm: Tpm, store: CertificateStore) -> TakenOver:
    """The storage root key made if it is missing, slots and store in step. Raises KeyUnavailable, StoreError."""
    srk = tpm.ensure_srk()
    return TakenOver(tpm.chip(), srk, store.reconcile(TpmKeyStore(tpm)))


def ensure_identity(
    store: CertificateStore,
    keys: KeyStore,
    purpose: Purpose,
    subject: Subject,
    issue: Issue,
    at: datetime,
    curve: Curve = Curve.P256,
) -> Identity:
    """The identity in use; without one, a key is made, `issue` asked for its chain, and the chain installed.

    Raises KeyUnavailable, InstallRefused, StoreError, and what `issue` raises.
    """
    rotation = Rotation(store, keys, purpose)
    identity = rotation.identity()
    if identity is not None:
        return identity
    answer = issue(rotation.begin(subject, curve))
    chain_pem = answer.decode("ascii") if isinstance(answer, bytes) else answer
    return rotation.install(chain_pem, roots_for(store, purpose), at)


def roots_for(store: CertificateStore, purpose: Purpose) -> Sequence[x509.Certificate] | None:
    """What a purpose's own chain is judged against when it is installed; None: up to what came with it."""
    kinds = ROOTS_OF[purpose]
    return None if kinds is None else store.certificates(*kinds)


@dataclass(frozen=True, slots=True)
class ChainReport:
    """One chain in use: its key, where that lives, what proves it, and when the chain ends."""

    purpose: Purpose
    key_id: str
    origin: Origin
    attributes: str
    """Of a key in the TPM, as the TPM says them; empty for any other."""
    subject: str
    not_after: datetime


def report(store: CertificateStore, keys: KeyStore) -> list[ChainReport]:
    """What a technician, or the factory's record, wants to see of the chains in `keys`. Raises KeyUnavailable."""
    chains, ends = [], store.expiry()
    for purpose, not_after in ends.items():
        identity = Rotation(store, keys, purpose).identity()
        if identity is not None:
            key = identity.key
            attributes = str(key.describe()) if isinstance(key, TpmKey) else ""
            subject = chain.load(identity.chain_der[0]).subject.rfc4514_string()
            chains.append(ChainReport(purpose, key.key_id, key.origin, attributes, subject, not_after))
    return chains


def store_for(curve: Curve, tpm: Tpm, vault: Callable[[], Vault]) -> KeyStore:
    """Where a key on `curve` is to live: in the chip if it has the curve, else sealed by it. Raises KeyUnavailable."""
    return TpmKeyStore(tpm) if curve in tpm.chip().curves else SealedKeyStore(vault())


def mix_random(tpm: Tpm, kernel: Path = Path("/dev/urandom")) -> None:
    """Stir the chip's randomness into the kernel's: boards start with little of their own. Raises KeyUnavailable."""
    with kernel.open("wb", buffering=0) as pool:
        pool.write(tpm.random(32))


def factory_reset(tpm: Tpm, directory: Path) -> list[str]:
    """Destroy every key in the TPM's slots and everything below `directory` (store, vault, OCSP responses).

    Keys go first: a reset cut short leaves chains without keys, never keys that still sign. The storage root key stays;
    without the vault's files nothing hangs below it. The ids of what was destroyed. Raises KeyUnavailable, OSError.
    """
    keys = TpmKeyStore(tpm)
    destroyed = keys.list()
    for key_id in destroyed:
        tpm.evict(int(key_id.partition(":")[2], 16))
    if directory.exists():
        shutil.rmtree(directory)
    return destroyed
