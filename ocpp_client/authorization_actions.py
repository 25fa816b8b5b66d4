"""ClearCache, DataTransfer, CustomerInformation (C11, P01, N09, N10)."""

import json
from collections.abc import Callable
from datetime import datetime

from ocpp_client.actions import Answer, Handlers, SendLater, accepted, status
from ocpp_client.authorization import Authorizer, OfflineRules
from ocpp_client.ports import IdToken
from ocpp_client.wire import Payload, format_time

CUSTOMER_DATA = 512
"""Characters in one NotifyCustomerInformation."""
_CUSTOMER = ("idToken", "customerCertificate", "customerIdentifier")


class AuthorizationActions:
    """`changed` is called once the cache was changed; `envelope` is the vendorId of ISO 15118 messages, if any."""

    def __init__(
        self,
        authorizer: Authorizer,
        rules: Callable[[], OfflineRules],
        changed: Callable[[], None],
        now_utc: Callable[[], datetime],
        send_later: SendLater,
        envelope: str = "",
    ) -> None:
        self._cache = authorizer.cache
        self._list = authorizer.list
        self._rules = rules
        self._changed = changed
        self._now_utc = now_utc
        self._send_later = send_later
        self._envelope = envelope

    def handlers(self) -> Handlers:
        return {
            "ClearCache": self.clear_cache,
            "DataTransfer": self.data_transfer,
            "CustomerInformation": self.customer_information,
        }

    async def clear_cache(self, _request: Payload, _at_s: float) -> Answer:
        if not self._rules().cache_enabled:
            return status("Rejected")  # C11.FR.04
        self._cache.clear()
        self._changed()
        return accepted()

    async def data_transfer(self, request: Payload, _at_s: float) -> Answer:
        """The envelope of ISO 15118 messages goes towards the CSMS alone: nothing is taken in it."""
        known = self._envelope and request["vendorId"] == self._envelope
        return status("UnknownMessageId" if known else "UnknownVendorId")

    async def customer_information(self, request: Payload, _at_s: float) -> Answer:
        """What we keep of a customer is an entry of cache and local list: no certificates, no other identifiers.

        The local list is the CSMS's own to clear (N10.FR.02).
        """
        if sum(name in request for name in _CUSTOMER) != 1:
            return status("Invalid", "MissingParam", "exactly one way to name the customer")
        if not request["report"] and not request["clear"]:
            return status("Rejected", "MissingParam", "neither report nor clear")
        found = ""
        if "idToken" in request:
            found = self._take(IdToken(request["idToken"]["idToken"], request["idToken"]["type"]), request["clear"])
        # N09.FR.05, N10.FR.06: told even when nothing is known, or was cleared.
        return accepted(lambda: self._notify(request["requestId"], found if request["report"] else ""))

    def _take(self, token: IdToken, clear: bool) -> str:
        now = self._now_utc()
        entry, listed = self._cache.find(token, now), self._list.find(token, now)
        if clear and self._cache.forget(token):
            self._changed()
        found = []
        if entry is not None:
            found.append(f"status={entry.status.value} expires={format_time(entry.expires_at)}")
        if listed is not None:
            found.append(f"local list: {json.dumps(listed)}")
        return f"idToken={token.id_token} type={token.kind} {' '.join(found)}" if found else ""

    def _notify(self, request_id: int, data: str) -> None:
        parts = [data[start : start + CUSTOMER_DATA] for start in range(0, len(data), CUSTOMER_DATA)] or [""]
        for seq_no, part in enumerate(parts):
            notice: Payload = {
                "requestId": request_id,
                "generatedAt": format_time(self._now_utc()),
                "seqNo": seq_no,
                "tbc": seq_no < len(parts) - 1,
                "data": part,
            }
            self._send_later("NotifyCustomerInformation", notice)
