"""The LEM DCBM, driver before simulated meter over HTTP: readings, records, and a meter that fails."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hal import dcbm as driver
from hal.dcbm import DcbmMeter
from hal.ocmf import parse
from hal.ocmf_signature import Verdict, verify
from hal.ports import BoardFault, BoardUnavailable, Fault, HalFact, MeteredTransaction, MeterSampled
from hal.quantities import EvseId
from sim.meter.dcbm import Dcbm, serve

ONE = MeteredTransaction("11111111-2222-3333-4444-555555555555", "DE*EVS*E0001", "04A2B3C4")


class Rig:
    """A driver, its meter, and what was reported."""

    def __init__(self, port: int, sim: Dcbm) -> None:
        self.sim = sim
        self.facts: list[HalFact] = []
        self.meter = DcbmMeter("127.0.0.1", port, EvseId(1), self.facts.append, period_s=0.02)

    async def until(self, holds: Any) -> None:
        async with asyncio.timeout(5):
            while not holds():
                await asyncio.sleep(0.005)

    def readings(self) -> list[Any]:
        return [fact.reading for fact in self.facts if isinstance(fact, MeterSampled)]

    def faults(self) -> list[bool]:
        return [fact.active for fact in self.facts if isinstance(fact, BoardFault)]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    sim = Dcbm()
    async with await serve(sim) as server:
        made = Rig(server.sockets[0].getsockname()[1], sim)
        yield made
        await made.meter.close()


async def test_it_reads_what_the_meter_measures(rig: Rig) -> None:
    rig.sim.energy_wh, rig.sim.power_w, rig.sim.current_a, rig.sim.voltage_v = 1234.5, 50000.0, 125.0, 400.0
    with pytest.raises(BoardUnavailable, match="no reading yet"):
        rig.meter.reading()
    await rig.meter.open()
    await rig.until(rig.readings)
    reading = rig.meter.reading()
    assert (reading.energy_import_wh, reading.power_import_w) == (1234.5, 50000.0)
    assert (reading.current_a, reading.voltage_v) == ((125.0, 0.0, 0.0), (400.0, 0.0, 0.0))
    assert reading.signed is None, "nothing is signed without a transaction"
    assert (rig.meter.serial, rig.meter.public_key) == (rig.sim.serial, rig.sim.ocmf.public_key)


async def test_a_transaction_signed_from_beginning_to_end(rig: Rig) -> None:
    await rig.meter.open()
    rig.sim.energy_wh = 1000.0
    begun = await rig.meter.start_transaction(ONE)
    assert begun is not None
    assert parse(begun.data).identification == ONE.id_token
    assert rig.sim.utc is not None, "the clock was set before"
    rig.sim.energy_wh = 2500.0
    await rig.until(lambda: any(reading.signed for reading in rig.readings()))
    rig.sim.energy_wh = 3000.0
    ended = await rig.meter.stop_transaction(ONE.transaction_id)
    record = parse(ended.data)
    assert verify(record, ended.public_key) is Verdict.VALID
    assert record.energy_wh == 2000
    assert ended.data == rig.sim.records[ONE.transaction_id], "not one character is ours"
    again = await rig.meter.stop_transaction(ONE.transaction_id)
    assert again == ended
    count = len(rig.readings())
    await rig.until(lambda: len(rig.readings()) > count + 1)
    assert rig.meter.reading().signed is None


async def test_what_it_still_measures_is_stopped_before_the_next(rig: Rig) -> None:
    await rig.meter.start_transaction(ONE)
    await rig.meter.start_transaction(MeteredTransaction("second", "DE*EVS*E0001", "04FF"))
    assert (rig.sim.transaction, list(rig.sim.records)) == ("second", [ONE.transaction_id])
    await rig.meter.stop_forgotten()
    assert rig.sim.transaction == ""
    await rig.meter.stop_forgotten()


async def test_a_meter_that_refuses(rig: Rig) -> None:
    rig.sim.refuses = True
    with pytest.raises(BoardUnavailable, match="status 400"):
        await rig.meter.start_transaction(ONE)
    with pytest.raises(BoardUnavailable, match="no record of transaction nobody"):
        await rig.meter.stop_transaction("nobody")


async def test_a_record_that_is_none(rig: Rig) -> None:
    rig.sim.tamper = lambda _record: "<html>"
    with pytest.raises(BoardUnavailable, match="not an OCMF record"):
        await rig.meter.start_transaction(ONE)
    await rig.meter.open()
    await rig.until(rig.readings)
    assert rig.meter.reading().signed is None, "the reading itself stands"


async def test_silence_is_a_fault_and_then_over(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "TIMEOUT_S", 0.05)
    await rig.meter.open()
    await rig.until(rig.readings)
    rig.sim.silent = True
    await rig.until(lambda: rig.faults() == [True])
    assert [f.fault for f in rig.facts if isinstance(f, BoardFault)] == [Fault.POWER_METER_FAILURE]
    with contextlib.suppress(BoardUnavailable):
        await asyncio.sleep(0.2)
        rig.meter.reading()
        raise AssertionError("an old reading is not repeated")
    rig.sim.silent = False
    await rig.until(lambda: rig.faults() == [True, False])
    rig.meter.reading()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"rubbish",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 many ok\r\n\r\n",
        b"HTTP/1.1 200 ok\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 ok\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 200 ok\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 ok\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 ok\r\nContent-Length: 2\r\n\r\n\xff\xff",
        b"HTTP/1.1 200 ok\r\nContent-Length: 4\r\n\r\nnull",
        b"HTTP/1.1 200 ok\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 ok\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
        b"HTTP/1.1 200 ok\r\nContent-Length: 200000\r\n\r\n" + b"[" * 60000,
        b"x" * 200000,
    ],
)
async def test_an_answer_that_is_none_is_no_reading(answer: bytes) -> None:
    async def wrong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(wrong, "127.0.0.1", 0) as server:
        meter = DcbmMeter("127.0.0.1", server.sockets[0].getsockname()[1], EvseId(1), lambda _fact: None)
        with pytest.raises(BoardUnavailable):
            await meter.stop_forgotten()


async def test_a_chunked_answer(rig: Rig) -> None:
    body = b'{"meterId":"M","publicKeyOcmf":"30"}'

    async def chunked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 ok\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + b"8\r\n" + body[:8] + b"\r\n%x\r\n" % len(body[8:]) + body[8:] + b"\r\n0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(chunked, "127.0.0.1", 0) as server:
        meter = DcbmMeter("127.0.0.1", server.sockets[0].getsockname()[1], EvseId(1), lambda _fact: None)
        await meter.stop_forgotten()
        assert (meter.serial, meter.public_key) == ("M", "30")
