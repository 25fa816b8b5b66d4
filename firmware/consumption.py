"""What was charged, session by session, for twelve months and more, as SI 2021/1467 asks for.

One small SQLite file of its own: a row a transaction, written when it begins, each minute, and at its end, so that a
power cut loses a minute. Rows older than 400 days go; so does the oldest above MAX_ROWS.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

KEPT = timedelta(days=400)
MAX_ROWS = 50_000
_TABLE = """CREATE TABLE IF NOT EXISTS charged (
    transaction_id TEXT PRIMARY KEY, evse INTEGER NOT NULL, began TEXT NOT NULL, ended TEXT, energy_wh REAL NOT NULL
) WITHOUT ROWID"""
_INDEX = "CREATE INDEX IF NOT EXISTS charged_began ON charged (began)"


@dataclass(frozen=True, slots=True)
class Charged:
    """Times are UTC. `ended` None: it runs, or was cut off."""

    transaction_id: str
    evse: int
    began: datetime
    ended: datetime | None
    energy_wh: float

    def shown(self) -> dict[str, object]:
        return {
            "transaction_id": self.transaction_id,
            "evse": self.evse,
            "began": self.began.isoformat(timespec="seconds"),
            "ended": self.ended.isoformat(timespec="seconds") if self.ended else None,
            "energy_wh": round(self.energy_wh, 1),
        }


class Consumption:
    """Each call opens the file anew: it is rare, and may come from any thread. Raises sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, charged: Charged) -> None:
        """A transaction as it stands now."""
        row = (
            charged.transaction_id,
            charged.evse,
            charged.began.isoformat(timespec="seconds"),
            charged.ended.isoformat(timespec="seconds") if charged.ended else None,
            charged.energy_wh,
        )
        with closing(self._open()) as database, database:
            database.execute("INSERT OR REPLACE INTO charged VALUES (?, ?, ?, ?, ?)", row)

    def prune(self, now: datetime) -> int:
        """How many rows went."""
        with closing(self._open()) as database, database:
            oldest = (now - KEPT).isoformat(timespec="seconds")
            old = database.execute("DELETE FROM charged WHERE began < ?", (oldest,)).rowcount
            many = database.execute(
                "DELETE FROM charged WHERE transaction_id IN (SELECT transaction_id FROM charged ORDER BY began DESC"
                " LIMIT -1 OFFSET ?)",
                (MAX_ROWS,),
            ).rowcount
            return old + many

    def since(self, oldest: datetime, limit: int) -> list[Charged]:
        """The latest ones, the oldest first."""
        with closing(self._open()) as database:
            rows = database.execute(
                "SELECT transaction_id, evse, began, ended, energy_wh FROM charged WHERE began >= ?"
                " ORDER BY began DESC LIMIT ?",
                (oldest.isoformat(timespec="seconds"), limit),
            ).fetchall()
        return [
            Charged(tx, evse, datetime.fromisoformat(began), datetime.fromisoformat(ended) if ended else None, wh)
            for tx, evse, began, ended, wh in reversed(rows)
        ]

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=5.0)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute(_TABLE)
        database.execute(_INDEX)
        return database
