"""Needs, schedules and choices of vehicles that plan, in OCPP's words and back."""

import asyncio
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import pytest

from firmware.planning import charging_needs, schedule_answer
from hal.quantities import EvseId
from ocpp_client.planning import choice_payload, expected, needs_payload, planned
from ocpp_client.planning_desk import PlanningDesk
from ocpp_client.ports import ChargingNeeds, PlanChanged, TransactionState
from ocpp_client.profiles import Profiles
from ocpp_client.schedule import Supply, unix
from ocpp_client.wire import Payload, encode_request, format_time
from secc.schedules import CostKind, EnergyRequested

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ONE = EvseId(1)
TX = TransactionState("tx-1", ONE, 1, None, "Charging", NOON - timedelta(seconds=50), NOON, None, "")
TO_MONOTONIC = -NOON.timestamp()
"""Noon is the monotonic 0."""

TARIFF = {
    "id": 9,
    "salesTariffEntry": [
        {"relativeTimeInterval": {"start": 0}, "ePriceLevel": 1},
        {
            "relativeTimeInterval": {"start": 100},
            "consumptionCost": [
                {"startValue": 0, "cost": [{"costKind": "RelativePricePercentage", "amount": 80}]},
                {"startValue": 3000, "cost": [{"costKind": "RenewableGenerationPercentage", "amount": 20}]},
            ],
        },
    ],
}


def profile(kind: str, *limits: float, **more: Any) -> Payload:
    schedule: Payload = {
        "id": 5,
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 100 * at, "limit": limit} for at, limit in enumerate(limits)],
        "salesTariff": TARIFF,
    }
    if kind != "Relative":
        schedule["startSchedule"] = format_time(more.pop("start", NOON))
    return {
        "id": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": kind,
        "transactionId": "tx-1",
        "chargingSchedule": [schedule],
        **more,
    }


def profiles(*wanted: Payload) -> Profiles:
    made = Profiles(1, Supply(3, 230.0, 32.0), {ONE: TX}.get)
    for one in wanted:
        made.set(1, one)
    return made


def plan_of(wanted: Payload) -> tuple[list[tuple[float, float | None]], list[float]]:
    """Periods and the tariff's times, in seconds from noon."""
    made = profiles(wanted)
    installed = made.tx_profile("tx-1")
    assert installed is not None
    [schedule] = planned(made, installed, TX, NOON, TO_MONOTONIC)
    assert schedule.number == 5
    assert schedule.tariff is not None
    return [(p.from_s, p.limit_a) for p in schedule.periods], [entry.from_s for entry in schedule.tariff.entries]


def test_schedules_and_tariffs_by_their_kind_of_start() -> None:
    assert plan_of(profile("Absolute", 8.0, 16.0)) == ([(0.0, 8.0), (100.0, 16.0)], [0.0, 100.0])
    assert plan_of(profile("Relative", 8.0, 16.0)) == ([(0.0, 8.0), (50.0, 16.0)], [-50.0, 50.0])
    daily = profile("Recurring", 8.0, 16.0, recurrencyKind="Daily", start=NOON - timedelta(days=3, seconds=30))
    periods, tariff = plan_of(daily)
    assert periods == [(0.0, 8.0), (70.0, 16.0), (86_370.0, 8.0)]
    assert tariff == [-30.0, 70.0]


def test_equal_periods_are_one_and_a_day_is_the_end() -> None:
    same = profile("Absolute", 8.0, 8.0, 8.0)
    later = profile("Absolute", 8.0, start=NOON + timedelta(days=2))
    assert plan_of(same)[0] == [(0.0, 8.0)]
    assert plan_of(later)[0] == [(0.0, None)]


def test_the_vehicle_hears_the_operators_schedules_numbered_from_one() -> None:
    made = profiles(profile("Absolute", 8.0))
    installed = made.tx_profile("tx-1")
    assert installed is not None
    answer = schedule_answer("REQ", planned(made, installed, TX, NOON, TO_MONOTONIC))
    [schedule] = answer.schedules
    assert (answer.request_id, schedule.tuple_id) == ("REQ", 1)
    assert [(period.limit_a, period.power_w) for period in schedule.periods] == [(8.0, 5520.0)]
    assert schedule.tariff is not None
    assert schedule.tariff.tariff_id == 1  # type: ignore[union-attr]
    steps = schedule.tariff.entries[1].consumption  # type: ignore[union-attr]
    assert [(step.from_w, step.costs[0].kind) for step in steps] == [
        (0.0, CostKind.RELATIVE_PRICE_PERCENTAGE),
        (3000.0, CostKind.RENEWABLE_GENERATION_PERCENTAGE),
    ]
    free = schedule_answer("REQ", planned(profiles(), installed, TX, NOON, TO_MONOTONIC))
    assert free.schedules[0].periods[0].limit_a == inf


@pytest.mark.parametrize(
    ("mode", "phases", "told"),
    [
        ("AC_three_phase_core", 3, "AC_three_phase"),
        ("AC_single_phase_core", 3, "AC_single_phase"),
        ("AC_BPT", 3, "AC_three_phase"),
        ("AC", 1, "AC_single_phase"),
        ("DC_extended", 3, "DC"),
        ("DC_BPT", 3, "DC"),
    ],
)
def test_modes(mode: str, phases: int, told: str) -> None:
    assert charging_needs(EnergyRequested(mode, 1.0, None, 16.0, 6.0), phases).mode == told


def test_needs_of_dc_tell_what_the_vehicle_told() -> None:
    needs = ChargingNeeds("DC", 3, 200.4, max_voltage_v=400.0, soc_percent=40, max_power_w=80_000.0, departure_s=60.0)
    payload = needs_payload(ONE, needs, NOON)
    assert payload["chargingNeeds"] == {
        "requestedEnergyTransfer": "DC",
        "departureTime": "2026-05-01T12:01:00.000Z",
        "dcChargingParameters": {
            "evMaxCurrent": 200,
            "evMaxVoltage": 400,
            "evMaxPower": 80_000,
            "stateOfCharge": 40,
        },
    }
    assert encode_request("NotifyEVChargingNeeds", payload)
    silent = needs_payload(ONE, ChargingNeeds("AC_three_phase", 1, 16.0), NOON)
    assert silent["chargingNeeds"]["acChargingParameters"]["energyAmount"] == 0
    assert encode_request("NotifyEVChargingNeeds", silent)


def test_a_plan_as_the_csms_hears_it() -> None:
    payload = choice_payload(ONE, 5, [(0.0, 4600.04, 3), (900.4, 0.0, None)], NOON)
    assert payload["chargingSchedule"]["chargingSchedulePeriod"] == [
        {"startPeriod": 0, "limit": 4600.0, "numberPhases": 3},
        {"startPeriod": 900, "limit": 0.0},
    ]
    assert encode_request("NotifyEVChargingSchedule", payload)
    assert expected(profiles(profile("Absolute", 8.0, 8.0, 40.0)), ONE, NOON) == [
        (0.0, 5520.0, None),
        (200.0, 22_080.0, None),
    ]


# --- The desk ---


class Desk:
    def __init__(self, answer: Payload | None, open_transaction: bool = True) -> None:
        self.sent: list[tuple[str, Payload]] = []
        self.reported: list[Any] = []
        self.profiles = profiles(profile("Absolute", 8.0))
        self._answer = answer
        transactions = {ONE: TX} if open_transaction else {}
        self.desk = PlanningDesk(
            self.profiles,
            transactions.get,
            self._request,
            lambda: NOON,
            lambda: 0.0,
            self.reported.append,
            lambda _at_s: None,
            wait_s=0.05,
        )

    async def _request(self, action: str, payload: Payload) -> Payload | None:
        self.sent.append((action, payload))
        return self._answer


NEEDS = ChargingNeeds("AC_three_phase", 3, 16.0)


async def test_needs_without_an_answer_leave_the_schedules_there_are() -> None:
    made = Desk(None)
    assert [schedule.number for schedule in await made.desk.plan(ONE, NEEDS)] == [5]
    assert await Desk(None, open_transaction=False).desk.plan(ONE, NEEDS) == ()


async def test_the_csms_profile_ends_the_wait_and_one_that_never_comes_too() -> None:
    made = Desk({"status": "Accepted"})
    asking = asyncio.create_task(made.desk.plan(ONE, NEEDS))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    made.desk.profile_set(ONE)
    async with asyncio.timeout(0.04):
        assert len(await asking) == 1
    assert made.reported == [], "it was asked for"
    assert unix(NOON)
    assert len(await made.desk.plan(ONE, NEEDS)) == 1, "after the whole wait"


async def test_a_profile_nobody_asked_for_is_a_reason_to_plan_anew() -> None:
    made = Desk({"status": "Rejected"})
    made.desk.profile_set(ONE)
    assert made.reported == [PlanChanged(ONE)]
    idle = Desk(None, open_transaction=False)
    idle.desk.profile_set(ONE)
    assert idle.reported == []


async def test_a_choice_of_an_unknown_schedule_is_told_and_changes_nothing() -> None:
    made = Desk({"status": "Rejected"})
    await made.desk.chosen(ONE, 77, [(0.0, 1000.0, None)])
    [(action, payload)] = made.sent
    assert (action, payload["chargingSchedule"]["id"]) == ("NotifyEVChargingSchedule", 77)
