"""Those who watch sessions and can answer nothing: the log line, and the file of events.

Each event is one line and carries the ISO 15118 session id and the OCPP transaction id.
"""

import dataclasses
import json
import logging
import math
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from pathlib import Path

from firmware.evse import Observation
from hal.dc.ports import DcMeasured
from hal.ports import MeterSampled
from secc.ports import DcTarget, LimitSent, MessageAnswered

log = logging.getLogger("evse")


_FREQUENT = (DcMeasured, DcTarget, LimitSent, MessageAnswered, MeterSampled)


def log_line(seen: Observation) -> None:
    """One line an event; the frequent ones at DEBUG."""
    level = logging.DEBUG if isinstance(seen.fact, _FREQUENT) else logging.INFO
    if log.isEnabledFor(level):
        log.log(level, "%s", _line(seen))


def _line(seen: Observation) -> str:
    ids = f"v2g={seen.v2g_session_id or '-'} tx={seen.transaction_id or '-'}"
    said = " ".join(f"{name}={value}" for name, value in fields_of(seen.fact))
    return f"evse.{seen.evse} {ids} {type(seen.fact).__name__} {said}".rstrip()


def fields_of(fact: object) -> Iterator[tuple[str, object]]:
    """A fact's fields for a reader: no monotonic time, no certificates, enumerations by value."""
    assert dataclasses.is_dataclass(fact)
    for item in dataclasses.fields(fact):
        value = getattr(fact, item.name)
        if item.name == "at_s" or value in ("", None):
            continue
        if dataclasses.is_dataclass(value):
            yield from ((name, inner) for name, inner in fields_of(value) if name not in ("chain_pem", "ocsp"))
        else:
            yield item.name, _plain(value)


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return value.hex(":")
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else str(value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, tuple | list | set | frozenset):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value):
        return dict(fields_of(value))
    return value


class EventFile:
    """Every event as a JSON line, for tools. A full disk loses lines, never a session."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lost = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)

    def __call__(self, seen: Observation) -> None:
        line = {
            "at_s": round(seen.at_s, 6),
            "wall_time": seen.wall_time.isoformat(timespec="milliseconds"),
            "evse": seen.evse,
            "v2g_session_id": seen.v2g_session_id,
            "transaction_id": seen.transaction_id,
            "event": type(seen.fact).__name__,
            **dict(fields_of(seen.fact)),
        }
        try:
            self._file.write(json.dumps(line, default=str).encode() + b"\n")
        except OSError as error:
            self._lost += 1
            if self._lost == 1:
                log.warning("%s: events are lost: %s", self._path, error)

    def close(self) -> None:
        self._file.close()
