"""SetNetworkProfile (B09)."""

from collections.abc import Callable

from ocpp_client.actions import Answer, Handlers, accepted, status
from ocpp_client.network import Network, NetworkProfileRefused
from ocpp_client.wire import Payload


class NetworkActions:
    """`changed` is called once the profiles must be stored."""

    def __init__(self, network: Network, changed: Callable[[], None]) -> None:
        self._network = network
        self._changed = changed

    def handlers(self) -> Handlers:
        return {"SetNetworkProfile": self.set_network_profile}

    async def set_network_profile(self, request: Payload, _at_s: float) -> Answer:
        try:
            self._network.set(request["configurationSlot"], request["connectionData"])
        except NetworkProfileRefused as refused:
            return status("Rejected", refused.reason_code, refused.detail)
        self._changed()
        return accepted()
