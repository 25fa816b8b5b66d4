"""The journal under the station's key: nothing of a driver to be read without it, and nothing lost for want of it."""

import json
import sqlite3
from pathlib import Path

import pytest

from firmware import journal_seal
from firmware.journal import MIGRATIONS, SqliteJournal, waiting_in
from tests.firmware.test_firmware_journal import state

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
TOKEN = "DE8EVSC12345678"
"""The identity token in `state()`."""
CACHE = json.dumps({"DE8EVSC12345678": "Accepted"})


def event(kind: str = "Started", number: int = 0) -> str:
    return json.dumps({"eventType": kind, "seqNo": number, "idToken": {"idToken": TOKEN, "type": "eMAID"}})


async def filled(path: Path, key: bytes | None) -> None:
    """A message of each kind, an open transaction, and what a CSMS set."""
    journal = await SqliteJournal.open(path, key)
    await journal.append("TransactionEvent", event(), state())
    await journal.append("NotifyEvent", '{"about": "DE8EVSC12345678"}', None)
    await journal.note_transaction(state(charging_state="SuspendedEV"))
    await journal.put("auth_cache", CACHE)
    await journal.put("security_log.1", "an entry")
    await journal.close()


async def content(journal: SqliteJournal) -> list[object]:
    messages = [(message.action, message.payload_json) for message in await journal.pending()]
    return [messages, list(await journal.open_transactions()), await journal.get("auth_cache")]


WHOLE: list[object] = [
    [("TransactionEvent", event()), ("NotifyEvent", '{"about": "DE8EVSC12345678"}')],
    [state(charging_state="SuspendedEV")],
    CACHE,
]


def tokens_in(directory: Path) -> list[str]:
    """Files in which the token can be read."""
    return [file.name for file in directory.iterdir() if TOKEN.encode() in file.read_bytes()]


def kinds(path: Path, table: str, column: str) -> list[str]:
    with sqlite3.connect(path) as db:
        found = [row[0] for row in db.execute(f"SELECT typeof({column}) FROM {table} ORDER BY 1")]
    db.close()
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def test_nothing_of_a_driver_can_be_read_without_the_key_and_all_with_it(path: Path, tmp_path: Path) -> None:
    await filled(path, KEY)
    assert tokens_in(tmp_path) == []
    journal = await SqliteJournal.open(path, KEY)
    assert await content(journal) == WHOLE
    assert (journal.adopted.sealed, journal.adopted.set_aside, journal.set_aside) == (0, 0, None)
    assert tokens_in(tmp_path) == [], "nor while it is open"
    await journal.close()


async def test_a_journal_from_before_there_was_a_key_is_sealed_at_the_first_start(path: Path, tmp_path: Path) -> None:
    await filled(path, None)
    assert tokens_in(tmp_path) == ["journal.db"]
    journal = await SqliteJournal.open(path, KEY)
    assert journal.adopted.sealed == 4
    assert await content(journal) == WHOLE
    assert tokens_in(tmp_path) == [], "not in free pages nor in the log beside it"
    await journal.close()
    again = await SqliteJournal.open(path, KEY)
    assert again.adopted.sealed == 0
    await again.close()


async def test_a_database_of_the_first_schema_is_sealed_too(path: Path, tmp_path: Path) -> None:
    with sqlite3.connect(path) as db:
        MIGRATIONS[0](db)
        db.execute("INSERT INTO message (action, payload) VALUES ('NotifyEvent', ?)", (event(),))
        db.execute("PRAGMA user_version = 1")
    db.close()
    journal = await SqliteJournal.open(path, KEY)
    assert [message.payload_json for message in await journal.pending()] == [event()]
    assert tokens_in(tmp_path) == []
    await journal.close()


async def test_the_security_log_stays_open(path: Path) -> None:
    await filled(path, KEY)
    assert kinds(path, "station", "value") == ["blob", "text"]
    journal = await SqliteJournal.open(path, OTHER_KEY)
    assert await journal.get("security_log.1") == "an entry"
    await journal.close()


async def test_without_the_key_charging_goes_on_and_nothing_is_lost(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A start while the TPM is out of reach, between two with it."""
    await filled(path, KEY)
    journal = await SqliteJournal.open(path)
    assert await content(journal) == [[], [], None]
    assert "the key is out of reach" in caplog.text
    order = await journal.append("TransactionEvent", event(number=7), state(2))
    assert [message.order for message in await journal.pending()] == [order]
    assert await journal.pending_count() == 3, "they wait all the same"
    await journal.attempted(order)
    assert await journal.thin(0) == 0
    await journal.close()
    journal = await SqliteJournal.open(path, KEY)
    assert journal.adopted == journal_seal.Adopted(sealed=2, set_aside=0)
    messages, transactions, cache = await content(journal)
    assert [json.loads(text).get("seqNo") for _, text in messages] == [0, None, 7], "in their order"
    assert transactions == [state(charging_state="SuspendedEV"), state(2)]
    assert cache == CACHE
    assert [message.attempts for message in await journal.pending()] == [0, 0, 1]
    await journal.close()


async def test_what_lies_under_a_lost_key_is_set_aside_and_charging_goes_on(path: Path, tmp_path: Path) -> None:
    await filled(path, KEY)
    journal = await SqliteJournal.open(path, OTHER_KEY)
    assert (journal.adopted.set_aside, journal.set_aside) == (4, None)
    assert await content(journal) == [[], [], None]
    order = await journal.append("TransactionEvent", event(), state())
    await journal.put("auth_cache", CACHE)
    await journal.close()
    assert kinds(path, "set_aside", "value") == ["blob"] * 4, "kept for whoever finds the key"
    assert tokens_in(tmp_path) == []
    journal = await SqliteJournal.open(path, OTHER_KEY)
    assert journal.adopted.set_aside == 0, "told once"
    assert [message.order for message in await journal.pending()] == [order]
    assert order == 3, "an order is never given twice"
    await journal.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE message SET payload = zeroblob(40) WHERE ord = 2",
        "UPDATE message SET payload = x'' WHERE ord = 2",
        "UPDATE message SET payload = (SELECT payload FROM message WHERE ord = 1) WHERE ord = 2",
        "UPDATE message SET payload = (SELECT value FROM station WHERE key = 'auth_cache') WHERE ord = 2",
    ],
)
async def test_a_value_that_was_changed_or_moved_is_set_aside_alone(path: Path, change: str) -> None:
    await filled(path, KEY)
    with sqlite3.connect(path) as db:
        db.execute(change)
    db.close()
    journal = await SqliteJournal.open(path, KEY)
    assert journal.adopted.set_aside == 1
    messages, transactions, cache = await content(journal)
    assert messages == WHOLE[0][:1]  # type: ignore[index]
    assert (transactions, cache) == (WHOLE[1], CACHE)
    await journal.close()


async def test_one_that_is_damaged_while_the_daemon_runs_holds_up_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await filled(path, KEY)
    journal = await SqliteJournal.open(path, KEY)
    for statement in (
        "UPDATE message SET payload = zeroblob(40) WHERE ord = 1",
        "UPDATE tx SET state = zeroblob(40)",
        "UPDATE station SET value = zeroblob(40)",
    ):
        await journal._commit(lambda statement=statement: journal._db.execute(statement))
    assert await content(journal) == [WHOLE[0][1:], [], None]  # type: ignore[index]
    assert "message 1 in the journal cannot be read" in caplog.text
    assert "transaction tx-1 in the journal cannot be read" in caplog.text
    await journal.close()


async def test_sealed_events_are_thinned_too(path: Path) -> None:
    journal = await SqliteJournal.open(path, KEY)
    for number, kind in enumerate(["Started", "Updated", "Updated", "Updated", "Updated", "Ended"]):
        await journal.append("TransactionEvent", event(kind, number), state())
    assert await journal.thin(0) == 2
    left = [json.loads(message.payload_json)["seqNo"] for message in await journal.pending()]
    assert left == [0, 2, 4, 5]
    await journal.close()


async def test_what_waits_is_counted_without_the_key(path: Path, tmp_path: Path) -> None:
    assert waiting_in(path) == 0
    await filled(path, KEY)
    assert waiting_in(path) == 2
    (tmp_path / "other.db").write_bytes(b"no database" * 100)
    assert waiting_in(tmp_path / "other.db") == 0


async def test_a_disk_without_room_to_seal_leaves_all_as_it_lies(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await filled(path, None)

    def full(*_: object) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(journal_seal, "_set_aside_column", full)
        journal = await SqliteJournal.open(path, KEY)
    assert "disk is full" in caplog.text
    assert (journal.set_aside, await content(journal)) == (None, WHOLE)
    await journal.append("NotifyEvent", "{}", None)
    await journal.close()
    assert kinds(path, "message", "payload") == ["blob", "text", "text"], "all or none: what was begun is undone"
    journal = await SqliteJournal.open(path, KEY)
    assert journal.adopted.sealed == 4
    await journal.close()
