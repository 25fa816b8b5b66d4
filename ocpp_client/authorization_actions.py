"""ClearCache, GetLocalListVersion and DataTransfer (C11, D02, P01): what needs little more than a word."""

from ocpp_client.actions import Answer, Handlers, accepted, status
from ocpp_client.wire import Payload


class AuthorizationActions:
    def handlers(self) -> Handlers:
        return {
            "ClearCache": self.clear_cache,
            "GetLocalListVersion": self.get_local_list_version,
            "DataTransfer": self.data_transfer,
        }

    async def clear_cache(self, _request: Payload, _at_s: float) -> Answer:
        return accepted()

    async def get_local_list_version(self, _request: Payload, _at_s: float) -> Answer:
        # D02.FR.02: 0 stands for no local list.
        return Answer({"versionNumber": 0})

    async def data_transfer(self, _request: Payload, _at_s: float) -> Answer:
        return status("UnknownVendorId")
