"""What the journal holds of drivers, unreadable without the station's key: identity tokens, contracts, what is set.

A sealed value is a blob where an open one is text: nonce (12 bytes), then AES-256-GCM over the text, bound to where it
stands, so that no row can be put in another's place. Which rows are sealed:

    message.payload      every one: most name a token
    tx.state             every one
    station.value        all but the security log, which names no driver and is to be read whatever became of the key

Without a key, as while the TPM is out of reach and the configuration lets the station charge without it, values are
written open, and sealed ones stay as they are, neither read nor lost. The next start with the key seals what lies open
and reads all. Values under a key that is lost (another TPM, a wiped one) go to the table `set_aside`.
"""

import logging
import secrets
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

log = logging.getLogger(__name__)

NONCE_SIZE = 12
OPEN_KEYS = ("security_log.",)
"""Beginnings of the station's keys whose values are never sealed."""

Stored = str | bytes


class Unreadable(Exception):
    """A value under another key than ours, a damaged one, or any sealed one without a key."""


class Sealer:
    """With the journal's key (32 bytes), or None."""

    def __init__(self, key: bytes | None) -> None:
        self._cipher = None if key is None else AESGCM(key)

    @property
    def has_key(self) -> bool:
        return self._cipher is not None

    def seal(self, text: str, where: str) -> Stored:
        if self._cipher is None:
            return text
        nonce = secrets.token_bytes(NONCE_SIZE)
        return nonce + self._cipher.encrypt(nonce, text.encode(), where.encode())

    def open(self, stored: Stored, where: str) -> str:
        """Raises Unreadable."""
        if isinstance(stored, str):
            return stored
        if self._cipher is None:
            raise Unreadable(f"{where}: sealed, and the key is out of reach")
        try:
            return self._cipher.decrypt(stored[:NONCE_SIZE], stored[NONCE_SIZE:], where.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise Unreadable(f"{where}: {type(error).__name__}") from error

    def seal_set(self, key: str, value: str) -> Stored:
        """Of the table `station`."""
        return value if key.startswith(OPEN_KEYS) else self.seal(value, set_at(key))


def message_at(action: str) -> str:
    return f"message/{action}"


def transaction_at(transaction_id: str) -> str:
    return f"tx/{transaction_id}"


def set_at(key: str) -> str:
    return f"station/{key}"


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A column that holds sealed values: `name` is the column that tells where a value stands."""

    table: str
    row: str
    name: str
    value: str


_COLUMNS = (
    _Sealed("message", "ord", "action", "payload"),
    _Sealed("tx", "ord", "transaction_id", "state"),
    _Sealed("station", "key", "key", "value"),
)


@dataclass(frozen=True, slots=True)
class Adopted:
    """What a start with the key found: values that lay open and are sealed now, and values that no longer open."""

    sealed: int = 0
    set_aside: int = 0


def adopt(db: sqlite3.Connection, sealer: Sealer) -> Adopted:
    """Bring every value under the present key, in one transaction. Without a key nothing is touched."""
    if not sealer.has_key:
        return Adopted()
    # What lay open is not to be found in the file's free space.
    db.execute("PRAGMA secure_delete = ON")
    db.execute("BEGIN IMMEDIATE")
    with db:
        adopted = Adopted(
            sum(_seal_column(db, sealer, column) for column in _COLUMNS),
            sum(_set_aside_column(db, sealer, column) for column in _COLUMNS),
        )
    db.execute("PRAGMA secure_delete = OFF")
    if adopted.sealed:
        log.info("%d values of the journal lay open and are sealed now", adopted.sealed)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return adopted


def _seal_column(db: sqlite3.Connection, sealer: Sealer, column: _Sealed) -> int:
    lying_open = _rows(db, column, "text")
    if column.table == "station":
        lying_open = [row for row in lying_open if not row[0].startswith(OPEN_KEYS)]
    statement = f"UPDATE {column.table} SET {column.value} = ? WHERE {column.row} = ?"
    db.executemany(statement, [(sealer.seal(value, f"{column.table}/{name}"), row) for row, name, value in lying_open])
    return len(lying_open)


def _set_aside_column(db: sqlite3.Connection, sealer: Sealer, column: _Sealed) -> int:
    lost = [row for row in _rows(db, column, "blob") if not _opens(sealer, row[2], f"{column.table}/{row[1]}")]
    at = datetime.now(UTC).isoformat(timespec="seconds")
    db.executemany(
        "INSERT INTO set_aside (source, name, value, at) VALUES (?, ?, ?, ?)",
        [(column.table, str(name), value, at) for _, name, value in lost],
    )
    db.executemany(f"DELETE FROM {column.table} WHERE {column.row} = ?", [(row,) for row, _, _ in lost])
    return len(lost)


def _rows(db: sqlite3.Connection, column: _Sealed, kind: str) -> list[tuple[Any, str, Any]]:
    select = f"SELECT {column.row}, {column.name}, {column.value} FROM {column.table} WHERE typeof({column.value}) = ?"
    return db.execute(select, (kind,)).fetchall()


def _opens(sealer: Sealer, stored: Stored, where: str) -> bool:
    try:
        sealer.open(stored, where)
    except Unreadable as error:
        log.debug("set aside: %s", error)
        return False
    return True
