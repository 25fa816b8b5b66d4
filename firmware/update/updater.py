"""The update of the station's firmware as the OCPP client asks for it, put together from its parts."""

import asyncio
import itertools
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from cryptography import x509

from certs.chain import ChainRefused
from certs.code_signing import check_signer, signature_holds
from certs.hashdata import hash_data
from certs.ocsp import OcspFault, OcspRefused
from certs.ocsp import check as check_ocsp
from firmware.update.download import Downloads, Progress
from ocpp_client.ports import FirmwareError, FirmwareFault, OcspRequestData, SigningCertificate, UpdateOutcome

log = logging.getLogger(__name__)

AskOcsp = Callable[[OcspRequestData], Awaitable[bytes | None]]


class Slots(Protocol):
    """Where firmware is installed, and which of it runs."""

    async def install(self, image: str) -> FirmwareFault | None:
        """Into the slot that does not run; it would be started next."""
        ...

    async def activate(self) -> None:
        """Restart; returns before. Raises FirmwareError."""
        ...

    async def outcome(self) -> UpdateOutcome:
        """Of the last installation, after the restart."""
        ...


class Updater:
    """Implements `ocpp_client.ports.FirmwareUpdater`. `roots` are the manufacturer's.

    `ocsp_status` asks the CSMS whether a certificate was revoked; without its answer a certificate counts as good.
    """

    def __init__(
        self,
        downloads: Downloads,
        slots: Slots,
        roots: Callable[[], Sequence[x509.Certificate]],
        now: Callable[[], datetime],
        ocsp_status: AskOcsp,
        progress: Progress = lambda _got, _total: None,
    ) -> None:
        self._downloads = downloads
        self._slots = slots
        self._roots = roots
        self._now = now
        self.ocsp_status = ocsp_status
        self._progress = progress

    async def check_certificate(self, certificate_pem: str) -> SigningCertificate:
        try:
            roots = await asyncio.to_thread(self._roots)
            path = check_signer(certificate_pem, roots, self._now())
        except ChainRefused as refused:
            log.warning("the firmware's signing certificate is refused: %s", refused)
            return SigningCertificate.INVALID
        for certificate, issuer in itertools.pairwise(path):
            if await self._revoked(certificate, issuer):
                return SigningCertificate.REVOKED
        return SigningCertificate.VALID

    async def _revoked(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        data = hash_data(certificate, issuer)
        if not data.responder_url:
            return False
        asked = OcspRequestData(data.issuer_name_hash, data.issuer_key_hash, data.serial_number, data.responder_url)
        der = await self.ocsp_status(asked)
        if der is None:
            log.warning("nothing is to be learned about a revocation of %s", data.serial_number)
            return False
        try:
            check_ocsp(der, certificate, issuer, self._now())
        except OcspRefused as refused:
            log.warning("OCSP of the firmware's signing certificate: %s", refused)
            return refused.fault is OcspFault.NOT_GOOD
        return False

    async def download(self, location: str) -> None:
        stopped = threading.Event()
        try:
            await asyncio.to_thread(self._downloads.fetch, location, stopped, self._progress)
        finally:
            stopped.set()

    async def verify(self, certificate_pem: str, signature: str) -> bool:
        try:
            digest = await asyncio.to_thread(self._downloads.sha256)
        except OSError as error:
            raise FirmwareError(str(error)) from error
        return signature_holds(certificate_pem, signature, digest)

    async def install(self) -> FirmwareFault | None:
        return await self._slots.install(str(self._downloads.image))

    async def activate(self) -> None:
        await self._slots.activate()

    async def outcome(self) -> UpdateOutcome:
        return await self._slots.outcome()

    async def discard(self) -> None:
        try:
            await asyncio.to_thread(self._downloads.discard)
        except OSError as error:
            raise FirmwareError(str(error)) from error
