"""Turns charging profiles into limits as they come and go: one `CsmsLimit` for each change. Pure."""

from collections.abc import Iterable
from datetime import datetime
from itertools import islice

from hal.quantities import EvseId
from ocpp_client.composite import Span, spans
from ocpp_client.ports import CsmsLimit, SchedulePeriod
from ocpp_client.profiles import Profiles
from ocpp_client.schedule import earliest, from_unix, unix

PERIODS_AHEAD = 24
"""How many changes are told ahead, for a vehicle to plan with."""
HORIZON_S = 86_400

Words = tuple[float | None, int | None, float]
"""Limit, phases and least current, as they are told."""
NOTHING: Words = (None, None, 0.0)


class LimitWatch:
    """`evse_ids` with 0 for the station."""

    def __init__(self, profiles: Profiles, evse_ids: Iterable[int]) -> None:
        self._profiles = profiles
        self._told: dict[EvseId, tuple[object, ...]] = {EvseId(evse_id): (NOTHING,) for evse_id in evse_ids}
        self.changes_at: datetime | None = None
        """When a period begins or ends next; None while nothing is foreseen."""

    def refresh(self, now_utc: datetime, at_s: float) -> list[CsmsLimit]:
        """The limits that differ, now or ahead, from what was told last."""
        now = unix(now_utc)
        to_monotonic = at_s - now_utc.timestamp()
        facts, changes = [], list[int | None]()
        for evse_id in self._told:
            sure = self._ahead(evse_id, now, begun=False)
            changes.append(sure[0].until)
            holds = tuple((span.start, self._words(span)) for span in sure[1:])
            if (self._words(sure[0]), *holds) != self._told[evse_id]:
                self._told[evse_id] = (self._words(sure[0]), *holds)
                facts.append(self._fact(evse_id, self._ahead(evse_id, now, begun=True), at_s, to_monotonic))
        at = earliest(*changes)
        self.changes_at = None if at is None else from_unix(at)
        return facts

    def _ahead(self, evse_id: EvseId, now: int, *, begun: bool) -> list[Span]:
        found = islice(spans(self._profiles, int(evse_id), now, begun=begun), PERIODS_AHEAD)
        return [span for span in found if span.start < now + HORIZON_S]

    def _words(self, span: Span) -> Words:
        supply, allowance = self._profiles.supply, span.allowance
        return allowance.limit_a(supply), allowance.phases, allowance.least_a(supply)

    def _fact(self, evse_id: EvseId, ahead: list[Span], at_s: float, to_monotonic: float) -> CsmsLimit:
        limit_a, phases, least_a = self._words(ahead[0])
        supply = self._profiles.supply
        schedule = tuple(
            SchedulePeriod(span.start + to_monotonic, span.allowance.limit_a(supply), span.allowance.limit_w(supply))
            for span in ahead[1:]
        )
        return CsmsLimit(evse_id, limit_a, at_s, phases, least_a, schedule, ahead[0].allowance.limit_w(supply))
