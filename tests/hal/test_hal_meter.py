"""The meter driver: readings with their age, no old value twice, a fault after two missed cycles, a board above it."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hal.board import McuBoard
from hal.meter import ModbusMeter
from hal.metered_board import MeteredBoard
from hal.modbus.bus import ModbusBus
from hal.modbus.meters import METERS
from hal.modbus.rtu_line import RtuLine
from hal.modbus.tcp_line import TcpLine
from hal.ports import BoardFault, BoardUnavailable, Fault, HalFact, MeterSampled, PluggedIn, Severity
from hal.quantities import EvseId
from sim.meter.device import Meter
from sim.meter.server import SerialMeters
from tests.conformance.mcu_peer import Maker, ended, start_meter, until

PERIOD_S = 0.05
MODEL = METERS["eastron-sdm630"]


class Stand:
    def __init__(self, link: Path) -> None:
        self.simulated = {1: Meter(MODEL, energy_wh=1000.0), 2: Meter(MODEL)}
        self.link = link
        self.line = SerialMeters(link, self.simulated)
        self.bus = ModbusBus(RtuLine(str(link), 115200, timeout_s=0.03))
        self.facts: list[HalFact] = []
        self.meter = self.driver(1, self.facts)

    def driver(self, unit: int, facts: list[HalFact]) -> ModbusMeter:
        return ModbusMeter(self.bus, unit, MODEL, EvseId(unit), facts.append, period_s=PERIOD_S)

    def faults(self) -> list[tuple[Fault, bool]]:
        return [(fact.fault, fact.active) for fact in self.facts if isinstance(fact, BoardFault)]

    def samples(self) -> int:
        return sum(isinstance(fact, MeterSampled) for fact in self.facts)


@pytest.fixture
async def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    monkeypatch.setattr("hal.modbus.bus.BACK_OFF_FIRST_S", 0.1)
    monkeypatch.setattr("hal.modbus.bus.BACK_OFF_MAX_S", 0.1)
    made = Stand(tmp_path / "tty")
    yield made
    await made.meter.close()
    await made.bus.close()
    made.line.close()


async def test_a_reading_with_its_age(stand: Stand) -> None:
    with pytest.raises(BoardUnavailable, match="no reading yet"):
        stand.meter.reading()
    stand.simulated[1].current_a = (16.0, 15.5, 0.25)
    stand.simulated[1].power_w = 7302.5
    before_s, before = time.monotonic(), datetime.now(UTC)
    await stand.meter.open()
    await stand.meter.open()
    await until(lambda: stand.samples() > 0)
    reading = stand.meter.reading()
    assert (reading.energy_import_wh, reading.power_import_w) == (1000.0, 7302.5)
    assert (reading.current_a, reading.voltage_v) == ((16.0, 15.5, 0.25), (230.0, 230.0, 230.0))
    assert before_s <= reading.taken_at_s <= time.monotonic()
    assert before <= reading.wall_time <= datetime.now(UTC)


async def test_two_missed_cycles_are_a_fault_and_no_value_is_repeated(stand: Stand) -> None:
    await stand.meter.open()
    await until(lambda: stand.samples() > 1)
    stand.simulated[1].silent = True
    silent_s = time.monotonic()
    await until(lambda: stand.faults() != [])
    assert time.monotonic() - silent_s < 5 * PERIOD_S
    assert stand.faults() == [(Fault.POWER_METER_FAILURE, True)]
    await asyncio.sleep(3 * PERIOD_S)
    with pytest.raises(BoardUnavailable, match="no reading for"):
        stand.meter.reading()
    known = stand.samples()
    await asyncio.sleep(2 * PERIOD_S)
    assert stand.samples() == known
    stand.simulated[1].silent = False
    await until(lambda: stand.faults()[1:] == [(Fault.POWER_METER_FAILURE, False)])
    stand.meter.reading()
    fault = next(fact for fact in stand.facts if isinstance(fact, BoardFault))
    assert fault.severity is Severity.STOP


async def test_one_missed_cycle_is_none(stand: Stand) -> None:
    await stand.meter.open()
    await until(lambda: stand.samples() > 0)
    stand.simulated[1].busy = True
    await until(lambda: stand.meter.misses.total() == 1)
    stand.simulated[1].busy = False
    known = stand.samples()
    await until(lambda: stand.samples() > known)
    assert stand.faults() == []
    assert stand.meter.misses == {"Refused": 1}


async def test_what_is_no_number_is_no_reading(stand: Stand) -> None:
    stand.simulated[1].not_a_number = True
    await stand.meter.open()
    await until(lambda: stand.faults() == [(Fault.POWER_METER_FAILURE, True)])
    assert stand.meter.misses["BadAnswer"] == 2
    assert stand.samples() == 0


async def test_a_dead_meter_does_not_starve_its_neighbour(stand: Stand) -> None:
    stand.simulated[1].silent = True
    second: list[HalFact] = []
    neighbour = stand.driver(2, second)
    await stand.meter.open()
    await neighbour.open()
    began_s = time.monotonic()
    await until(lambda: len(second) >= 10)
    took_s = time.monotonic() - began_s
    await neighbour.close()
    assert took_s < 10 * PERIOD_S * 2
    assert all(isinstance(fact, MeterSampled) for fact in second)


async def test_a_meter_that_is_not_there_at_first(stand: Stand) -> None:
    stand.line.close()
    await stand.meter.open()
    await until(lambda: stand.faults() == [(Fault.POWER_METER_FAILURE, True)])
    stand.line = SerialMeters(stand.link, stand.simulated)
    await until(lambda: stand.faults()[1:] == [(Fault.POWER_METER_FAILURE, False)])


async def test_a_board_with_a_meter_of_its_own(tmp_path: Path) -> None:
    facts: list[HalFact] = []
    peer = await Maker().peer(tmp_path, "--telemetry-s", "0.05")
    meter_process = start_meter(
        *("--pty-link", str(tmp_path / "meter"), "--cable", str(tmp_path / "cable")),
        *("--unit", "5", "--energy-wh", "5000"),
    )
    bus = ModbusBus(RtuLine(str(tmp_path / "meter"), 115200))
    meter = ModbusMeter(bus, 5, MODEL, EvseId(1), facts.append, period_s=PERIOD_S)
    board = MeteredBoard(lambda report: McuBoard(peer.device, EvseId(1), report), meter, facts.append)
    try:
        await until((tmp_path / "meter").exists)
        assert (await board.open()).model == "sim-mcu"
        board.offer_hlc()
        board.offer_nothing()
        board.limit_current(20)
        board.lock_connector(True)
        await peer.cable.set_cp("B")
        await until(lambda: any(isinstance(fact, PluggedIn) for fact in facts))
        board.offer_current(16)
        await peer.cable.wait_for(lambda levels: levels.cp_mode == "X2" and levels.locked)
        board.permit_power(True)
        await peer.cable.set_cp("C")
        await peer.cable.draw(10, 10, 10)
        await until(lambda: _current(board) == (10, 10, 10))
        assert board.meter().energy_import_wh >= 5000
        assert board.snapshot().locked
        assert all(fact.reading.energy_import_wh >= 5000 for fact in facts if isinstance(fact, MeterSampled))
        board.signal_error()
        await peer.cable.wait_for(lambda levels: levels.contactor == "open")
    finally:
        await board.close()
        await bus.close()
        meter_process.terminate()
        await ended(meter_process)
        await peer.stop()
    assert meter_process.exitcode == 0


def _current(board: MeteredBoard) -> tuple[float, float, float] | None:
    try:
        return board.meter().current_a
    except BoardUnavailable:
        return None


async def test_the_simulated_meter_on_tcp(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    arguments = ("--tcp-port", str(port), "--model", "iskra-wm3m4", "--energy-wh", "77")
    process = start_meter(*arguments)
    facts: list[HalFact] = []
    bus = ModbusBus(TcpLine("127.0.0.1", port))
    meter = ModbusMeter(bus, 1, METERS["iskra-wm3m4"], EvseId(1), facts.append, period_s=PERIOD_S)
    try:
        await meter.open()
        await until(lambda: any(isinstance(fact, MeterSampled) for fact in facts))
        assert meter.reading().energy_import_wh == 77
    finally:
        await meter.close()
        await bus.close()
        process.terminate()
        await ended(process)


@pytest.fixture
def free_port() -> Callable[[], int]:
    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find
