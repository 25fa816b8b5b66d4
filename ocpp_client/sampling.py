"""When meter values are due: sampled, from a transaction's start on, and aligned to the clock (J01, J02). Pure."""

from datetime import datetime, timedelta

from hal.quantities import EvseId


def next_aligned(now_utc: datetime, interval_s: float) -> datetime | None:
    """The next moment a whole number of intervals after midnight UTC; None for an interval of 0."""
    if interval_s <= 0:
        return None
    midnight = now_utc.replace(hour=0, minute=0, second=0, microsecond=0)
    passed = int((now_utc - midnight).total_seconds() // interval_s) + 1
    return min(midnight + timedelta(seconds=passed * interval_s), midnight + timedelta(days=1))


class Sampler:
    """Every TxUpdatedInterval, never for 0."""

    def __init__(self) -> None:
        self._due: dict[EvseId, float] = {}

    @property
    def deadline(self) -> float | None:
        return min(self._due.values(), default=None)

    def begin(self, evse_id: EvseId, now: float, interval_s: float) -> None:
        if interval_s > 0:
            self._due[evse_id] = now + interval_s

    def end(self, evse_id: EvseId) -> None:
        self._due.pop(evse_id, None)

    def interval_changed(self, open_evses: tuple[EvseId, ...], now: float, interval_s: float) -> None:
        self._due.clear()
        for evse_id in open_evses:
            self.begin(evse_id, now, interval_s)

    def tick(self, now: float, interval_s: float) -> list[EvseId]:
        """The EVSEs that are due. Times missed (a suspended process) are left out, not made up for."""
        due = [evse_id for evse_id, at in self._due.items() if now >= at]
        for evse_id in due:
            missed = (now - self._due[evse_id]) // interval_s if interval_s > 0 else 0
            self._due[evse_id] += (missed + 1) * interval_s
        return due
