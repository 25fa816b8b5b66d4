"""What certificates need unasked: renewal before their end, fresh OCSP responses, a TPM that comes back.

Runs on the OCPP station's loop. What fails is tried again at the next look; until then all stays as it was.
"""

import asyncio
import contextlib
import logging
from datetime import timedelta
from typing import Protocol

from firmware.certificates import StationCertificates
from ocpp_client.ports import CertificateStoreError, OcspRequestData

log = logging.getLogger(__name__)

OFFLINE_S = 5.0
"""Between looks while nothing can be asked for, or the TPM is away."""


class Asked(Protocol):
    """The OCPP station, as the watch needs it."""

    @property
    def online(self) -> bool: ...

    def sign_certificate(self, use: str) -> None: ...

    async def certificate_status(self, certificate: OcspRequestData) -> bytes | None: ...

    def security_event(self, kind: str, tech_info: str = "") -> None: ...

    def notify_event(
        self, component: str, variable: str, value: str, *, tech_code: str = "", tech_info: str = "", cleared: bool
    ) -> None: ...


class TpmNews:
    """What the operator knows of the TPM: a security event and a problem of its own, told when it changes."""

    def __init__(self, station: Asked) -> None:
        self._station = station
        self._is_away = False

    def tell(self, trouble: str) -> None:
        """Why the TPM's keys are out of reach, or empty. On the station's loop."""
        if bool(trouble) is self._is_away:
            return
        self._is_away = bool(trouble)
        log.warning("%s", f"the TPM's keys are out of reach: {trouble}" if trouble else "the TPM answers again")
        self._station.security_event("TpmUnavailable" if trouble else "TpmAvailable", trouble)
        value = "true" if trouble else "false"
        self._station.notify_event(
            "SecurityCtrlr", "Problem", value, tech_code="TpmUnavailable", tech_info=trouble, cleared=not trouble
        )


class CertificateWatch:
    def __init__(
        self,
        certificates: StationCertificates,
        station: Asked,
        news: TpmNews,
        *,
        interval_s: float,
        renew_before: timedelta,
    ) -> None:
        self._certificates = certificates
        self._station = station
        self._news = news
        self._interval_s = interval_s
        self._renew_before = renew_before

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._certificates.changed.clear()
            try:
                await self.look()
            except CertificateStoreError as error:
                log.error("certificates cannot be looked after: %s", error)
            is_well = self._station.online and not self._certificates.tpm_trouble
            wait_s = self._interval_s if is_well else min(self._interval_s, OFFLINE_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._certificates.changed.wait(), wait_s)

    async def look(self) -> None:
        """Once. Raises CertificateStoreError."""
        self._news.tell(self._certificates.tpm_trouble)
        await self._certificates.reach()
        self._news.tell(self._certificates.tpm_trouble)
        if self._station.online:
            for use in await self._certificates.expiring(self._renew_before):
                log.warning("the %s ends soon: a new one is asked for", use)
                self._station.sign_certificate(use)
            await self._refresh_ocsp()
        await self._certificates.restaple()

    async def _refresh_ocsp(self) -> None:
        for request, certificate, issuer in await self._certificates.ocsp_due():
            der = await self._station.certificate_status(request)
            if der is None:
                log.warning("the CSMS has no OCSP response for serial number %s", request.serial_number)
            else:
                await self._certificates.ocsp_answered(der, certificate, issuer)
