"""The station's certificates as the CSMS manages them: OCPP's names on `certs`, in a thread of their own.

One thread, because the certificate store takes one writer, and because the TPM and the disk take their time.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from certs import chain
from certs.csr import Subject
from certs.errors import CertsError, KeyUnavailable
from certs.hashdata import OcspHashData, hash_data
from certs.keystore import Purpose
from certs.ocsp import OcspRefused
from certs.provision import roots_for
from certs.rotation import InstallRefused
from certs.store import RootKind, StoreError, StoreFault
from firmware.config import Config
from firmware.credentials import Credentials
from ocpp_client.ports import CertificateId, CertificateStoreError, InstalledCertificate, OcspRequestData

log = logging.getLogger(__name__)

T = TypeVar("T")

ROOTS = {
    "V2GRootCertificate": RootKind.V2G,
    "MORootCertificate": RootKind.MO,
    "CSMSRootCertificate": RootKind.CSMS,
    "ManufacturerRootCertificate": RootKind.MANUFACTURER,
}
"""InstallCertificateUseEnumType. OCPP 2.0.1 has no name for OEM roots: those come by provisioning."""
CHAIN = "V2GCertificateChain"
PURPOSES = {"ChargingStationCertificate": Purpose.CSMS, "V2GCertificate": Purpose.SECC}
"""CertificateSigningUseEnumType."""
USES = {purpose: use for use, purpose in PURPOSES.items()}
HASHES: dict[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "SHA256": hashes.SHA256,
    "SHA384": hashes.SHA384,
    "SHA512": hashes.SHA512,
}
"""HashAlgorithmEnumType: a CSMS may name a certificate by each."""
BLOCKED = (CertsError, OSError, TimeoutError)


def subjects(config: Config) -> dict[Purpose, Subject]:
    """Whom the certificates are for: the EVSE id's first two letters are the country (ISO 15118-2 Annex H)."""
    first = config.evse[0].evse_id.replace("*", "")
    organization = config.station.organization or config.station.vendor
    secc = Subject(first, organization, first[:2])
    return {
        Purpose.SECC: secc,
        Purpose.SECC_20: secc,
        Purpose.CSMS: Subject(config.station.identity, organization, first[:2]),
    }


class StationCertificates:
    """Implements `ocpp_client.ports.CertificateStore`. `use_tls` takes the context for the next link to the CSMS.

    `changed` is set whenever what vehicles are shown became another.
    """

    def __init__(self, credentials: Credentials, subjects: dict[Purpose, Subject]) -> None:
        self._credentials = credentials
        self._subjects = subjects
        self._worker = ThreadPoolExecutor(1, "certificates")
        self.use_tls: Callable[[ssl.SSLContext | None], None] = lambda _tls: None
        self.changed = asyncio.Event()
        self.entries = 0
        """SecurityCtrlr.CertificateEntries, counted anew after each change."""
        self._worker.submit(self._count)

    def close(self) -> None:
        """Waits for what runs."""
        self._worker.shutdown()

    async def _work(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, function)

    def _count(self) -> None:
        try:
            self.entries = self._credentials.store.count()
        except BLOCKED as error:
            log.error("the certificates cannot be counted: %s", error)

    async def _work_or_fail(self, function: Callable[[], T]) -> T:
        try:
            return await self._work(function)
        except BLOCKED as error:
            raise CertificateStoreError(str(error)) from error

    # --- M03: what is installed ---

    async def installed(self, kinds: Collection[str]) -> Sequence[InstalledCertificate]:
        try:
            found = await self._work(self._installed)
        except BLOCKED as error:
            log.error("the certificates cannot be told: %s", error)
            return []
        return [item for item in found if not kinds or item.kind in kinds]

    def _installed(self) -> list[InstalledCertificate]:
        store = self._credentials.store
        names = {kind: name for name, kind in ROOTS.items()}
        found = [
            InstalledCertificate(names[root.kind], _id(root.hash_data)) for root in store.roots() if root.kind in names
        ]
        chains = [store.chain_hash_data(purpose) for purpose in (Purpose.SECC, Purpose.SECC_20)]
        return found + [
            InstalledCertificate(CHAIN, _id(links[0]), tuple(_id(link) for link in links[1:]))
            for links in chains
            if links
        ]

    # --- M05: roots ---

    async def install(self, kind: str, certificate_pem: str) -> str:
        if kind not in ROOTS:
            return "Rejected"
        status = await self._work(lambda: self._install(ROOTS[kind], certificate_pem))
        if status == "Accepted":
            await self._roots_changed()
        return status

    def _install(self, kind: RootKind, certificate_pem: str) -> str:
        try:
            self._check_in_time(certificate_pem)
            root = self._credentials.store.install_root(kind, certificate_pem)
        except StoreError as error:
            log.warning("a %s root is not installed: %s", kind, error)
            return "Failed" if error.fault is StoreFault.FULL else "Rejected"
        except OSError as error:
            log.error("a %s root cannot be stored: %s", kind, error)
            return "Failed"
        log.info("the %s root %s is trusted", kind, chain.label(root.certificate))
        return "Accepted"

    def _check_in_time(self, certificate_pem: str) -> None:
        try:
            end = x509.load_pem_x509_certificate(certificate_pem.encode()).not_valid_after_utc
        except ValueError as error:
            raise StoreError(StoreFault.MALFORMED, str(error)) from error
        if end < self._credentials.now():
            raise StoreError(StoreFault.MALFORMED, f"it ended on {end}")

    async def _roots_changed(self) -> None:
        """Whom we trust takes effect with the next contract, the next vehicle and the next link to the CSMS."""
        credentials = self._credentials

        def read() -> ssl.SSLContext | None:
            self._count()
            credentials.roots_changed()
            if not credentials.absence:
                credentials.present()
            return credentials.csms_context()

        try:
            self.use_tls(await self._work(read))
        except BLOCKED as error:
            log.error("new roots are not in use for TLS yet: %s", error)
        self.changed.set()

    # --- M04: deletion ---

    async def delete(self, certificate: CertificateId) -> str:
        try:
            status = await self._work(lambda: self._delete(certificate))
        except BLOCKED as error:
            log.error("a certificate cannot be deleted: %s", error)
            return "Failed"
        if status == "Accepted":
            await self._roots_changed()
        return status

    def _delete(self, wanted: CertificateId) -> str:
        """Failed for our own chains, and for the root that the CSMS is known by."""
        credentials, algorithm = self._credentials, HASHES.get(wanted.hash_algorithm)
        if algorithm is None:
            return "NotFound"
        stored = [chain_in_use for purpose in Purpose if (chain_in_use := credentials.store.chain(purpose))]
        if any(_names(wanted, chain.load(own.chain_der[0]), algorithm()) for own in stored):
            return "Failed"
        found = [
            root
            for root in credentials.store.roots()
            if _is(wanted, hash_data(root.certificate, root.certificate, algorithm()))
        ]
        if any(root.kind is RootKind.CSMS for root in found) and len(credentials.store.roots(RootKind.CSMS)) == 1:
            log.error("the last CSMS root is not deleted: no CSMS could be told from anyone else")
            return "Failed"
        deleted = [credentials.store.delete_root(root.hash_data) for root in found]
        return "Accepted" if any(deleted) else "NotFound"

    # --- A05: what a security profile needs ---

    async def ready_for(self, security_profile: int) -> bool:
        credentials = self._credentials

        def ready() -> bool:
            if security_profile > 1 and not credentials.store.roots(RootKind.CSMS):
                return False
            own = not credentials.absence and credentials.store.chain(Purpose.CSMS) is not None
            return own or security_profile < 3

        try:
            return await self._work(ready)
        except BLOCKED as error:
            log.error("the certificates cannot be told: %s", error)
            return False

    # --- A02, A03: keys and chains ---

    async def signing_request(self, use: str) -> str:
        purpose = PURPOSES[use]

        def begin() -> str:
            if self._credentials.absence:
                raise CertificateStoreError(self._credentials.absence)
            return self._credentials.rotation(purpose).begin(self._subjects[purpose]).decode("ascii")

        return await self._work_or_fail(begin)

    async def signed(self, chain_pem: str, use: str) -> bool:
        purpose = PURPOSES[use]
        try:
            await self._work(lambda: self._take(chain_pem, purpose))
            await self._work(self._count)
        except (InstallRefused, *BLOCKED) as error:
            log.error("the %s is not taken: %s", use, error)
            return False
        self.changed.set()
        return True

    def _take(self, chain_pem: str, purpose: Purpose) -> None:
        """The one for the CSMS is tried first; vehicles have no say."""
        rotation, now = self._credentials.rotation(purpose), self._credentials.now()
        rotation.accept(chain_pem, roots_for(self._credentials.store, purpose), now)
        if purpose is Purpose.CSMS:
            return
        old_key_id = rotation.activate()
        try:
            self._credentials.present()
        except BLOCKED as error:
            log.error("vehicles are shown the old certificate until the next start: %s", error)
        else:
            _retire(rotation.retire, old_key_id)

    async def candidate(self) -> ssl.SSLContext | None:
        def make() -> ssl.SSLContext | None:
            if self._credentials.absence:
                return None
            identity = self._credentials.rotation(Purpose.CSMS).candidate()
            return None if identity is None else self._credentials.csms_context(identity)

        return await self._work_or_fail(make)

    async def tried(self, works: bool) -> None:
        def settle() -> None:
            rotation = self._credentials.rotation(Purpose.CSMS)
            if works:
                _retire(rotation.retire, rotation.activate())
            else:
                rotation.abandon()
            self._count()

        await self._work_or_fail(settle)
        log.info("the new certificate for the CSMS %s", "is in use" if works else "is given up")

    # --- the watch ---

    async def expiring(self, within: timedelta) -> list[str]:
        """CertificateSigningUseEnumType of each chain that ends soon, or has ended. Raises CertificateStoreError."""
        credentials = self._credentials
        if credentials.absence:
            return []
        ends = await self._work_or_fail(lambda: credentials.store.expiring(credentials.now(), within))
        return [USES[purpose] for purpose in ends if purpose in USES]

    async def ocsp_due(self) -> list[tuple[OcspRequestData, x509.Certificate, x509.Certificate]]:
        """What to ask the CSMS for, for which certificate of which issuer. Raises CertificateStoreError."""
        credentials = self._credentials

        def due() -> list[tuple[OcspRequestData, x509.Certificate, x509.Certificate]]:
            now = credentials.now()
            pairs = [
                pair
                for purpose in (Purpose.SECC, Purpose.SECC_20)
                for pair in credentials.ocsp.due(credentials.path(purpose), now)
            ]
            asked = [(hash_data(certificate, issuer), certificate, issuer) for certificate, issuer in pairs]
            return [(_request(data), certificate, issuer) for data, certificate, issuer in asked if data.responder_url]

        return await self._work_or_fail(due)

    async def ocsp_answered(self, der: bytes, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        """Keep a response; False for one that no vehicle would take. What was held before holds until its end."""
        credentials = self._credentials
        try:
            await self._work(lambda: credentials.ocsp.put(der, certificate, issuer, credentials.now()))
        except (OcspRefused, *BLOCKED) as error:
            log.warning("the OCSP response for %s is not taken: %s", chain.label(certificate), error)
            return False
        return True

    async def restaple(self) -> None:
        """Vehicles see what may be stapled now. Raises CertificateStoreError."""
        if not self.tpm_trouble:
            await self._work_or_fail(self._credentials.present)

    @property
    def tpm_trouble(self) -> str:
        """Why the TPM's keys are out of reach now; empty when they are not. Quick."""
        return self._credentials.tpm_status().trouble

    async def reach(self) -> bool:
        """Try the TPM again where it was absent, and ask one that was not how it stands; whether it just came back."""
        credentials = self._credentials
        if not credentials.absence:
            await self._work(credentials.read_chip)
            return False

        def again() -> ssl.SSLContext | None:
            credentials.reach()
            return credentials.csms_context()

        try:
            tls = await self._work(again)
        except BLOCKED as error:
            log.warning("the TPM's keys are still out of reach: %s", error)
            return False
        self.use_tls(tls)
        return True


def _retire(retire: Callable[[str | None], None], old_key_id: str | None) -> None:
    """A key that cannot be destroyed now is an orphan at the next start, and destroyed then."""
    try:
        retire(old_key_id)
    except KeyUnavailable as error:
        log.error("the old key %s is not destroyed yet: %s", old_key_id, error)


def _id(data: OcspHashData) -> CertificateId:
    return CertificateId(data.issuer_name_hash, data.issuer_key_hash, data.serial_number)


def _request(data: OcspHashData) -> OcspRequestData:
    return OcspRequestData(data.issuer_name_hash, data.issuer_key_hash, data.serial_number, data.responder_url)


def _names(wanted: CertificateId, leaf: x509.Certificate, algorithm: hashes.HashAlgorithm) -> bool:
    """Whether that is our leaf, by issuer and serial number: the issuer's key we need not hold."""
    digest = hashes.Hash(algorithm)
    digest.update(leaf.issuer.public_bytes())
    serial = wanted.serial_number.lower().lstrip("0")
    return wanted.issuer_name_hash.lower() == digest.finalize().hex() and serial == f"{leaf.serial_number:x}"


def _is(wanted: CertificateId, own: OcspHashData) -> bool:
    names = (wanted.issuer_name_hash.lower(), wanted.issuer_key_hash.lower(), wanted.serial_number.lower().lstrip("0"))
    return names == (own.issuer_name_hash, own.issuer_key_hash, own.serial_number)
