"""When a transaction's meter values are due: every TxUpdatedInterval from its start, never for 0. Pure."""

from hal.quantities import EvseId


class Sampler:
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
