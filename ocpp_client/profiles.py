"""The charging profiles a CSMS has set: checked, kept, and put together into the limit that holds (OCPP 2.0.1 block K).

Pure. A rejected profile changes nothing. TxProfiles live as long as their transaction; the others outlive a restart, by
`dump` and `restore`. EVSE 0 is the station.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hal.quantities import EvseId
from ocpp_client.ports import TransactionState
from ocpp_client.schedule import Allowance, Supply, lowest, stack_allowance
from ocpp_client.wire import Payload, format_time, parse_time

TX_PROFILE, TX_DEFAULT, STATION_MAX = "TxProfile", "TxDefaultProfile", "ChargingStationMaxProfile"
_FOREVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
MAX_COMPOSITE_PERIODS = 256
"""More are not computed at once; the schedule's duration then ends where they do."""


class ProfileRefused(Exception):
    """`reason_code` is a StatusInfoType.reasonCode, at most 20 characters."""

    def __init__(self, reason_code: str, detail: str) -> None:
        super().__init__(detail)
        self.reason_code = reason_code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class ProfileLimits:
    """SmartChargingCtrlr's own limits."""

    max_stack_level: int = 10
    max_periods: int = 24
    max_profiles: int = 40


@dataclass(frozen=True, slots=True)
class Installed:
    evse_id: int
    profile: Payload


class Profiles:
    def __init__(
        self,
        evse_count: int,
        supply: Supply,
        transaction_on: Callable[[EvseId], TransactionState | None],
        limits: ProfileLimits = ProfileLimits(),
    ) -> None:
        self._evse_count = evse_count
        self._supply = supply
        self._transaction_on = transaction_on
        self._limits = limits
        self._installed: dict[int, Installed] = {}

    # --- Setting ---

    def set(self, evse_id: int, profile: Payload) -> None:
        """Install, replacing the one with the same id (K01.FR.05). Raises ProfileRefused."""
        self._check_place(evse_id, profile)
        self._check_transaction(evse_id, profile)
        check_shape(profile, self._limits)
        self._check_stack(evse_id, profile)
        if profile["id"] not in self._installed and len(self._installed) >= self._limits.max_profiles:
            raise ProfileRefused("TooManyProfiles", f"at most {self._limits.max_profiles} profiles")
        self._installed[profile["id"]] = Installed(evse_id, profile)

    def _check_place(self, evse_id: int, profile: Payload) -> None:
        purpose = profile["chargingProfilePurpose"]
        if not 0 <= evse_id <= self._evse_count:
            raise ProfileRefused("UnknownEvse", f"no EVSE {evse_id}")
        if purpose == STATION_MAX and evse_id != 0:
            raise ProfileRefused("InvalidEvseId", "ChargingStationMaxProfile is for EVSE 0")
        if purpose == TX_PROFILE and evse_id == 0:
            raise ProfileRefused("InvalidEvseId", "TxProfile needs an EVSE")
        if purpose == "ChargingStationExternalConstraints":
            raise ProfileRefused("InvalidProfile", "external constraints are not the CSMS's to set")

    def _check_transaction(self, evse_id: int, profile: Payload) -> None:
        if profile["chargingProfilePurpose"] != TX_PROFILE:
            if "transactionId" in profile:
                raise ProfileRefused("InvalidProfile", "transactionId is for a TxProfile")
            return
        state = self._transaction_on(EvseId(evse_id))
        if "transactionId" not in profile:
            raise ProfileRefused("MissingParam", "TxProfile needs a transactionId")
        if state is None or state.transaction_id != profile["transactionId"]:
            raise ProfileRefused("TxNotFound", f"no such transaction on EVSE {evse_id}")

    def _check_stack(self, evse_id: int, profile: Payload) -> None:
        """K01.FR.06, .39, .52, .53: two profiles of one purpose and stack level never hold at the same time."""
        start, end = _validity(profile)
        for other in self._installed.values():
            if other.profile["id"] == profile["id"] or not _same_slot(other, evse_id, profile):
                continue
            other_start, other_end = _validity(other.profile)
            if start < other_end and other_start < end:
                raise ProfileRefused("DuplicateProfile", f"stack level is taken by profile {other.profile['id']}")

    # --- Clearing and reporting ---

    def clear(self, profile_id: int | None, criteria: Payload | None) -> bool:
        """Whether any profile was cleared (K10). An id outweighs criteria; neither clears all."""
        chosen = [
            number
            for number, installed in self._installed.items()
            if (number == profile_id if profile_id is not None else _matches(installed, criteria or {}))
        ]
        for number in chosen:
            del self._installed[number]
        return bool(chosen)

    def transaction_ended(self, transaction_id: str) -> None:
        for number, installed in list(self._installed.items()):
            if installed.profile.get("transactionId") == transaction_id:
                del self._installed[number]

    def find(self, evse_id: int | None, criterion: Payload) -> list[Installed]:
        """K09: `criterion` is a ChargingProfileCriterionType; all we hold came from the CSMS."""
        if "chargingLimitSource" in criterion and "CSO" not in criterion["chargingLimitSource"]:
            return []
        ids = criterion.get("chargingProfileId")
        return [
            installed
            for number, installed in sorted(self._installed.items())
            if (number in ids if ids else _matches(installed, criterion))
            and (evse_id is None or installed.evse_id == evse_id)
        ]

    # --- What holds ---

    def limit(self, evse_id: EvseId, at: datetime) -> Allowance:
        """Per phase, for an EVSE; for EVSE 0 what the station may draw in all."""
        if evse_id == 0:
            return self._stack(STATION_MAX, {0}, at, None)
        state = self._transaction_on(evse_id)
        started = state.started_at if state else None
        own = Allowance(None, None, None)
        if state is not None:
            own = self._stack(TX_PROFILE, {int(evse_id)}, at, started)
        if own.limit_a is None:
            # Without a transaction a relative default profile counts from the moment asked about.
            default = self._stack(TX_DEFAULT, {0, int(evse_id)}, at, started or at)
            own = lowest([own, default])
        return lowest([own, self._stack(STATION_MAX, {0}, at, None)])

    def _stack(self, purpose: str, evse_ids: Iterable[int], at: datetime, started: datetime | None) -> Allowance:
        wanted = [
            installed.profile
            for installed in self._installed.values()
            if installed.profile["chargingProfilePurpose"] == purpose and installed.evse_id in evse_ids
        ]
        return stack_allowance(wanted, at, started, self._supply)

    def composite(self, evse_id: int, at: datetime, duration_s: int, unit: str) -> Payload:
        """GetCompositeSchedule's CompositeScheduleType from `at` on (K08). Raises ProfileRefused."""
        if not 0 <= evse_id <= self._evse_count:
            raise ProfileRefused("UnknownEvse", f"no EVSE {evse_id}")
        periods: list[Payload] = []
        end = at + timedelta(seconds=duration_s)
        moment: datetime | None = at
        while moment is not None and moment < end and len(periods) < MAX_COMPOSITE_PERIODS:
            allowance = self.limit(EvseId(evse_id), moment)
            self._add_period(periods, round((moment - at).total_seconds()), allowance, unit)
            moment = allowance.until
        covered = end if moment is None else min(moment, end)
        return {
            "evseId": evse_id,
            "duration": round((covered - at).total_seconds()),
            "scheduleStart": format_time(at),
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": periods,
        }

    def _add_period(self, periods: list[Payload], start_s: int, allowance: Allowance, unit: str) -> None:
        phases = allowance.phases or self._supply.phases
        limit_a = UNLIMITED_A if allowance.limit_a is None else allowance.limit_a
        limit = limit_a if unit == "A" else limit_a * phases * self._supply.voltage_v
        period: Payload = {"startPeriod": start_s, "limit": round(limit, 1), "numberPhases": phases}
        if not periods or periods[-1] | {"startPeriod": 0} != period | {"startPeriod": 0}:
            periods.append(period)

    # --- Outliving a restart ---

    def dump(self) -> str:
        return json.dumps(
            [
                [installed.evse_id, installed.profile]
                for installed in self._installed.values()
                if installed.profile["chargingProfilePurpose"] != TX_PROFILE
            ]
        )

    def restore(self, text: str) -> int:
        """Puts back what `dump` wrote; what no longer fits the station is left out. Returns how many were."""
        left_out = 0
        entries: list[tuple[int, Any]] = json.loads(text)
        for evse_id, profile in entries:
            try:
                self.set(evse_id, profile)
            except ProfileRefused:
                left_out += 1
        return left_out


UNLIMITED_A = 1000.0
"""Stands in a composite schedule for a time without any profile; the board's own limit is far below."""


def check_shape(profile: Payload, limits: ProfileLimits) -> None:
    """What holds for any profile, wherever it is set. Raises ProfileRefused."""
    if not 0 <= profile["stackLevel"] <= limits.max_stack_level:
        raise ProfileRefused("InvalidStackLevel", f"stack level from 0 to {limits.max_stack_level}")
    kind = profile["chargingProfileKind"]
    if kind == "Recurring" and "recurrencyKind" not in profile:
        raise ProfileRefused("MissingParam", "Recurring needs a recurrencyKind")
    start, end = _validity(profile)
    if start >= end:
        raise ProfileRefused("InvalidProfile", "validTo must be after validFrom")
    for schedule in profile["chargingSchedule"]:
        _check_schedule(kind, schedule, limits)


def _check_schedule(kind: str, schedule: Payload, limits: ProfileLimits) -> None:
    if kind == "Relative" and "startSchedule" in schedule:
        raise ProfileRefused("InvalidSchedule", "Relative takes no startSchedule")
    if kind != "Relative" and "startSchedule" not in schedule:
        raise ProfileRefused("MissingParam", f"{kind} needs a startSchedule")
    if kind != "Relative" and not 2000 <= parse_time(schedule["startSchedule"]).year <= 2900:
        # Far from both ends of what a datetime can hold: durations are added to it.
        raise ProfileRefused("InvalidSchedule", "startSchedule out of range")
    if schedule.get("duration") is not None and not 0 <= schedule["duration"] <= 366 * 86400:
        raise ProfileRefused("InvalidSchedule", "duration from 0 s to a year")
    periods = schedule["chargingSchedulePeriod"]
    if len(periods) > limits.max_periods:
        raise ProfileRefused("TooManyPeriods", f"at most {limits.max_periods} periods")
    starts = [period["startPeriod"] for period in periods]
    if starts[0] != 0 or any(later <= sooner for sooner, later in pairwise(starts)):
        raise ProfileRefused("InvalidSchedule", "startPeriod must begin with 0 and rise")
    if starts[-1] > 366 * 86400:
        raise ProfileRefused("InvalidSchedule", "startPeriod beyond a year")
    for period in periods:
        _check_period(period)


def _check_period(period: Payload) -> None:
    if period["limit"] < 0:
        raise ProfileRefused("InvalidSchedule", "a limit is not negative")
    if period.get("numberPhases") not in (None, 1, 2, 3):
        raise ProfileRefused("InvalidSchedule", "numberPhases from 1 to 3")
    if "phaseToUse" in period:
        # K01.FR.19/.20: only with one phase, and only where the station can switch phases; ours cannot.
        raise ProfileRefused("UnsupportedParam", "phaseToUse is not supported")


def _same_slot(other: Installed, evse_id: int, profile: Payload) -> bool:
    mine, theirs = profile, other.profile
    if (mine["chargingProfilePurpose"], mine["stackLevel"]) != (
        theirs["chargingProfilePurpose"],
        theirs["stackLevel"],
    ):
        return False
    if mine["chargingProfilePurpose"] == TX_PROFILE:
        return other.evse_id == evse_id and mine["transactionId"] == theirs["transactionId"]
    return other.evse_id == evse_id or 0 in (other.evse_id, evse_id)


def _matches(installed: Installed, criteria: Payload) -> bool:
    profile = installed.profile
    return (
        criteria.get("evseId") in (None, installed.evse_id)
        and criteria.get("chargingProfilePurpose") in (None, profile["chargingProfilePurpose"])
        and criteria.get("stackLevel") in (None, profile["stackLevel"])
    )


def _validity(profile: Payload) -> tuple[datetime, datetime]:
    start, end = profile.get("validFrom"), profile.get("validTo")
    return parse_time(start) if start else _FOREVER[0], parse_time(end) if end else _FOREVER[1]
