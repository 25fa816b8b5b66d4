"""Charging profiles in wall time given by hand; the clauses are those of block K."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hal.quantities import EvseId
from ocpp_client.composite import composite
from ocpp_client.limit_watch import LimitWatch
from ocpp_client.ports import CsmsLimit, SchedulePeriod, TransactionState
from ocpp_client.profile_rules import ProfileLimits, ProfileRefused
from ocpp_client.profiles import Profiles
from ocpp_client.schedule import Allowance, Supply, from_unix, unix

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ONE, TWO = EvseId(1), EvseId(2)
PERIOD = {"startPeriod": 0, "limit": 7.0}
SUPPLY = Supply(3, 230.0, 32.0)


def at(**delta: float) -> datetime:
    return NOON + timedelta(**delta)


def stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def transaction(evse_id: EvseId = ONE, started: datetime = NOON) -> TransactionState:
    return TransactionState(f"tx-{evse_id}", evse_id, 1, None, "Charging", started, started, None, "")


class Station:
    def __init__(self, evse_count: int = 2, supply: Supply = SUPPLY, **limits: int) -> None:
        self.transactions: dict[EvseId, TransactionState] = {}
        self.profiles = Profiles(evse_count, supply, self.transactions.get, ProfileLimits(**limits))

    def set(self, evse_id: int = 1, **profile: Any) -> None:
        self.profiles.set(evse_id, make(**profile))

    def limit(self, moment: datetime = NOON, evse_id: EvseId = ONE) -> float | None:
        return self.profiles.limit_a(evse_id, moment)

    def allowance(self, moment: datetime = NOON, evse_id: EvseId = ONE) -> Allowance:
        return self.profiles.allowance(evse_id, unix(moment))

    def until(self, moment: datetime = NOON) -> datetime | None:
        until = self.allowance(moment).until
        return None if until is None else from_unix(until)

    def composite(self, duration_s: int, unit: str = "A", evse_id: int = 1) -> dict[str, Any]:
        return composite(self.profiles, evse_id, NOON, duration_s, unit)


def make(
    number: int = 1,
    limit: float = 10.0,
    *,
    purpose: str = "TxDefaultProfile",
    kind: str = "Absolute",
    stack: int = 0,
    unit: str = "A",
    start: datetime | None = NOON,
    periods: list[dict[str, Any]] | None = None,
    schedule: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    body = {
        "id": 1,
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": periods or [{"startPeriod": 0, "limit": limit}],
        **(schedule or {}),
    }
    if kind != "Relative" and start is not None:
        body["startSchedule"] = stamp(start)
    return {
        "id": number,
        "stackLevel": stack,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": [body],
        **more,
    }


def told(limit_a: float | None, at_s: float, *ahead: tuple[float, float]) -> CsmsLimit:
    schedule = tuple(SchedulePeriod(from_s, amps, amps * 690.0) for from_s, amps in ahead)
    return CsmsLimit(ONE, limit_a, at_s, schedule=schedule, power_w=None if limit_a is None else limit_a * 690.0)


@pytest.fixture
def station() -> Station:
    return Station()


# --- What holds ---


def test_nothing_limits_where_nothing_is_set(station: Station) -> None:
    assert station.limit() is None
    assert station.until() is None


def test_a_default_profile_holds_with_and_without_a_transaction(station: Station) -> None:
    station.set(0, limit=16.0)
    station.transactions[ONE] = transaction()
    assert (station.limit(), station.limit(evse_id=TWO)) == (16.0, 16.0)


def test_a_tx_profile_outweighs_the_default_upwards_too(station: Station) -> None:
    station.transactions[ONE] = transaction()
    station.set(0, number=1, limit=10.0)
    station.set(1, number=2, limit=20.0, purpose="TxProfile", kind="Relative", transactionId="tx-1")
    assert station.limit() == 20.0
    assert station.limit(evse_id=TWO) == 10.0
    station.profiles.transaction_ended("tx-1")
    assert station.limit() == 10.0


def test_the_station_maximum_caps_all(station: Station) -> None:
    station.transactions[ONE] = transaction()
    station.set(0, number=1, limit=8.0, purpose="ChargingStationMaxProfile")
    station.set(1, number=2, limit=20.0, purpose="TxProfile", kind="Relative", transactionId="tx-1")
    assert station.limit() == 8.0
    assert station.limit(evse_id=EvseId(0)) == 8.0


def test_the_highest_stack_level_that_says_something_holds(station: Station) -> None:
    station.set(0, number=1, limit=10.0, stack=0)
    station.set(0, number=2, limit=20.0, stack=5, start=at(hours=1), schedule={"duration": 600})
    assert station.limit() == 10.0
    assert station.until() == at(hours=1)
    assert station.limit(at(hours=1)) == 20.0
    assert station.limit(at(hours=1, seconds=599)) == 20.0
    assert station.limit(at(hours=1, seconds=600)) == 10.0


def test_periods_follow_each_other(station: Station) -> None:
    periods = [
        {"startPeriod": 0, "limit": 32.0},
        {"startPeriod": 60, "limit": 6.0},
        {"startPeriod": 120, "limit": 0.0},
    ]
    station.set(0, periods=periods)
    moments = (0, 59, 60, 119, 120, 9999)
    assert [station.limit(at(seconds=seconds)) for seconds in moments] == [32.0, 32.0, 6.0, 6.0, 0.0, 0.0]
    assert station.until() == at(seconds=60)
    assert station.until(at(seconds=120)) is None


def test_watts_become_amperes_by_phases_and_voltage(station: Station) -> None:
    station.set(0, unit="W", limit=6900.0)
    assert station.limit() == pytest.approx(10.0)
    one_phase = [{"startPeriod": 0, "limit": 2300.0, "numberPhases": 1}]
    station.set(0, unit="W", periods=one_phase)
    allowance = station.allowance()
    assert allowance.limit_a(SUPPLY) == pytest.approx(10.0)
    assert allowance.phases == 1


def test_a_relative_profile_counts_from_the_transactions_start(station: Station) -> None:
    station.transactions[ONE] = transaction(started=at(minutes=10))
    periods = [{"startPeriod": 0, "limit": 32.0}, {"startPeriod": 60, "limit": 6.0}]
    station.set(1, purpose="TxProfile", kind="Relative", periods=periods, transactionId="tx-1")
    assert station.limit(at(minutes=10)) == 32.0
    assert station.limit(at(minutes=11)) == 6.0


@pytest.mark.parametrize(("recurrency", "step"), [("Daily", timedelta(days=1)), ("Weekly", timedelta(weeks=1))])
def test_a_recurring_profile_comes_again(station: Station, recurrency: str, step: timedelta) -> None:
    station.set(
        0, limit=6.0, kind="Recurring", recurrencyKind=recurrency, start=at(hours=8), schedule={"duration": 3600}
    )
    assert station.limit() is None
    assert station.until() == at(hours=8)
    for number in (0, 1, 52):
        begin = at(hours=8) + number * step
        assert station.limit(begin) == 6.0
        assert station.limit(begin + timedelta(hours=1)) is None
        assert station.until(begin + timedelta(hours=2)) == begin + step


def test_validity_bounds_a_profile(station: Station) -> None:
    station.set(0, validFrom=stamp(at(hours=1)), validTo=stamp(at(hours=2)), start=at(days=-1))
    assert [station.limit(at(hours=hours)) for hours in (0, 1, 1.99, 2)] == [None, 10.0, 10.0, None]
    assert station.until() == at(hours=1)
    assert station.until(at(hours=1)) == at(hours=2)
    assert station.until(at(hours=2)) is None


def test_the_watch_tells_each_change_once(station: Station) -> None:
    watch = LimitWatch(station.profiles, (0, 1, 2))
    assert watch.refresh(NOON, 5.0) == []
    station.set(1, periods=[{"startPeriod": 0, "limit": 16.0}, {"startPeriod": 60, "limit": 6.0}])
    assert watch.refresh(NOON, 6.0) == [told(16.0, 6.0, (66.0, 6.0))]
    assert watch.refresh(NOON, 7.0) == []
    assert watch.changes_at == at(seconds=60)
    assert watch.refresh(at(seconds=60), 66.0) == [told(6.0, 66.0)]
    station.profiles.clear(None, None)
    assert watch.refresh(at(seconds=61), 67.0) == [told(None, 67.0)]


# --- The composite schedule ---


def test_a_composite_schedule_puts_all_together(station: Station) -> None:
    station.set(0, number=1, limit=12.0, purpose="ChargingStationMaxProfile", start=at(seconds=90))
    station.set(0, number=2, periods=[{"startPeriod": 0, "limit": 32.0}, {"startPeriod": 60, "limit": 16.0}])
    made = station.composite(300)
    assert made["scheduleStart"] == "2026-05-01T12:00:00.000Z"
    assert [(period["startPeriod"], period["limit"]) for period in made["chargingSchedulePeriod"]] == [
        (0, 32.0),
        (60, 16.0),
        (90, 12.0),
    ]
    in_watts = station.composite(60, "W")
    assert in_watts["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 22080.0, "numberPhases": 3}]
    assert station.composite(60, evse_id=0)["chargingSchedulePeriod"][0]["limit"] == 64.0, (
        "both EVSEs, each at its rating"
    )


def test_equal_periods_are_told_as_one(station: Station) -> None:
    station.set(0, periods=[{"startPeriod": start, "limit": 16.0} for start in (0, 10, 20)])
    assert len(station.composite(60)["chargingSchedulePeriod"]) == 1


def test_a_composite_of_many_recurrences_is_bounded(station: Station) -> None:
    station.set(0, kind="Recurring", recurrencyKind="Daily", schedule={"duration": 3600})
    made = station.composite(366 * 86400)
    assert len(made["chargingSchedulePeriod"]) == 256
    assert made["duration"] == 128 * 86400, "as far as it was computed"
    assert station.composite(7 * 86400)["duration"] == 7 * 86400


def test_a_limit_is_rounded_down(station: Station) -> None:
    station.set(0, unit="W", limit=10_000.0)
    assert station.composite(60)["chargingSchedulePeriod"][0]["limit"] == 14.4, "14.49"
    station.set(0, limit=16.3)
    assert station.composite(60)["chargingSchedulePeriod"][0]["limit"] == 16.3


def test_limits_in_both_units_hold_at_once(station: Station) -> None:
    station.set(0, number=1, unit="W", limit=6900.0, purpose="ChargingStationMaxProfile")
    one_phase = [{"startPeriod": 0, "limit": 16.0, "numberPhases": 1}]
    station.set(0, number=2, periods=one_phase)
    assert station.composite(60)["chargingSchedulePeriod"][0] == {"startPeriod": 0, "limit": 16.0, "numberPhases": 1}
    assert station.composite(60, "W")["chargingSchedulePeriod"][0]["limit"] == 3680.0
    station.set(0, number=2, limit=16.0)
    assert station.composite(60, "W")["chargingSchedulePeriod"][0]["limit"] == 6900.0


def test_a_choice_of_schedules_is_the_vehicles(station: Station) -> None:
    station.transactions[ONE] = transaction()
    profile = make(purpose="TxProfile", limit=10.0, transactionId="tx-1")
    profile["chargingSchedule"].append(profile["chargingSchedule"][0] | {"id": 2, "chargingSchedulePeriod": [PERIOD]})
    station.profiles.set(1, profile)
    assert station.limit() == 10.0, "the first for a vehicle that is not asked"
    station.profiles.leave_open(1)
    assert station.limit() == 10.0, "the highest while it may choose it"
    station.profiles.choose(1, 2)
    assert station.limit() == 7.0
    station.profiles.set(1, profile)
    assert station.limit() == 10.0, "a new profile is a new question"


def test_a_relative_default_profile_is_laid_out_before_its_transaction(station: Station) -> None:
    periods = [{"startPeriod": 0, "limit": 32.0}, {"startPeriod": 60, "limit": 6.0}]
    station.set(0, kind="Relative", periods=periods)
    watch = LimitWatch(station.profiles, (1,))
    assert watch.refresh(NOON, 0.0) == [told(32.0, 0.0, (60.0, 6.0))]
    assert watch.changes_at is None, "it has not begun"
    assert watch.refresh(at(minutes=5), 300.0) == []
    station.transactions[ONE] = transaction(started=at(minutes=5))
    assert watch.refresh(at(minutes=5), 300.0) == [told(32.0, 300.0, (360.0, 6.0))]
    assert watch.changes_at == at(minutes=6)


def test_the_least_a_vehicle_charges_well_with_is_told(station: Station) -> None:
    station.set(0, limit=20.0, schedule={"minChargingRate": 8.0})
    [fact] = LimitWatch(station.profiles, (1,)).refresh(NOON, 0.0)
    assert fact.least_a == 8.0
    station.set(0, limit=20_000.0, unit="W", schedule={"minChargingRate": 6900.0})
    assert station.allowance().least_a(SUPPLY) == pytest.approx(10.0)


# --- External constraints ---


def external(limit: float, number: int = -1) -> dict[str, Any]:
    return make(number=number, limit=limit, purpose="ChargingStationExternalConstraints")


def test_external_constraints_bound_whatever_the_csms_allows(station: Station) -> None:
    station.set(0, limit=16.0)
    station.profiles.set_external("EMS", 1, external(10.0))
    station.profiles.set_external("SO", 0, external(8.0, -2))
    assert (station.limit(), station.limit(evse_id=TWO), station.limit(evse_id=EvseId(0))) == (8.0, 8.0, 8.0)
    station.profiles.set_external("SO", 0, None)
    assert (station.limit(), station.limit(evse_id=TWO)) == (10.0, 16.0)


def test_external_constraints_are_reported_by_their_source_and_not_the_csmss_to_clear(station: Station) -> None:
    station.set(0, number=1)
    station.profiles.set_external("EMS", 1, external(10.0))
    assert [item.source for item in station.profiles.find(None, {"chargingLimitSource": ["EMS"]})] == ["EMS"]
    assert [item.source for item in station.profiles.find(None, {})] == ["EMS", "CSO"]
    assert station.profiles.clear(None, {"chargingProfilePurpose": "ChargingStationExternalConstraints"}) == []
    station.profiles.clear(None, None)
    assert station.limit() == 10.0
    with pytest.raises(ProfileRefused, match="external constraint's"):
        station.set(1, number=-1)


def test_a_composite_of_boundaries_without_a_change_is_bounded_too(station: Station) -> None:
    periods = [{"startPeriod": 3600 * hour, "limit": 16.0} for hour in range(24)]
    station.set(0, kind="Recurring", recurrencyKind="Daily", periods=periods)
    made = station.composite(366 * 86400)
    assert len(made["chargingSchedulePeriod"]) == 1
    assert made["duration"] == 1000 * 3600


# --- What is refused ---


@pytest.mark.parametrize(
    ("evse_id", "profile", "reason"),
    [
        (3, {}, "UnknownEvse"),
        (-1, {}, "UnknownEvse"),
        (1, {"purpose": "ChargingStationMaxProfile"}, "InvalidEvseId"),
        (0, {"purpose": "TxProfile", "transactionId": "tx-1"}, "InvalidEvseId"),
        (1, {"purpose": "ChargingStationExternalConstraints"}, "InvalidProfile"),
        (1, {"purpose": "TxProfile"}, "MissingParam"),
        (1, {"purpose": "TxProfile", "transactionId": "tx-9"}, "TxNotFound"),
        (2, {"purpose": "TxProfile", "transactionId": "tx-1"}, "TxNotFound"),
        (1, {"transactionId": "tx-1"}, "InvalidProfile"),
        (1, {"stack": 11}, "InvalidStackLevel"),
        (1, {"stack": -1}, "InvalidStackLevel"),
        (1, {"kind": "Recurring"}, "MissingParam"),
        (1, {"start": None}, "MissingParam"),
        (1, {"kind": "Relative", "schedule": {"startSchedule": stamp(NOON)}}, "InvalidSchedule"),
        (1, {"validFrom": stamp(NOON), "validTo": stamp(NOON)}, "InvalidProfile"),
        (1, {"validFrom": stamp(datetime(1, 1, 1, tzinfo=UTC))}, "InvalidProfile"),
        (0, {"purpose": "ChargingStationMaxProfile", "kind": "Relative"}, "InvalidProfile"),
        (1, {"schedule": {"minChargingRate": -1.0}}, "InvalidSchedule"),
        (1, {"periods": [{"startPeriod": 0, "limit": 1.0, "numberPhases": 1, "phaseToUse": 1}]}, "UnsupportedParam"),
        (1, {"periods": [{"startPeriod": 1, "limit": 1.0}]}, "InvalidSchedule"),
        (1, {"periods": [{"startPeriod": 0, "limit": 1.0}] * 2}, "InvalidSchedule"),
        (1, {"periods": [{"startPeriod": 0, "limit": -1.0}]}, "InvalidSchedule"),
        (1, {"periods": [{"startPeriod": 0, "limit": 1.0, "numberPhases": 0}]}, "InvalidSchedule"),
        (1, {"periods": [{"startPeriod": 0, "limit": 1.0, "phaseToUse": 2}]}, "InvalidSchedule"),
        (1, {"periods": [{"startPeriod": number, "limit": 1.0} for number in range(25)]}, "TooManyPeriods"),
        (1, {"periods": [{"startPeriod": 0, "limit": 1.0}, {"startPeriod": 10**12, "limit": 1.0}]}, "InvalidSchedule"),
        (1, {"schedule": {"duration": -1}}, "InvalidSchedule"),
        (1, {"schedule": {"duration": 10**15}}, "InvalidSchedule"),
        (1, {"start": datetime(9999, 12, 31, tzinfo=UTC)}, "InvalidSchedule"),
        (1, {"start": datetime(1, 1, 1, tzinfo=UTC)}, "InvalidSchedule"),
    ],
)
def test_a_profile_that_breaks_a_rule_is_refused_with_its_reason(
    station: Station, evse_id: int, profile: dict[str, Any], reason: str
) -> None:
    station.transactions[ONE] = transaction()
    with pytest.raises(ProfileRefused) as refused:
        station.set(evse_id, **profile)
    assert refused.value.reason_code == reason
    assert len(reason) <= 20
    assert station.limit() is None


@pytest.mark.parametrize("count", [1, 2])
def test_several_schedules_are_for_a_tx_profile_and_told_apart(station: Station, count: int) -> None:
    profile = make()
    profile["chargingSchedule"] *= 2
    if count == 2:
        station.transactions[ONE] = transaction()
        profile |= {"chargingProfilePurpose": "TxProfile", "transactionId": "tx-1"}
    with pytest.raises(ProfileRefused) as refused:
        station.profiles.set(1, profile)
    assert refused.value.reason_code == ("InvalidProfile" if count == 1 else "InvalidSchedule")


def test_what_another_kind_of_station_takes() -> None:
    def take(supply: Supply, **period: Any) -> str:
        try:
            Station(supply=supply).set(1, periods=[{"startPeriod": 0, "limit": 6.0, **period}])
        except ProfileRefused as refused:
            return refused.reason_code
        return ""

    dc, switching = Supply(1, 400.0, dc=True), Supply(3, 230.0, switches_phases=True)
    assert take(dc) == ""
    assert take(dc, numberPhases=3) == take(dc, phaseToUse=1, numberPhases=1) == "NoPhaseForDC"
    assert take(switching, numberPhases=1, phaseToUse=2) == ""
    assert take(switching, numberPhases=1, phaseToUse=4) == take(switching, phaseToUse=2) == "InvalidSchedule"
    assert take(Supply(3, 230.0, discharges=True), limit=-10.0) == ""


def test_one_stack_level_is_one_profiles_at_a_time(station: Station) -> None:
    station.set(1, number=1, validTo=stamp(at(hours=1)))
    for evse_id in (0, 1):
        with pytest.raises(ProfileRefused, match="taken by profile 1"):
            station.set(evse_id, number=2)
    station.set(2, number=3)
    station.set(1, number=4, stack=1)
    station.set(1, number=5, validFrom=stamp(at(hours=1)))
    station.set(1, number=1, limit=20.0, validTo=stamp(at(hours=1)))
    assert station.limit() == 10.0


def test_two_transactions_may_have_the_same_stack_level(station: Station) -> None:
    for evse_id in (ONE, TWO):
        station.transactions[evse_id] = transaction(evse_id)
        station.set(int(evse_id), number=int(evse_id), purpose="TxProfile", transactionId=f"tx-{evse_id}")
    with pytest.raises(ProfileRefused):
        station.set(1, number=9, purpose="TxProfile", transactionId="tx-1")


def test_the_number_of_profiles_is_bounded() -> None:
    station = Station(max_profiles=2)
    station.set(0, number=1, stack=1)
    station.set(0, number=2, stack=2)
    with pytest.raises(ProfileRefused, match="at most 2"):
        station.set(0, number=3, stack=3)
    station.set(0, number=2, stack=3)


# --- Clearing, finding, keeping ---


def filled() -> Station:
    station = Station()
    station.transactions[ONE] = transaction()
    station.set(0, number=1, purpose="ChargingStationMaxProfile")
    station.set(0, number=2, stack=1)
    station.set(2, number=3, stack=2)
    station.set(1, number=4, purpose="TxProfile", transactionId="tx-1")
    return station


def ids(station: Station) -> list[int]:
    return [installed.profile["id"] for installed in station.profiles.find(None, {})]


@pytest.mark.parametrize(
    ("profile_id", "criteria", "left"),
    [
        (3, None, [1, 2, 4]),
        (3, {"evseId": 1}, [1, 2, 4]),
        (None, None, []),
        (None, {}, []),
        (None, {"evseId": 0}, [3, 4]),
        (None, {"chargingProfilePurpose": "TxDefaultProfile"}, [1, 4]),
        (None, {"stackLevel": 2}, [1, 2, 4]),
        (None, {"evseId": 2, "stackLevel": 1}, [1, 2, 3, 4]),
        (9, None, [1, 2, 3, 4]),
    ],
)
def test_clearing(profile_id: int | None, criteria: dict[str, Any] | None, left: list[int]) -> None:
    station = filled()
    assert len(station.profiles.clear(profile_id, criteria)) == 4 - len(left)
    assert ids(station) == left


@pytest.mark.parametrize(
    ("evse_id", "criterion", "found"),
    [
        (None, {}, [1, 2, 3, 4]),
        (0, {}, [1, 2]),
        (None, {"chargingProfileId": [2, 4, 7]}, [2, 4]),
        (1, {"chargingProfileId": [2, 4]}, [4]),
        (None, {"chargingLimitSource": ["EMS"]}, []),
        (None, {"chargingLimitSource": ["EMS", "CSO"], "stackLevel": 0}, [1, 4]),
    ],
)
def test_finding(evse_id: int | None, criterion: dict[str, Any], found: list[int]) -> None:
    assert [item.profile["id"] for item in filled().profiles.find(evse_id, criterion)] == found


def test_all_but_tx_profiles_outlive_a_restart() -> None:
    station = filled()
    again = Station()
    assert again.profiles.restore(station.profiles.dump()) == 0
    assert ids(again) == [1, 2, 3]
    smaller = Station(evse_count=1)
    assert smaller.profiles.restore(station.profiles.dump()) == 1
    assert ids(smaller) == [1, 2]
