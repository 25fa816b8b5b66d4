"""One request at a time; a dead device is left alone, and the others get its time."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hal.modbus.bus import BackOff, ModbusBus
from hal.modbus.meters import METERS
from hal.modbus.pdu import NoAnswer, Read, Refused, Write
from hal.modbus.rtu_line import RtuLine
from hal.modbus.tcp_line import TcpLine
from sim.mcu.line import Quality
from sim.meter.device import Meter
from sim.meter.server import SerialMeters, serve_tcp

VOLTAGE = Read(4, 0, 2)
V_230 = (0x4366, 0x0000)


def test_back_off_doubles_and_ends_with_an_answer() -> None:
    back_off = BackOff()
    back_off.missed(1, 0.0)
    assert back_off.wait_s(1, 0.0) == 0, "one miss is no silence"
    waits = []
    for _ in range(5):
        back_off.missed(1, 0.0)
        waits.append(back_off.wait_s(1, 0.0))
    assert waits == [2, 4, 8, 16, 16]
    assert back_off.wait_s(1, 10.0) == 6
    assert back_off.wait_s(2, 0.0) == 0, "the others are not meant"
    back_off.answered(1)
    assert back_off.wait_s(1, 0.0) == 0


class Line:
    """Two meters on one simulated RS-485 line, and the bus to ask them."""

    def __init__(self, link: Path, quality: Quality | None = None) -> None:
        self.meters = {unit: Meter(METERS["eastron-sdm630"]) for unit in (1, 2)}
        self.link = link
        self.quality = quality
        self.serial = SerialMeters(link, self.meters, quality)
        self.now = 0.0
        self.bus = ModbusBus(RtuLine(str(link), baudrate=115200, timeout_s=0.06), lambda: self.now)

    def restart(self) -> None:
        self.serial = SerialMeters(self.link, self.meters, self.quality)


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    made = Line(tmp_path / "tty")
    yield made
    await made.bus.close()
    made.serial.close()


async def test_registers_are_read_and_written(line: Line) -> None:
    assert await line.bus.ask(1, VOLTAGE) == V_230
    assert await line.bus.ask(1, Write(0x100, (7,))) == ()
    assert await line.bus.ask(2, Write(0x100, (8, 9))) == ()
    assert await line.bus.ask(2, Read(3, 0x100, 2)) == (8, 9)
    assert line.meters[1].written == {0x100: 7}


async def test_an_exception_is_an_answer(line: Line) -> None:
    line.meters[1].busy = True
    for _ in range(3):
        with pytest.raises(Refused, match="busy"):
            await line.bus.ask(1, VOLTAGE)
    line.meters[1].busy = False
    assert await line.bus.ask(1, VOLTAGE) == V_230
    assert line.bus.failures == {"Refused": 3}


async def test_a_dead_device_costs_the_others_two_time_outs_and_then_nothing(line: Line) -> None:
    line.meters[1].silent = True
    for _ in range(2):
        with pytest.raises(NoAnswer, match="unit 1: no answer"):
            await line.bus.ask(1, VOLTAGE)
    began_s = time.monotonic()
    for _ in range(20):
        with pytest.raises(NoAnswer, match="asked again in 2 s"):
            await line.bus.ask(1, VOLTAGE)
    assert time.monotonic() - began_s < 0.05
    assert await line.bus.ask(2, VOLTAGE) == V_230
    assert line.meters[1].asked == 2
    line.meters[1].silent = False
    line.now = 2.0
    assert await line.bus.ask(1, VOLTAGE) == V_230


async def test_requests_of_many_wait_for_each_other(line: Line) -> None:
    asked = [line.bus.ask(unit, VOLTAGE) for unit in itertools.islice(itertools.cycle((1, 2)), 8)]
    assert await asyncio.gather(*asked) == [V_230] * 8


async def test_noise_before_an_answer(line: Line) -> None:
    asking = asyncio.create_task(line.bus.ask(1, VOLTAGE))
    await asyncio.sleep(0.001)
    line.serial.noise(b"\x00\x01\x04")
    assert await asking == V_230


async def test_a_late_answer_is_not_taken_for_the_next(line: Line) -> None:
    line.meters[1].silent = True
    with pytest.raises(NoAnswer):
        await line.bus.ask(1, VOLTAGE)
    line.serial.noise(bytes.fromhex("01 04 04 0000 0000 FB84"))
    await asyncio.sleep(0.02)
    line.meters[1].silent = False
    assert await line.bus.ask(1, VOLTAGE) == V_230


async def test_a_spoilt_line_gives_right_values_or_none(tmp_path: Path) -> None:
    line = Line(tmp_path / "tty", Quality(corrupt=0.02, seed=4))
    taken = missed = 0
    try:
        for _ in range(40):
            line.now += 60
            try:
                assert await line.bus.ask(1, VOLTAGE) == V_230
                taken += 1
            except NoAnswer:
                missed += 1
    finally:
        await line.bus.close()
        line.serial.close()
    assert taken > missed > 0


async def test_the_line_goes_and_comes_back(line: Line) -> None:
    assert await line.bus.ask(1, VOLTAGE) == V_230
    line.serial.close()
    await asyncio.sleep(0.02)
    with pytest.raises(NoAnswer, match="tty"):
        await line.bus.ask(1, VOLTAGE)
    line.restart()
    line.now += 60
    assert await line.bus.ask(1, VOLTAGE) == V_230


async def test_a_line_that_hangs_up_in_mid_request(line: Line) -> None:
    await line.bus.ask(1, VOLTAGE)
    line.meters[1].silent = True
    asking = asyncio.create_task(line.bus.ask(1, VOLTAGE))
    await asyncio.sleep(0.02)
    line.serial.close()
    with pytest.raises(NoAnswer, match=r"hung up|Input/output"):
        await asking
    line.restart()


# --- TCP ---


async def test_tcp_reads_and_recovers() -> None:
    meters = {1: Meter(METERS["carlo-gavazzi-em580"], voltage_v=(230.0, 0, 0))}
    server = await serve_tcp(meters)
    port = server.sockets[0].getsockname()[1]
    bus = ModbusBus(TcpLine("127.0.0.1", port, timeout_s=0.2))
    try:
        assert await bus.ask(1, Read(4, 0, 2)) == (2300, 0)
        with pytest.raises(Refused, match="failed to respond"):
            await bus.ask(9, Read(4, 0, 2))
        meters[1].silent = True
        with pytest.raises(NoAnswer, match="no answer"):
            await bus.ask(1, Read(4, 0, 2))
        meters[1].silent = False
        assert await bus.ask(1, Read(4, 0, 2)) == (2300, 0), "a fresh connection"
    finally:
        await bus.close()
        server.close()


async def test_tcp_with_nobody_there() -> None:
    server = await serve_tcp({})
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(NoAnswer, match=str(port)):
        await ModbusBus(TcpLine("127.0.0.1", port)).ask(1, VOLTAGE)


@pytest.mark.parametrize("said", [b"\x00\x01\x00\x07\x00\x03\x01\x83\x02", b"\x00\x01\x00\x00\xff\xff\x01", b"HTTP"])
async def test_tcp_with_somebody_else_there(said: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    bus = ModbusBus(TcpLine("127.0.0.1", port))
    with pytest.raises(NoAnswer):
        await bus.ask(1, VOLTAGE)
    await bus.close()
    server.close()


async def test_tcp_takes_no_answer_to_another_transaction() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readexactly(12)
        late = b"\xff\xff\x00\x00\x00\x07\x01\x04\x04\x00\x00\x00\x00"
        writer.write(late + request[:2] + b"\x00\x00\x00\x07\x01\x04\x04\x43\x66\x00\x00")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    bus = ModbusBus(TcpLine("127.0.0.1", server.sockets[0].getsockname()[1]))
    assert await bus.ask(1, VOLTAGE) == V_230
    await bus.close()
    server.close()
