"""The audit log of the control socket: who asked for what with which right, in a chain that shows what is missing.

Each entry is a JSON line whose `hash` is SHA-256 over the entry without it, and the entry holds the hash of the one
before. A changed, removed or inserted line breaks the chain from there on; cutting the end off does not, which is why
each entry's number also goes to the daemon's log.

A file that has grown to MAX_BYTES becomes `<name>.1` and a new one goes on with the chain. Refusals of one user are
written at most once in QUIET_S, with how many there were, so that nobody can wash out the log by being refused.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from firmware.control.roles import Peer, Role

log = logging.getLogger(__name__)

MAX_BYTES = 1 << 20
MAX_PARAMS = 1000
"""Characters of a call's parameters that are kept."""
QUIET_S = 60.0
MAX_QUIET_USERS = 256
MAX_ENTRY = 16384
"""Bytes; the longest line is far shorter."""
BEGINNING = "0" * 64
"""The hash before the first entry."""


@dataclass(slots=True)
class _Quiet:
    until_s: float
    unwritten: int = 0


class Audit:
    """Appends to `path`. A disk that refuses loses entries, counts them in the next, and stops no call."""

    def __init__(self, path: Path, clock: Callable[[], float], wall_clock: Callable[[], datetime]) -> None:
        self._path = path
        self._clock = clock
        self._wall_clock = wall_clock
        self._quiet: dict[int, _Quiet] = {}
        self._lost = 0
        self._number, self._last = _end_of_chain(path)

    def called(self, peer: Peer, role: Role, method: str, params: object, outcome: str) -> None:
        """A call that needed more than to look on."""
        shown = json.dumps(params)
        self._append(peer, role, method, {"params": shown[:MAX_PARAMS], "outcome": outcome})

    def refused(self, peer: Peer, role: Role, method: str, needed: Role) -> bool:
        """Whether it was written: not every refusal of one user is."""
        quiet, now = self._quiet.get(peer.uid), self._clock()
        if quiet is not None and now < quiet.until_s:
            quiet.unwritten += 1
            return False
        if len(self._quiet) >= MAX_QUIET_USERS:
            del self._quiet[next(iter(self._quiet))]
        self._quiet[peer.uid] = _Quiet(now + QUIET_S)
        before = quiet.unwritten if quiet else 0
        self._append(peer, role, method, {"needed": str(needed), "outcome": "refused", "refused_before": before})
        return True

    def _append(self, peer: Peer, role: Role, method: str, more: dict[str, object]) -> None:
        entry: dict[str, object] = {
            "number": self._number + 1,
            "wall_time": self._wall_clock().isoformat(timespec="milliseconds"),
            "uid": peer.uid,
            "pid": peer.pid,
            "role": str(role),
            "method": method,
            **more,
            "lost_before": self._lost,
            "previous": self._last,
        }
        entry["hash"] = _hash(entry)
        try:
            self._write(json.dumps(entry) + "\n")
        except OSError as error:
            self._lost += 1
            log.error("audit entry %s by uid %s is lost: %s", method, peer.uid, error)
            return
        self._lost, self._number, self._last = 0, self._number + 1, str(entry["hash"])
        log.info("audit %s: uid %s (%s) %s: %s", self._number, peer.uid, role, method, more["outcome"])

    def _write(self, line: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists() and self._path.stat().st_size + len(line) > MAX_BYTES:
            self._path.replace(_older(self._path))
        with self._path.open("a", encoding="ascii") as file:
            file.write(line)
        self._path.chmod(0o600)


@dataclass(frozen=True, slots=True)
class Checked:
    """How the chain stands: `broken` names the first entry that does not fit, None if all do."""

    entries: int
    broken: str | None


def check(path: Path) -> Checked:
    """Follow the chain through the older file and this one. Raises OSError."""
    number, last, count = 0, None, 0
    for place, text in _lines(path):
        entry = _parsed(text)
        if entry is None:
            return Checked(count, f"{place}: no entry")
        if last is None:  # Files before these two have been dropped; the chain is taken up where it begins.
            number, last = _number(entry) - 1, str(entry["previous"])
        if entry["hash"] != _hash(entry):
            return Checked(count, f"{place}: entry {entry['number']} was changed")
        if (entry["previous"], entry["number"]) != (last, number + 1):
            return Checked(count, f"{place}: entry {entry['number']} does not follow entry {number}")
        number, last, count = number + 1, str(entry["hash"]), count + 1
    return Checked(count, None)


def latest(path: Path, limit: int) -> list[dict[str, object]]:
    """The last entries, oldest first. Raises OSError."""
    entries = [entry for _, text in _lines(path) if (entry := _parsed(text)) is not None]
    return entries[-limit:]


def _older(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    for file in (_older(path), path):
        if file.exists():
            for number, line in enumerate(file.read_text(encoding="ascii", errors="replace").splitlines(), 1):
                yield f"{file.name}:{number}", line


def _parsed(text: str) -> dict[str, object] | None:
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    known = isinstance(entry, dict) and isinstance(entry.get("number"), int)
    return entry if known and {"hash", "previous"} <= entry.keys() else None


def _number(entry: dict[str, object]) -> int:
    number = entry["number"]
    assert isinstance(number, int), "as _parsed has seen to"
    return number


def _hash(entry: dict[str, object]) -> str:
    bare = {key: value for key, value in entry.items() if key != "hash"}
    return hashlib.sha256(json.dumps(bare, sort_keys=True).encode()).hexdigest()


def _end_of_chain(path: Path) -> tuple[int, str]:
    """Number and hash of the last whole entry. A line cut off by a power cut is cut off here too."""
    try:
        for file in (path, _older(path)):
            if file.exists() and (entry := _parsed(_last_line(file))) is not None:
                return _number(entry), str(entry["hash"])
    except OSError as error:
        log.error("the audit log cannot be read, a new chain begins: %s", error)
    return 0, BEGINNING


def _last_line(path: Path) -> str:
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - MAX_ENTRY))
        tail = file.read()
        whole = tail.rfind(b"\n") + 1
        if whole < len(tail):
            log.warning("the audit log ended in half a line")
            file.truncate(size - len(tail) + whole)
        lines = tail[:whole].splitlines()
        return lines[-1].decode("ascii", "replace") if lines else ""
