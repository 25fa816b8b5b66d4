"""The local authorization list (D01, D02): the CSMS's own list of tokens, by version. Pure.

An update holds whole or not at all. Where the list knows a token the cache is not asked (C13, C14).
"""

import json
from dataclasses import dataclass
from datetime import datetime

from ocpp_client.ports import IdToken
from ocpp_client.wire import Payload, parse_time, text_at

MAX_ENTRIES = 1000
ITEMS_PER_MESSAGE = 200
BYTES_PER_MESSAGE = 65_536

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Update:
    """What a SendLocalList would make of the list."""

    version: int
    entries: dict[Key, Payload]


class ListRefused(Exception):
    """`status` is a SendLocalListStatusEnumType."""

    def __init__(self, status: str, reason_code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.reason_code = reason_code


class LocalList:
    """`version` is 0 before the first list; entries are IdTokenInfoTypes by token."""

    def __init__(self) -> None:
        self.version = 0
        self._entries: dict[Key, Payload] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, token: IdToken, now: datetime) -> Payload | None:
        """The token's IdTokenInfoType; Expired once its cacheExpiryDateTime has passed."""
        info = self._entries.get(key_of(token.id_token, token.kind))
        if info is None or not _expired(info, now):
            return info
        return info | {"status": "Expired"}

    def prepare(self, request: Payload) -> Update:
        """Check a SendLocalListRequest. Raises ListRefused."""
        version, items = request["versionNumber"], request.get("localAuthorizationList", [])
        if version <= 0:
            raise ListRefused("Failed", "InvalidValue", "versionNumber must be above 0")
        keys = [key_of(item["idToken"]["idToken"], item["idToken"]["type"]) for item in items]
        if len(set(keys)) < len(keys):
            raise ListRefused("Failed", "DuplicateIdToken", "a token stands twice in the list")
        given = dict(zip(keys, (item.get("idTokenInfo") for item in items), strict=True))
        entries = self._whole(given) if request["updateType"] == "Full" else self._changed(given, version)
        if len(entries) > MAX_ENTRIES:
            raise ListRefused("Failed", "NoMemory", f"at most {MAX_ENTRIES} tokens")
        return Update(version, entries)

    @staticmethod
    def _whole(given: dict[Key, Payload | None]) -> dict[Key, Payload]:
        entries = {key: info for key, info in given.items() if info is not None}
        if len(entries) < len(given):
            raise ListRefused("Failed", "MissingParam", "a full list needs idTokenInfo with every token")
        return entries

    def _changed(self, given: dict[Key, Payload | None], version: int) -> dict[Key, Payload]:
        """A token without idTokenInfo is removed."""
        if version <= self.version:
            raise ListRefused("VersionMismatch", "InvalidValue", f"the list has version {self.version}")
        kept = {key: info for key, info in self._entries.items() if key not in given}
        return kept | {key: info for key, info in given.items() if info is not None}

    def take(self, update: Update) -> None:
        self.version, self._entries = update.version, update.entries

    def restore(self, text: str) -> None:
        """Raises ValueError, TypeError."""
        version, entries = json.loads(text)
        self.version = int(version)
        self._entries = {(name, kind): dict(info) for name, kind, info in entries[:MAX_ENTRIES]}


def dump(update: Update) -> str:
    """For `LocalList.restore`."""
    return json.dumps([update.version, [[*key, info] for key, info in update.entries.items()]])


def key_of(id_token: str, kind: str) -> Key:
    """IdTokenType.idToken is case insensitive."""
    return id_token.lower(), kind


def _expired(info: Payload, now: datetime) -> bool:
    until = text_at(info, "cacheExpiryDateTime")
    return until is not None and now >= parse_time(until)
