"""A station killed at random moments, again and again: what the CSMS hears in the end must be whole.

The child runs the real client and the real journal and charges in a loop; the parent is the CSMS, and kills it.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from sim.csms.server import Csms

KILLS = 12

CHILD = """
import asyncio, sys, time
from datetime import UTC, datetime
from pathlib import Path
from firmware.journal import SqliteJournal
from hal.quantities import EvseId, MeterReading
from ocpp_client.config import OcppConfig
from ocpp_client.ports import ChargingState, IdToken, StoppedReason, TriggerReason
from ocpp_client.station import OcppStation

ONE = EvseId(1)
energy_wh = float(time.time_ns() // 1_000_000)

def meter():
    global energy_wh
    energy_wh = max(energy_wh + 1, time.time_ns() // 1_000_000)
    return MeterReading(energy_wh, 6900.0, (10.0,) * 3, (230.0,) * 3, time.monotonic(), datetime.now(UTC))

def acknowledge(*words):
    # One write: what is in the file was durable before the kill.
    acknowledged.write(" ".join(map(str, words)) + "\\n")
    acknowledged.flush()

async def main(url, state_dir):
    journal = await SqliteJournal.open(Path(state_dir) / "journal.db")
    assert journal.set_aside is None, "a kill must not damage the journal"
    station = OcppStation(
        OcppConfig("CS-1", url, "V", "M", security_profile=1, meter_note_s=0.0, sampled_interval_s=0,
                   retry_back_off_min_s=0.0, retry_back_off_random_s=0.0), journal, lambda fact: None)
    await station.start()
    print("up", flush=True)
    while True:
        tx = await station.transaction_started(ONE, IdToken("04AA", "ISO14443"), TriggerReason.AUTHORIZED,
                                               ChargingState.CHARGING, meter())
        acknowledge(tx, 0)
        for number in range(1, 6):
            await station.meter_sampled(ONE, meter())
            await station.transaction_updated(ONE, TriggerReason.CHARGING_RATE_CHANGED, meter=meter())
            acknowledge(tx, number)
            await asyncio.sleep(0.002)
        await station.transaction_ended(ONE, TriggerReason.EV_DEPARTED, StoppedReason.LOCAL, meter())
        acknowledge(tx, 6)

acknowledged = open(Path(sys.argv[2]) / "acknowledged", "a")
asyncio.run(main(*sys.argv[1:3]))
"""


class Child:
    def __init__(self, url: str, state_dir: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, url, str(state_dir)], stdout=subprocess.PIPE, env=environment
        )

    async def up(self) -> None:
        assert self.process.stdout is not None
        line = await asyncio.to_thread(self.process.stdout.readline)
        assert line == b"up\n"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def energies(event: dict[str, Any]) -> list[float]:
    return [
        sample["value"]
        for value in event.get("meterValue", ())
        for sample in value["sampledValue"]
        if sample["measurand"] == "Energy.Active.Import.Register"
    ]


def check_whole(events: list[dict[str, Any]]) -> dict[str, int]:
    """Each transaction once from Started to Ended; returns how many events each has."""
    by_transaction: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for event in events:
        sequence = by_transaction[event["transactionInfo"]["transactionId"]]
        known = sequence.setdefault(event["seqNo"], event)
        assert known == event, "a repeated event is the same event"
    for sequence in by_transaction.values():
        assert sorted(sequence) == list(range(len(sequence))), "seqNo without gaps"
        ordered = [sequence[number] for number in range(len(sequence))]
        kinds = [event["eventType"] for event in ordered]
        assert kinds == ["Started"] + ["Updated"] * (len(kinds) - 2) + ["Ended"]
        stamps = [event["timestamp"] for event in ordered]
        assert stamps == sorted(stamps), "time never goes back"
        registers = [value for event in ordered for value in energies(event)]
        assert registers == sorted(registers), "energy never goes back"
    return {transaction: len(sequence) for transaction, sequence in by_transaction.items()}


@pytest.mark.timeout(90)
async def test_killed_at_random_nothing_is_lost_and_nothing_told_twice(tmp_path: Path) -> None:
    random_source = random.Random(3)
    async with Csms() as csms:
        for kill in range(KILLS):
            if kill % 4 == 2:
                await csms.stop()  # offline as well
            child = Child(csms.url, tmp_path)
            try:
                await child.up()
                await asyncio.sleep(random_source.uniform(0.0, 0.25))
            finally:
                child.kill()
            if kill % 4 == 2:
                await csms.start()
        child = Child(csms.url, tmp_path)
        try:
            await child.up()
            interrupted = [line.split() for line in (tmp_path / "acknowledged").read_text().splitlines()]
            interrupted = [words for words in interrupted if len(words) == 2]
            await csms.until(
                lambda: {words[0] for words in interrupted} <= ended(csms.received("TransactionEvent")), timeout_s=30
            )
        finally:
            child.kill()
        await asyncio.sleep(0.1)
        assert csms.faults() == []
        events = csms.received("TransactionEvent")
        # The last child was killed too, and nobody comes after it: what it left open is not judged.
        finished = ended(events)
        counts = check_whole([event for event in events if event["transactionInfo"]["transactionId"] in finished])
        for transaction_id, seq_no in interrupted:
            assert counts[transaction_id] > int(seq_no), "an acknowledged event was lost"
        reasons = [event["transactionInfo"].get("stoppedReason") for event in events]
        assert "PowerLoss" in reasons
        assert len(counts) > KILLS // 2


def ended(events: list[dict[str, Any]]) -> set[str]:
    return {event["transactionInfo"]["transactionId"] for event in events if event["eventType"] == "Ended"}
