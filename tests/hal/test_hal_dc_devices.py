"""The devices of a DC output against their simulated peers: one suite for each port, over good lines and bad ones."""

import asyncio
import random
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hal.can.bus import CanError, DatagramBus, SocketCan, bus_of
from hal.can.frame import CanFrame
from hal.dc import infy
from hal.dc.infy_supply import InfySupply
from hal.dc.isolation_monitor import ModbusIsolationMonitor
from hal.dc.monitors import MONITORS
from hal.dc.ports import OFF, InsulationReading, Reading, SelfTest, SupplyMode, SupplyReading, SupplySetpoint
from hal.modbus.bus import ModbusBus
from hal.modbus.pdu import BadAnswer
from hal.modbus.rtu_line import RtuLine
from hal.ports import BoardUnavailable
from sim.dc.cabinet import MONITOR_KINDS
from sim.dc.infy import InfyModule
from sim.dc.monitors import Monitor
from sim.dc.plant import Battery, DcPlant
from sim.mcu.line import Quality
from sim.meter.server import SerialMeters
from tests.conformance.mcu_peer import until

EXPORT = SupplySetpoint(SupplyMode.EXPORT, 400.0, 50.0)


# --- the CAN bus ---


async def test_a_bus_carries_frames_to_the_others(tmp_path: Path) -> None:
    one, other = bus_of(f"unix:{tmp_path / 'can'}"), DatagramBus(tmp_path / "can")
    heard: list[CanFrame] = []
    own: list[CanFrame] = []
    other.subscribe(heard.append)
    one.subscribe(own.append)
    for bus in (one, other, one):
        bus.open()
    frame = CanFrame(0x1ABCDEF0, b"\x01\x02\x03")
    one.send(frame)
    await until(lambda: heard == [frame])
    assert own == []
    other.close()
    one.send(frame)
    assert one.dropped == 0, "nobody there is no loss"
    one.close()
    one.send(frame)
    assert one.dropped == 1


async def test_a_burst_waits_for_who_reads(tmp_path: Path) -> None:
    one, other = DatagramBus(tmp_path), DatagramBus(tmp_path)
    heard: list[CanFrame] = []
    other.subscribe(heard.append)
    one.open()
    other.open()
    for number in range(60):
        one.send(CanFrame(number))
    await until(lambda: [frame.can_id for frame in heard] == list(range(60)))
    assert one.dropped == 0
    for number in range(1000):
        one.send(CanFrame(number))
    assert one.dropped > 0, "bounded"
    one.close()
    other.close()


async def test_a_participant_that_died_is_forgotten(tmp_path: Path) -> None:
    bus = DatagramBus(tmp_path)
    bus.open()
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    dead.bind(str(tmp_path / "dead"))
    dead.close()
    bus.send(CanFrame(1))
    assert not (tmp_path / "dead").exists()
    bus.close()


async def test_what_is_no_frame_is_not_heard(tmp_path: Path) -> None:
    bus = DatagramBus(tmp_path)
    heard: list[CanFrame] = []
    bus.subscribe(heard.append)
    bus.open()
    chance = random.Random(1)
    there = str(bus._own)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        for length in range(1, 40):
            line.sendto(chance.randbytes(length), there)
            await asyncio.sleep(0)
        line.sendto(struct.pack("=IB3x8s", 0x80000001 | 0x20000000, 0, b""), there)
        line.sendto(struct.pack("=IB3x8s", 0x00000123, 0, b""), there)
        line.sendto(CanFrame(7).to_bytes(), there)
    await until(lambda: bool(heard) and heard[-1] == CanFrame(7))
    assert all(len(frame.data) <= 8 for frame in heard)
    bus.close()


async def test_an_interface_that_is_not_there() -> None:
    """As with a kernel that has no CAN at all."""
    with pytest.raises(CanError, match="nocan0"):
        bus_of("nocan0").open()


async def test_socketcan_over_a_socket_of_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """This kernel has no AF_CAN; a pair of packet sockets behaves the same from here."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    bus = SocketCan("can0")
    monkeypatch.setattr(bus, "_make", lambda: near)
    heard: list[CanFrame] = []
    bus.subscribe(heard.append)
    bus.open()
    far.send(CanFrame(0x123, b"12345678").to_bytes())
    await until(lambda: heard == [CanFrame(0x123, b"12345678")])
    bus.send(CanFrame(0x321, b"x"))
    assert CanFrame.from_bytes(far.recv(64)) == CanFrame(0x321, b"x")
    far.close()
    bus.send(CanFrame(1))
    assert bus.dropped == 1
    bus.close()


# --- the supply ---


class SupplyStand:
    """Two modules that share a plant, on a bus with the driver; `lose` is the share of frames that get lost."""

    def __init__(self, directory: Path) -> None:
        self.plant = DcPlant(time.monotonic())
        self.modules = [InfyModule(address, self.plant, share=0.5) for address in (0, 1)]
        self.lose = 0.0
        self.spoil = 0.0
        self.chance = random.Random(7)
        self.readings: list[SupplyReading] = []
        self._far = DatagramBus(directory)
        self._far.subscribe(self._heard)
        self._far.open()
        self.supply = InfySupply(DatagramBus(directory), (0, 1), self._take, period_s=0.02)

    def _take(self, reading: Reading) -> None:
        assert isinstance(reading, SupplyReading)
        self.readings.append(reading)

    def _heard(self, frame: CanFrame) -> None:
        now = time.monotonic()
        self.plant.tick(now)
        if self.chance.random() < self.lose:
            return
        for module in self.modules:
            answer = module.answer(frame.can_id, frame.data, now)
            if answer is None:
                continue
            can_id, data = answer
            if self.chance.random() < self.spoil:
                data = self.chance.randbytes(self.chance.randrange(9))
                can_id ^= 1 << self.chance.randrange(29)
            self._far.send(CanFrame(can_id, data))

    def close(self) -> None:
        self._far.close()

    async def fresh(self) -> SupplyReading:
        count = len(self.readings)
        await until(lambda: len(self.readings) > count + 1)
        return self.readings[-1]


@pytest.fixture
async def supply(tmp_path: Path) -> AsyncIterator[SupplyStand]:
    stand = SupplyStand(tmp_path / "can")
    yield stand
    await stand.supply.close()
    stand.close()


async def test_a_supply_says_what_it_can(supply: SupplyStand) -> None:
    found = await supply.supply.open()
    assert (found.max_voltage_v, found.min_voltage_v, found.max_power_w) == (1000, 150, 80_000)
    assert found.max_current_a == pytest.approx(266.6)
    assert found.max_import_current_a == 0


async def test_set_points_reach_every_module(supply: SupplyStand) -> None:
    await supply.supply.open()
    supply.plant.battery = Battery(closed=True)
    supply.plant.contactor_closed = True
    supply.supply.put(EXPORT)
    await until(lambda: all(module.on for module in supply.modules))
    await until(lambda: supply.readings[-1].current_a == pytest.approx(50, abs=0.5))
    assert supply.readings[-1].voltage_v == pytest.approx(supply.plant.supply_v, abs=1)
    supply.supply.put(OFF)
    await until(lambda: not any(module.on for module in supply.modules))
    assert (await supply.fresh()).current_a == 0


async def test_a_silent_module_is_no_reading(supply: SupplyStand) -> None:
    await supply.supply.open()
    await supply.fresh()
    supply.modules[1].silent = True
    await asyncio.sleep(0.05)
    count = len(supply.readings)
    await asyncio.sleep(0.1)
    assert len(supply.readings) <= count + 1
    supply.modules[1].silent = False
    await supply.fresh()


async def test_a_supply_that_is_not_there(supply: SupplyStand) -> None:
    supply.modules[0].silent = True
    with pytest.raises(BoardUnavailable, match="no answer of module 0"):
        await supply.supply.open()
    supply.modules[0].silent = False
    await supply.supply.open()


async def test_a_bus_that_is_not_there() -> None:
    supply = InfySupply(SocketCan("nocan0"), (0,), lambda _: None)
    with pytest.raises(BoardUnavailable, match="nocan0"):
        await supply.open()


async def test_a_module_that_restarted_is_told_again(supply: SupplyStand) -> None:
    await supply.supply.open()
    supply.supply.put(EXPORT)
    await until(lambda: supply.modules[0].on)
    supply.modules[0].on = False
    supply.plant.set_v = 0.0
    await until(lambda: supply.modules[0].on and supply.plant.set_v == 400, timeout_s=2)


async def test_a_module_with_an_alarm_says_so(supply: SupplyStand) -> None:
    await supply.supply.open()
    await supply.fresh()
    supply.modules[1].alarms = 1 << 12 | 1 << 16
    await until(lambda: supply.readings[-1].fault == "module 1: output short circuit, over-temperature")
    supply.modules[1].alarms = 0
    await until(lambda: not supply.readings[-1].fault)


async def test_lost_and_spoilt_frames(supply: SupplyStand) -> None:
    """What is spoilt beyond a CAN's own checksum is not taken for a module's word; what is lost is said again."""
    supply.lose = supply.spoil = 0.1
    for _ in range(5):
        try:
            await supply.supply.open()
            break
        except BoardUnavailable:
            continue
    supply.supply.put(EXPORT)
    await until(lambda: all(module.on for module in supply.modules), timeout_s=5)
    await supply.fresh()
    supply.lose = supply.spoil = 0.0
    supply.plant.contactor_closed = True
    await until(lambda: supply.readings[-1].voltage_v == pytest.approx(400, abs=5), timeout_s=5)


async def test_closing_switches_it_off(supply: SupplyStand) -> None:
    await supply.supply.open()
    supply.supply.put(EXPORT)
    await until(lambda: supply.modules[0].on)
    await supply.supply.close()
    await until(lambda: not any(module.on for module in supply.modules))


async def test_a_module_without_a_controller_ends_by_itself(supply: SupplyStand) -> None:
    await supply.supply.open()
    supply.supply.put(EXPORT)
    await until(lambda: supply.modules[0].on)
    supply.modules[0].tick(time.monotonic() + 16)
    assert not supply.modules[0].on


def test_no_frame_breaks_the_parser() -> None:
    chance = random.Random(3)
    parsed = 0
    for _ in range(20_000):
        said = infy.Address(chance.choice((3, 4, 10, 99 & 0x3F)), infy.CONTROLLER, chance.randrange(256)).can_id
        frame = CanFrame(
            said if chance.random() < 0.8 else chance.getrandbits(29), chance.randbytes(chance.choice((8, 8, 3)))
        )
        parsed += infy.parse(frame) is not None
    assert parsed > 5000
    assert infy.parse(CanFrame(infy.Address(3, infy.CONTROLLER, 1).can_id, struct.pack(">ff", float("nan"), 0))) is None


# --- the insulation monitors ---


class MonitorStand:
    def __init__(self, link: Path, kind: str, quality: Quality) -> None:
        self.plant = DcPlant(time.monotonic())
        self.plant.outer_v = 400.0
        self.device: Monitor = MONITOR_KINDS[kind](self.plant)
        self.device.self_test_s = 0.1
        self.line = SerialMeters(link, {2: self.device}, quality)
        self.bus = ModbusBus(RtuLine(str(link), 115200, timeout_s=0.05))
        self.readings: list[InsulationReading] = []
        self.monitor = ModbusIsolationMonitor(self.bus, 2, MONITORS[kind], self._take, period_s=0.02)
        self._time = asyncio.create_task(self._tick())

    def _take(self, reading: Reading) -> None:
        assert isinstance(reading, InsulationReading)
        self.readings.append(reading)

    async def _tick(self) -> None:
        while True:
            self.device.tick(time.monotonic())
            await asyncio.sleep(0.005)

    async def shows(self, holds: Callable[[InsulationReading], bool], timeout_s: float = 5.0) -> InsulationReading:
        count = len(self.readings)
        await until(lambda: len(self.readings) > count and holds(self.readings[-1]), timeout_s=timeout_s)
        return self.readings[-1]

    async def close(self) -> None:
        self._time.cancel()
        await self.monitor.close()
        await self.bus.close()
        self.line.close()


@pytest.fixture(params=sorted(MONITOR_KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def stand(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MonitorStand]:
    monkeypatch.setattr("hal.modbus.bus.BACK_OFF_FIRST_S", 0.1)
    monkeypatch.setattr("hal.modbus.bus.BACK_OFF_MAX_S", 0.1)
    monkeypatch.setattr("hal.dc.isolation_monitor.SELF_TEST_SHOWS_S", 0.5)
    made = MonitorStand(tmp_path / "tty", kind, Quality())
    yield made
    await made.close()


async def test_a_monitor_measures_while_it_is_wanted(stand: MonitorStand) -> None:
    await stand.monitor.open()
    reading = await stand.shows(lambda reading: reading.voltage_v == pytest.approx(400, abs=1))
    assert reading.resistance_kohm is None
    assert reading.self_test is SelfTest.NONE
    assert time.monotonic() - reading.taken_at_s < 1
    stand.monitor.measure(True)
    await stand.shows(lambda reading: (reading.resistance_kohm or 0) >= 2000)
    stand.plant.faults.leak_ohm = 40_000
    reading = await stand.shows(lambda reading: (reading.resistance_kohm or 1e9) < 100)
    assert reading.resistance_kohm == pytest.approx(39.7, abs=0.5)
    stand.monitor.measure(False)
    await stand.shows(lambda reading: reading.resistance_kohm is None)


async def test_only_some_know_the_voltage_to_earth(stand: MonitorStand, kind: str) -> None:
    await stand.monitor.open()
    reading = await stand.shows(lambda _: True)
    expected = (200.0, -200.0) if kind == "bender-isocha425" else (None, None)
    assert (reading.positive_to_earth_v, reading.negative_to_earth_v) == expected


async def test_a_self_test_passes(stand: MonitorStand) -> None:
    await stand.monitor.open()
    stand.monitor.measure(True)
    await stand.shows(lambda reading: reading.resistance_kohm is not None)
    stand.monitor.start_self_test()
    running = await stand.shows(lambda reading: reading.self_test is SelfTest.RUNNING)
    passed = await stand.shows(lambda reading: reading.self_test is SelfTest.PASSED)
    assert running.taken_at_s < passed.taken_at_s
    assert any(reading.resistance_kohm is None for reading in stand.readings[-10:]), "nothing measured meanwhile"
    stand.monitor.start_self_test()
    await stand.shows(lambda reading: reading.self_test is SelfTest.RUNNING)
    await stand.shows(lambda reading: reading.self_test is SelfTest.PASSED)


async def test_a_self_test_fails(stand: MonitorStand) -> None:
    stand.device.self_test_good = False
    await stand.monitor.open()
    stand.monitor.start_self_test()
    reading = await stand.shows(lambda reading: reading.self_test is SelfTest.FAILED)
    assert reading.fault


async def test_a_self_test_that_does_not_begin(stand: MonitorStand) -> None:
    await stand.monitor.open()
    await stand.shows(lambda _: True)
    stand.device.frozen = True
    stand.monitor.start_self_test()
    await stand.shows(lambda reading: reading.self_test is SelfTest.FAILED)


async def test_a_self_test_without_end(stand: MonitorStand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hal.dc.isolation_monitor.SELF_TEST_LIMIT_S", 0.6)
    stand.device.self_test_s = 60
    await stand.monitor.open()
    stand.monitor.start_self_test()
    await stand.shows(lambda reading: reading.self_test is SelfTest.FAILED)


async def test_a_broken_device_says_so(stand: MonitorStand) -> None:
    await stand.monitor.open()
    stand.device.broken = True
    await stand.shows(lambda reading: bool(reading.fault))
    stand.device.broken = False
    await stand.shows(lambda reading: not reading.fault)


async def test_a_silent_device_is_no_reading_and_is_configured_anew(stand: MonitorStand) -> None:
    await stand.monitor.open()
    await stand.shows(lambda _: True)
    configured = dict(stand.device.written)
    stand.device.silent = True
    await until(lambda: stand.monitor.misses["NoAnswer"] > 3)
    count = len(stand.readings)
    await asyncio.sleep(0.2)
    assert len(stand.readings) == count
    stand.device.written.clear()
    stand.device.silent = False
    await stand.shows(lambda _: True)
    assert stand.device.written == configured


async def test_spoilt_bytes(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hal.modbus.bus.BACK_OFF_FIRST_S", 0.05)
    monkeypatch.setattr("hal.modbus.bus.BACK_OFF_MAX_S", 0.05)
    stand = MonitorStand(tmp_path / "tty", kind, Quality(corrupt=0.01, seed=5))
    try:
        await stand.monitor.open()
        await until(lambda: len(stand.readings) >= 5, timeout_s=15)
        assert all(reading.voltage_v == pytest.approx(400, abs=1) for reading in stand.readings)
    finally:
        await stand.close()


def test_no_registers_break_a_map() -> None:
    chance = random.Random(2)
    for device in MONITORS.values():
        for _ in range(3000):
            addresses = [read.address + at for read in device.reads for at in range(read.count)]
            registers = {address: chance.getrandbits(16) for address in addresses}
            try:
                found = device.parse(registers)
            except BadAnswer:
                continue
            assert found.resistance_kohm is None or found.resistance_kohm == found.resistance_kohm
