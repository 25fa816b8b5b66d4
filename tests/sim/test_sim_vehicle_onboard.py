"""The on-board charger on a cable in memory."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sim.vehicle.current import Demand, PowerSchedule
from sim.vehicle.log import EventLog
from sim.vehicle.onboard import OnboardCharger
from tests.sim.vehicle_fakes import FakeCable


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "vehicle.jsonl"


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@asynccontextmanager
async def charger_on(cable: FakeCable, path: Path, demand: Demand) -> AsyncIterator[OnboardCharger]:
    with EventLog(path) as log:
        charger = OnboardCharger(cable, log, demand)
        task = asyncio.create_task(charger.run())
        yield charger
        task.cancel()
        await asyncio.wait({task})


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("not within 2 s")


async def test_state_c_first_then_the_current_and_back_in_the_other_order(log_path: Path) -> None:
    cable = FakeCable()
    cable.pwm(5.0)
    async with charger_on(cable, log_path, Demand(16.0)) as charger:
        await charger.start()
        await charger.start()
        await until(lambda: cable.currents_a[0] > 0)
        assert charger.drew
        await charger.stopped()
        await charger.stopped()
    assert cable.did == [("cp", "C"), ("draw", 16.0, 16.0, 16.0), ("draw", 0.0, 0.0, 0.0), ("cp", "B")]
    acted = [e["event"] for e in events(log_path) if e["event"] in ("pilot", "draw")]
    assert acted == ["pilot", "draw", "draw", "pilot"]


async def test_stop_acts_without_being_awaited(log_path: Path) -> None:
    cable = FakeCable()
    cable.pwm(5.0)
    async with charger_on(cable, log_path, Demand(16.0)) as charger:
        await charger.start()
        await until(lambda: cable.currents_a[0] > 0)
        before_s = time.monotonic()
        charger.stop()
        await until(lambda: cable.cp == "B")
        assert time.monotonic() - before_s < 0.04
        assert cable.currents_a == [0.0, 0.0, 0.0]


async def test_no_current_through_an_open_contactor(log_path: Path) -> None:
    cable = FakeCable(permits=False)
    cable.pwm(5.0)
    async with charger_on(cable, log_path, Demand(16.0)) as charger:
        await charger.start()
        await asyncio.sleep(0.1)
        assert cable.cp == "C"
        assert not charger.drew
        cable.show(contactor="closed")
        await until(lambda: cable.currents_a[0] == 16.0)
        cable.show(contactor="open")
        await until(lambda: cable.currents_a[0] == 0.0)
    assert [e["state"] for e in events(log_path) if e["event"] == "contactor"] == ["open", "closed", "open"]


async def test_it_follows_the_duty_the_messages_and_the_schedule(log_path: Path) -> None:
    cable = FakeCable()
    cable.pwm(5.0)
    async with charger_on(cable, log_path, Demand(32.0)) as charger:
        await charger.start()
        charger.schedule(PowerSchedule(((0.0, 22080.0),)))
        charger.limit(16.0)
        await until(lambda: cable.currents_a[0] == 16.0)
        charger.limit(16.0)
        charger.limit(10.0)
        await until(lambda: cable.currents_a[0] == 10.0)
        cable.pwm(13.33)
        await until(lambda: cable.currents_a[0] == pytest.approx(8.0, abs=0.01))
        cable.show(cp_mode="F", duty_percent=0.0)
        await until(lambda: cable.currents_a[0] == 0.0)
    seen = events(log_path)
    limits = [e for e in seen if e["event"] == "limit_seen"]
    assert [e.get("evse_max_current_a", e.get("p_max_w")) for e in limits] == [22080.0, 16.0, 10.0]
    assert [e["duty_percent"] for e in seen if e["event"] == "pwm"] == [5.0, 13.33, 100.0]


async def test_a_single_phase_vehicle_draws_on_l1_alone(log_path: Path) -> None:
    cable = FakeCable()
    cable.pwm(5.0)
    async with charger_on(cable, log_path, Demand(16.0, phases=1)) as charger:
        await charger.start()
        await until(lambda: cable.currents_a == [16.0, 0.0, 0.0])


async def test_energy_and_time_count_from_the_plug_and_from_state_c(log_path: Path) -> None:
    cable = FakeCable()
    cable.pwm(5.0)
    async with charger_on(cable, log_path, Demand(16.0)) as charger:
        assert charger.charging_s == 0.0
        await charger.start()
        cable.show(energy_wh=512.5)
        await asyncio.sleep(0.02)
        assert charger.energy_wh == pytest.approx(12.5)
        assert 0.02 <= charger.charging_s < 1.0


def test_each_event_is_one_line_with_the_monotonic_time(log_path: Path) -> None:
    before_s = time.monotonic()
    with EventLog(log_path) as log:
        log.write("plugged")
        assert len(events(log_path)) == 1, "written at once"
        log.write("draw", current_a=16.0, phases=3)
    with EventLog(log_path) as log:
        log.write("ended")
    first, second, third = events(log_path)
    assert first == {"t": first["t"], "event": "plugged"}
    assert before_s <= first["t"] <= second["t"] <= third["t"] <= time.monotonic()
    assert (second["current_a"], second["phases"], third["event"]) == (16.0, 3, "ended")
