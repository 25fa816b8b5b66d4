"""The station's memory over power cuts: SQLite in WAL with synchronous FULL, behind one worker thread.

Each method is one transaction, durable when it returns: one fsync. Calls are worked off in the order they were made;
the operator side's window over the waiting messages relies on it. A database that cannot be read is set aside under
another name, reported in `set_aside`, and a new one begun: charging goes on. What names drivers lies sealed under a key
of the station's (firmware/journal_seal.py).
"""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from firmware.journal_seal import Adopted, Sealer, Unreadable, adopt, message_at, set_at, transaction_at
from hal.quantities import EvseId, MeterReading, SignedReading
from ocpp_client.ports import IdToken, JournalError, KeptReading, QueuedMessage, TransactionState

log = logging.getLogger(__name__)
T = TypeVar("T")

Migration = Callable[[sqlite3.Connection], None]


def _version_1(db: sqlite3.Connection) -> None:
    # AUTOINCREMENT: an order is never given twice, even after the message that had it is gone.
    db.execute(
        "CREATE TABLE message (ord INTEGER PRIMARY KEY AUTOINCREMENT, action TEXT NOT NULL, payload TEXT NOT NULL,"
        " transaction_id TEXT, attempts INTEGER NOT NULL DEFAULT 0)"
    )
    db.execute("CREATE INDEX message_transaction ON message (transaction_id)")
    db.execute(
        "CREATE TABLE tx (ord INTEGER PRIMARY KEY AUTOINCREMENT, transaction_id TEXT NOT NULL UNIQUE,"
        " state TEXT NOT NULL)"
    )
    db.execute("CREATE TABLE station (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")


def _version_2(db: sqlite3.Connection) -> None:
    """Values sealed under a key that is lost; kept for whoever finds the key again."""
    db.execute("CREATE TABLE set_aside (source TEXT, name TEXT, value BLOB, at TEXT)")


# E04.FR.08: of the events between Started and Ended every second one.
_THIN = """
DELETE FROM message WHERE ord IN (
    SELECT ord FROM (
        SELECT ord, row_number() OVER (PARTITION BY transaction_id ORDER BY ord) AS number
        FROM message
        WHERE ord > ? AND action = 'TransactionEvent' AND json_extract(opened(payload), '$.eventType') = 'Updated'
    ) WHERE number % 2 = 1
)
"""

MIGRATIONS: tuple[Migration, ...] = (_version_1, _version_2)
"""Step n brings a database of version n to n + 1. Only ever append."""


class SqliteJournal:
    """Implements `ocpp_client.ports.Journal`. Open with `SqliteJournal.open`."""

    def __init__(self, opened: "_Opened", worker: ThreadPoolExecutor, sealer: Sealer) -> None:
        self._db = opened.db
        self._worker = worker
        self._sealer = sealer
        self.set_aside = opened.set_aside
        """Where an unreadable database went when this one was opened, or None."""
        self.adopted = opened.adopted

    @classmethod
    async def open(cls, path: Path, key: bytes | None = None) -> "SqliteJournal":
        """With the station's key, or None while it is out of reach. Raises JournalError when not even a new database
        can be made."""
        worker, sealer = ThreadPoolExecutor(1, "journal"), Sealer(key)
        try:
            opened = await asyncio.get_running_loop().run_in_executor(worker, _open_or_begin_anew, path, sealer)
        except JournalError:
            worker.shutdown(wait=False)
            raise
        return cls(opened, worker, sealer)

    async def close(self) -> None:
        """What was asked for before is done first."""
        await self._run(self._db.close)
        self._worker.shutdown(wait=True)

    # --- The port ---

    async def append(
        self, action: str, payload_json: str, transaction: TransactionState | None, *, ended: bool = False
    ) -> int:
        state = None if transaction is None else dump_state(transaction)
        transaction_id = None if transaction is None else transaction.transaction_id

        def work() -> int:
            cursor = self._db.execute(
                "INSERT INTO message (action, payload, transaction_id) VALUES (?, ?, ?)",
                (action, self._sealer.seal(payload_json, message_at(action)), transaction_id),
            )
            if ended:
                self._db.execute("DELETE FROM tx WHERE transaction_id = ?", (transaction_id,))
            elif state is not None and transaction_id is not None:
                self._db.execute(
                    "INSERT INTO tx (transaction_id, state) VALUES (?, ?)"
                    " ON CONFLICT (transaction_id) DO UPDATE SET state = excluded.state",
                    (transaction_id, self._sealer.seal(state, transaction_at(transaction_id))),
                )
            return int(cursor.lastrowid or 0)

        return await self._commit(work)

    async def note_transaction(self, transaction: TransactionState) -> None:
        transaction_id = transaction.transaction_id
        row = (self._sealer.seal(dump_state(transaction), transaction_at(transaction_id)), transaction_id)
        # UPDATE, not INSERT: a late note must not bring an ended transaction back.
        await self._commit(lambda: self._db.execute("UPDATE tx SET state = ? WHERE transaction_id = ?", row))

    async def pending(self, after: int = 0, limit: int = 100) -> Sequence[QueuedMessage]:
        rows = await self._query(
            "SELECT ord, action, payload, transaction_id, attempts FROM message"
            " WHERE ord > ? AND (? OR typeof(payload) = 'text') ORDER BY ord LIMIT ?",
            (after, self._sealer.has_key, limit),
        )
        return [message for row in rows if (message := self._message(*row)) is not None]

    def _message(
        self, order: int, action: str, payload: str | bytes, transaction_id: str | None, attempts: int
    ) -> QueuedMessage | None:
        try:
            text = self._sealer.open(payload, message_at(action))
        except Unreadable as error:
            log.error("message %d in the journal cannot be read: %s", order, error)
            return None
        return QueuedMessage(order, action, text, transaction_id, attempts)

    async def pending_count(self, transaction_id: str | None = None, *, of_transactions: bool = False) -> int:
        where = "transaction_id IS NOT NULL" if of_transactions else "TRUE"
        rows = await self._query(
            f"SELECT count(*) FROM message WHERE (?1 IS NULL OR transaction_id = ?1) AND {where}", (transaction_id,)
        )
        return int(rows[0][0])

    async def thin(self, after: int) -> int:
        return await self._commit(lambda: self._db.execute(_THIN, (after,)).rowcount)

    async def attempted(self, order: int) -> None:
        await self._commit(
            lambda: self._db.execute("UPDATE message SET attempts = attempts + 1 WHERE ord = ?", (order,))
        )

    async def delivered(self, order: int) -> None:
        await self._commit(lambda: self._db.execute("DELETE FROM message WHERE ord = ?", (order,)))

    async def open_transactions(self) -> Sequence[TransactionState]:
        states = []
        for transaction_id, text in await self._query("SELECT transaction_id, state FROM tx ORDER BY ord", ()):
            try:
                states.append(load_state(self._sealer.open(text, transaction_at(transaction_id))))
            except (ValueError, KeyError, TypeError, Unreadable) as error:
                log.error("transaction %s in the journal cannot be read: %s", transaction_id, error)
        return states

    async def get(self, key: str) -> str | None:
        rows = await self._query("SELECT value FROM station WHERE key = ?", (key,))
        if not rows:
            return None
        try:
            return self._sealer.open(rows[0][0], set_at(key))
        except Unreadable as error:
            log.error("%s", error)
            return None

    async def put(self, key: str, value: str | None) -> None:
        if value is None:
            await self._commit(lambda: self._db.execute("DELETE FROM station WHERE key = ?", (key,)))
        else:
            row = (key, self._sealer.seal_set(key, value))
            await self._commit(lambda: self._db.execute("INSERT OR REPLACE INTO station VALUES (?, ?)", row))

    # --- The worker ---

    async def _query(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        return await self._run(lambda: self._db.execute(statement, values).fetchall())

    async def _commit(self, work: Callable[[], T]) -> T:
        def committed() -> T:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                return work()

        return await self._run(committed)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, work)
        except (sqlite3.Error, RuntimeError) as error:
            # RuntimeError: the worker was shut down.
            raise JournalError(f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class _Opened:
    db: sqlite3.Connection
    adopted: Adopted
    set_aside: Path | None = None


def _open_or_begin_anew(path: Path, sealer: Sealer) -> _Opened:
    try:
        return _Opened(*_open(path, sealer))
    except sqlite3.DatabaseError as error:
        if not path.exists() or (isinstance(error, sqlite3.OperationalError) and "locked" in str(error)):
            raise JournalError(f"{path}: {error}") from error
        reason = error
    aside = _set_aside(path)
    log.error("the journal %s cannot be read (%s): set aside as %s", path.name, reason, aside.name)
    try:
        return _Opened(*_open(path, sealer), aside)
    except sqlite3.Error as error:
        raise JournalError(f"{path}: {error}") from error


def _open(path: Path, sealer: Sealer) -> tuple[sqlite3.Connection, Adopted]:
    # One thread at a time uses it, the worker's; it is opened and closed there too.
    db = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("quick_check found damage")
        _migrate(db)
        db.create_function("opened", 1, _opener(sealer), deterministic=True)
        return db, _adopted(db, sealer)
    except sqlite3.Error:
        db.close()
        raise


def _adopted(db: sqlite3.Connection, sealer: Sealer) -> Adopted:
    """A disk without room for it is no reason to lose what is there: it is read as it lies."""
    try:
        return adopt(db, sealer)
    except sqlite3.OperationalError as error:
        log.error("what the journal holds is not brought under the station's key: %s", error)
        return Adopted()


def _opener(sealer: Sealer) -> Callable[[str | bytes], str | None]:
    """For statements that look into TransactionEvents."""

    def opened(payload: str | bytes) -> str | None:
        try:
            return sealer.open(payload, message_at("TransactionEvent"))
        except Unreadable:
            return None

    return opened


def _migrate(db: sqlite3.Connection) -> None:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise sqlite3.DatabaseError(f"schema version {version} is newer than this software")
    for number, step in enumerate(MIGRATIONS[version:], version + 1):
        db.execute("BEGIN IMMEDIATE")
        with db:
            step(db)
            db.execute(f"PRAGMA user_version = {number}")


def _set_aside(path: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    aside = path.with_name(f"{path.name}.unreadable-{stamp}")
    try:
        path.rename(aside)
        for suffix in ("-wal", "-shm"):
            companion = path.with_name(path.name + suffix)
            if companion.exists():
                companion.rename(aside.with_name(aside.name + suffix))
    except OSError as error:
        raise JournalError(f"{path}: unreadable and cannot be set aside: {error}") from error
    return aside


def waiting_in(path: Path) -> int:
    """How many messages wait in the journal of a daemon that does not run; 0 where there is none to be read."""
    if not path.exists():
        return 0
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return int(db.execute("SELECT count(*) FROM message").fetchone()[0])
        finally:
            db.close()
    except sqlite3.Error as error:
        log.warning("the journal cannot be looked into: %s", error)
        return 0


def dump_state(state: TransactionState) -> str:
    raw = asdict(state)
    raw["started_at"] = state.started_at.isoformat()
    raw["last_event_at"] = state.last_event_at.isoformat()
    for reading in (raw["last_meter"], *(kept["reading"] for kept in raw["kept"])):
        if reading is not None:
            reading["wall_time"] = reading["wall_time"].isoformat()
    return json.dumps(raw)


def load_state(text: str) -> TransactionState:
    """Raises ValueError, KeyError or TypeError for what `dump_state` did not write."""
    raw = json.loads(text)
    raw["started_at"] = datetime.fromisoformat(raw["started_at"])
    raw["last_event_at"] = datetime.fromisoformat(raw["last_event_at"])
    raw["evse_id"] = EvseId(raw["evse_id"])
    raw["id_token"] = IdToken(**raw["id_token"]) if raw["id_token"] else None
    raw["last_meter"] = _load_meter(raw["last_meter"]) if raw["last_meter"] else None
    # What was kept came later than the first databases.
    raw["kept"] = tuple(KeptReading(kept["context"], _load_meter(kept["reading"])) for kept in raw.get("kept", ()))
    return TransactionState(**raw)


def _load_meter(raw: dict[str, object]) -> MeterReading:
    current, voltage, wall_time = raw["current_a"], raw["voltage_v"], raw["wall_time"]
    if not (isinstance(current, list) and isinstance(voltage, list) and isinstance(wall_time, str)):
        raise TypeError("meter reading")
    signed = raw.get("signed")
    fields = raw | {
        "signed": SignedReading(**signed) if isinstance(signed, dict) else None,
        "current_a": tuple(current),
        "voltage_v": tuple(voltage),
        "wall_time": datetime.fromisoformat(wall_time),
    }
    return MeterReading(**fields)  # type: ignore[arg-type]  # the fields are those `asdict` wrote
