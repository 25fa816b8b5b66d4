"""Certificates on disk: the roots we trust, and the chains we present.

    roots/<kind>/<sha256 of the DER>.pem
    chains/<purpose>.json      the chain in use and the id of its key, in one file: a swap is one rename
    pending/<purpose>.json     a rotation under way: the new key's id and, once it came, its chain

Every file is written aside, synced and renamed, so a power cut leaves the old or the new one. What a power cut leaves
between two files is put right by `reconcile`.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs import chain
from certs.chain import ChainRefused
from certs.errors import CertsError
from certs.hashdata import OcspHashData, hash_data, path_hash_data
from certs.keystore import KeyStore, Purpose

log = logging.getLogger(__name__)

MAX_ROOTS = 32
"""Of one kind. OCPP 2.0.1 has a station refuse more than it can hold (M05)."""


class RootKind(StrEnum):
    """What a root is trusted for; OCPP's InstallCertificateUse in the station's own words."""

    V2G = "v2g"
    MO = "mo"
    OEM = "oem"
    CSMS = "csms"
    MANUFACTURER = "manufacturer"


class StoreFault(StrEnum):
    MALFORMED = "not a certificate of ISO 15118's or OCPP's kinds"
    NOT_A_ROOT = "not a self-signed CA certificate"
    FULL = "no room for another root"
    UNREADABLE = "the file cannot be read"


class StoreError(CertsError):
    def __init__(self, fault: StoreFault, detail: str) -> None:
        super().__init__(f"{fault.value}: {detail}")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class StoredChain:
    """A chain and the key it belongs to. `chain_pem` is empty for a rotation whose certificate has not come yet."""

    key_id: str
    chain_pem: str

    @property
    def chain_der(self) -> tuple[bytes, ...]:
        certificates = x509.load_pem_x509_certificates(self.chain_pem.encode())
        return tuple(certificate.public_bytes(Encoding.DER) for certificate in certificates)


@dataclass(frozen=True, slots=True)
class StoredRoot:
    kind: RootKind
    certificate: x509.Certificate

    @property
    def hash_data(self) -> OcspHashData:
        """As OCPP's GetInstalledCertificateIds and DeleteCertificate name it."""
        return hash_data(self.certificate, self.certificate)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What was put right at start."""

    retired: tuple[str, ...] = ()
    """Keys no chain and no rotation knows."""
    abandoned: tuple[Purpose, ...] = ()
    """Rotations whose key is gone."""
    keyless: tuple[Purpose, ...] = ()
    """Chains whose key is gone: TLS with them is impossible until they are provisioned anew."""


class CertificateStore:
    """Files below `directory`; not safe for two writers."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    # --- roots ---

    def install_root(self, kind: RootKind, pem: str) -> StoredRoot:
        """Trust a root from now on; one that is there already stays. Raises StoreError."""
        certificate = _root_of(pem)
        file = self._root_file(kind, certificate)
        if not file.exists() and len(list(self._root_files(kind))) >= MAX_ROOTS:
            raise StoreError(StoreFault.FULL, f"{MAX_ROOTS} {kind.value} roots")
        write_atomically(file, certificate.public_bytes(Encoding.PEM))
        return StoredRoot(kind, certificate)

    def delete_root(self, wanted: OcspHashData) -> bool:
        """Stop trusting the root OCPP names by its hash data; False if there is none. The URL does not count."""
        found = False
        for root in self.roots():
            own = root.hash_data
            ids = (own.issuer_name_hash, own.issuer_key_hash, own.serial_number)
            if ids == (
                wanted.issuer_name_hash.lower(),
                wanted.issuer_key_hash.lower(),
                wanted.serial_number.lower().lstrip("0"),
            ):
                self._root_file(root.kind, root.certificate).unlink()
                found = True
        return found

    def roots(self, *kinds: RootKind) -> list[StoredRoot]:
        """The roots of some kinds, or of all; a file that cannot be read is logged and left out."""
        found = []
        for kind in kinds or tuple(RootKind):
            for file in self._root_files(kind):
                try:
                    found.append(StoredRoot(kind, _root_of(file.read_text())))
                except (OSError, UnicodeDecodeError, StoreError) as error:
                    log.error("root %s is not trusted: %s", file.name, error)
        return found

    def certificates(self, *kinds: RootKind) -> list[x509.Certificate]:
        return [root.certificate for root in self.roots(*kinds)]

    def issuer_of(self, certificate: x509.Certificate) -> x509.Certificate | None:
        """The root that signed a certificate, of whatever kind."""
        return next((root for root in self.certificates() if chain.signed_by(certificate, root)), None)

    # --- chains ---

    def chain(self, purpose: Purpose) -> StoredChain | None:
        """What is presented for a purpose. Raises StoreError UNREADABLE."""
        return self._read("chains", purpose)

    def pending(self, purpose: Purpose) -> StoredChain | None:
        """The rotation under way. Raises StoreError UNREADABLE."""
        return self._read("pending", purpose)

    def put_chain(self, purpose: Purpose, stored: StoredChain) -> None:
        self._write("chains", purpose, stored)

    def put_pending(self, purpose: Purpose, stored: StoredChain | None) -> None:
        """Remember a rotation, or (None) that there is none any more."""
        if stored is None:
            self._file("pending", purpose).unlink(missing_ok=True)
        else:
            self._write("pending", purpose, stored)

    def chain_hash_data(self, purpose: Purpose) -> tuple[OcspHashData, ...]:
        """The chain in use as OCPP names it, leaf first, without its root; empty unless we hold that root."""
        stored = self.chain(purpose)
        if stored is None:
            return ()
        certificates = [chain.load(der) for der in stored.chain_der]
        root = self.issuer_of(certificates[-1])
        return () if root is None else path_hash_data([*certificates, root])

    def expiring(self, at: datetime, within: timedelta) -> list[Purpose]:
        """The purposes whose chain in use ends within some time: ask for a new one (OCPP A02)."""
        return [purpose for purpose, end in self.expiry().items() if end <= at + within]

    def expiry(self) -> dict[Purpose, datetime]:
        """When each chain in use stops holding: the earliest end among its certificates."""
        ends = {}
        for purpose in Purpose:
            if stored := self.chain(purpose):
                certificates = [chain.load(der) for der in stored.chain_der]
                ends[purpose] = min(certificate.not_valid_after_utc for certificate in certificates)
        return ends

    def count(self) -> int:
        """How many certificates are held: roots, and those of the chains in use. Raises StoreError."""
        chains = [stored for purpose in Purpose if (stored := self.chain(purpose)) is not None]
        return len(self.roots()) + sum(len(stored.chain_der) for stored in chains)

    def reconcile(self, keys: KeyStore) -> Reconciled:
        """Put right what a power cut left: retire orphan keys, forget rotations whose key is gone.

        Raises KeyUnavailable, and StoreError: with a chain unreadable, no key may be judged an orphan.
        """
        present, used = set(keys.list()), set()
        abandoned, keyless = [], []
        for purpose in Purpose:
            active, pending = self.chain(purpose), self.pending(purpose)
            if active is not None:
                used.add(active.key_id)
                if _is_of(active.key_id, keys) and active.key_id not in present:
                    keyless.append(purpose)
            if pending is None:
                continue
            finished = active is not None and pending.key_id == active.key_id
            if finished or (_is_of(pending.key_id, keys) and pending.key_id not in present):
                self.put_pending(purpose, None)
                abandoned.extend([] if finished else [purpose])
            else:
                used.add(pending.key_id)
        retired = tuple(sorted(present - used))
        for key_id in retired:
            log.warning("key %s belongs to no chain and is retired", key_id)
            keys.retire(key_id)
        return Reconciled(retired, tuple(abandoned), tuple(keyless))

    # --- files ---

    def _root_files(self, kind: RootKind) -> Iterator[Path]:
        return iter(sorted((self._directory / "roots" / kind.value).glob("*.pem")))

    def _root_file(self, kind: RootKind, certificate: x509.Certificate) -> Path:
        name = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
        return self._directory / "roots" / kind.value / f"{name}.pem"

    def _file(self, folder: str, purpose: Purpose) -> Path:
        return self._directory / folder / f"{purpose.value}.json"

    def _read(self, folder: str, purpose: Purpose) -> StoredChain | None:
        file = self._file(folder, purpose)
        try:
            content = json.loads(file.read_text())
            stored = StoredChain(str(content["key_id"]), str(content["chain"]))
            if stored.chain_pem:
                chain.load_chain(stored.chain_der)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, ChainRefused) as error:
            raise StoreError(StoreFault.UNREADABLE, f"{file}: {error}") from error
        return stored

    def _write(self, folder: str, purpose: Purpose, stored: StoredChain) -> None:
        content = json.dumps({"key_id": stored.key_id, "chain": stored.chain_pem}, indent=1)
        write_atomically(self._file(folder, purpose), content.encode())


def write_atomically(file: Path, content: bytes) -> None:
    """All of `content` or the file as it was, whenever the power goes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{file.name}.new")
    with aside.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    aside.replace(file)
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _root_of(pem: str) -> x509.Certificate:
    try:
        certificate = chain.load(x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER))
    except (ValueError, ChainRefused) as error:
        raise StoreError(StoreFault.MALFORMED, str(error)) from error
    if not chain.is_root(certificate):
        raise StoreError(StoreFault.NOT_A_ROOT, chain.label(certificate))
    return certificate


def _is_of(key_id: str, keys: KeyStore) -> bool:
    """Whether a key would be in this store: a station may have more than one."""
    return key_id.partition(":")[0] == keys.origin.value
