"""What must hold beyond single cases: a day offline, and a CSMS that sends rubbish."""

import importlib.util
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from firmware.journal import SqliteJournal
from hal.quantities import EvseId, MeterReading
from ocpp_client.config import OcppConfig
from ocpp_client.ports import ChargingState, IdToken, StoppedReason, TriggerReason
from ocpp_client.station import OcppStation
from sim.csms.server import Csms

ONE = EvseId(1)
TRANSACTIONS, DAY_S, UPDATE_S = 50, 86_400.0, 60.0


class Day:
    """A wall clock that the test moves, and the meter of a station under it."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC) - timedelta(seconds=DAY_S)
        self.energy_wh = 0.0

    def meter(self) -> MeterReading:
        self.energy_wh += 100.0
        return MeterReading(self.energy_wh, 6900.0, (10.0,) * 3, (230.0,) * 3, time.monotonic(), self.now)


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


async def charge_once(station: OcppStation, day: Day) -> None:
    """A transaction of its fiftieth of the day, half of it charging, a sample each minute."""
    slot_s = DAY_S / TRANSACTIONS
    token = IdToken("04AA", "ISO14443")
    await station.transaction_started(ONE, token, TriggerReason.AUTHORIZED, ChargingState.CHARGING, day.meter())
    for _ in range(int(slot_s / 2 / UPDATE_S)):
        day.now += timedelta(seconds=UPDATE_S)
        await station.transaction_updated(ONE, TriggerReason.METER_VALUE_PERIODIC, meter=day.meter())
    await station.transaction_ended(ONE, TriggerReason.EV_DEPARTED, StoppedReason.EV_DISCONNECTED, day.meter())
    day.now += timedelta(seconds=slot_s / 2)


async def test_a_day_offline_with_fifty_transactions_arrives_in_order(tmp_path: Path) -> None:
    day = Day()
    async with Csms() as csms:
        await csms.stop()
        journal = await SqliteJournal.open(tmp_path / "day.sqlite")
        config = OcppConfig(
            "CS-1",
            csms.url,
            "V",
            "M",
            security_profile=1,
            sampled_interval_s=0,
            retry_back_off_min_s=0,
            retry_back_off_random_s=0,
        )
        station = OcppStation(config, journal, lambda _fact: None, system_time=lambda: day.now)
        await station.start()
        for _ in range(5):
            await charge_once(station, day)
        early_mb = resident_mb()
        for _ in range(TRANSACTIONS - 5):
            await charge_once(station, day)
        assert resident_mb() - early_mb < 10.0, "what waits is on disk"
        waiting = await journal.pending_count(of_transactions=True)
        begun_s = time.monotonic()
        await csms.start()
        await csms.until(lambda: len(csms.received("TransactionEvent")) == waiting, 60.0)
        took_s = time.monotonic() - begun_s
        assert took_s < 60.0
        events = csms.received("TransactionEvent")
        assert csms.faults() == []
        await station.stop()
        await journal.close()
    assert all(event["offline"] for event in events)
    stamps = [event["timestamp"] for event in events]
    assert stamps == sorted(stamps)
    span = datetime.fromisoformat(stamps[-1]) - datetime.fromisoformat(stamps[0])
    assert span > timedelta(hours=23)
    by_transaction: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        by_transaction[event["transactionInfo"]["transactionId"]].append(event)
    assert len(by_transaction) == TRANSACTIONS
    for sequence in by_transaction.values():
        assert [event["seqNo"] for event in sequence] == list(range(len(sequence)))
        assert [event["eventType"] for event in sequence][:: len(sequence) - 1] == ["Started", "Ended"]


@pytest.mark.timeout(90)
async def test_a_flood_of_rubbish_ends_neither_link_nor_charging(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("hostile", Path(__file__).with_name("hostile.py"))
    assert spec is not None
    assert spec.loader is not None
    hostile = importlib.util.module_from_spec(spec)
    sys.modules["hostile"] = hostile
    spec.loader.exec_module(hostile)
    outcome = await hostile.attack(30_000, tmp_path)
    assert outcome.frames == 30_000
    assert outcome.links == 1, "the link lives"
    assert hostile.whole(outcome.seq_nos), "charging lives"
    assert max(outcome.rss_mb) < 80.0
