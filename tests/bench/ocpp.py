"""What the operator side costs, beside the bare `ocpp` library in the same run: `python tests/bench/ocpp.py [--json]`.

event_us              CPU of building, checking, framing one TransactionEvent of nine values and taking its answer
library_call_us       CPU of `ocpp.v201.ChargePoint.call` for the same event, over a connection that answers at once
journal_ms_p50        insert and delete of one event in the journal, each durable
journal_sealed_ms_p50 the same under the station's key, in turn with the other
drain_10000_s         from start to the last of 10,000 waiting events delivered over a WebSocket on loopback
rss_mb                resident memory of a connected station
boot_notification_s   from exec of a station to its BootNotification at the CSMS
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

ROOT = Path(__file__).parents[2]
# This file is named after what it measures: its own folder must not stand for the library.
sys.path[0] = str(ROOT)

from firmware.journal import SqliteJournal  # noqa: E402
from hal.quantities import EvseId, MeterReading  # noqa: E402
from ocpp_client.config import OcppConfig  # noqa: E402
from ocpp_client.metering import Measurand, ReadingContext  # noqa: E402
from ocpp_client.ports import ChargingState, IdToken, TriggerReason  # noqa: E402
from ocpp_client.rpc import RpcCore  # noqa: E402
from ocpp_client.station import OcppStation  # noqa: E402
from ocpp_client.transactions import Sampled, Transactions  # noqa: E402
from ocpp_client.wire import actions, check_request, check_response, encode_request  # noqa: E402

ONE = EvseId(1)
NINE = (*Measurand, Measurand.ENERGY)
EVENTS = 10_000


def meter() -> MeterReading:
    return MeterReading(1234.5, 6900.0, (10.0, 10.1, 9.9), (230.0, 229.5, 231.0), 0.0, datetime.now(UTC))


def transactions() -> Transactions:
    made = Transactions(lambda: str(uuid.uuid4()), lambda: Sampled(NINE, NINE, NINE), 3)
    made.start(
        ONE,
        datetime.now(UTC),
        offline=False,
        trigger=TriggerReason.AUTHORIZED,
        charging_state=ChargingState.CHARGING,
        id_token=IdToken("DE8EVSC12345678", "eMAID"),
    )
    return made


def event(made: Transactions) -> dict[str, Any]:
    return made.update(
        ONE,
        datetime.now(UTC),
        offline=False,
        trigger=TriggerReason.METER_VALUE_PERIODIC,
        meter=meter(),
        context=ReadingContext.SAMPLE_PERIODIC,
    ).payload


def event_us(rounds: int = 3000) -> float:
    made = transactions()
    rpc = RpcCore(check_request, actions(), frozenset())

    def one() -> None:
        text = encode_request("TransactionEvent", event(made))
        message_id = str(uuid.uuid4())
        rpc.call(message_id, "TransactionEvent", text, 0.0, 30.0)
        for result in rpc.feed(f'[3,"{message_id}",{{}}]', 0.0):
            check_response("TransactionEvent", result.payload)  # type: ignore[union-attr]

    one()
    begun = time.process_time()
    for _ in range(rounds):
        one()
    return (time.process_time() - begun) / rounds * 1e6


async def library_call_us(rounds: int = 300) -> float:
    from ocpp.charge_point import camel_to_snake_case
    from ocpp.v201 import ChargePoint, call

    class Echo:
        def __init__(self) -> None:
            self.answers: asyncio.Queue[str] = asyncio.Queue()

        async def send(self, frame: str) -> None:
            # The id is within the first characters: nothing of the library's work is done here.
            message_id = frame.split('"', 2)[1]
            self.answers.put_nowait(f'[3,"{message_id}",{{}}]')

        async def recv(self) -> str:
            return await self.answers.get()

    station = ChargePoint("CS-1", Echo())
    reader = asyncio.create_task(station.start())
    payload = camel_to_snake_case(event(transactions()))
    request = call.TransactionEvent(**payload)
    await station.call(request)
    begun = time.process_time()
    for _ in range(rounds):
        await station.call(request)
    took = time.process_time() - begun
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    return took / rounds * 1e6


async def journal_ms_p50(directory: Path, rounds: int = 400) -> tuple[float, float]:
    """Without and with a key."""
    journals = [
        await SqliteJournal.open(directory / "insert.db"),
        await SqliteJournal.open(directory / "sealed.db", bytes(32)),
    ]
    text = encode_request("TransactionEvent", event(transactions()))
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for journal, took in zip(journals, times, strict=True):
            begun = time.perf_counter()
            await journal.delivered(await journal.append("TransactionEvent", text, None))
            took.append((time.perf_counter() - begun) * 1e3)
    for journal in journals:
        await journal.close()
    return statistics.median(times[0]), statistics.median(times[1])


class QuickCsms:
    """Answers at once, checks nothing: what is measured is the station."""

    def __init__(self) -> None:
        self.events = 0
        self.booted = asyncio.Event()
        self.drained = asyncio.Event()

    async def __call__(self, socket: ServerConnection) -> None:
        async for frame in socket:
            message_id, action = json.loads(frame)[1:3]
            answer = "{}"
            if action == "BootNotification":
                self.booted.set()
                answer = f'{{"currentTime":"{datetime.now(UTC).isoformat()}","interval":300,"status":"Accepted"}}'
            await socket.send(f'[3,"{message_id}",{answer}]')
            self.events += action == "TransactionEvent"
            if self.events == EVENTS:
                self.drained.set()


@contextlib.asynccontextmanager
async def csms() -> AsyncIterator[tuple[QuickCsms, str]]:
    quick = QuickCsms()
    async with serve(quick, "127.0.0.1", 0, subprotocols=["ocpp2.0.1"], compression=None) as server:  # type: ignore[list-item]
        yield quick, f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


def config(url: str) -> OcppConfig:
    return OcppConfig("CS-1", url, "V", "M", security_profile=1)


async def drain_10000_s(directory: Path) -> float:
    made = transactions()
    journal = await SqliteJournal.open(directory / "drain.db")
    rows = [("TransactionEvent", encode_request("TransactionEvent", event(made)), "tx") for _ in range(EVENTS)]
    insert = "INSERT INTO message (action, payload, transaction_id) VALUES (?, ?, ?)"
    await journal._commit(lambda: journal._db.executemany(insert, rows))
    async with csms() as (quick, url):
        station = OcppStation(config(url), journal, lambda _fact: None)
        begun = time.perf_counter()
        await station.start()
        await quick.drained.wait()
        took = time.perf_counter() - begun
        await station.stop()
    await journal.close()
    return took


STATION = """
import asyncio, sys
from pathlib import Path
from firmware.journal import SqliteJournal
from ocpp_client.config import OcppConfig
from ocpp_client.station import OcppStation

async def main(url, directory):
    journal = await SqliteJournal.open(Path(directory) / "boot.db")
    station = OcppStation(OcppConfig("CS-1", url, "V", "M", security_profile=1), journal, lambda fact: None)
    await station.start()
    await asyncio.sleep(60)

asyncio.run(main(*sys.argv[1:]))
"""


async def boot_and_memory(directory: Path, rounds: int = 5) -> tuple[float, float]:
    boots, memory = [], []
    for _ in range(rounds):
        async with csms() as (quick, url):
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            begun = time.perf_counter()
            process = subprocess.Popen([sys.executable, "-c", STATION, url, str(directory)], env=environment)  # noqa: ASYNC220
            try:
                await quick.booted.wait()
                boots.append(time.perf_counter() - begun)
                await asyncio.sleep(0.3)
                memory.append(resident_mb(process.pid))
            finally:
                process.kill()
                process.wait()
    return statistics.median(boots), statistics.median(memory)


def resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError("no VmRSS")


async def measure() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        boot_s, rss_mb = await boot_and_memory(directory)
        journal_ms, journal_sealed_ms = await journal_ms_p50(directory)
        figures = {
            "event_us": event_us(),
            "library_call_us": await library_call_us(),
            "journal_ms_p50": journal_ms,
            "journal_sealed_ms_p50": journal_sealed_ms,
            "drain_10000_s": await drain_10000_s(directory),
            "rss_mb": rss_mb,
            "boot_notification_s": boot_s,
        }
    return {name: round(value, 3) for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    figures = asyncio.run(measure())
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:22}{value:12.3f}")
    print(f"{'library / ours':22}{figures['library_call_us'] / figures['event_us']:12.1f}")


if __name__ == "__main__":
    main()
