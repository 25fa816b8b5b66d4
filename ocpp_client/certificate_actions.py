"""Certificates by the CSMS: M03-M05 and A02/A03, over the `CertificateStore` port."""

from collections.abc import Callable

from ocpp_client.actions import Answer, Handlers, accepted, status
from ocpp_client.ports import CertificateId, CertificateStore, InstalledCertificate, SecurityEvent
from ocpp_client.wire import Payload

CHARGING_STATION_CERTIFICATE = "ChargingStationCertificate"


Tell = Callable[[str, str], None]
Taken = Callable[[str], None]


class CertificateActions:
    """`security_event` tells the CSMS, by kind and detail, of a certificate that does not fit (A02.FR.08).

    `taken` is called with the use of a signed certificate once the CSMS has its answer.
    """

    def __init__(self, store: CertificateStore, security_event: Tell, taken: Taken) -> None:
        self._store = store
        self._security_event = security_event
        self._taken = taken

    def handlers(self) -> Handlers:
        return {
            "GetInstalledCertificateIds": self.get_installed,
            "InstallCertificate": self.install,
            "DeleteCertificate": self.delete,
            "CertificateSigned": self.signed,
        }

    async def get_installed(self, request: Payload, _at_s: float) -> Answer:
        found = await self._store.installed(request.get("certificateType", ()))
        if not found:
            return status("NotFound")
        return Answer({"status": "Accepted", "certificateHashDataChain": [_chain(item) for item in found]})

    async def install(self, request: Payload, _at_s: float) -> Answer:
        answer = status(await self._store.install(request["certificateType"], request["certificate"]))
        return self._told(answer, f"{request['certificateType']} installed")

    async def delete(self, request: Payload, _at_s: float) -> Answer:
        data = request["certificateHashData"]
        certificate = CertificateId(
            issuer_name_hash=data["issuerNameHash"],
            issuer_key_hash=data["issuerKeyHash"],
            serial_number=data["serialNumber"],
            hash_algorithm=data["hashAlgorithm"],
        )
        return self._told(status(await self._store.delete(certificate)), f"certificate {data['serialNumber']} deleted")

    def _told(self, answer: Answer, what: str) -> Answer:
        """Whom we trust is a parameter of security: the event goes out after the answer."""
        if answer.payload["status"] != "Accepted":
            return answer
        reconfigured = SecurityEvent.RECONFIGURATION_OF_SECURITY_PARAMETERS
        return Answer(answer.payload, lambda: self._security_event(reconfigured, what))

    async def signed(self, request: Payload, _at_s: float) -> Answer:
        use = request.get("certificateType", CHARGING_STATION_CERTIFICATE)
        if await self._store.signed(request["certificateChain"], use):
            return accepted(lambda: self._taken(use))
        refusal = status("Rejected", "InvalidCertificate")
        invalid = SecurityEvent.INVALID_CHARGING_STATION_CERTIFICATE
        return Answer(refusal.payload, lambda: self._security_event(invalid, use))


def _chain(item: InstalledCertificate) -> Payload:
    chain: Payload = {"certificateType": item.kind, "certificateHashData": _hashes(item.certificate)}
    if item.children:
        chain["childCertificateHashData"] = [_hashes(child) for child in item.children[:4]]
    return chain


def _hashes(certificate: CertificateId) -> Payload:
    return {
        "hashAlgorithm": certificate.hash_algorithm,
        "issuerNameHash": certificate.issuer_name_hash,
        "issuerKeyHash": certificate.issuer_key_hash,
        "serialNumber": certificate.serial_number,
    }
