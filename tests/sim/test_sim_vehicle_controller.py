"""The answers the vehicle's controller gives to the package's EVCC."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from iso15118.evcc.evcc_config import EVCCConfig
from iso15118.shared.messages.enums import EnergyTransferModeEnum, Protocol
from iso15118.shared.messages.iso15118_2.datatypes import ChargeProgress, SAScheduleTuple

from sim.vehicle.controller import ChargeGoal, VehicleController
from sim.vehicle.current import Demand
from sim.vehicle.log import EventLog
from sim.vehicle.onboard import OnboardCharger
from tests.sim.vehicle_fakes import FakeCable


class Bench:
    def __init__(self, log: EventLog, cable: FakeCable, goal: ChargeGoal) -> None:
        self.cable = cable
        self.charger = OnboardCharger(cable, log, Demand(16.4))
        self.controller = VehicleController(EVCCConfig(), self.charger, goal, loop_delay_s=0.25)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with EventLog(tmp_path / "vehicle.jsonl") as log:
        yield log


@pytest.fixture
def bench(log: EventLog) -> Bench:
    cable = FakeCable()
    cable.pwm(5.0)
    return Bench(log, cable, ChargeGoal(charge_s=60.0, energy_wh=10.0))


def schedule_tuple(tuple_id: int, *steps: tuple[int, int]) -> SAScheduleTuple:
    entries: list[dict[str, Any]] = [
        {"PMax": {"Multiplier": 1, "Value": power_w // 10, "Unit": "W"}, "RelativeTimeInterval": {"start": start_s}}
        for start_s, power_w in steps
    ]
    entries[-1]["RelativeTimeInterval"]["duration"] = 3600
    return SAScheduleTuple.parse_obj({"SAScheduleTupleID": tuple_id, "PMaxSchedule": {"PMaxScheduleEntry": entries}})


async def test_it_asks_for_what_the_vehicle_can_draw(bench: Bench) -> None:
    parameters = await bench.controller.get_charge_params_v2(Protocol.ISO_15118_2)
    ac_parameters = parameters.ac_parameters
    assert parameters.energy_mode is EnergyTransferModeEnum.AC_THREE_PHASE_CORE
    assert parameters.dc_parameters is None
    assert ac_parameters is not None
    assert ac_parameters.ev_max_current.get_decimal_value() == pytest.approx(16.4)
    assert ac_parameters.ev_min_current.get_decimal_value() == 6
    assert ac_parameters.e_amount.get_decimal_value() == 10


async def test_a_vehicle_that_charges_by_time_asks_for_plenty(log: EventLog) -> None:
    bench = Bench(log, FakeCable(), ChargeGoal(charge_s=1.0))
    ac_parameters = (await bench.controller.get_charge_params_v2(Protocol.ISO_15118_2)).ac_parameters
    assert ac_parameters is not None
    assert ac_parameters.e_amount.get_decimal_value() == 20_000


async def test_it_takes_the_first_schedule_and_keeps_to_it(bench: Bench) -> None:
    offered = [schedule_tuple(7, (0, 6900), (60, 11040)), schedule_tuple(8, (0, 22080))]
    progress, tuple_id, profile = await bench.controller.process_sa_schedules_v2(offered)
    assert (progress, tuple_id) == (ChargeProgress.START, 7)
    assert [entry.start for entry in profile.profile_entries] == [0, 60, 3660]
    assert bench.charger.demand.schedule is not None
    assert bench.charger.demand.schedule.steps == ((0.0, 6900.0), (60.0, 11040.0))
    assert bench.charger.demand.current_a(5.0, time.monotonic()) == pytest.approx(10.0)


async def test_charging_enabled_is_state_c(bench: Bench) -> None:
    await bench.controller.enable_charging(True)
    await bench.controller.enable_charging(True)
    assert bench.cable.cp == "C"
    await bench.controller.enable_charging(False)
    assert bench.cable.cp == "B"


async def test_once_detached_it_moves_nothing(bench: Bench) -> None:
    bench.controller.detach()
    await bench.controller.enable_charging(True)
    await bench.controller.enable_charging(False)
    assert bench.cable.did == []


async def test_it_goes_on_until_the_goal(bench: Bench) -> None:
    await bench.controller.enable_charging(True)
    assert await bench.controller.continue_charging()
    bench.cable.show(energy_wh=510.0)
    assert not await bench.controller.continue_charging()
    assert await bench.controller.charge_loop_delay() == 0.25


async def test_time_is_a_goal_too(log: EventLog) -> None:
    bench = Bench(log, FakeCable(), ChargeGoal(charge_s=0.0))
    assert not await bench.controller.continue_charging()
