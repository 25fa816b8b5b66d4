"""SetNetworkProfile (B09)."""

from collections.abc import Callable

from ocpp_client.actions import Answer, Handlers, accepted, status
from ocpp_client.network import Network, NetworkProfileRefused
from ocpp_client.ports import CertificateStore
from ocpp_client.wire import Payload


class NetworkActions:
    """`changed` is called once the profiles must be stored; `certificates` knows what a security profile needs."""

    def __init__(self, network: Network, certificates: CertificateStore | None, changed: Callable[[], None]) -> None:
        self._network = network
        self._certificates = certificates
        self._changed = changed

    def handlers(self) -> Handlers:
        return {"SetNetworkProfile": self.set_network_profile}

    async def set_network_profile(self, request: Payload, _at_s: float) -> Answer:
        wanted = request["connectionData"]["securityProfile"]
        if self._certificates is not None and not await self._certificates.ready_for(wanted):
            # A05.FR.03, FR.04: without the certificates for it there is no way to that security profile.
            return status("Rejected", "MissingCertificate", f"no certificates for security profile {wanted}")
        try:
            self._network.set(request["configurationSlot"], request["connectionData"])
        except NetworkProfileRefused as refused:
            return status("Rejected", refused.reason_code, refused.detail)
        self._changed()
        return accepted()
