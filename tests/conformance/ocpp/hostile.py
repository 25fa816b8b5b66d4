"""A CSMS that sends nothing but rubbish, to a station that charges: `python hostile.py [frames]`, 1,000,000 by default.

The station runs in a process of its own, so that its memory is its own. It must keep the link and go on charging.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

ROOT = Path(__file__).parents[3]
PAGE = os.sysconf("SC_PAGE_SIZE")
ACCEPTED = {"status": "Accepted", "currentTime": "2026-05-01T12:00:00.000Z", "interval": 300}

STATION = """
import asyncio, sys, time
from datetime import UTC, datetime
from pathlib import Path
from firmware.journal import SqliteJournal
from hal.quantities import EvseId, MeterReading
from ocpp_client.config import OcppConfig
from ocpp_client.ports import ChargingState, IdToken, TriggerReason
from ocpp_client.station import OcppStation

async def main(url, state_dir):
    journal = await SqliteJournal.open(Path(state_dir) / "journal.sqlite")
    config = OcppConfig("CS-1", url, "V", "M", security_profile=1, sampled_interval_s=0,
                        retry_back_off_min_s=0.0, retry_back_off_random_s=0.0)
    station = OcppStation(config, journal, lambda fact: None)
    await station.start()
    one = EvseId(1)
    await station.transaction_started(one, IdToken("04AA", "ISO14443"), TriggerReason.AUTHORIZED,
                                      ChargingState.CHARGING, None)
    energy_wh = 0.0
    while True:
        energy_wh += 1.0
        reading = MeterReading(energy_wh, 6900.0, (10.0,) * 3, (230.0,) * 3, time.monotonic(), datetime.now(UTC))
        await station.meter_sampled(one, reading)
        await station.transaction_updated(one, TriggerReason.METER_VALUE_PERIODIC, meter=reading)
        await asyncio.sleep(0.1)

asyncio.run(main(*sys.argv[1:3]))
"""

PIECES = ["[", "]", "{", "}", ",", ":", '"', "2", "3", "4", "-1", "1e999", "null", "true", '"Reset"', '"a"', "\\u00"]
CALLS = [
    '[2,"%d","Reset",{"type":"Soon"}]',
    '[2,"%d","GetVariables",{"getVariableData":[]}]',
    '[2,"%d","SetVariables",{"setVariableData":7}]',
    '[2,"%d","NoSuchAction",{}]',
    '[2,"%d",["x"],{}]',
    '[2,%d,"ClearCache",{}]',
    '[2,"%d","ClearCache",{}]',
    '[2,"%d","DataTransfer",{"vendorId":"v","data":{"a":[1,2,{"b":null}]}}]',
    '[2,"%d","SendLocalList",{"versionNumber":-1,"updateType":"Full"}]',
    '[2,"%d","ReserveNow",{"id":1,"expiryDateTime":"x","idToken":{"idToken":"a","type":"Central"}}]',
    '[2,"%d","CancelReservation",{"reservationId":9}]',
    '[2,"%d","SetDisplayMessage",{"message":{"id":1,"priority":"Loud","message":{"format":"UTF8","content":"x"}}}]',
    '[2,"%d","ClearDisplayMessage",{"id":1}]',
    '[2,"%d","SetVariableMonitoring",{"setMonitoringData":[{"value":1e308,"type":"Delta","severity":-1}]}]',
    '[2,"%d","ClearVariableMonitoring",{"id":[1,2,3]}]',
    '[2,"%d","CostUpdated",{"totalCost":1e308,"transactionId":"t"}]',
    '[3,"%d",{}]',
    '[4,"%d","InternalError","",{}]',
    '[5,"%d","x"]',
    '[6,"%d",{}]',
]


@dataclass
class Outcome:
    """`rss_mb` is the station's memory along the way, `seq_nos` what it told of its transaction."""

    frames: int = 0
    links: int = 0
    took_s: float = 0.0
    rss_mb: list[float] = field(default_factory=list)
    seq_nos: list[int] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)


def rubbish(source: random.Random, number: int) -> str | bytes:
    """Deep arrays and huge strings once in a thousand; else shapes near to the protocol, and noise."""
    kind = number % 1000
    if kind == 0:
        return "[" * 200_000
    if kind == 1:
        return '[2,"deep","DataTransfer",{"vendorId":"v","data":' + "[" * 50_000 + "]" * 50_000 + "}]"
    if kind == 2:
        return '[2,"long","DataTransfer",{"vendorId":"' + "x" * 60_000 + '"}]'
    if kind == 3:
        return source.randbytes(200)
    if number % 2:
        return source.choice(CALLS) % number
    return "".join(source.choices(PIECES, k=source.randrange(1, 30)))


class Attacker:
    def __init__(self, frames: int) -> None:
        self.outcome = Outcome()
        self._wanted = frames
        self.done = asyncio.Event()

    async def serve(self, socket: ServerConnection) -> None:
        self.outcome.links += 1
        attack: asyncio.Task[None] | None = None
        with contextlib.suppress(Exception):
            async for frame in socket:
                message = json.loads(frame)
                if message[0] != 2:
                    self.outcome.answers[str(message[2] if message[0] == 4 else "result")] += 1
                    continue
                if message[2] == "TransactionEvent":
                    self.outcome.seq_nos.append(message[3]["seqNo"])
                answer = ACCEPTED if message[2] in ("BootNotification", "Heartbeat") else {}
                await socket.send(json.dumps([3, message[1], answer]))
                if attack is None and message[2] == "TransactionEvent":
                    attack = asyncio.create_task(self._attack(socket))
        if attack is not None:
            attack.cancel()

    async def _attack(self, socket: ServerConnection) -> None:
        source = random.Random(2)
        while self.outcome.frames < self._wanted:
            self.outcome.frames += 1
            await socket.send(rubbish(source, self.outcome.frames))
            if self.outcome.frames % 100 == 0:
                await asyncio.sleep(0)
        self.done.set()


async def attack(frames: int, state_dir: Path) -> Outcome:
    attacker = Attacker(frames)
    options = {"subprotocols": [Subprotocol("ocpp2.0.1")], "compression": None, "ping_interval": None}
    async with serve(attacker.serve, "127.0.0.1", 0, **options) as server:  # type: ignore[arg-type]
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        command = [sys.executable, "-c", STATION, url, str(state_dir)]
        with (state_dir / "station.log").open("w") as log:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            station = await asyncio.create_subprocess_exec(*command, env=environment, stderr=log)
        begun = time.monotonic()
        try:
            while not attacker.done.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(attacker.done.wait(), 0.5)
                attacker.outcome.rss_mb.append(_rss_mb(station.pid))
                assert station.returncode is None, "the station died"
            attacker.outcome.took_s = time.monotonic() - begun
            told = len(attacker.outcome.seq_nos)
            async with asyncio.timeout(60):
                while len(attacker.outcome.seq_nos) < told + 5:
                    await asyncio.sleep(0.1)
            attacker.outcome.rss_mb.append(_rss_mb(station.pid))
        finally:
            station.kill()
            await station.wait()
    return attacker.outcome


def _rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("frames", type=int, nargs="?", default=1_000_000)
    frames = parser.parse_args().frames
    with tempfile.TemporaryDirectory() as directory:
        outcome = asyncio.run(attack(frames, Path(directory)))
    rss = outcome.rss_mb
    print(f"{outcome.frames} frames in {outcome.took_s:.0f} s over {outcome.links} link(s)")
    print(f"memory {rss[len(rss) // 10]:.1f} MB after a tenth, {max(rss):.1f} MB at most, {rss[-1]:.1f} MB at the end")
    print(f"{len(outcome.seq_nos)} events of the transaction, seqNo whole: {whole(outcome.seq_nos)}")
    print(dict(outcome.answers))


def whole(seq_nos: list[int]) -> bool:
    return sorted(set(seq_nos)) == list(range(len(set(seq_nos))))


if __name__ == "__main__":
    main()
