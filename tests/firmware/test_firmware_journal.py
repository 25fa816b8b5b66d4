import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firmware import journal as journal_module
from firmware.journal import SqliteJournal, dump_state, load_state
from firmware.journal_seal import Sealer
from hal.quantities import EvseId, MeterReading
from ocpp_client.ports import IdToken, JournalError, KeptReading, TransactionState

NOON = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
METER = MeterReading(1234.5, 6900.0, (10.0, 10.1, 9.9), (230.0, 229.0, 231.0), 55.5, NOON)


def state(number: int = 1, **more: object) -> TransactionState:
    base = TransactionState(
        transaction_id=f"tx-{number}",
        evse_id=EvseId(number),
        next_seq_no=1,
        id_token=IdToken("DE8EVSC12345678", "eMAID"),
        charging_state="Charging",
        started_at=NOON,
        last_event_at=NOON,
        last_meter=METER,
        v2g_session_id="00AA",
        remote_start_id=7,
        kept=(KeptReading("Transaction.Begin", METER), KeptReading("Sample.Clock", METER)),
    )
    return replace(base, **more)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[SqliteJournal]:
    journal = await SqliteJournal.open(path)
    yield journal
    await journal.close()


def overwrite(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def spoil_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    assert len(content) > 40_000
    content[8192:16384] = b"\xaa" * 8192
    path.write_bytes(content)


async def reopened(journal: SqliteJournal, path: Path) -> SqliteJournal:
    await journal.close()
    return await SqliteJournal.open(path)


async def test_messages_wait_in_order_until_delivered(path: Path) -> None:
    journal = await SqliteJournal.open(path)
    orders = [await journal.append("TransactionEvent", f'{{"n":{number}}}', state()) for number in range(3)]
    assert orders == [1, 2, 3]
    await journal.delivered(2)
    await journal.attempted(1)
    await journal.attempted(1)
    journal = await reopened(journal, path)
    waiting = await journal.pending()
    assert [(message.order, message.attempts, message.payload_json) for message in waiting] == [
        (1, 2, '{"n":0}'),
        (3, 0, '{"n":2}'),
    ]
    assert {message.transaction_id for message in waiting} == {"tx-1"}
    await journal.close()


async def test_an_order_is_never_given_twice(path: Path) -> None:
    journal = await SqliteJournal.open(path)
    for number in (1, 2):
        assert await journal.append("NotifyEvent", "{}", None) == number
        await journal.delivered(number)
    journal = await reopened(journal, path)
    assert await journal.append("NotifyEvent", "{}", None) == 3
    await journal.close()


async def test_pending_gives_a_window(journal: SqliteJournal) -> None:
    for number in range(10):
        await journal.append("TransactionEvent", "{}", state(1 + number % 2))
    assert [message.order for message in await journal.pending(4, 3)] == [5, 6, 7]
    assert await journal.pending(10) == []
    assert await journal.pending_count() == 10
    assert await journal.pending_count("tx-1") == 5
    assert await journal.pending_count("tx-9") == 0


async def test_a_transactions_state_goes_with_its_message(path: Path) -> None:
    journal = await SqliteJournal.open(path)
    await journal.append("TransactionEvent", "{}", state(2, id_token=None, last_meter=None, remote_start_id=None))
    await journal.append("TransactionEvent", "{}", state(1))
    await journal.append("TransactionEvent", "{}", state(1, next_seq_no=2))
    journal = await reopened(journal, path)
    assert await journal.open_transactions() == [
        state(2, id_token=None, last_meter=None, remote_start_id=None),
        state(1, next_seq_no=2),
    ]
    await journal.append("TransactionEvent", "{}", state(1, next_seq_no=3), ended=True)
    assert [open_state.transaction_id for open_state in await journal.open_transactions()] == ["tx-2"]
    await journal.close()


async def test_a_late_note_brings_no_transaction_back(journal: SqliteJournal) -> None:
    await journal.append("TransactionEvent", "{}", state())
    await journal.note_transaction(state(last_meter=replace(METER, energy_import_wh=2000.0)))
    (noted,) = await journal.open_transactions()
    assert noted.last_meter is not None
    assert noted.last_meter.energy_import_wh == 2000.0
    await journal.append("TransactionEvent", "{}", state(), ended=True)
    await journal.note_transaction(state())
    assert await journal.open_transactions() == []


async def test_station_values(path: Path) -> None:
    journal = await SqliteJournal.open(path)
    assert await journal.get("profiles") is None
    await journal.put("profiles", "[1]")
    await journal.put("profiles", "[2]")
    journal = await reopened(journal, path)
    assert await journal.get("profiles") == "[2]"
    await journal.put("profiles", None)
    assert await journal.get("profiles") is None
    await journal.close()


async def test_calls_are_worked_off_in_the_order_they_were_made(journal: SqliteJournal) -> None:
    appends = [journal.append("TransactionEvent", "{}", None) for _ in range(50)]
    assert await asyncio.gather(*appends) == list(range(1, 51))


def test_a_state_survives_its_text() -> None:
    assert load_state(dump_state(state())) == state()
    for damaged in ("", "{}", "[]", '{"last_meter":5}'):
        with pytest.raises((ValueError, KeyError, TypeError)):
            load_state(damaged)


async def test_it_is_wal_with_full_sync(journal: SqliteJournal) -> None:
    def pragma(name: str) -> object:
        return journal._db.execute(f"PRAGMA {name}").fetchone()[0]

    assert (pragma("journal_mode"), pragma("synchronous")) == ("wal", 2)


async def test_one_damaged_transaction_does_not_hide_the_others(
    journal: SqliteJournal, caplog: pytest.LogCaptureFixture
) -> None:
    await journal.append("TransactionEvent", "{}", state(1))
    await journal.append("TransactionEvent", "{}", state(2))
    await journal._run(lambda: journal._db.execute("UPDATE tx SET state = '{}' WHERE transaction_id = 'tx-1'"))
    assert [open_state.transaction_id for open_state in await journal.open_transactions()] == ["tx-2"]
    assert "tx-1" in caplog.text


@pytest.mark.parametrize(
    "damage", [b"this is no database, and long enough to be read as one" * 100, b"SQLite format 3\0"]
)
async def test_what_cannot_be_read_is_set_aside_and_a_new_journal_begun(path: Path, damage: bytes) -> None:
    overwrite(path, damage)
    overwrite(path.with_name(path.name + "-wal"), b"old")
    journal = await SqliteJournal.open(path)
    assert journal.set_aside is not None
    assert journal.set_aside.read_bytes() == damage
    assert await journal.append("NotifyEvent", "{}", None) == 1
    await journal.close()
    again = await SqliteJournal.open(path)
    assert again.set_aside is None
    assert await again.pending_count() == 1
    await again.close()


async def test_damage_in_the_middle_is_found(path: Path) -> None:
    journal = await SqliteJournal.open(path)
    for _ in range(200):
        await journal.append("TransactionEvent", "x" * 500, state())
    await journal.close()
    spoil_the_middle(path)
    journal = await SqliteJournal.open(path)
    assert journal.set_aside is not None
    await journal.close()


async def test_a_newer_schema_is_set_aside_not_misread(path: Path) -> None:
    await (await SqliteJournal.open(path)).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    journal = await SqliteJournal.open(path)
    assert journal.set_aside is not None
    await journal.close()


async def test_an_older_schema_is_brought_up_and_keeps_its_content(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = await SqliteJournal.open(path)
    await journal.append("NotifyEvent", "{}", None)
    await journal.close()

    def next_version(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE message ADD COLUMN extra TEXT DEFAULT 'new'")

    monkeypatch.setattr(journal_module, "MIGRATIONS", (*journal_module.MIGRATIONS, next_version))
    journal = await SqliteJournal.open(path)
    assert journal.set_aside is None
    assert await journal._query("SELECT extra FROM message", ()) == [("new",)]
    assert await journal._query("PRAGMA user_version", ()) == [(len(journal_module.MIGRATIONS),)]
    await journal.close()


async def test_a_migration_that_fails_leaves_the_old_schema(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await (await SqliteJournal.open(path)).close()

    def broken(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE message ADD COLUMN half TEXT")
        db.execute("this is no SQL")

    monkeypatch.setattr(journal_module, "MIGRATIONS", (*journal_module.MIGRATIONS, broken))
    with pytest.raises(sqlite3.OperationalError):
        journal_module._open(path, Sealer(None))
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(journal_module.MIGRATIONS) - 1,)
        assert "half" not in {row[1] for row in db.execute("PRAGMA table_info(message)")}
    db.close()


async def test_a_full_disk_is_a_journal_error_and_nothing_is_half_written(journal: SqliteJournal) -> None:
    await journal.append("TransactionEvent", "{}", state())
    pages = (await journal._query("PRAGMA page_count", ()))[0][0]
    await journal._query(f"PRAGMA max_page_count = {pages}", ())
    with pytest.raises(JournalError, match="full"):
        await journal.append("TransactionEvent", "x" * 100_000, state(next_seq_no=2))
    assert await journal.pending_count() == 1
    (kept,) = await journal.open_transactions()
    assert kept.next_seq_no == 1
    await journal._query("PRAGMA max_page_count = 100000", ())
    assert await journal.append("TransactionEvent", "x" * 100_000, state(next_seq_no=2)) == 2


async def test_thinning_leaves_out_every_second_updated_and_nothing_else(journal: SqliteJournal) -> None:
    kinds = ["Started", *["Updated"] * 6, "Ended"]
    for kind in kinds:
        for number in (1, 2):
            await journal.append("TransactionEvent", f'{{"eventType":"{kind}"}}', state(number))
    await journal.append("NotifyEvent", '{"eventType":"Updated"}', None)
    assert await journal.thin(after=6) == 4
    left = [message.order for message in await journal.pending()]
    assert left == [1, 2, 3, 4, 5, 6, 9, 10, 13, 14, 15, 16, 17]
    assert await journal.thin(after=17) == 0


async def test_no_place_for_a_journal_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError):
        await SqliteJournal.open(tmp_path / "missing" / "journal.db")


async def test_after_close_it_says_so(path: Path) -> None:
    journal = await SqliteJournal.open(path)
    await journal.close()
    with pytest.raises(JournalError):
        await journal.put("a", "b")
