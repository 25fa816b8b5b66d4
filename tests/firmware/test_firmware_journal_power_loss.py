"""Power cuts: at random moments by SIGKILL, and swept over every write of the journal in a transaction.

What the CSMS hears in the end must be whole: one Started, one Ended, seqNo without gaps, time and energy never back.
`python tests/firmware/test_firmware_journal_power_loss.py 200` kills as often.
"""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from firmware.journal import SqliteJournal
from hal.quantities import EvseId, MeterReading
from ocpp_client.config import OcppConfig, Override
from ocpp_client.ports import ChargingState, CsmsFact, IdToken, StoppedReason, TransactionLeftOpen, TriggerReason
from ocpp_client.station import OcppStation
from sim.csms.server import Csms

KILLS = 8

# Runs the real client and the real journal and charges in a loop; the parent is the CSMS, and kills it.
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


def energies(events: list[dict[str, Any]]) -> list[float]:
    """The register in the order in which it was read: Ended tells again what was read before."""
    read = [
        (value["timestamp"], sample["value"])
        for event in events
        for value in event.get("meterValue", ())
        for sample in value["sampledValue"]
        if sample["measurand"] == "Energy.Active.Import.Register"
    ]
    return [energy for _, energy in sorted(read)]


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
        registers = energies(ordered)
        assert registers == sorted(registers), "energy never goes back"
    return {transaction: len(sequence) for transaction, sequence in by_transaction.items()}


@pytest.mark.timeout(90)
async def test_killed_at_random_nothing_is_lost_and_nothing_told_twice(tmp_path: Path) -> None:
    assert await kill_at_random(tmp_path, KILLS) > KILLS // 2


async def kill_at_random(tmp_path: Path, kills: int) -> int:
    """Returns how many transactions the CSMS has heard of, each whole."""
    random_source = random.Random(3)
    async with Csms() as csms:
        for kill in range(kills):
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
        return len(counts)


WRITES = ("append", "note_transaction", "delivered", "attempted", "put")


class CutJournal:
    """A journal whose power goes at the n-th write: just before it, or just after; from then on nothing returns."""

    def __init__(self, journal: SqliteJournal, cut_at: int, *, written: bool) -> None:
        self._journal = journal
        self._cut_at = cut_at
        self._written = written
        self.writes = 0
        self.cut = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._journal, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            if self.cut.is_set():
                await asyncio.Event().wait()
            if name not in WRITES:
                return await method(*arguments, **options)
            self.writes += 1
            if self.writes != self._cut_at:
                return await method(*arguments, **options)
            self.cut.set()
            if self._written:
                await method(*arguments, **options)
            return await asyncio.Event().wait()

        return call


def config(url: str, resumption_s: int = 0) -> OcppConfig:
    return OcppConfig(
        "CS-1",
        url,
        "V",
        "M",
        security_profile=1,
        meter_note_s=0.0,
        sampled_interval_s=0,
        retry_back_off_min_s=0.0,
        retry_back_off_random_s=0.0,
        overrides=(Override("TxCtrlr", "ResumptionTimeout", str(resumption_s)),),
    )


def reading(energy_wh: float) -> MeterReading:
    return MeterReading(energy_wh, 6900.0, (10.0,) * 3, (230.0,) * 3, time.monotonic(), datetime.now(UTC))


async def one_transaction(station: OcppStation) -> None:
    one, token = EvseId(1), IdToken("04AA", "ISO14443")
    await station.transaction_started(one, token, TriggerReason.AUTHORIZED, ChargingState.CHARGING, reading(1.0))
    for energy_wh in (2.0, 4.0):
        await station.meter_sampled(one, reading(energy_wh))
        await station.transaction_updated(one, TriggerReason.CHARGING_RATE_CHANGED, meter=reading(energy_wh + 1))
    await station.transaction_ended(one, TriggerReason.EV_DEPARTED, StoppedReason.LOCAL, reading(6.0))


async def charge_until_cut(csms: Csms, path: Path, cut_at: int, *, written: bool) -> bool:
    """False when the transaction was over before the cut came."""
    journal = await SqliteJournal.open(path)
    cutting = CutJournal(journal, cut_at, written=written)
    station = OcppStation(config(csms.url), cutting, lambda _fact: None)  # type: ignore[arg-type]
    charging = asyncio.create_task(station.start())
    cut = asyncio.create_task(cutting.cut.wait())
    await asyncio.wait([charging, cut], return_when=asyncio.FIRST_COMPLETED)
    if charging.done():
        charging = asyncio.create_task(one_transaction(station))
        await asyncio.wait([charging, cut], return_when=asyncio.FIRST_COMPLETED)
    if not cut.done():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(cut), 0.2)  # the last settlements
    was_cut = cut.done()
    cutting.cut.set()
    for task in (charging, cut):
        task.cancel()
    await asyncio.gather(charging, cut, return_exceptions=True)
    await station.stop()
    await journal.close()
    return was_cut


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("written", [True, False])
async def test_a_cut_at_any_write_leaves_a_whole_transaction_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, online: bool, written: bool
) -> None:
    monkeypatch.setattr("ocpp_client.connection._STOP_TIMEOUT_S", 0.0)
    cut_at, was_cut = 1, True
    reasons = set()
    while was_cut:
        async with Csms() as csms:
            if not online:
                await csms.stop()
            path = tmp_path / f"{cut_at}.db"
            was_cut = await charge_until_cut(csms, path, cut_at, written=written)
            if not online:
                await csms.start()
            journal = await SqliteJournal.open(path)
            assert journal.set_aside is None
            station = OcppStation(config(csms.url), journal, lambda _fact: None)
            await station.start()
            waiting = await journal.pending_count(of_transactions=True)
            async with asyncio.timeout(5):
                while not station.online or await journal.pending_count():
                    await asyncio.sleep(0.002)
            await station.stop()
            await journal.close()
            events = csms.received("TransactionEvent")
            assert csms.faults() == []
            assert len(check_whole(events)) <= 1
            assert waiting == 0 or events, f"cut at write {cut_at}"
            reasons |= {event["transactionInfo"].get("stoppedReason") for event in events}
        cut_at += 1
    assert cut_at > 6, "every write was swept"
    assert reasons >= {"PowerLoss", "Local"}


ONE = EvseId(1)


async def resume_until_cut(csms: Csms, path: Path, cut_at: int, *, written: bool) -> bool:
    """One more life, in which what was left open goes on to its end; False when no cut came in it."""
    facts: list[CsmsFact] = []
    journal = await SqliteJournal.open(path)
    cutting = CutJournal(journal, cut_at, written=written)
    station = OcppStation(config(csms.url, 60), cutting, facts.append)  # type: ignore[arg-type]

    async def live() -> None:
        await station.start()
        if any(isinstance(fact, TransactionLeftOpen) for fact in facts):
            await station.transaction_resumed(ONE, ChargingState.CHARGING, reading(6.0))
            await station.meter_sampled(ONE, reading(7.0))
            await station.transaction_ended(ONE, TriggerReason.EV_DEPARTED, StoppedReason.LOCAL, reading(8.0))
        async with asyncio.timeout(5):
            while not station.online or await journal.pending_count():
                await asyncio.sleep(0.002)

    living, cut = asyncio.create_task(live()), asyncio.create_task(cutting.cut.wait())
    await asyncio.wait([living, cut], return_when=asyncio.FIRST_COMPLETED)
    was_cut = cut.done()
    if not was_cut:
        living.result()
    cutting.cut.set()
    for task in (living, cut):
        task.cancel()
    await asyncio.gather(living, cut, return_exceptions=True)
    await station.stop()
    await journal.close()
    return was_cut


@pytest.mark.parametrize("second", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("written", [True, False])
async def test_what_goes_on_after_a_cut_is_whole_even_when_it_is_cut_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bool, second: int
) -> None:
    """The first cut is swept over every write; `second` is the write of the next life at which it is cut again."""
    monkeypatch.setattr("ocpp_client.connection._STOP_TIMEOUT_S", 0.0)
    cut_at, was_cut = 1, True
    resumed, reasons = 0, set()
    while was_cut:
        async with Csms() as csms:
            path = tmp_path / f"{cut_at}.db"
            was_cut = await charge_until_cut(csms, path, cut_at, written=written)
            if second:
                await resume_until_cut(csms, path, second, written=written)
            assert not await resume_until_cut(csms, path, 0, written=written)
            events = csms.received("TransactionEvent")
            assert csms.faults() == []
            assert len(check_whole(events)) <= 1
            resumed += any(
                sample.get("context") == "Interruption.End"
                for event in events
                for value in event.get("meterValue", ())
                for sample in value["sampledValue"]
            )
            reasons |= {event["transactionInfo"].get("stoppedReason") for event in events}
        cut_at += 1
    assert cut_at > 6, "every write was swept"
    assert resumed > 3
    assert reasons == {None, "Local"}, "none ended by the cut"


def ended(events: list[dict[str, Any]]) -> set[str]:
    return {event["transactionInfo"]["transactionId"] for event in events if event["eventType"] == "Ended"}


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        asked = int(sys.argv[1])
        heard = asyncio.run(kill_at_random(Path(directory), asked))
        print(f"{asked} kills: {heard} transactions, each whole: one Started, one Ended, seqNo without gaps")
