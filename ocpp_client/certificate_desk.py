"""What the station asks of the CSMS about its own certificates.

A02/A03  SignCertificate, again while no CertificateSigned follows: CertSigningWaitMinimum, doubled each time,
         CertSigningRepeatTimes times (A02.FR.17 to FR.19).
A02      A certificate for the CSMS is first tried: the next connection is opened with it beside the one there is, and
         the station goes over to it only if the CSMS takes it.
M06      GetCertificateStatus: the OCSP response of a certificate, through the CSMS.
"""

import asyncio
import base64
import binascii
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Protocol

from ocpp_client.link import Moved
from ocpp_client.ports import CertificateStore, CertificateStoreError, OcspRequestData, SecurityEvent
from ocpp_client.wire import Payload, text_at

log = logging.getLogger(__name__)

Request = Callable[[str, Payload], Awaitable[Payload | None]]


class DeskHost(Protocol):
    """The station, as the desk needs it."""

    @property
    def online(self) -> bool: ...

    def signing_waits(self) -> tuple[float, int]:
        """CertSigningWaitMinimum (s) and CertSigningRepeatTimes."""
        ...

    def needs_client_certificate(self) -> bool:
        """Whether the connection there is uses security profile 3."""
        ...

    async def move_link(self, tls: ssl.SSLContext) -> Moved:
        """Open the next connection with `tls`, and go over to it if the CSMS takes it."""
        ...

    def security_event(self, kind: str, tech_info: str = "") -> None: ...


class CertificateDesk:
    """`request` sends and waits, `send_later` is for what the CSMS asked for before it accepted us."""

    def __init__(
        self,
        host: DeskHost,
        store: CertificateStore,
        request: Request,
        send_later: Callable[[str, Payload], None],
    ) -> None:
        self._host = host
        self._store = store
        self._request = request
        self._send_later = send_later
        self._signing: dict[str, asyncio.Task[None]] = {}
        self._trying = False

    def stop(self) -> None:
        for task in self._signing.values():
            task.cancel()

    # --- A02, A03 ---

    def sign(self, use: str) -> None:
        """Ask for a certificate (CertificateSigningUseEnumType), anew if one was asked for already."""
        self._cancel(use)
        self._signing[use] = asyncio.get_running_loop().create_task(self._sign(use), name=f"sign {use}")

    def asked_for(self, use: str) -> bool:
        """Whether a request for it is under way."""
        return use in self._signing and not self._signing[use].done()

    def came(self, use: str) -> None:
        """CertificateSigned was answered: nothing more to ask for; one for the CSMS is now tried."""
        self._cancel(use)

    def _cancel(self, use: str) -> None:
        if task := self._signing.pop(use, None):
            task.cancel()

    async def _sign(self, use: str) -> None:
        wait_s, repeats = self._host.signing_waits()
        for attempt in range(repeats + 1):
            if not await self._ask_to_sign(use):
                return
            await asyncio.sleep(wait_s * 2**attempt)
        log.error("no %s came, %d times asked for", use, repeats + 1)

    async def _ask_to_sign(self, use: str) -> bool:
        """False when there is no use in asking again."""
        try:
            payload = {"csr": await self._store.signing_request(use), "certificateType": use}
        except CertificateStoreError as error:
            log.error("no request for a %s: %s", use, error)
            return False
        if not self._host.online:
            self._send_later("SignCertificate", payload)
            return True
        answer = await self._request("SignCertificate", payload)
        if answer is not None and text_at(answer, "status") == "Rejected":
            log.error("the CSMS does not sign a %s", use)
            return False
        return True

    # --- A02: the certificate for the CSMS ---

    async def try_candidate(self) -> None:
        """Go over to a connection with the accepted certificate, or give that up; nothing if there is none."""
        if self._trying:
            return
        self._trying = True
        try:
            await self._try()
        except CertificateStoreError as error:
            log.error("the new certificate cannot be used: %s", error)
        finally:
            self._trying = False

    async def _try(self) -> None:
        tls = await self._store.candidate()
        if tls is None:
            return
        if not self._host.needs_client_certificate():
            await self._store.tried(works=True)
            return
        moved = await self._host.move_link(tls)
        if moved is Moved.UNREACHABLE:
            log.warning("the new certificate is tried again at the next connection")
            return
        await self._store.tried(works=moved is Moved.DONE)
        if moved is Moved.REFUSED:
            self._host.security_event(SecurityEvent.INVALID_CHARGING_STATION_CERTIFICATE, "refused by the CSMS")

    # --- M06 ---

    async def status(self, certificate: OcspRequestData) -> bytes | None:
        """The OCSP response (DER) of a certificate; None if the CSMS has none or gives no answer."""
        answer = await self._request(
            "GetCertificateStatus",
            {
                "ocspRequestData": {
                    "hashAlgorithm": "SHA256",
                    "issuerNameHash": certificate.issuer_name_hash,
                    "issuerKeyHash": certificate.issuer_key_hash,
                    "serialNumber": certificate.serial_number,
                    "responderURL": certificate.responder_url,
                }
            },
        )
        if answer is None or text_at(answer, "status") != "Accepted":
            return None
        try:
            return base64.b64decode(text_at(answer, "ocspResult") or "", validate=True) or None
        except (binascii.Error, ValueError) as error:
            log.warning("the CSMS's OCSP result is no base64: %s", error)
            return None
