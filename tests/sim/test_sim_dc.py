"""The simulated DC cabinet: what its wires do, in virtual time, and what it hears at its sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hal.can.bus import DatagramBus
from sim.dc.cabinet import Cabinet
from sim.dc.plant import AMBIENT_C, Battery, DcPlant
from sim.dc.plug import DcPlug
from sim.mcu.line import Quality
from tests.conformance.mcu_peer import Maker, until


def plant(**battery: float) -> DcPlant:
    made = DcPlant(0.0)
    made.battery = Battery(**battery)  # type: ignore[arg-type]
    return made


def passed(made: DcPlant, until_s: float) -> DcPlant:
    made.tick(until_s)
    return made


def test_an_open_output_follows_its_set_point_and_falls() -> None:
    made = DcPlant(0.0)
    made.on, made.set_v, made.set_a, made.contactor_closed = True, 400.0, 2.0, True
    assert passed(made, 0.1).outer_v == pytest.approx(150, abs=20), "1500 V/s"
    assert passed(made, 1.0).outer_v == 400
    made.on = False
    assert passed(made, 2.0).outer_v < 1


def test_current_flows_only_into_a_battery_that_is_lower() -> None:
    made = plant(voltage_v=380.0)
    assert made.battery is not None
    made.contactor_closed = made.battery.closed = made.on = True
    made.set_v, made.set_a = 500.0, 100.0
    passed(made, 2.0)
    assert made.current_a == pytest.approx(100)
    assert made.outer_v == pytest.approx(made.battery.open_circuit_v + 8, abs=0.1)
    before_wh = made.energy_wh
    passed(made, 38.0)
    # No single call makes more than 200 steps, however long it was away.
    assert made.energy_wh > before_wh
    made.set_v = 300.0
    assert passed(made, 40.0).current_a == 0


def test_a_battery_gives_its_voltage_to_the_cable_without_us() -> None:
    made = plant()
    assert made.battery is not None
    made.battery.closed = True
    assert passed(made, 1.0).outer_v == pytest.approx(made.battery.open_circuit_v, abs=1)
    assert made.supply_v == 0
    made.battery.closed = False
    assert passed(made, 2.0).outer_v < 1


def test_insulation_is_what_lies_in_parallel() -> None:
    made = plant()
    assert made.insulation_ohm == 5e6
    assert made.battery is not None
    made.battery.closed = True
    assert made.insulation_ohm == pytest.approx(1 / (1 / 5e6 + 1 / 2e6))
    made.faults.leak_ohm = 40_000
    assert made.insulation_ohm < 40_000
    made.outer_v = 400.0
    assert made.to_earth_v() == (380.0, -20.0)


def test_a_short_circuit_is_what_the_current_limit_leaves() -> None:
    made = DcPlant(0.0)
    made.on, made.set_v, made.set_a, made.contactor_closed = True, 220.0, 2.0, True
    made.faults.short_ohm = 20.0
    passed(made, 1.0)
    assert (made.supply_v, made.current_a) == (40.0, 2.0)


def test_a_welded_contactor_connects_without_the_board() -> None:
    made = DcPlant(0.0)
    made.faults.welded = True
    assert made.connected


def test_a_cable_gets_warm() -> None:
    made = plant()
    assert made.battery is not None
    made.contactor_closed = made.battery.closed = made.on = True
    made.set_v, made.set_a = 500.0, 200.0
    for second in range(1, 300):
        made.tick(float(second))
    assert 40 < made.cable_c < AMBIENT_C + 40
    made.faults.hot = True
    for second in range(300, 320):
        made.tick(float(second))
    assert made.cable_c > 100


@pytest.fixture
async def cabinet(tmp_path: Path) -> AsyncIterator[tuple[Cabinet, Path]]:
    peer = await Maker().peer(tmp_path)
    made = Cabinet("dold-rn5893", 2, tmp_path / "trace.jsonl")
    plug = tmp_path / "plug.sock"
    running = asyncio.create_task(
        made.run(DatagramBus(tmp_path / "can"), tmp_path / "line", Quality(), tmp_path / "cable", plug)
    )
    await until(plug.exists)
    yield made, plug
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await peer.stop()


async def test_a_vehicle_at_the_plug(cabinet: tuple[Cabinet, Path], tmp_path: Path) -> None:
    made, path = cabinet
    async with await DcPlug.connect(path) as plug:
        await plug.plug_in(380.0, 30.0)
        await until(lambda: plug.contacts.soc_percent == pytest.approx(30))
        await plug.close_contactors(True)
        await until(lambda: plug.contacts.voltage_v > 370)
        await plug.close_contactors(False)
        await until(lambda: plug.contacts.voltage_v < 60)
        await plug.unplug()
        await until(lambda: made.plant.battery is None)
    events = [json.loads(line)["event"] for line in (tmp_path / "trace.jsonl").read_text().splitlines()]
    assert {"supply", "flows", "contactor", "live"} <= set(events)


async def test_what_can_be_broken(cabinet: tuple[Cabinet, Path]) -> None:
    made, path = cabinet
    async with await DcPlug.connect(path) as plug:
        names = ("leak", "short", "welded", "mismatch", "over_voltage", "no_discharge", "hot", "supply_dead")
        names += ("supply_alarm", "monitor_silent", "monitor_broken", "self_test_bad", "meter_silent")
        for name in names:
            await plug.fault(name)
        await plug.fault("nothing of the kind")
        await plug.say({"nonsense": True})
        await until(lambda: made.meter.silent)
        faults = made.plant.faults
        assert all((faults.leak_ohm, faults.short_ohm, faults.welded, faults.offset_v, faults.over_v, faults.hot))
        assert all(module.silent and module.alarms for module in made.modules)
        assert made.monitor.silent
        assert made.monitor.broken
        for name in names:
            await plug.fault(name, False)
        await until(lambda: not made.meter.silent)
        assert made.plant.faults == type(made.plant.faults)()
        assert not any(module.silent or module.alarms for module in made.modules)
