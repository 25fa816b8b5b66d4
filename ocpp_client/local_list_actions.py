"""SendLocalList and GetLocalListVersion (D01, D02)."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

from ocpp_client.actions import ActionRefused, Answer, Handlers, accepted, status
from ocpp_client.local_list import BYTES_PER_MESSAGE, ITEMS_PER_MESSAGE, ListRefused, LocalList, dump
from ocpp_client.ports import JournalError
from ocpp_client.wire import ErrorCode, Payload

log = logging.getLogger(__name__)


class LocalListActions:
    """`store` makes a list durable and raises JournalError; the old one holds until it has returned."""

    def __init__(self, tokens: LocalList, enabled: Callable[[], bool], store: Callable[[str], Awaitable[None]]) -> None:
        self._tokens = tokens
        self._enabled = enabled
        self._store = store
        self._one_at_a_time = asyncio.Lock()

    def handlers(self) -> Handlers:
        return {"SendLocalList": self.send_local_list, "GetLocalListVersion": self.get_local_list_version}

    async def send_local_list(self, request: Payload, _at_s: float) -> Answer:
        if not self._enabled():
            return status("Failed", "NotEnabled", "LocalAuthListCtrlr.Enabled is false")
        _check_size(request)
        async with self._one_at_a_time:
            return await self._update(request)

    async def _update(self, request: Payload) -> Answer:
        try:
            update = self._tokens.prepare(request)
            await self._store(dump(update))
        except ListRefused as refused:
            return status(refused.status, refused.reason_code, str(refused))
        except JournalError as error:
            log.error("the local list of version %s is not durable: %s", request["versionNumber"], error)
            return status("Failed", "NoMemory", "the list could not be stored")
        self._tokens.take(update)
        return accepted()

    async def get_local_list_version(self, _request: Payload, _at_s: float) -> Answer:
        # D02.FR.02: 0 stands for no local list, and for one that is not used.
        return Answer({"versionNumber": self._tokens.version if self._enabled() else 0})


def _check_size(request: Payload) -> None:
    """D01.FR.11, D01.FR.12: ItemsPerMessage, BytesPerMessage."""
    if len(request.get("localAuthorizationList", ())) > ITEMS_PER_MESSAGE:
        raise ActionRefused(ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, f"at most {ITEMS_PER_MESSAGE} tokens")
    if len(json.dumps(request)) > BYTES_PER_MESSAGE:
        raise ActionRefused(ErrorCode.FORMAT_VIOLATION, f"at most {BYTES_PER_MESSAGE} bytes")
