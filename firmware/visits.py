"""Each vehicle's visit as one line of time: pilot, SLAC, V2G and OCPP side by side, found by either id. Pure.

A visit lasts from plug-in to unplug. A token shown shortly before belongs to it, and so does what its end causes: the
contactor's word, the link's end, records that reach the CSMS hours later. What repeats (messages of the charging loop,
periodic records) is one entry with a count.
"""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from datetime import datetime

from firmware.facts import AuthorizationAnswered, Fact, LocalLimit, TransactionOpened
from firmware.history import Event
from firmware.series import Series
from hal import ports as hal
from hal.quantities import EvseId
from ocpp_client import ports as ocpp
from secc import ports as secc

MAX_VISITS = 40
MAX_ENTRIES = 200
BEFORE_S = 120.0
"""How long before the plug a token may be shown and still belong to the visit."""
AFTER_S = 10.0
"""How long after unplugging the station still says things about it."""

_EARLY = (hal.TokenPresented, AuthorizationAnswered, ocpp.RemoteStart)
_IGNORED = (hal.MeterSampled, ocpp.CsmsOnline)


@dataclass(slots=True)
class Entry:
    """An event, and how often the like of it came until `last`."""

    event: Event
    count: int
    last: datetime


@dataclass(slots=True)
class Visit:
    number: int
    evse: EvseId
    began: datetime
    began_s: float
    ended: datetime | None = None
    ended_s: float | None = None
    v2g_session_ids: list[str] = field(default_factory=list)
    transaction_ids: list[str] = field(default_factory=list)
    stopped_by: str = ""
    """TriggerReasonEnumType of the transaction's end, once the CSMS has it."""
    energy_from_wh: float | None = None
    energy_to_wh: float | None = None
    entries: list[Entry] = field(default_factory=list)
    left_out: int = 0
    """Events there was no room for."""
    seen: dict[Hashable, Entry] = field(default_factory=dict)
    series: Series = field(default_factory=Series)

    @property
    def energy_wh(self) -> float | None:
        """By the board's meter, since the transaction began."""
        if self.energy_from_wh is None or self.energy_to_wh is None:
            return None
        return self.energy_to_wh - self.energy_from_wh

    def shown(self, *, tokens: bool, entries: bool) -> dict[str, object]:
        told: dict[str, object] = {
            "session": self.number,
            "evse": self.evse,
            "began": self.began.isoformat(timespec="milliseconds"),
            "ended": self.ended.isoformat(timespec="milliseconds") if self.ended else None,
            "v2g_session_ids": list(self.v2g_session_ids),
            "transaction_ids": list(self.transaction_ids),
            "energy_wh": None if self.energy_wh is None else round(self.energy_wh, 1),
            "stopped_by": self.stopped_by,
        }
        if entries:
            told["left_out"] = self.left_out
            told["series"] = self.series.shown()
            told["entries"] = [self._entry(entry, tokens) for entry in self.entries]
        return told

    def _entry(self, entry: Entry, tokens: bool) -> dict[str, object]:
        return {
            **entry.event.shown(tokens=tokens),
            "after_s": round(entry.event.at_s - self.began_s, 3),
            "count": entry.count,
            "last": entry.last.isoformat(timespec="milliseconds"),
        }


class Visits:
    """A follower of `History`. What is plugged in during maintenance is a technician's adapter and no visit."""

    def __init__(
        self,
        maintained: Callable[[EvseId], bool] = lambda _: False,
        offer: Callable[[EvseId], tuple[float, str]] = lambda _: (0.0, ""),
    ) -> None:
        """`offer` says what is offered now, and who set it."""
        self._maintained = maintained
        self._offer = offer
        self.all: deque[Visit] = deque(maxlen=MAX_VISITS)
        self._current: dict[EvseId, Visit] = {}
        self._early: deque[tuple[Event, Fact]] = deque(maxlen=20)
        self._energy_wh: dict[EvseId, float] = {}
        self._count = 0

    def __call__(self, event: Event, fact: Fact) -> None:
        visit = self._visit_for(event, fact)
        if isinstance(fact, hal.MeterSampled):
            self._energy_wh[event.evse] = fact.reading.energy_import_wh
        if visit is None:
            if isinstance(fact, _EARLY):
                self._early.append((event, fact))
            return
        self._take(visit, event, fact)

    def find(self, key: str) -> Visit | None:
        """By number, or by the beginning of an ISO 15118 session id or an OCPP transaction id; the latest that fits."""
        for visit in reversed(self.all):
            ids = (*visit.v2g_session_ids, *visit.transaction_ids)
            if key == str(visit.number) or (len(key) >= 4 and any(_begins(known, key) for known in ids)):
                return visit
        return None

    def _visit_for(self, event: Event, fact: Fact) -> Visit | None:
        if isinstance(fact, ocpp.EventSent):
            return next((visit for visit in reversed(self.all) if fact.transaction_id in visit.transaction_ids), None)
        visit = self._current.get(event.evse)
        if isinstance(fact, hal.PluggedIn) and self._maintained(event.evse):
            return None
        if isinstance(fact, hal.PluggedIn) and (visit is None or visit.ended is not None):
            return self._begin(event)
        if visit is None or (visit.ended_s is not None and event.at_s - visit.ended_s > AFTER_S):
            return self._begin(event) if isinstance(fact, TransactionOpened) else None
        if visit.ended is not None and isinstance(fact, _EARLY):
            return None
        return visit

    def _begin(self, event: Event) -> Visit:
        self._count += 1
        visit = self._current[event.evse] = Visit(self._count, event.evse, event.wall_time, event.at_s)
        self.all.append(visit)
        for early, fact in self._early:
            if early.evse == event.evse and event.at_s - early.at_s <= BEFORE_S:
                self._take(visit, early, fact)
        self._early = deque((pair for pair in self._early if pair[0].evse != event.evse), maxlen=self._early.maxlen)
        return visit

    def _take(self, visit: Visit, event: Event, fact: Fact) -> None:
        self._note(visit, event, fact)
        if visit.ended is None or isinstance(fact, hal.Unplugged):
            self._draw(visit, event.at_s - visit.began_s, fact)
        if isinstance(fact, _IGNORED):
            return
        # The station's ids outlive the session; in a visit they are its own.
        event = replace(event, v2g_session_id=_last(visit.v2g_session_ids), transaction_id=_last(visit.transaction_ids))
        alike = _alike(fact)
        known = visit.seen.get(alike) if alike is not None else None
        if known is not None:
            known.count, known.last = known.count + 1, event.wall_time
        elif len(visit.entries) >= MAX_ENTRIES:
            visit.left_out += 1
        else:
            entry = Entry(event, 1, event.wall_time)
            visit.entries.append(entry)
            if alike is not None:
                visit.seen[alike] = entry

    def _note(self, visit: Visit, event: Event, fact: Fact) -> None:
        match fact:
            case hal.Unplugged():
                visit.ended, visit.ended_s = event.wall_time, event.at_s
            case secc.SessionSetUp(session_id=session_id) if session_id not in visit.v2g_session_ids:
                visit.v2g_session_ids.append(session_id)
            case TransactionOpened(transaction_id) if transaction_id not in visit.transaction_ids:
                visit.transaction_ids.append(transaction_id)
                visit.energy_from_wh = visit.energy_to_wh = self._energy_wh.get(visit.evse)
            case hal.MeterSampled(reading) if visit.transaction_ids and visit.ended is None:
                visit.energy_to_wh = reading.energy_import_wh
                if visit.energy_from_wh is None:
                    visit.energy_from_wh = reading.energy_import_wh
            case ocpp.EventSent(event_type="Ended", trigger_reason=reason):
                visit.stopped_by = reason

    def _draw(self, visit: Visit, after_s: float, fact: Fact) -> None:
        visit.series.offers.put(after_s, *self._offer(visit.evse))
        state = _pilot_state(fact)
        if state:
            visit.series.pilot.put(after_s, state)
        if isinstance(fact, hal.MeterSampled):
            visit.series.sample(after_s, fact.reading)


def _pilot_state(fact: Fact) -> str:
    match fact:
        case hal.PluggedIn() | hal.VehiclePaused():
            return "B"
        case hal.VehicleReady(ventilation=ventilation):
            return "D" if ventilation else "C"
        case hal.Unplugged():
            return "A"
    return ""


def _alike(fact: Fact) -> Hashable:
    """What makes a fact one of many that are told once; None for one that stands for itself."""
    match fact:
        case secc.MessageAnswered(session_id, request, response_code):
            return session_id, request, response_code
        case secc.LimitSent(session_id, limit_a, response):
            return session_id, response, limit_a
        case LocalLimit(source, limit_a):
            return source, limit_a
        case ocpp.EventSent(transaction_id, "Updated", _, trigger_reason, offline):
            return transaction_id, trigger_reason, offline
        case secc.ReceiptVerified():
            return secc.ReceiptVerified
        case secc.DcTarget():
            return secc.DcTarget
    return None


def _begins(known: str, key: str) -> bool:
    return known.lower().startswith(key.lower())


def _last(ids: list[str]) -> str:
    return ids[-1] if ids else ""
