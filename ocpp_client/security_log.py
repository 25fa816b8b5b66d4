"""The station's own log of security events, kept whatever becomes of the CSMS (A04, N01 SecurityLog).

Each entry carries the SHA-256 of the one before it and of itself: an entry changed or cut out of the middle shows. The
journal keeps the last `CAPACITY` of them, one value each.
"""

import hashlib
import json
import logging
from datetime import datetime

from ocpp_client.ports import Journal, JournalError
from ocpp_client.wire import format_time, parse_time

log = logging.getLogger(__name__)

CAPACITY = 1000
FIRST_HASH = "0" * 64


def entry_line(number: int, at: datetime, kind: str, info: str, previous_hash: str) -> str:
    """One line of JSON whose last member is the hash of the others."""
    body = {"n": number, "at": format_time(at), "type": kind, "info": info, "previous": previous_hash}
    return json.dumps(body | {"hash": _hash(body)})


def chain_breaks(lines: list[str]) -> list[int]:
    """The numbers of entries that do not follow from the one before; the first has none before it."""
    breaks = []
    previous: dict[str, object] | None = None
    for line in lines:
        entry = json.loads(line)
        body = {name: value for name, value in entry.items() if name != "hash"}
        follows = previous is None or entry["previous"] == previous["hash"]
        if not follows or entry["hash"] != _hash(body):
            breaks.append(entry["n"])
        previous = entry
    return breaks


def _hash(body: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


class SecurityLog:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._number = 0
        self._hash = FIRST_HASH

    async def open(self) -> None:
        """Find the last entry. Raises JournalError or, for what cannot be read, ValueError."""
        head = await self._journal.get("security_log.head")
        self._number = int(head) if head is not None else 0
        # A power cut may have come between the entry and the head.
        if (line := await self._entry(self._number + 1)) is not None:
            self._number += 1
        elif (line := await self._entry(self._number)) is None:
            return
        self._hash = str(json.loads(line)["hash"])

    async def append(self, at: datetime, kind: str, info: str) -> None:
        """Raises nothing: an event that cannot be kept is still sent."""
        self._number += 1
        number, line = self._number, entry_line(self._number, at, kind, info, self._hash)
        self._hash = str(json.loads(line)["hash"])
        try:
            await self._journal.put(_key(number), line)
            await self._journal.put("security_log.head", str(number))
        except JournalError as error:
            log.error("security event %s is not in the security log: %s", kind, error)

    async def read(self, oldest: datetime | None, latest: datetime | None) -> bytes:
        """The entries between the two, a line each. Raises JournalError."""
        lines = []
        for number in range(max(1, self._number - CAPACITY + 1), self._number + 1):
            line = await self._entry(number)
            if line is not None and _within(parse_time(json.loads(line)["at"]), oldest, latest):
                lines.append(line)
        return "".join(f"{line}\n" for line in lines).encode()

    async def _entry(self, number: int) -> str | None:
        line = await self._journal.get(_key(number))
        return line if line is not None and json.loads(line)["n"] == number else None


def _key(number: int) -> str:
    return f"security_log.{number % CAPACITY}"


def _within(at: datetime, oldest: datetime | None, latest: datetime | None) -> bool:
    return (oldest is None or at >= oldest) and (latest is None or at <= latest)
