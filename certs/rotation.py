"""From key to certificate, and from one certificate to the next; a power cut at any step leaves a working one.

    begin      key in a free slot, remembered as pending          the old chain serves
    accept     the chain is checked and kept beside the key       the old chain serves
    activate   one rename: the new chain is the chain in use      the new chain serves
    retire     the old key is destroyed, the rotation forgotten

Towards the CSMS, `accept` and `activate` lie apart: the new identity is tried on a link of its own first (OCPP 2.0.1
A02/A03). A kill between the steps is met by `CertificateStore.reconcile`: a key nobody knows is retired, a pending one
stays and is used by the next `begin`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs import chain, csr
from certs.chain import ChainRefused, Profile
from certs.csr import Subject
from certs.errors import CertsError
from certs.keystore import Curve, Key, KeyStore, Purpose
from certs.store import CertificateStore, StoredChain
from certs.tls.identity import Identity

PROFILES: dict[Purpose, Profile] = {
    Purpose.SECC: chain.SECC,
    Purpose.SECC_20: chain.SECC,
    Purpose.CSMS: chain.STATION,
}


class InstallFault(StrEnum):
    """Why a chain was not taken: those of the chain itself, and two of our own."""

    NO_CHAIN = "no chain"
    MALFORMED = "malformed certificate"
    UNKNOWN_ROOT = "unknown root"
    BAD_SIGNATURE = "chain signature wrong"
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    WRONG_USAGE = "key usage or path length wrong"
    NOT_ASKED_FOR = "no certificate was asked for"
    OTHER_KEY = "the certificate is for another key"


class InstallRefused(CertsError):
    """A chain was not taken; what served before serves on."""

    def __init__(self, fault: InstallFault, detail: str = "") -> None:
        super().__init__(f"{fault.value}: {detail}" if detail else fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Rotation:
    """The steps for one purpose over one key store."""

    store: CertificateStore
    keys: KeyStore
    purpose: Purpose

    def begin(self, subject: Subject, curve: Curve = Curve.P256) -> bytes:
        """A CSR (PEM) by a fresh key, or by the pending one if there is one. Raises KeyUnavailable, StoreError."""
        pending = self.store.pending(self.purpose)
        if pending is None:
            key: Key = self.keys.create(curve)
            self.store.put_pending(self.purpose, StoredChain(key.key_id, ""))
        else:
            key = self.keys.open(pending.key_id)
        return csr.build(key, self.purpose, subject)

    def accept(self, chain_pem: str, roots: Sequence[x509.Certificate] | None, at: datetime) -> Identity:
        """Check the chain and keep it with its key, not yet in use. Raises InstallRefused, KeyUnavailable, StoreError.

        With `roots` None the chain is judged up to the topmost certificate that came: a station need not hold the root
        of its own client certificate.
        """
        pending = self.store.pending(self.purpose)
        if pending is None:
            raise InstallRefused(InstallFault.NOT_ASKED_FOR, self.purpose.value)
        key = self.keys.open(pending.key_id)
        path = _checked(chain_pem, roots, at, PROFILES[self.purpose])
        if path[0].public_key() != csr.public_key(key):
            raise InstallRefused(InstallFault.OTHER_KEY, chain.label(path[0]))
        stored = StoredChain(key.key_id, "".join(link.public_bytes(Encoding.PEM).decode() for link in path))
        self.store.put_pending(self.purpose, stored)
        return self._identity(key, stored)

    def candidate(self) -> Identity | None:
        """What was accepted and is not in use yet. Raises KeyUnavailable, StoreError."""
        pending = self.store.pending(self.purpose)
        if pending is None or not pending.chain_pem:
            return None
        return self._identity(self.keys.open(pending.key_id), pending)

    def activate(self) -> str | None:
        """Put the accepted chain in use; the id of the key it replaces, for `retire`. Raises InstallRefused."""
        pending, active = self.store.pending(self.purpose), self.store.chain(self.purpose)
        if pending is None or not pending.chain_pem:
            raise InstallRefused(InstallFault.NOT_ASKED_FOR, self.purpose.value)
        self.store.put_chain(self.purpose, pending)
        return active.key_id if active is not None else None

    def retire(self, old_key_id: str | None) -> None:
        """Forget the rotation and destroy the key it replaced. Raises KeyUnavailable."""
        self.store.put_pending(self.purpose, None)
        if old_key_id is not None:
            self.keys.retire(old_key_id)

    def abandon(self) -> None:
        """Give up a rotation: the new key is destroyed, the old chain serves on. Raises KeyUnavailable."""
        pending = self.store.pending(self.purpose)
        if pending is not None:
            self.store.put_pending(self.purpose, None)
            self.keys.retire(pending.key_id)

    def install(self, chain_pem: str, roots: Sequence[x509.Certificate] | None, at: datetime) -> Identity:
        """`accept`, `activate` and `retire` in one. Raises what they raise."""
        identity = self.accept(chain_pem, roots, at)
        self.retire(self.activate())
        return identity

    def identity(self) -> Identity | None:
        """What is in use, or None. Raises KeyUnavailable, StoreError."""
        stored = self.store.chain(self.purpose)
        return None if stored is None else self._identity(self.keys.open(stored.key_id), stored)

    def _identity(self, key: Key, stored: StoredChain) -> Identity:
        root = self.store.issuer_of(chain.load(stored.chain_der[-1]))
        root_der = root.public_bytes(Encoding.DER) if root is not None else None
        return Identity(key, stored.chain_der, root_der=root_der)


def _checked(
    chain_pem: str, roots: Sequence[x509.Certificate] | None, at: datetime, profile: Profile
) -> list[x509.Certificate]:
    """The path without its root."""
    try:
        certificates = chain.load_chain(_split(chain_pem))
        path = chain.verify(certificates, roots, at, profile)
    except ChainRefused as refused:
        raise InstallRefused(InstallFault[refused.fault.name], refused.detail) from refused
    return path[:-1] if chain.is_root(path[-1]) else path


def _split(chain_pem: str) -> list[bytes]:
    try:
        certificates = x509.load_pem_x509_certificates(chain_pem.encode())
    except ValueError as error:
        raise ChainRefused(chain.ChainFault.MALFORMED, str(error)) from error
    return [certificate.public_bytes(Encoding.DER) for certificate in certificates]
