"""Whatever a valid SetChargingProfile holds: taken, or refused with a reason; a schedule comes of it either way."""

import json
import random
from datetime import UTC, datetime
from typing import Any

from hal.quantities import EvseId
from ocpp_client.composite import composite
from ocpp_client.limit_watch import LimitWatch
from ocpp_client.ports import TransactionState
from ocpp_client.profile_rules import ProfileRefused
from ocpp_client.profiles import Profiles
from ocpp_client.schedule import Supply
from ocpp_client.schema import SchemaViolation
from ocpp_client.wire import check_request, encode_response

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ROUNDS = 500

NUMBERS = (0, 1, -1, 5, 100, 2**31, -(2**31), 10**15)
LIMITS = (*NUMBERS, 0.1, -0.05, 1e300, -1e300, 16.04)
TIMES = (
    "2026-05-01T12:00:00Z",
    "2026-05-01T11:59:59.999Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2026-05-01T12:00:00+14:00",
    "2026-05-01T12:00:00",
)


class Dice(random.Random):
    def odd(self, sane: Any, wild: Any) -> Any:
        """Mostly sane."""
        return self.choice(wild) if self.random() < 0.06 else sane

    def some(self, likely: float, **fields: Any) -> dict[str, Any]:
        """Each field, or not."""
        return {name: value for name, value in fields.items() if self.random() < likely}


def schedule(dice: Dice, number: int, kind: str) -> dict[str, Any]:
    periods = [
        {"startPeriod": dice.odd(60 * at, NUMBERS), "limit": dice.odd(dice.uniform(0, 40), LIMITS)}
        | dice.some(0.1, numberPhases=dice.odd(1, NUMBERS))
        | dice.some(0.03, phaseToUse=dice.odd(1, NUMBERS))
        for at in range(dice.choice((1, 1, 2, 3)))
    ]
    start = {} if dice.odd(kind == "Relative", (True, False)) else {"startSchedule": dice.odd(TIMES[0], TIMES)}
    more = dice.some(0.3, duration=dice.odd(100, NUMBERS), minChargingRate=dice.odd(6.0, LIMITS))
    unit = dice.choice("AW")
    return {"id": number, "chargingRateUnit": unit, "chargingSchedulePeriod": periods, **start, **more}


def profile(dice: Dice) -> dict[str, Any]:
    purposes = ("ChargingStationExternalConstraints", "ChargingStationMaxProfile", "TxDefaultProfile", "TxProfile")
    purpose, kind = dice.odd(dice.choice(purposes[1:]), purposes), dice.choice(("Absolute", "Recurring", "Relative"))
    own = {"transactionId": dice.odd("tx-1", ("tx-2", ""))} if dice.odd(purpose == "TxProfile", (True, False)) else {}
    return {
        "id": dice.odd(dice.randrange(5), NUMBERS),
        "stackLevel": dice.odd(dice.randrange(4), NUMBERS),
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": [schedule(dice, number, kind) for number in range(dice.odd(1, (1, 2, 3)))],
        **own,
        **dice.some(0.9, recurrencyKind=dice.choice(("Daily", "Weekly"))),
        **dice.some(0.1, validFrom=dice.odd(TIMES[0], TIMES), validTo=dice.odd(TIMES[3], TIMES)),
    }


def test_any_valid_request_is_taken_or_refused_and_never_breaks_what_follows() -> None:
    dice = Dice(7)
    state = TransactionState("tx-1", EvseId(1), 1, None, "Charging", NOON, NOON, None, "")
    taken = refused = 0
    for _ in range(ROUNDS):
        supply = Supply(3, 230.0, 32.0, dc=dice.random() < 0.2, discharges=dice.random() < 0.3)
        profiles = Profiles(2, supply, {EvseId(1): state}.get)
        for _ in range(3):
            request = {"evseId": dice.odd(dice.choice((0, 1, 1)), (2, 3, -1)), "chargingProfile": profile(dice)}
            try:
                check_request("SetChargingProfile", request)
                profiles.set(request["evseId"], request["chargingProfile"])
            except (ProfileRefused, SchemaViolation):
                refused += 1
                continue
            taken += 1
        assert Profiles(2, supply, {EvseId(1): state}.get).restore(profiles.dump()) == 0
        LimitWatch(profiles, range(3)).refresh(NOON, 0.0)
        schedule = composite(profiles, dice.randrange(3), NOON, dice.choice((1, 3600, 366 * 86_400)), dice.choice("AW"))
        assert encode_response("GetCompositeSchedule", {"status": "Accepted", "schedule": schedule})
        assert json.dumps(schedule, allow_nan=False)
    assert taken > 300
    assert refused > 200
