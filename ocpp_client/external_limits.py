"""Limits that others than the CSMS have set: kept as external constraints, and told to the CSMS (K11-K14).

What could not be told, because the link was down, is told with the next registration.
"""

from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Any

from ocpp_client.device_model import DeviceModel
from ocpp_client.profile_rules import EXTERNAL
from ocpp_client.profiles import Profiles
from ocpp_client.wire import Payload, format_time

Request = Callable[[str, Payload], Awaitable[Payload | None]]

_SOURCES = ("EMS", "SO", "Other")
FIRST_ID = -1
"""External constraints count downwards from here: the CSMS's own ids are never in the way."""


class ExternalLimits:
    """`request` sends and waits, None for no answer; `spawn` lets it run; `changed` takes the monotonic time."""

    def __init__(
        self,
        profiles: Profiles,
        model: DeviceModel,
        request: Request,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        now_utc: Callable[[], datetime],
        now_s: Callable[[], float],
        changed: Callable[[float], None],
    ) -> None:
        self._profiles = profiles
        self._model = model
        self._request = request
        self._spawn = spawn
        self._now_utc = now_utc
        self._now_s = now_s
        self._changed = changed
        self._holds: dict[str, tuple[float, bool]] = {}
        self._told: dict[str, tuple[float, bool]] = {}
        self._telling = False

    def set(self, source: str, limit_a: float | None, critical: bool) -> None:
        """`source` (EMS, SO or Other) bounds the station by `limit_a` per phase; None lifts it."""
        if limit_a is None:
            self._holds.pop(source, None)
            self._profiles.set_external(source, 0, None)
        else:
            self._holds[source] = (limit_a, critical)
            self._profiles.set_external(source, 0, self._profile(source, limit_a))
        self._changed(self._now_s())
        self.tell()

    def tell(self) -> None:
        """Tell what is not told yet."""
        if not self._telling:
            self._telling = True
            self._spawn(self._tell())

    async def _tell(self) -> None:
        """One at a time and in order: a limit that comes and goes quickly is not told backwards."""
        try:
            while (source := next(filter(self._is_news, _SOURCES), None)) is not None:
                holds = self._holds.get(source)
                if holds is None:
                    answer = await self._request("ClearedChargingLimit", {"chargingLimitSource": source})
                else:
                    answer = await self._request("NotifyChargingLimit", self._notice(source, *holds))
                if answer is None:
                    return
                if holds is None:
                    del self._told[source]
                else:
                    self._told[source] = holds
        finally:
            self._telling = False

    def _is_news(self, source: str) -> bool:
        """Whether it differs from what was told, by LimitChangeSignificance percent at least."""
        holds, told = self._holds.get(source), self._told.get(source)
        if holds is None or told is None or holds[1] != told[1]:
            return holds != told
        least = self._model.number("SmartChargingCtrlr", "LimitChangeSignificance") / 100
        return holds != told and abs(holds[0] - told[0]) >= least * told[0]

    def _notice(self, source: str, limit_a: float, critical: bool) -> Payload:
        notice: Payload = {"chargingLimit": {"chargingLimitSource": source, "isGridCritical": critical}}
        if self._model.flag("SmartChargingCtrlr", "NotifyChargingLimitWithSchedules"):
            notice["chargingSchedule"] = self._profile(source, limit_a)["chargingSchedule"]
        return notice

    def _profile(self, source: str, limit_a: float) -> Payload:
        return {
            "id": FIRST_ID - _SOURCES.index(source),
            "stackLevel": 0,
            "chargingProfilePurpose": EXTERNAL,
            "chargingProfileKind": "Absolute",
            "chargingSchedule": [
                {
                    "id": 1,
                    "startSchedule": format_time(self._now_utc()),
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": int(limit_a * 10) / 10}],
                }
            ],
        }
