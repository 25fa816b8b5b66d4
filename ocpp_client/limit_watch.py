"""Turns charging profiles into limits as they come and go: one `CsmsLimit` for each change. Pure."""

from collections.abc import Iterable
from datetime import datetime

from hal.quantities import EvseId
from ocpp_client.ports import CsmsLimit
from ocpp_client.profiles import Profiles
from ocpp_client.schedule import earliest


class LimitWatch:
    """`evse_ids` with 0 for the station."""

    def __init__(self, profiles: Profiles, evse_ids: Iterable[int]) -> None:
        self._profiles = profiles
        self._told: dict[EvseId, float | None] = {EvseId(evse_id): None for evse_id in evse_ids}
        self.changes_at: datetime | None = None
        """When a period begins or ends next; None while nothing is foreseen."""

    def refresh(self, now_utc: datetime, at_s: float) -> list[CsmsLimit]:
        """The limits that differ from what was told last."""
        facts = []
        changes = []
        for evse_id, told_a in self._told.items():
            allowance = self._profiles.limit(evse_id, now_utc)
            changes.append(allowance.until)
            if allowance.limit_a != told_a:
                self._told[evse_id] = allowance.limit_a
                facts.append(CsmsLimit(evse_id, allowance.limit_a, at_s))
        self.changes_at = earliest(*changes)
        return facts
