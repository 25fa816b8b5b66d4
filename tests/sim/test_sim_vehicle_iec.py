"""Visits of a plain IEC 61851 car, and the driver's part, on a cable in memory."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from iso15118.shared.iexi_codec import IEXICodec

from sim.mcu.cable import CableError
from sim.plc.vehicle import MatchResult
from sim.vehicle import driver, iec
from sim.vehicle.controller import ChargeGoal
from sim.vehicle.current import Demand
from sim.vehicle.driver import Kind, Means, Swipe, Vehicle, visit
from sim.vehicle.log import EventLog
from sim.vehicle.verdict import ExitCode, Verdict
from tests.sim.vehicle_fakes import FakeCable


class Visit:
    """A visit under way, and what it logged."""

    def __init__(self, task: asyncio.Task[Verdict], cable: FakeCable, log_path: Path) -> None:
        self.task = task
        self.cable = cable
        self._log_path = log_path

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log_path.read_text().splitlines()]

    def names(self) -> list[str]:
        return [e["event"] for e in self.events()]

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(400):
            if condition():
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"not within 2 s: {self.names()}")


def no_codec() -> IEXICodec:
    raise AssertionError("a plain car has no EXI")


async def no_match(_interface: str) -> MatchResult:
    raise AssertionError("a plain car answers no SLAC")


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iec, "PAUSE_S", 0.2)
    monkeypatch.setattr(driver, "UNLOCK_S", 0.2)
    monkeypatch.setattr(driver, "CARD_AGAIN_S", 0.1)


@asynccontextmanager
async def iec_visit(
    tmp_path: Path, goal: ChargeGoal, swipe: Swipe | None = None, cable: FakeCable | None = None
) -> AsyncIterator[Visit]:
    cable = cable or FakeCable()
    path = tmp_path / "vehicle.jsonl"
    vehicle = Vehicle(
        kind=Kind.IEC,
        interface="ev0",
        pki=tmp_path,
        tls=False,
        demand=Demand(16.0),
        goal=goal,
        loop_delay_s=0.5,
        swipe=swipe,
    )
    with EventLog(path) as log:
        task = asyncio.create_task(visit(vehicle, cable, Means(no_match, no_codec), log))
        yield Visit(task, cable, path)
        task.cancel()
        await asyncio.wait({task})


async def test_plug_swipe_charge_and_leave(tmp_path: Path) -> None:
    async with iec_visit(tmp_path, ChargeGoal(charge_s=0.3), Swipe("04A1B2C3", after_s=0.05)) as car:
        cable = car.cable
        await car.until(lambda: cable.cp == "B")
        cable.pwm(5.0)
        await car.until(lambda: ("swipe", "04A1B2C3", "ISO14443") in cable.did)
        await asyncio.sleep(0.1)
        assert cable.cp == "B", "5 % offers no current to a plain car"
        cable.pwm(20.0)
        await car.until(lambda: cable.currents_a[0] == pytest.approx(12.0))
        verdict = await car.task
        assert verdict == Verdict(ExitCode.AS_EXPECTED, "charged")
        assert [step for step in cable.did if step[0] == "cp"] == [("cp", "B"), ("cp", "C"), ("cp", "B"), ("cp", "A")]
        assert car.names()[0] == "plugged"
        assert car.names()[-1] == "unplugged"


async def test_it_leaves_with_the_energy_it_wanted(tmp_path: Path) -> None:
    async with iec_visit(tmp_path, ChargeGoal(charge_s=60.0, energy_wh=10.0)) as car:
        car.cable.pwm(20.0)
        await car.until(lambda: car.cable.cp == "C")
        car.cable.show(energy_wh=509.9)
        await asyncio.sleep(0.1)
        assert not car.task.done()
        car.cable.show(energy_wh=510.0)
        assert (await car.task).exit_code is ExitCode.AS_EXPECTED
        stopped = next(e for e in car.events() if e["event"] == "stopped")
        assert stopped["energy_wh"] == pytest.approx(10.0)


async def test_a_short_pause_of_the_station_is_waited_out(tmp_path: Path) -> None:
    async with iec_visit(tmp_path, ChargeGoal(charge_s=60.0)) as car:
        cable = car.cable
        cable.pwm(20.0)
        await car.until(lambda: cable.currents_a[0] > 0)
        cable.show(cp_mode="X1", duty_percent=100.0)
        await car.until(lambda: cable.cp == "B")
        assert cable.currents_a[0] == 0.0
        cable.pwm(10.0)
        await car.until(lambda: cable.cp == "C" and cable.currents_a[0] == pytest.approx(6.0))


async def test_after_a_long_one_the_driver_leaves(tmp_path: Path) -> None:
    async with iec_visit(tmp_path, ChargeGoal(charge_s=60.0)) as car:
        car.cable.pwm(20.0)
        await car.until(lambda: car.cable.currents_a[0] > 0)
        car.cable.show(cp_mode="X1", duty_percent=100.0)
        assert await car.task == Verdict(ExitCode.AS_EXPECTED, "stopped by the station")
        assert car.cable.cp == "A"


async def test_a_station_that_never_closes_is_a_failure(tmp_path: Path) -> None:
    async with iec_visit(tmp_path, ChargeGoal(charge_s=0.1), cable=FakeCable(permits=False)) as car:
        car.cable.pwm(20.0)
        assert await car.task == Verdict(ExitCode.FAILED, "charged, but no current ever flowed")


async def test_a_locked_plug_is_told(tmp_path: Path) -> None:
    async with iec_visit(tmp_path, ChargeGoal(charge_s=0.1)) as car:
        car.cable.show(locked=True)
        car.cable.pwm(20.0)
        await car.task
        assert car.names()[-2:] == ["still_locked", "unplugged"]


async def test_a_locked_plug_is_freed_with_the_card_that_began(tmp_path: Path) -> None:
    async with iec_visit(tmp_path, ChargeGoal(charge_s=0.1), Swipe("04A1B2C3", after_s=0.0)) as car:
        card = ("swipe", "04A1B2C3", "ISO14443")
        await car.until(lambda: card in car.cable.did)
        car.cable.show(locked=True)
        car.cable.pwm(20.0)
        await car.until(lambda: car.cable.did.count(card) == 2)
        assert car.cable.cp == "B"
        car.cable.show(locked=False)
        await car.task
        assert car.names()[-2:] == ["swiped", "unplugged"]


async def test_without_an_offer_it_waits(tmp_path: Path) -> None:
    async with iec_visit(tmp_path, ChargeGoal(charge_s=0.1)) as car:
        await asyncio.sleep(0.5)
        assert not car.task.done()
        assert car.cable.cp == "B"


async def test_driven_off_in_mid_charge_it_stops_in_order(tmp_path: Path) -> None:
    async with iec_visit(tmp_path, ChargeGoal(charge_s=60.0)) as car:
        car.cable.pwm(20.0)
        await car.until(lambda: car.cable.currents_a[0] > 0)
        car.task.cancel()
        await asyncio.wait({car.task})
        assert car.task.cancelled()
        assert car.cable.did[-3:] == [("draw", 0.0, 0.0, 0.0), ("cp", "B"), ("cp", "A")]


async def test_a_lost_cable_ends_the_visit(tmp_path: Path) -> None:
    class CutCable(FakeCable):
        async def draw(self, *current_a: float) -> None:
            if current_a[0] > 0:
                raise CableError("cable cut")
            await super().draw(*current_a)

    async with iec_visit(tmp_path, ChargeGoal(charge_s=60.0), cable=CutCable()) as car:
        car.cable.pwm(20.0)
        with pytest.raises(ExceptionGroup) as caught:
            await car.task
        assert caught.group_contains(CableError)
