"""Structured logs: every record with its EVSE and both session ids, to systemd's journal as fields or as JSON lines.

Which EVSE a record is about is known from who wrote it: a logger named for it (`evse.1`, `hal.serial_board.1`), or the
thread its SECC runs on (`secc-1`). A record of the station as a whole has no ids.
"""

import json
import logging
import os
import re
import socket
import struct
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

from firmware.evse import Observation

JOURNAL = Path("/run/systemd/journal/socket")
MAX_MESSAGE = 48 * 1024
"""Characters; a datagram to the journal holds more than that."""
TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

_NUMBER = re.compile(r"(?:^|\.)(\d{1,3})(?:\.|$)")
_THREAD = re.compile(r"secc-(\d{1,3})$")
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))


class SessionIds(logging.Filter):
    """An observer of every EVSE, and the filter that writes `evse`, `v2g_session_id`, `transaction_id` on records."""

    def __init__(self) -> None:
        super().__init__()
        self._ids: dict[int, tuple[str, str]] = {}

    def __call__(self, seen: Observation) -> None:
        self._ids[int(seen.evse)] = (seen.v2g_session_id, seen.transaction_id)

    def filter(self, record: logging.LogRecord) -> bool:
        evse = _evse_of(record)
        record.evse = evse
        record.v2g_session_id, record.transaction_id = self._ids.get(evse or 0, ("", ""))
        return True


def _evse_of(record: logging.LogRecord) -> int | None:
    found = _NUMBER.search(record.name) or _THREAD.search(record.threadName or "")
    return int(found[1]) if found else None


def fields_of_record(record: logging.LogRecord) -> dict[str, object]:
    """What both forms tell, in the order they tell it. Absent ids are left out."""
    message = record.getMessage()
    if record.exc_info and record.exc_info[0] is not None:
        message += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
    told: dict[str, object] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname,
        "logger": record.name,
        "message": message[:MAX_MESSAGE],
    }
    ids = ((name, getattr(record, name, None)) for name in ("evse", "v2g_session_id", "transaction_id"))
    return told | {name: value for name, value in ids if value not in (None, "")}


class JsonLines(logging.Formatter):
    """One ASCII object a line: nothing in a message can begin another."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(fields_of_record(record))


class JournalHandler(logging.Handler):
    """Native protocol of systemd-journald. What the journal does not take is counted and lost, never waited for."""

    def __init__(self, path: Path = JOURNAL) -> None:
        """Raises OSError where there is no journal."""
        super().__init__()
        self.lost = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._socket.send(entry_of(record))
        except OSError:
            self.lost += 1

    def close(self) -> None:
        self._socket.close()
        super().close()


def entry_of(record: logging.LogRecord) -> bytes:
    """A journal entry: NAME=value lines, and where a value has a line end its length before it."""
    told = fields_of_record(record)
    fields = {
        "MESSAGE": told.pop("message"),
        "PRIORITY": next(priority for level, priority in _PRIORITIES if record.levelno >= level),
        "SYSLOG_IDENTIFIER": "evsed",
        "LOGGER": record.name,
        "THREAD_NAME": record.threadName,
        "CODE_FILE": record.pathname,
        "CODE_LINE": record.lineno,
        "EVSE": told.get("evse"),
        "V2G_SESSION_ID": told.get("v2g_session_id"),
        "TRANSACTION_ID": told.get("transaction_id"),
    }
    return b"".join(_field(name, str(value).encode()) for name, value in fields.items() if value is not None)


def _field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return name.encode() + b"=" + value + b"\n"


def under_systemd() -> bool:
    """Whether our output goes to the journal: systemd names its device and inode (JOURNAL_STREAM)."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def handler_for(form: str) -> logging.Handler:
    """`auto` is the journal under systemd, else text; `json` and `text` go to standard output."""
    if form == "auto" and under_systemd():
        try:
            return JournalHandler()
        except OSError:
            form = "text"
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(TEXT))
    return handler
