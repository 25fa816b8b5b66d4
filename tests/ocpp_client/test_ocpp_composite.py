"""Random sets of profiles against the slow, obvious reference: equal at every second.

`python -m tests.ocpp_client.test_ocpp_composite 20000` for more.
"""

import random
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from hal.quantities import EvseId
from ocpp_client.composite import composite
from ocpp_client.ports import TransactionState
from ocpp_client.profile_rules import ProfileRefused
from ocpp_client.profiles import Profiles
from ocpp_client.schedule import Supply, unix
from tests.ocpp_client.slow_profiles import SlowStation

Payload = dict[str, Any]

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SETS = 200
"""In every run of the tests; the whole count is shown by hand."""
WINDOW_S = 900
EVSES = 3
SUPPLY = Supply(3, 230.0, 32.0)


def moment(dice: random.Random, spread_s: int = WINDOW_S) -> datetime:
    """Around the window, on a whole second or within one."""
    millis = dice.choice((0, 0, dice.randrange(1000)))
    return NOON + timedelta(seconds=dice.randrange(-spread_s, spread_s), milliseconds=millis)


def stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def random_schedule(dice: random.Random, kind: str) -> Payload:
    starts = [0, *sorted(dice.sample(range(1, WINDOW_S), dice.randrange(6)))]
    unit = dice.choice("AW")
    top = 34.0 if unit == "A" else 24_000.0
    schedule: Payload = {
        "id": dice.randrange(100),
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [
            {"startPeriod": start, "limit": max(0.0, round(dice.uniform(-0.1 * top, top), 1))}
            | ({"numberPhases": dice.choice((1, 2, 3))} if dice.random() < 0.3 else {})
            for start in starts
        ],
    }
    if kind == "Recurring":
        days = dice.choice((0, 1, 7, 8))
        schedule["startSchedule"] = stamp(moment(dice) - timedelta(days=days))
    elif kind == "Absolute":
        schedule["startSchedule"] = stamp(moment(dice))
    if dice.random() < 0.6:
        schedule["duration"] = dice.randrange(WINDOW_S)
    return schedule


def random_profile(dice: random.Random, number: int, purpose: str) -> Payload:
    kinds = ("Absolute", "Recurring") if "Station" in purpose else ("Absolute", "Recurring", "Relative")
    kind = dice.choice(kinds)
    profile: Payload = {
        "id": number,
        "stackLevel": dice.randrange(6),
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": [random_schedule(dice, kind)],
    }
    if kind == "Recurring":
        profile["recurrencyKind"] = dice.choice(("Daily", "Weekly"))
    if dice.random() < 0.3:
        profile["validFrom"] = stamp(moment(dice))
    if dice.random() < 0.3:
        profile["validTo"] = stamp(moment(dice))
    return profile


def random_set(seed: int) -> tuple[Profiles, SlowStation]:
    """The same profiles in both; those that one rule or another refuses are in neither."""
    dice = random.Random(seed)
    started = {evse: moment(dice) for evse in range(1, EVSES + 1) if dice.random() < 0.6}
    states = {
        EvseId(evse): TransactionState(f"tx-{evse}", EvseId(evse), 1, None, "Charging", at, at, None, "")
        for evse, at in started.items()
    }
    profiles = Profiles(EVSES, SUPPLY, states.get)
    taken: list[tuple[int, Payload, str]] = []
    for number in range(1, dice.randrange(2, 25)):
        purpose = dice.choice(("TxProfile", "TxDefaultProfile", "TxDefaultProfile", "ChargingStationMaxProfile"))
        evse_id = 0 if "Station" in purpose else dice.randrange(EVSES + 1)
        profile = random_profile(dice, number, purpose)
        if purpose == "TxProfile":
            profile["transactionId"] = f"tx-{evse_id}"
        try:
            profiles.set(evse_id, profile)
        except ProfileRefused:
            continue
        taken.append((evse_id, profile, "CSO"))
    for source in ("EMS", "SO"):
        if dice.random() < 0.3:
            evse_id = dice.randrange(EVSES + 1)
            profile = random_profile(dice, -len(taken) - 1, "ChargingStationExternalConstraints")
            profiles.set_external(source, evse_id, profile)
            taken.append((evse_id, profile, source))
    return profiles, SlowStation(taken, started, EVSES, 3, 230.0, 32.0, NOON)


def compare(seed: int) -> int:
    """The seconds compared: every one of the window, of one EVSE or of the station, in one unit."""
    profiles, slow = random_set(seed)
    dice = random.Random(-seed)
    evse_id, unit = dice.randrange(EVSES + 1), dice.choice("AW")
    made = composite(profiles, evse_id, NOON + timedelta(milliseconds=dice.randrange(1000)), WINDOW_S, unit)
    assert made["duration"] == WINDOW_S
    assert made["chargingSchedulePeriod"][0]["startPeriod"] == 0
    periods = list(made["chargingSchedulePeriod"])
    limit = 0.0
    for second in range(WINDOW_S):
        if periods and periods[0]["startPeriod"] == second:
            limit = periods.pop(0)["limit"]
        wanted = slow.value(evse_id, unix(NOON) + second, unit)
        assert limit == wanted, f"seed {seed}, EVSE {evse_id}, second {second}: {limit} {unit}, not {wanted}"
    assert not periods
    return WINDOW_S


def test_random_sets_equal_the_reference_at_every_second() -> None:
    assert sum(compare(seed) for seed in range(SETS)) == SETS * WINDOW_S


def test_the_reference_sees_a_difference() -> None:
    """A check that cannot fail shows nothing: limits that differ by a twentieth are found."""

    def differs(seed: int) -> bool:
        profiles, slow = random_set(seed)
        for _, profile, _ in slow.profiles:
            for period in profile["chargingSchedule"][0]["chargingSchedulePeriod"]:
                period["limit"] *= 0.95
        made = composite(profiles, 1, NOON, WINDOW_S, "A")["chargingSchedulePeriod"]
        return any(period["limit"] != slow.value(1, unix(NOON) + period["startPeriod"], "A") for period in made)

    assert sum(differs(seed) for seed in range(40)) > 20


if __name__ == "__main__":
    count = int(sys.argv[1])
    print(f"{count} sets of profiles, {sum(map(compare, range(count)))} seconds, all equal")
