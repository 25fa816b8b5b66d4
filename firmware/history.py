"""What happened lately, kept in memory for those who ask: events, faults, and the latest fact of each kind.

An observer. Everything is bounded; what must outlive a restart is in the journal and in the log.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from firmware.evse import Observation
from firmware.facts import AuthorizationAnswered, Fact, LocalLimit, TransactionOpened
from firmware.observers import fields_of
from hal import ports as hal
from hal.dc.ports import DcMeasured
from hal.faults import MREC
from hal.quantities import EvseId
from ocpp_client import ports as ocpp
from secc import ports as secc

MREC_BY_NAME = {fault.value: number for fault, number in MREC.items()}
"""ChargeX's number for a fault, where it has one: what operators of public points report by."""
MAX_EVENTS = 2000
MAX_FAULTS = 200
MAX_TEXT = 300
"""Characters of a value in an event."""

FREQUENT = (DcMeasured, hal.MeterSampled, secc.DcTarget, secc.LimitSent, secc.MessageAnswered)
"""Facts that would wash out all others: they reach followers, and are not kept."""

_PLC = get_args(hal.PlcFact)
_DC = get_args(hal.DcFact)
_OCPP = (AuthorizationAnswered, TransactionOpened)
_TOKENS = frozenset({"id_token", "emaid", "group_id"})
_FOR_TECHNICIANS = "payload"
"""A message's own words: not for who may not see tokens."""

_STANDING = (
    hal.ModemFault,
    hal.ModemReady,
    hal.BoardLink,
    hal.MeterSampled,
    ocpp.CsmsOnline,
    ocpp.CsmsLimit,
    ocpp.AvailabilityChanged,
    LocalLimit,
)
"""Facts about the station; all others are about the vehicle and its session, and end with it."""

Value = None | bool | int | float | str | list["Value"]
Snapshot = dict[str, object]


@dataclass(frozen=True, slots=True)
class Event:
    """One fact, ready to be shown. `number` counts from 1 since the daemon started."""

    number: int
    at_s: float
    wall_time: datetime
    evse: EvseId
    source: str
    """Who said it: board, plc, v2g, ocpp or station."""
    name: str
    v2g_session_id: str
    transaction_id: str
    data: Mapping[str, Value]
    frequent: bool

    def shown(self, *, tokens: bool) -> dict[str, object]:
        """For JSON; without `tokens` only their last four characters are told."""
        data = {key: masked(value) if key in _TOKENS and not tokens else value for key, value in self.data.items()}
        if not tokens:
            data.pop(_FOR_TECHNICIANS, None)
        return {
            "number": self.number,
            "wall_time": self.wall_time.isoformat(timespec="milliseconds"),
            "evse": self.evse,
            "source": self.source,
            "event": self.name,
            "v2g_session_id": self.v2g_session_id,
            "transaction_id": self.transaction_id,
            "data": data,
        }


@dataclass(slots=True)
class FaultRecord:
    """A fault from when it came until it went (None: it stands), with how the EVSE stood when it came."""

    evse: EvseId
    fault: str
    severity: str
    detail: str
    since: datetime
    until: datetime | None
    snapshot: Snapshot

    def shown(self, *, snapshot: bool) -> dict[str, object]:
        told: dict[str, object] = {
            "evse": self.evse,
            "fault": self.fault,
            "mrec": MREC_BY_NAME.get(self.fault),
            "severity": self.severity,
            "detail": self.detail,
            "since": self.since.isoformat(timespec="milliseconds"),
            "until": self.until.isoformat(timespec="milliseconds") if self.until else None,
        }
        return {**told, "snapshot": self.snapshot} if snapshot else told


class History:
    """`snapshot` says how an EVSE stands now; it is asked when a fault comes."""

    def __init__(self, snapshot: Callable[[EvseId], Snapshot]) -> None:
        self.events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self.faults: deque[FaultRecord] = deque(maxlen=MAX_FAULTS)
        self.followers: list[Callable[[Event, Fact], None]] = []
        self._snapshot = snapshot
        self._latest: dict[EvseId, dict[type, Observation]] = {}
        self._count = 0

    def __call__(self, seen: Observation) -> None:
        self._remember(seen)
        self._note_fault(seen)
        self._count += 1
        event = event_of(seen, self._count)
        if not event.frequent:
            self.events.append(event)
        for follow in self.followers:
            follow(event, seen.fact)

    def latest(self, evse: EvseId) -> Mapping[type, Observation]:
        """The latest fact of each kind; those about a vehicle only while it is there."""
        return self._latest.get(evse, {})

    def standing(self, evse: EvseId | None = None) -> list[FaultRecord]:
        return [record for record in self.faults if record.until is None and evse in (None, record.evse)]

    def _remember(self, seen: Observation) -> None:
        known = self._latest.setdefault(seen.evse, {})
        if isinstance(seen.fact, hal.Unplugged):
            _forget(known, lambda kind: kind not in _STANDING)
        elif isinstance(seen.fact, hal.PluggedIn):
            _forget(known, lambda kind: kind not in _STANDING and (kind in _PLC or kind.__module__ == secc.__name__))
        known[type(seen.fact)] = seen

    def _note_fault(self, seen: Observation) -> None:
        match seen.fact:
            case hal.BoardFault(fault, active, severity, detail):
                self._fault(seen, fault.value, severity.value, detail, active)
            case hal.ModemFault(reason, active):
                self._fault(seen, "ModemFault", hal.Severity.WARNING.value, reason, active)

    def _fault(self, seen: Observation, name: str, severity: str, detail: str, active: bool) -> None:
        known = next((record for record in self.standing(seen.evse) if record.fault == name), None)
        if not active and known is not None:
            known.until = seen.wall_time
        elif active and known is not None:
            known.detail = detail
        elif active:
            snapshot = self._snapshot(seen.evse)
            self.faults.append(FaultRecord(seen.evse, name, severity, detail, seen.wall_time, None, snapshot))


def event_of(seen: Observation, number: int) -> Event:
    data = dict(_values(seen.fact))
    return Event(
        number,
        seen.at_s,
        seen.wall_time,
        seen.evse,
        source_of(seen.fact),
        type(seen.fact).__name__,
        seen.v2g_session_id,
        seen.transaction_id,
        data,
        isinstance(seen.fact, FREQUENT),
    )


def source_of(fact: Fact) -> str:
    if isinstance(fact, _PLC):
        return "plc"
    if isinstance(fact, _OCPP):
        return "ocpp"
    if isinstance(fact, _DC):
        return "board"
    names = {hal.__name__: "board", secc.__name__: "v2g", ocpp.__name__: "ocpp"}
    return names.get(type(fact).__module__, "station")


def _values(fact: Fact) -> Iterator[tuple[str, Value]]:
    for name, value in fields_of(fact):
        if isinstance(value, str):
            yield name, value[:MAX_TEXT]
        elif isinstance(value, bool | int | float | list):
            yield name, value
        else:
            yield name, str(value)[:MAX_TEXT]


def masked(value: Value) -> str:
    text = str(value)
    return "*" * (len(text) - 4) + text[-4:] if len(text) > 4 else "****"


def _forget(known: dict[type, Observation], which: Callable[[type], bool]) -> None:
    for kind in [kind for kind in known if which(kind)]:
        del known[kind]
