"""What holds for any charging profile a CSMS sends, wherever it is set: OCPP 2.0.1 K01.FR.19 to FR.53. Pure."""

from dataclasses import dataclass
from itertools import pairwise

from ocpp_client.schedule import Supply
from ocpp_client.wire import Payload, parse_time

TX_PROFILE, TX_DEFAULT, STATION_MAX = "TxProfile", "TxDefaultProfile", "ChargingStationMaxProfile"
EXTERNAL = "ChargingStationExternalConstraints"
_YEAR_S = 366 * 86_400
_YEARS = range(2000, 2900)
"""Far from both ends of what a datetime can hold: durations are added to it."""


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


LIMITS = ProfileLimits()


def check_shape(profile: Payload, limits: ProfileLimits, supply: Supply) -> None:
    """Raises ProfileRefused."""
    if not 0 <= profile["stackLevel"] <= limits.max_stack_level:
        raise ProfileRefused("InvalidStackLevel", f"stack level from 0 to {limits.max_stack_level}")
    purpose, kind = profile["chargingProfilePurpose"], profile["chargingProfileKind"]
    if kind == "Recurring" and "recurrencyKind" not in profile:
        raise ProfileRefused("MissingParam", "Recurring needs a recurrencyKind")
    if kind == "Relative" and purpose in (STATION_MAX, EXTERNAL):
        raise ProfileRefused("InvalidProfile", f"{purpose} has nothing to be relative to")
    _check_validity(profile)
    schedules = profile["chargingSchedule"]
    if len(schedules) > 1 and purpose != TX_PROFILE:
        raise ProfileRefused("InvalidProfile", "only a TxProfile leaves the vehicle a choice of schedules")
    if len({schedule["id"] for schedule in schedules}) < len(schedules):
        raise ProfileRefused("InvalidSchedule", "schedules of one profile need ids of their own")
    for schedule in schedules:
        _check_schedule(kind, schedule, limits)
        for period in schedule["chargingSchedulePeriod"]:
            _check_period(period, supply)


def _check_validity(profile: Payload) -> None:
    times = [parse_time(profile[name]) for name in ("validFrom", "validTo") if profile.get(name)]
    if any(at.year not in _YEARS for at in times):
        raise ProfileRefused("InvalidProfile", "validity out of range")
    if len(times) == 2 and times[0] >= times[1]:
        raise ProfileRefused("InvalidProfile", "validTo must be after validFrom")


def _check_schedule(kind: str, schedule: Payload, limits: ProfileLimits) -> None:
    if kind == "Relative" and "startSchedule" in schedule:
        raise ProfileRefused("InvalidSchedule", "Relative takes no startSchedule")
    if kind != "Relative" and "startSchedule" not in schedule:
        raise ProfileRefused("MissingParam", f"{kind} needs a startSchedule")
    if kind != "Relative" and parse_time(schedule["startSchedule"]).year not in _YEARS:
        raise ProfileRefused("InvalidSchedule", "startSchedule out of range")
    if schedule.get("duration") is not None and not 0 <= schedule["duration"] <= _YEAR_S:
        raise ProfileRefused("InvalidSchedule", "duration from 0 s to a year")
    if schedule.get("minChargingRate", 0) < 0:
        raise ProfileRefused("InvalidSchedule", "minChargingRate is not negative")
    periods = schedule["chargingSchedulePeriod"]
    if len(periods) > limits.max_periods:
        raise ProfileRefused("TooManyPeriods", f"at most {limits.max_periods} periods")
    starts = [period["startPeriod"] for period in periods]
    if starts[0] != 0 or any(later <= sooner for sooner, later in pairwise(starts)):
        raise ProfileRefused("InvalidSchedule", "startPeriod must begin with 0 and rise")
    if starts[-1] > _YEAR_S:
        raise ProfileRefused("InvalidSchedule", "startPeriod beyond a year")


def _check_period(period: Payload, supply: Supply) -> None:
    if period["limit"] < 0 and not supply.discharges:
        raise ProfileRefused("InvalidSchedule", "a limit is not negative where no vehicle can feed back")
    if supply.dc and ("numberPhases" in period or "phaseToUse" in period):
        raise ProfileRefused("NoPhaseForDC", "DC has no phases")
    if period.get("numberPhases") not in (None, 1, 2, 3):
        raise ProfileRefused("InvalidSchedule", "numberPhases from 1 to 3")
    if "phaseToUse" in period:
        _check_phase(period, supply)


def _check_phase(period: Payload, supply: Supply) -> None:
    if period.get("numberPhases") != 1:
        raise ProfileRefused("InvalidSchedule", "phaseToUse goes with numberPhases 1")
    if not supply.switches_phases:
        raise ProfileRefused("UnsupportedParam", "the station cannot choose the phase")
    if not 1 <= period["phaseToUse"] <= 3:
        raise ProfileRefused("InvalidSchedule", "phaseToUse from 1 to 3")
