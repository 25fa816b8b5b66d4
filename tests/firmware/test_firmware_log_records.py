"""Log records with their ids: JSON lines, and systemd's journal over a socket of its own kind."""

import json
import logging
import os
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firmware import log_records
from firmware.evse import Observation
from firmware.log_records import MAX_MESSAGE, JournalHandler, JsonLines, SessionIds, handler_for
from hal import ports as hal
from hal.quantities import EvseId


@pytest.fixture
def ids() -> SessionIds:
    made = SessionIds()
    for evse, v2g, tx in ((1, "AB12", "tx-1"), (2, "", "tx-2")):
        made(Observation(EvseId(evse), hal.PluggedIn(0), v2g, tx, 0.0, datetime(2026, 1, 1, tzinfo=UTC)))
    return made


def record(name: str, message: str = "said", level: int = logging.INFO, **more: object) -> logging.LogRecord:
    made = logging.LogRecord(name, level, "/a/file.py", 7, message, None, None)
    made.__dict__.update(more)
    return made


def as_json(ids: SessionIds, made: logging.LogRecord) -> dict[str, object]:
    ids.filter(made)
    line = JsonLines().format(made)
    assert "\n" not in line
    told: dict[str, object] = json.loads(line)
    return told


@pytest.mark.parametrize(
    ("name", "thread", "evse", "v2g", "tx"),
    [
        ("evse.1", "MainThread", 1, "AB12", "tx-1"),
        ("evse.2.plc", "MainThread", 2, None, "tx-2"),
        ("hal.serial_board.1", "MainThread", 1, "AB12", "tx-1"),
        ("secc.server", "secc-1", 1, "AB12", "tx-1"),
        ("secc.server", "secc-3", 3, None, None),
        ("ocpp_client.link", "csms", None, None, None),
        ("secc.v2g.iso20", "MainThread", None, None, None),
    ],
)
def test_each_record_has_the_ids_of_its_evse(
    ids: SessionIds, name: str, thread: str, evse: int | None, v2g: str | None, tx: str | None
) -> None:
    told = as_json(ids, record(name, threadName=thread))
    assert (told.get("evse"), told.get("v2g_session_id"), told.get("transaction_id")) == (evse, v2g, tx)
    assert (told["level"], told["logger"], told["message"]) == ("INFO", name, "said")


def test_an_exception_and_a_long_message_are_one_line(ids: SessionIds) -> None:
    try:
        raise ValueError("why\nit failed")
    except ValueError:
        made = record("evsed", exc_info=sys.exc_info())
    assert "ValueError: why\nit failed" in str(as_json(ids, made)["message"])
    assert len(str(as_json(ids, record("evsed", "x" * 100_000))["message"])) == MAX_MESSAGE


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[tuple[Path, socket.socket]]:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        listening.settimeout(5)
        yield path, listening


def parsed(datagram: bytes) -> dict[str, str]:
    """As journald reads it (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""
    found = {}
    while datagram:
        head, _, datagram = datagram.partition(b"\n")
        name, separator, value = head.partition(b"=")
        if not separator:
            (length,) = struct.unpack("<Q", datagram[:8])
            value, datagram = datagram[8 : 8 + length], datagram[8 + length + 1 :]
        found[name.decode()] = value.decode()
    return found


def test_the_journal_gets_fields(ids: SessionIds, journal: tuple[Path, socket.socket]) -> None:
    path, listening = journal
    handler = JournalHandler(path)
    try:
        for message, level in (("one line", logging.WARNING), ("two\nEVSE=9\nlines", logging.ERROR)):
            made = record("evse.1", message, level)
            ids.filter(made)
            handler.emit(made)
            told = parsed(listening.recv(1 << 17))
            assert told["MESSAGE"] == message, "a message cannot add fields"
            assert told["PRIORITY"] == {logging.WARNING: "4", logging.ERROR: "3"}[level]
            assert (told["EVSE"], told["V2G_SESSION_ID"], told["TRANSACTION_ID"]) == ("1", "AB12", "tx-1")
            assert (told["SYSLOG_IDENTIFIER"], told["LOGGER"], told["CODE_LINE"]) == ("evsed", "evse.1", "7")
        for _ in range(3):
            handler.emit(record("evsed", "y" * 100_000))
        assert handler.lost == 0
    finally:
        handler.close()


def test_a_journal_that_does_not_read_loses_and_holds_up_nobody(journal: tuple[Path, socket.socket]) -> None:
    path, _ = journal
    handler = JournalHandler(path)
    try:
        flood = threading.Thread(target=lambda: [handler.emit(record("evsed", "z" * 10_000)) for _ in range(2000)])
        flood.start()
        flood.join(10)
        assert not flood.is_alive()
        assert handler.lost > 0
    finally:
        handler.close()


def test_under_systemd_by_its_own_word(
    monkeypatch: pytest.MonkeyPatch, journal: tuple[Path, socket.socket], tmp_path: Path
) -> None:
    with (tmp_path / "stderr").open("w") as standing:
        monkeypatch.setattr(sys, "stderr", standing)
        status = os.fstat(standing.fileno())
        monkeypatch.setattr(log_records, "JOURNAL", journal[0])
        monkeypatch.setattr(JournalHandler.__init__, "__defaults__", (journal[0],))
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino + 1}")
        assert not isinstance(handler_for("auto"), JournalHandler), "another stream's"
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        handler = handler_for("auto")
        assert isinstance(handler, JournalHandler)
        handler.close()
        assert isinstance(handler_for("json").formatter, JsonLines)
        monkeypatch.setattr(JournalHandler.__init__, "__defaults__", (tmp_path / "nowhere",))
        assert not isinstance(handler_for("auto"), JournalHandler)
