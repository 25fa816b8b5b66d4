"""The log file: bounded, and read by time."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from firmware import log_file
from firmware.log_file import LogFile

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogFile]:
    made = LogFile(tmp_path / "logs" / "evsed.log")
    yield made
    made.handler.close()


def say(log: LogFile, at: datetime, text: str) -> None:
    record = logging.LogRecord("evsed", logging.INFO, "", 0, text, None, None)
    record.created, record.msecs = at.timestamp(), at.microsecond / 1000
    log.handler.emit(record)


async def test_lines_of_a_time(log: LogFile) -> None:
    for minute in range(5):
        say(log, NOON + timedelta(minutes=minute), f"minute {minute}\nand its second line")
    everything = (await log.collect(None, None)).decode().splitlines()
    assert len(everything) == 10
    assert everything[0] == "2026-05-01T12:00:00.000Z INFO    evsed: minute 0"
    some = (await log.collect(NOON + timedelta(minutes=1), NOON + timedelta(minutes=2))).decode()
    assert [line.rsplit(" ", 1)[1] for line in some.splitlines()] == ["1", "line", "2", "line"]
    assert await log.collect(NOON + timedelta(hours=1), None) == b""


async def test_it_is_bounded_and_read_oldest_first(log: LogFile, monkeypatch: pytest.MonkeyPatch) -> None:
    log.handler.maxBytes = 1000
    for number in range(500):
        say(log, NOON + timedelta(seconds=number), f"number {number}")
    numbers = [int(line.rsplit(" ", 1)[1]) for line in (await log.collect(None, None)).decode().splitlines()]
    assert numbers == list(range(numbers[0], 500))
    assert len(numbers) < (log_file.OLDER_FILES + 1) * 1000 / 40


async def test_what_is_no_text_is_read_all_the_same(log: LogFile, tmp_path: Path) -> None:
    (tmp_path / "logs" / "evsed.log.1").write_bytes(b"\xff\xfe half a line")
    assert b"half a line" in await log.collect(None, None)
