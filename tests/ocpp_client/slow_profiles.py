"""What a set of charging profiles allows, second by second: written to be read, not to be quick.

It shares nothing with `ocpp_client`: it knows the text of block K, and asks of every second anew which profile speaks.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

Payload = dict[str, Any]

UNITS_A_DAY = {"Daily": 86_400, "Weekly": 604_800}


@dataclass
class SlowStation:
    """`profiles` are (EVSE, ChargingProfileType, who set it); `started` the transactions' starts by EVSE."""

    profiles: list[tuple[int, Payload, str]]
    started: dict[int, datetime]
    evse_count: int
    phases: int
    voltage_v: float
    rating_a: float
    asked_at: datetime

    def value(self, evse_id: int, second: int, unit: str) -> float:
        """The composite's limit in the second `second` (Unix time), rounded down to one decimal."""
        tenths = self._exact(evse_id, second, unit) * 10
        return int(tenths + 0.000001) / 10

    def _exact(self, evse_id: int, second: int, unit: str) -> float:
        if evse_id == 0:
            whole = sum(self._exact(number, second, unit) for number in range(1, self.evse_count + 1))
            return min([whole, *self._in_unit(self._station_bounds(second), unit)])
        bounds = [*self._own(evse_id, second), *self._station_bounds(second), *self._external(evse_id, second)]
        phases = self._phases(bounds)
        rating = self.rating_a if unit == "A" else self.rating_a * self.voltage_v * phases
        return min([rating, *self._in_unit(bounds, unit)])

    def _in_unit(self, bounds: list[tuple[str, Payload]], unit: str) -> list[float]:
        per_amp = self.voltage_v * self._phases(bounds)
        values = []
        for own_unit, period in bounds:
            if own_unit == unit:
                values.append(period["limit"])
            else:
                values.append(period["limit"] / per_amp if unit == "A" else period["limit"] * per_amp)
        return values

    def _phases(self, bounds: list[tuple[str, Payload]]) -> int:
        return min([self.phases, *(period["numberPhases"] for _, period in bounds if "numberPhases" in period)])

    def _own(self, evse_id: int, second: int) -> list[tuple[str, Payload]]:
        if evse_id in self.started:
            speaking = self._speaker("TxProfile", [evse_id], second, self.started[evse_id])
            if speaking is not None:
                return [speaking]
        start = self.started.get(evse_id, self.asked_at)
        speaking = self._speaker("TxDefaultProfile", [0, evse_id], second, start)
        return [] if speaking is None else [speaking]

    def _station_bounds(self, second: int) -> list[tuple[str, Payload]]:
        speaking = self._speaker("ChargingStationMaxProfile", [0], second, None)
        return ([] if speaking is None else [speaking]) + self._external(0, second)

    def _external(self, evse_id: int, second: int) -> list[tuple[str, Payload]]:
        found = []
        for own_evse, profile, source in self.profiles:
            if source != "CSO" and own_evse == evse_id:
                period = self._period(profile, second, None)
                if period is not None:
                    found.append(period)
        return found

    def _speaker(
        self, purpose: str, evse_ids: list[int], second: int, start: datetime | None
    ) -> tuple[str, Payload] | None:
        speaking: dict[int, tuple[str, Payload]] = {}
        for own_evse, profile, source in self.profiles:
            if source != "CSO" or profile["chargingProfilePurpose"] != purpose or own_evse not in evse_ids:
                continue
            period = self._period(profile, second, start)
            if period is not None:
                assert profile["stackLevel"] not in speaking, "two at one level"
                speaking[profile["stackLevel"]] = period
        return speaking[max(speaking)] if speaking else None

    def _period(self, profile: Payload, second: int, start: datetime | None) -> tuple[str, Payload] | None:
        if "validFrom" in profile and second < whole(profile["validFrom"]):
            return None
        if "validTo" in profile and second >= whole(profile["validTo"]):
            return None
        schedule = profile["chargingSchedule"][0]
        if profile["chargingProfileKind"] == "Relative":
            assert start is not None
            begin = int(start.timestamp())
        else:
            begin = whole(schedule["startSchedule"])
        if second < begin:
            return None
        since = second - begin
        if profile["chargingProfileKind"] == "Recurring":
            since %= UNITS_A_DAY[profile["recurrencyKind"]]
        if "duration" in schedule and since >= schedule["duration"]:
            return None
        begun = [period for period in schedule["chargingSchedulePeriod"] if period["startPeriod"] <= since]
        return schedule["chargingRateUnit"], begun[-1]


def whole(text: str) -> int:
    """The second a timestamp lies in."""
    return int(datetime.fromisoformat(text).timestamp())
