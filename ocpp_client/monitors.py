"""Monitors on variables of the device model (N02-N08): which there are, and what they have to say. Pure.

A threshold speaks when it is passed and once more, `cleared`, when that is over; a delta speaks when the value is that
far from where it spoke last, or for what is no number at each change; a periodic monitor speaks by the clock. The
hard-wired ones are the station's own: they are reported and cannot be changed.
"""

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ocpp_client.device_model import DataType, DeviceModel, Key, Mutability, Variable
from ocpp_client.wire import Payload

MAX_MONITORS = 100
LOWEST_SEVERITY, HIGHEST_SEVERITY = 9, 0
"""By OCPP 0 is Danger and 9 is Debug."""
MIN_PERIOD_S, MAX_PERIOD_S = 1.0, 366 * 86400.0
FIRST_CUSTOM = 1000
"""Ids below are the hard-wired monitors'."""
_NUMBERS = (DataType.INTEGER, DataType.DECIMAL)


class Kind(StrEnum):
    """OCPP MonitorEnumType."""

    UPPER = "UpperThreshold"
    LOWER = "LowerThreshold"
    DELTA = "Delta"
    PERIODIC = "Periodic"
    ALIGNED = "PeriodicClockAligned"


THRESHOLDS, PERIODICS = (Kind.UPPER, Kind.LOWER), (Kind.PERIODIC, Kind.ALIGNED)
CRITERIA = {
    "ThresholdMonitoring": THRESHOLDS,
    "DeltaMonitoring": (Kind.DELTA,),
    "PeriodicMonitoring": PERIODICS,
}
"""OCPP MonitoringCriterionEnumType."""


@dataclass(frozen=True, slots=True)
class Monitor:
    """`spoke`: what a delta told last; `alarmed`: a threshold is passed; `due_at`: when a periodic one speaks."""

    id: int
    key: Key
    component: Payload
    variable: Payload
    kind: Kind
    value: float
    severity: int
    transaction: bool = False
    """Only while a transaction runs where it looks."""
    hard_wired: bool = False
    spoke: str = ""
    alarmed: bool = False
    due_at: datetime | None = None

    @property
    def told(self) -> Payload:
        """VariableMonitoringType."""
        return {
            "id": self.id,
            "transaction": self.transaction,
            "value": self.value,
            "type": self.kind.value,
            "severity": self.severity,
        }


@dataclass(frozen=True, slots=True)
class Event:
    """What a monitor has to say."""

    monitor: Monitor
    value: str
    cleared: bool | None = None

    @property
    def trigger(self) -> str:
        """OCPP EventTriggerEnumType."""
        if self.monitor.kind in PERIODICS:
            return "Periodic"
        return "Delta" if self.monitor.kind is Kind.DELTA else "Alerting"


class Monitors:
    """`in_transaction(evse)` says whether one runs there, or with None anywhere."""

    def __init__(self, model: Callable[[], DeviceModel], in_transaction: Callable[[int | None], bool]) -> None:
        self._model = model
        self._in_transaction = in_transaction
        self._monitors: dict[int, Monitor] = {}
        self._next_id = FIRST_CUSTOM
        self._hard_wired = 0
        self.base = "All"
        self.level = LOWEST_SEVERITY

    def __len__(self) -> int:
        return sum(not one.hard_wired for one in self._monitors.values())

    def hard_wire(self, component: Payload, variable: Payload, severity: int) -> int:
        """The station's own monitor of a variable that a fault moves; returns its id."""
        _, key = self._model().find(component, variable)
        assert key is not None, "a hard-wired monitor has its variable"
        self._hard_wired += 1
        made = Monitor(self._hard_wired, key, component, variable, Kind.DELTA, 1.0, severity, hard_wired=True)
        self._monitors[made.id] = made
        return made.id

    # --- What the CSMS asks ---

    def set(self, item: Payload, now: datetime) -> tuple[Payload, list[Event]]:
        """One SetMonitoringDataType to one SetMonitoringResultType, and what the monitor has to say at once."""
        result: Payload = {name: item[name] for name in ("type", "severity", "component", "variable")}
        if "id" in item:
            result["id"] = item["id"]
        status, reason, made = self._made(item, now)
        result["status"] = status
        if reason:
            result["statusInfo"] = {"reasonCode": "InvalidValue", "additionalInfo": reason}
        if made is None:
            return result, []
        self._monitors[made.id] = made
        return result | {"id": made.id}, self._judge(made, self._model().value(made.key))

    def _made(self, item: Payload, now: datetime) -> tuple[str, str, Monitor | None]:
        status, key = self._model().find(item["component"], item["variable"])
        if key is None:
            return status, "", None
        kind, value, severity = Kind(item["type"]), float(item["value"]), item["severity"]
        if not HIGHEST_SEVERITY <= severity <= LOWEST_SEVERITY:
            return "Rejected", "a severity is from 0 to 9", None
        old = self._monitors.get(item["id"]) if "id" in item else None
        if "id" in item and (old is None or old.hard_wired or old.key != key):
            return "Rejected", "no such monitor of this variable", None
        variable = self._model().table()[key]
        if kind in THRESHOLDS and variable.kind not in _NUMBERS:
            return "UnsupportedMonitorType", "the variable is no number", None
        if reason := _refusal(variable, kind, value):
            return "Rejected", reason, None
        if any(_clashes(one, key, kind, severity) for one in self._monitors.values() if one is not old):
            return "Duplicate", "", None
        if old is None and len(self) >= MAX_MONITORS:
            return "Rejected", f"at most {MAX_MONITORS} monitors", None
        made = Monitor(
            old.id if old is not None else self._take_id(),
            key,
            item["component"],
            item["variable"],
            kind,
            value,
            severity,
            item.get("transaction", False),
            spoke=self._model().value(key),
        )
        return "Accepted", "", replace(made, due_at=_next_due(made, now))

    def _take_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def clear(self, monitor_id: int) -> str:
        """A ClearMonitoringStatusEnumType."""
        found = self._monitors.get(monitor_id)
        if found is None:
            return "NotFound"
        if found.hard_wired:
            return "Rejected"
        del self._monitors[monitor_id]
        return "Accepted"

    def set_base(self, base: str) -> None:
        """None is preconfigured: to go back to the factory's monitors, or to the hard-wired, is to lose the custom."""
        self.base = base
        if base != "All":
            self._monitors = {number: one for number, one in self._monitors.items() if one.hard_wired}

    def find(self, criteria: Collection[str], wanted: Collection[Payload]) -> list[Payload]:
        """MonitoringDataTypes; empty `criteria` or `wanted` (ComponentVariableTypes) exclude nothing."""
        kinds = {kind for name in criteria for kind in CRITERIA[name]} or set(Kind)
        filters = [self._model().matches(item) for item in wanted]
        found: dict[Key, Payload] = {}
        for one in self._monitors.values():
            variable = self._model().table()[one.key]
            if one.kind in kinds and (not filters or any(fits(variable) for fits in filters)):
                entry = {"component": one.component, "variable": one.variable, "variableMonitoring": []}
                found.setdefault(one.key, entry)["variableMonitoring"].append(one.told)
        return list(found.values())

    # --- What happens ---

    def changed(self, key: Key, value: str) -> list[Event]:
        """A variable has a new value."""
        return [event for one in self._on(key) for event in self._judge(one, value)]

    def _on(self, key: Key) -> list[Monitor]:
        """A hard-wired one is moved by the fault itself, which says more."""
        return [one for one in self._monitors.values() if one.key == key and not one.hard_wired]

    def poll(self) -> list[Event]:
        """Variables that are asked for anew each time may have changed without a word."""
        table = self._model().table()
        keys = {one.key for one in self._monitors.values() if table[one.key].computed and one.kind not in PERIODICS}
        return [event for key in keys for event in self.changed(key, self._model().value(key))]

    @property
    def polls(self) -> bool:
        table = self._model().table()
        return any(table[one.key].computed and one.kind not in PERIODICS for one in self._monitors.values())

    def _judge(self, one: Monitor, value: str) -> list[Event]:
        if not self._looks(one):
            return []
        if one.kind in THRESHOLDS:
            return list(self._threshold(one, value))
        return list(self._delta(one, value)) if one.kind is Kind.DELTA else []

    def _looks(self, one: Monitor) -> bool:
        return not one.transaction or self._in_transaction(one.key[1])

    def _threshold(self, one: Monitor, value: str) -> Iterator[Event]:
        number = _number(value)
        if number is None:
            return
        passed = number > one.value if one.kind is Kind.UPPER else number < one.value
        if passed != one.alarmed:
            self._monitors[one.id] = one = replace(one, alarmed=passed)
            yield Event(one, value, cleared=not passed)

    def _delta(self, one: Monitor, value: str) -> Iterator[Event]:
        before, after = _number(one.spoke), _number(value)
        if self._model().table()[one.key].kind in _NUMBERS and before is not None and after is not None:
            moved = abs(after - before) >= one.value and after != before
        else:
            moved = value != one.spoke
        if moved:
            self._monitors[one.id] = one = replace(one, spoke=value)
            yield Event(one, self._shown(one.key, value))

    def _shown(self, key: Key, value: str) -> str:
        """N07.FR.19: what is write-only is never told."""
        return "" if self._model().table()[key].mutability is Mutability.WRITE_ONLY else value

    def tick(self, now: datetime) -> list[Event]:
        """What is due by the clock."""
        events = []
        for one in [one for one in self._monitors.values() if one.due_at is not None and one.due_at <= now]:
            self._monitors[one.id] = replace(one, due_at=_next_due(one, now))
            if self._looks(one):
                events.append(Event(one, self._shown(one.key, self._model().value(one.key))))
        return events

    def next_due(self) -> datetime | None:
        return min((one.due_at for one in self._monitors.values() if one.due_at is not None), default=None)

    def heard(self, event: Event) -> bool:
        """Whether the CSMS wants events of that severity (SetMonitoringLevel)."""
        return event.monitor.severity <= self.level

    # --- Outliving a restart ---

    def dump(self) -> str:
        custom = [
            {
                "told": one.told,
                "component": one.component,
                "variable": one.variable,
                "alarmed": one.alarmed,
            }
            for one in self._monitors.values()
            if not one.hard_wired
        ]
        return json.dumps({"base": self.base, "level": self.level, "next": self._next_id, "monitors": custom})

    def restore(self, text: str, now: datetime) -> None:
        """Puts back what `dump` wrote; a monitor on a variable that is gone is left out.

        Raises ValueError, KeyError, TypeError.
        """
        stored = json.loads(text)
        self.base, self.level = str(stored["base"]), int(stored["level"])
        self._next_id = max(self._next_id, int(stored["next"]))
        for entry in stored["monitors"]:
            _, key = self._model().find(entry["component"], entry["variable"])
            if key is not None:
                one = _restored(entry, key)
                self._monitors[one.id] = replace(one, due_at=_next_due(one, now))

    def begin(self) -> list[Event]:
        """The station runs: changes count from now on, and a threshold that a restart took away is cleared."""
        custom = [one for one in self._monitors.values() if not one.hard_wired]
        for one in custom:
            self._monitors[one.id] = replace(one, spoke=self._model().value(one.key))
        return [event for one in custom for event in self._judge(self._monitors[one.id], self._monitors[one.id].spoke)]


def _restored(entry: Payload, key: Key) -> Monitor:
    told = entry["told"]
    return Monitor(
        int(told["id"]),
        key,
        entry["component"],
        entry["variable"],
        Kind(told["type"]),
        float(told["value"]),
        int(told["severity"]),
        bool(told["transaction"]),
        alarmed=bool(entry["alarmed"]),
    )


def _clashes(one: Monitor, key: Key, kind: Kind, severity: int) -> bool:
    """N04.FR.10: of one type and severity a variable has one monitor."""
    return not one.hard_wired and (one.key, one.kind, one.severity) == (key, kind, severity)


def _refusal(variable: Variable, kind: Kind, value: float) -> str:
    """Why such a monitor cannot be, or nothing."""
    if variable.constant:
        return "the variable never changes"
    lowest, highest = variable.lowest, variable.highest
    if kind in PERIODICS:
        return "" if MIN_PERIOD_S <= value <= MAX_PERIOD_S else "a period is from a second to a year"
    if kind is Kind.DELTA:
        if variable.kind not in _NUMBERS:
            return ""
        wide = highest is not None and value > highest - (lowest or 0.0)
        return "a delta is not negative and no wider than the variable" if value < 0 or wide else ""
    outside = (lowest is not None and value < lowest) or (highest is not None and value > highest)
    return "outside what the variable can be" if outside else ""


def _next_due(one: Monitor, now: datetime) -> datetime | None:
    if one.kind not in PERIODICS:
        return None
    if one.kind is Kind.PERIODIC:
        return now + timedelta(seconds=one.value)
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    passed = (now - midnight).total_seconds() // one.value
    return midnight + timedelta(seconds=(passed + 1) * one.value)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
