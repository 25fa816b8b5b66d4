"""OCTT cases of block K with high-level communication: the SECC and a vehicle of ISO 15118-2 that plans."""

import asyncio
from typing import Any

import pytest

from sim.csms.server import Csms
from tests.conformance.ocpp.planner import Planner, offered
from tests.conformance.ocpp.test_ocpp_cases_k import accept, of_tx, stamp
from tests.secc.support import amount

Payload = dict[str, Any]
Site = Any

TARIFF = {
    "id": 7,
    "salesTariffDescription": "night",
    "numEPriceLevels": 2,
    "salesTariffEntry": [
        {"relativeTimeInterval": {"start": 0}, "ePriceLevel": 2},
        {
            "relativeTimeInterval": {"start": 100},
            "ePriceLevel": 1,
            "consumptionCost": [
                {"startValue": 0, "cost": [{"costKind": "CarbonDioxideEmission", "amount": 3, "amountMultiplier": 1}]}
            ],
        },
    ],
}


@pytest.fixture
async def planning(site: Site) -> Site:
    """A station whose vehicles speak ISO 15118, and a CSMS that plans."""
    site.has_plc = True
    site.csms.answers.policy.needs_status = "Accepted"
    return await site.start(schedule_wait_s=1.0)


def told(csms: Csms, action: str, count: int = 1) -> Payload:
    found: list[Payload] = csms.received(action)
    assert len(found) == count, found
    return found[-1]


async def named(site: Site, count: int = 1) -> Payload:
    """The vehicle's needs as the CSMS hears of them."""
    await site.until(lambda: len(site.csms.received("NotifyEVChargingNeeds")) == count)
    return told(site.csms, "NotifyEVChargingNeeds", count)


async def chosen(site: Site, count: int = 1) -> Payload:
    await site.until(lambda: len(site.csms.received("NotifyEVChargingSchedule")) == count)
    return told(site.csms, "NotifyEVChargingSchedule", count)


async def planned(site: Site, *limits: float, **more: Any) -> tuple[Planner, str]:
    """A vehicle that charges by the CSMS's schedule."""
    vehicle = Planner(site)
    await vehicle.arrive()
    transaction_id = await vehicle.authorize()
    asking = asyncio.create_task(vehicle.parameters())
    await named(site)
    await accept(site, 1, of_tx(1, transaction_id, *limits, **more))
    await asking
    assert (await vehicle.start(1, amount(69, "W", 2))).code == "OK"
    return vehicle, transaction_id


async def test_tc_k_53(planning: Site) -> None:
    """The vehicle's needs to the CSMS, its schedules with their tariff to the vehicle, the choice and plan back."""
    vehicle = Planner(planning)
    await vehicle.arrive()
    transaction_id = await vehicle.authorize()
    asking = asyncio.create_task(vehicle.parameters())
    needs = await named(planning)
    assert needs["maxScheduleTuples"] == 3
    assert needs["chargingNeeds"]["requestedEnergyTransfer"] == "AC_three_phase"
    assert needs["chargingNeeds"]["acChargingParameters"] == {
        "energyAmount": 20_000,
        "evMinCurrent": 6,
        "evMaxCurrent": 16,
        "evMaxVoltage": 400,
    }
    assert needs["chargingNeeds"]["departureTime"][:15] == stamp(seconds=7200)[:15]
    profile = of_tx(1, transaction_id, 8.0, 16.0, schedule={"id": 300, "salesTariff": TARIFF})
    other = profile["chargingSchedule"][0] | {"id": 301, "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]}
    profile["chargingSchedule"].append(other)
    await accept(planning, 1, profile)
    response = await asking
    (first, steps), (second, flat) = offered(response)
    assert (first, second) == (1, 2)
    assert [power for _, power in steps] == [5520.0, 11_040.0]
    assert 85 <= steps[1][0] <= 90
    assert flat == [(0, 6900.0)]
    tariff = response.elements["SAScheduleList"]["SAScheduleTuple"][0]["SalesTariff"]
    assert tariff["SalesTariffDescription"] == "night"
    assert [entry["EPriceLevel"] for entry in tariff["SalesTariffEntry"]] == [2, 1]
    assert tariff["SalesTariffEntry"][1]["ConsumptionCost"][0]["Cost"][0]["amount"] == 3
    assert (await vehicle.start(2, amount(46, "W", 2))).code == "OK"
    choice = await chosen(planning)
    assert choice["chargingSchedule"]["id"] == 301
    assert choice["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 4600.0}]
    status = await vehicle.status()
    assert status.elements["EVSEMaxCurrent"]["Value"] == 10, "the schedule it chose, not the first"
    await vehicle.leave()


async def test_tc_k_54(planning: Site) -> None:
    """A CSMS that does not plan: the vehicle charges within the limits there are."""
    planning.csms.answers.policy.needs_status = "Rejected"
    vehicle = Planner(planning)
    await vehicle.arrive()
    await vehicle.authorize()
    assert offered(await vehicle.parameters()) == [(1, [(0, 22_080.0)])]
    assert (await vehicle.start()).code == "OK"
    await planning.event("Updated", chargingState="Charging")
    await vehicle.leave()


async def test_a_csms_that_plans_and_sends_nothing_costs_no_charge(planning: Site) -> None:
    planning.csms.answers.policy.needs_status = "Processing"
    vehicle = Planner(planning)
    await vehicle.arrive()
    await vehicle.authorize()
    assert offered(await vehicle.parameters()) == [(1, [(0, 22_080.0)])]
    await vehicle.drive_off()


async def test_tc_k_55(planning: Site) -> None:
    """A plan of the vehicle's beyond the CSMS's schedule is refused to the vehicle."""
    vehicle = Planner(planning)
    await vehicle.arrive()
    transaction_id = await vehicle.authorize()
    asking = asyncio.create_task(vehicle.parameters())
    await named(planning)
    await accept(planning, 1, of_tx(1, transaction_id, 8.0))
    await asking
    assert (await vehicle.start(1, amount(11, "W", 3))).code == "FAILED_ChargingProfileInvalid"
    assert planning.csms.received("NotifyEVChargingSchedule") == []
    await vehicle.drive_off()


async def test_tc_k_56(planning: Site) -> None:
    """Offline nobody plans: the vehicle charges within the limits that are known."""
    vehicle = Planner(planning)
    await vehicle.arrive()
    await vehicle.authorize()
    await planning.go_offline()
    await planning.until(lambda: not planning.evses[1].view.asks_for_schedules)
    assert offered(await vehicle.parameters()) == [(1, [(0, 22_080.0)])]
    assert (await vehicle.start()).code == "OK"
    await vehicle.leave()
    await planning.come_back()
    assert planning.csms.received("NotifyEVChargingNeeds") == []


async def test_tc_k_57(planning: Site) -> None:
    """The vehicle renegotiates: its new needs to the CSMS, a new schedule, a new choice."""
    vehicle, transaction_id = await planned(planning, 10.0)
    await chosen(planning)
    asking = asyncio.create_task(vehicle.renegotiate(EAmount=amount(5, "Wh", 3)))
    needs = await named(planning, 2)
    assert needs["chargingNeeds"]["acChargingParameters"]["energyAmount"] == 5000
    await accept(planning, 1, of_tx(1, transaction_id, 12.0))
    assert offered(await asking) == [(1, [(0, 8280.0)])]
    assert (await vehicle.start(1, amount(82, "W", 2))).code == "OK"
    assert (await chosen(planning, 2))["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 8200.0
    assert (await vehicle.status()).elements["EVSEMaxCurrent"]["Value"] == 12
    await vehicle.leave()


async def test_tc_k_58(planning: Site) -> None:
    """The CSMS renegotiates by a new TxProfile: the vehicle is sent back, and chooses again."""
    vehicle, transaction_id = await planned(planning, 10.0)
    await chosen(planning)
    await accept(planning, 1, of_tx(1, transaction_id, 7.0))
    await vehicle.told_to_renegotiate()
    assert offered(await vehicle.renegotiate()) == [(1, [(0, 4830.0)])]
    assert (await vehicle.start(1, amount(48, "W", 2))).code == "OK"
    assert (await chosen(planning, 2))["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 4800.0
    await planning.event("Updated", triggerReason="ChargingRateChanged")
    told(planning.csms, "NotifyEVChargingNeeds", 1)
    await vehicle.leave()


async def test_tc_k_59(planning: Site) -> None:
    """The CSMS renegotiates, and later the vehicle does: now its needs are told again."""
    vehicle, transaction_id = await planned(planning, 10.0)
    await accept(planning, 1, of_tx(1, transaction_id, 7.0))
    await vehicle.told_to_renegotiate()
    await vehicle.renegotiate()
    await vehicle.start(1, amount(48, "W", 2))
    await chosen(planning, 2)
    asking = asyncio.create_task(vehicle.renegotiate())
    await named(planning, 2)
    await accept(planning, 1, of_tx(1, transaction_id, 9.0))
    assert offered(await asking) == [(1, [(0, 6210.0)])]
    await vehicle.start()
    choice = await chosen(planning, 3)
    assert choice["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 6210.0}], (
        "a vehicle that tells no plan draws by the schedule"
    )
    await vehicle.leave()
