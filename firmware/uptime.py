"""How much of the time each EVSE could have charged: the uptime that NEVI (23 CFR 680.116) and AFIR ask for. Pure.

Uptime is the share of the last twelve months without outage, where time that is nobody's fault here is left out of the
outage: planned maintenance and the operator's own Inoperative. An outage is a fault that stops charging, a board that
does not answer, a control loop that does not turn, and the time the daemon did not run. Counted in seconds by month,
13 months are kept.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from hal.quantities import EvseId

MONTHS = 13
REQUIRED_PERCENT = 97.0
"""23 CFR 680.116(b)."""
FORMAT = 1


class Condition(StrEnum):
    UP = "up"
    OUTAGE = "outage"
    EXCLUDED = "excluded"


@dataclass(slots=True)
class Month:
    up_s: float = 0.0
    outage_s: float = 0.0
    excluded_s: float = 0.0

    def add(self, condition: Condition, seconds: float) -> None:
        match condition:
            case Condition.UP:
                self.up_s += seconds
            case Condition.OUTAGE:
                self.outage_s += seconds
            case Condition.EXCLUDED:
                self.excluded_s += seconds

    @property
    def percent(self) -> float | None:
        """None: nothing was counted."""
        whole_s = self.up_s + self.outage_s + self.excluded_s
        return None if whole_s == 0 else 100.0 * (whole_s - self.outage_s) / whole_s


@dataclass(slots=True)
class Uptime:
    """Call `count` often; `text` and `restored` carry it over a restart, which counts as an outage."""

    months: dict[EvseId, dict[str, Month]] = field(default_factory=dict)
    counted_to: datetime | None = None

    def count(self, conditions: Mapping[EvseId, Condition], now: datetime) -> None:
        """What held since the last call. A clock that was set back counts nothing until it has caught up."""
        if self.counted_to is None:
            self.counted_to = now
            return
        seconds = (now - self.counted_to).total_seconds()
        if seconds <= 0:
            return
        for evse, condition in conditions.items():
            self._add(evse, condition, self.counted_to, now)
        self.counted_to = now

    def slept(self, evses: list[EvseId], now: datetime) -> None:
        """The daemon did not run since the last count."""
        self.count(dict.fromkeys(evses, Condition.OUTAGE), now)

    def _add(self, evse: EvseId, condition: Condition, begin: datetime, end: datetime) -> None:
        """To each month its part; of a gap longer than what is kept only the end."""
        known = self.months.setdefault(evse, {})
        at = max(begin, _months_back(end))
        while at < end:
            until = min(_next_month(at), end)
            known.setdefault(f"{at:%Y-%m}", Month()).add(condition, (until - at).total_seconds())
            at = until
        for name in sorted(known)[:-MONTHS]:
            del known[name]

    def year(self, evse: EvseId) -> Month:
        """The last twelve months that were counted, the running one included."""
        known = self.months.get(evse, {})
        whole = Month()
        for name in sorted(known)[-12:]:
            whole.up_s += known[name].up_s
            whole.outage_s += known[name].outage_s
            whole.excluded_s += known[name].excluded_s
        return whole

    def text(self) -> str:
        months = {
            str(evse): {
                name: [round(part, 1) for part in (m.up_s, m.outage_s, m.excluded_s)] for name, m in known.items()
            }
            for evse, known in self.months.items()
        }
        to = self.counted_to.isoformat() if self.counted_to else None
        return json.dumps({"format": FORMAT, "counted_to": to, "months": months})

    @classmethod
    def restored(cls, text: str) -> "Uptime":
        """Raises ValueError for what `text` did not write."""
        try:
            told = json.loads(text)
            if told["format"] != FORMAT:
                raise ValueError("another format")
            months = {
                EvseId(int(evse)): {name: Month(*(float(part) for part in parts)) for name, parts in known.items()}
                for evse, known in told["months"].items()
            }
            to = datetime.fromisoformat(told["counted_to"]) if told["counted_to"] else None
        except (LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"no uptime: {error}") from error
        if to is not None and to.tzinfo is None:
            raise ValueError("a time without its zone")
        return cls(months, to)


def _next_month(at: datetime) -> datetime:
    year, month = divmod(at.year * 12 + at.month, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC)


def _months_back(at: datetime) -> datetime:
    year, month = divmod(at.year * 12 + at.month - 1 - (MONTHS - 1), 12)
    return datetime(year, month + 1, 1, tzinfo=UTC)
