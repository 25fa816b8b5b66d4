"""Power cuts that take along what the file system had not written yet: an ext4 of its own, and its image at the cut.

What is in the image when the station says that an event is durable is what a disk holds if the power goes just then;
the page cache goes with it. Needs root and a loop device. That the harness can lose anything is shown by a journal that
does not wait for the disk.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from firmware.journal import SqliteJournal
from ocpp_client.config import OcppConfig
from ocpp_client.station import OcppStation
from sim.csms.server import Csms

IMAGE_MB = 16
TRANSACTIONS = 4

# Charges without a CSMS, says each event that is durable, and goes on when it is told to.
CHILD = """
import asyncio, sys, time
from datetime import UTC, datetime
from pathlib import Path
from firmware.journal import SqliteJournal
from hal.quantities import EvseId, MeterReading
from ocpp_client.config import OcppConfig
from ocpp_client.ports import ChargingState, IdToken, StoppedReason, TriggerReason
from ocpp_client.station import OcppStation

ONE, energy_wh = EvseId(1), 0.0

def meter():
    global energy_wh
    energy_wh += 1.0
    return MeterReading(energy_wh, 6900.0, (10.0,) * 3, (230.0,) * 3, time.monotonic(), datetime.now(UTC))

async def acknowledge(transaction_id, seq_no):
    print(transaction_id, seq_no, flush=True)
    await asyncio.to_thread(sys.stdin.readline)

async def main(directory, transactions, synchronous):
    journal = await SqliteJournal.open(Path(directory) / "journal.sqlite")
    await journal._run(lambda: journal._db.execute(f"PRAGMA synchronous = {synchronous}"))
    config = OcppConfig("CS-1", "ws://127.0.0.1:1", "V", "M", security_profile=1, sampled_interval_s=0)
    station = OcppStation(config, journal, lambda _fact: None)
    await station.start()
    for _ in range(int(transactions)):
        tx = await station.transaction_started(ONE, IdToken("04AA", "ISO14443"), TriggerReason.AUTHORIZED,
                                               ChargingState.CHARGING, meter())
        await acknowledge(tx, 0)
        for number in (1, 2, 3):
            await station.meter_sampled(ONE, meter())
            await station.transaction_updated(ONE, TriggerReason.CHARGING_RATE_CHANGED, meter=meter())
            await acknowledge(tx, number)
        await station.transaction_ended(ONE, TriggerReason.EV_DEPARTED, StoppedReason.LOCAL, meter())
        await acknowledge(tx, 4)

asyncio.run(main(*sys.argv[1:]))
"""


@contextlib.contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    at.mkdir()
    subprocess.run(["mount", "-o", "loop,noatime", str(image), str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


@dataclass(frozen=True)
class Cut:
    """The disk as it was when so many events were acknowledged."""

    image: Path
    acknowledged: tuple[tuple[str, int], ...]


def cuts(directory: Path, transactions: int, synchronous: str) -> list[Cut]:
    """One after each acknowledged event."""
    image = directory / "disk.img"
    with image.open("wb") as file:
        file.truncate(IMAGE_MB << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    made: list[Cut] = []
    acknowledged: list[tuple[str, int]] = []
    with mounted(image, directory / "disk") as disk:
        os.sync()
        arguments = [str(disk), str(transactions), synchronous]
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            text=True,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        with child:
            for line in child.stdout:
                transaction_id, seq_no = line.split()
                acknowledged.append((transaction_id, int(seq_no)))
                cut = Cut(directory / f"cut{len(made)}.img", tuple(acknowledged))
                shutil.copyfile(image, cut.image)
                made.append(cut)
                child.stdin.write("\n")
                child.stdin.flush()
    assert child.returncode == 0
    return made


@contextlib.asynccontextmanager
async def opened(cut: Cut) -> AsyncIterator[SqliteJournal]:
    """The journal as the next start finds it."""
    with mounted(cut.image, cut.image.with_suffix(".mnt")) as disk:
        journal = await SqliteJournal.open(disk / "journal.sqlite")
        try:
            yield journal
        finally:
            await journal.close()


async def told(journal: SqliteJournal) -> list[dict[str, Any]]:
    """What a strict CSMS hears once the station is up again."""
    async with Csms() as csms:
        config = OcppConfig(
            "CS-1", csms.url, "V", "M", security_profile=1, retry_back_off_min_s=0.0, retry_back_off_random_s=0.0
        )
        station = OcppStation(config, journal, lambda _fact: None)
        await station.start()
        async with asyncio.timeout(10):
            while not station.online or await journal.pending_count():
                await asyncio.sleep(0.002)
        await station.stop()
        assert csms.faults() == []
        return csms.received("TransactionEvent")


def losses(cut: Cut, events: list[dict[str, Any]]) -> int:
    """How many acknowledged events the CSMS never heard of."""
    heard = {(event["transactionInfo"]["transactionId"], event["seqNo"]) for event in events}
    return sum(event not in heard for event in cut.acknowledged)


@pytest.fixture
def disks(tmp_path: Path) -> Path:
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists():
        pytest.skip("needs root and a loop device")
    return tmp_path


@pytest.mark.timeout(90)
async def test_what_was_acknowledged_outlives_the_page_cache(disks: Path) -> None:
    made = await asyncio.to_thread(cuts, disks, TRANSACTIONS, "FULL")
    assert len(made) == 5 * TRANSACTIONS
    for cut in made:
        async with opened(cut) as journal:
            assert journal.set_aside is None, "the database is whole"
            events = await told(journal)
        assert losses(cut, events) == 0
        by_transaction: dict[str, list[dict[str, Any]]] = {}
        for event in events:
            by_transaction.setdefault(event["transactionInfo"]["transactionId"], []).append(event)
        for sequence in by_transaction.values():
            kinds = [event["eventType"] for event in sequence]
            assert (kinds[0], kinds[-1], kinds.count("Started"), kinds.count("Ended")) == ("Started", "Ended", 1, 1)
            assert [event["seqNo"] for event in sequence] == list(range(len(sequence)))


@pytest.mark.timeout(90)
async def test_the_harness_loses_what_was_not_synced(disks: Path) -> None:
    """Without a wait for the disk the same cuts cost acknowledged events, or the whole table."""
    made = await asyncio.to_thread(cuts, disks, 1, "OFF")
    lost = 0
    for cut in made:
        async with opened(cut) as journal:
            lost += losses(cut, await told(journal))
    assert lost > 0
