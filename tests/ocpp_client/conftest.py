"""The other side and the memory of a station under test."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hal.quantities import EvseId, MeterReading
from ocpp_client.config import OcppConfig
from ocpp_client.ports import CsmsFact, JournalError, QueuedMessage, TransactionState
from ocpp_client.station import OcppStation
from sim.csms.server import Csms


class MemoryJournal:
    """A journal without a disk; `failing` makes it the disk that is full."""

    def __init__(self) -> None:
        self.messages: dict[int, QueuedMessage] = {}
        self.transactions: dict[str, TransactionState] = {}
        self.values: dict[str, str] = {}
        self.notes = 0
        self.failing = False
        self._orders = itertools.count(1)

    async def _work(self) -> None:
        # As the real one: the caller waits at least one turn of the loop.
        await asyncio.sleep(0)
        if self.failing:
            raise JournalError("disk full")

    async def append(
        self, action: str, payload_json: str, transaction: TransactionState | None, *, ended: bool = False
    ) -> int:
        await self._work()
        order = next(self._orders)
        transaction_id = transaction.transaction_id if transaction else None
        self.messages[order] = QueuedMessage(order, action, payload_json, transaction_id, 0)
        if transaction is not None and not ended:
            self.transactions[transaction.transaction_id] = transaction
        elif transaction is not None:
            self.transactions.pop(transaction.transaction_id, None)
        return order

    async def note_transaction(self, transaction: TransactionState) -> None:
        await self._work()
        self.notes += 1
        if transaction.transaction_id in self.transactions:
            self.transactions[transaction.transaction_id] = transaction

    async def pending(self, after: int = 0, limit: int = 100) -> Sequence[QueuedMessage]:
        await self._work()
        return [message for order, message in sorted(self.messages.items()) if order > after][:limit]

    async def pending_count(self, transaction_id: str | None = None, *, of_transactions: bool = False) -> int:
        await self._work()
        waiting = [message.transaction_id for message in self.messages.values()]
        return sum(transaction_id in (None, of) and not (of_transactions and of is None) for of in waiting)

    async def thin(self, after: int) -> int:
        await asyncio.sleep(0)
        updated = [order for order, m in self.messages.items() if order > after and '"Updated"' in m.payload_json]
        for order in updated[::2]:
            del self.messages[order]
        if updated:
            self.failing = False
        return len(updated[::2])

    async def attempted(self, order: int) -> None:
        await self._work()
        self.messages[order] = replace(self.messages[order], attempts=self.messages[order].attempts + 1)

    async def delivered(self, order: int) -> None:
        await self._work()
        self.messages.pop(order, None)

    async def open_transactions(self) -> Sequence[TransactionState]:
        await self._work()
        return list(self.transactions.values())

    async def get(self, key: str) -> str | None:
        await self._work()
        return self.values.get(key)

    async def put(self, key: str, value: str | None) -> None:
        await self._work()
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value


def reading(energy_wh: float, power_w: float = 6900.0) -> MeterReading:
    return MeterReading(
        energy_import_wh=energy_wh,
        power_import_w=power_w,
        current_a=(10.0, 10.1, 9.9),
        voltage_v=(230.0, 229.5, 231.0),
        taken_at_s=time.monotonic(),
        wall_time=datetime.now(UTC),
    )


EVSE = EvseId(1)


@dataclass
class Bench:
    """A station, its journal and what it reported."""

    csms: Csms
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    facts: list[CsmsFact] = field(default_factory=list)
    stations: list[OcppStation] = field(default_factory=list)

    async def station(self, *, wait: bool = True, **config: Any) -> OcppStation:
        options: dict[str, Any] = {
            "identity": "CS-1",
            "url": self.csms.url,
            "vendor": "Vendor",
            "model": "Model",
            "serial": "0001",
            "firmware": "1.0",
            "security_profile": 1,
            "sampled_interval_s": 0,
            "retry_back_off_min_s": 0,
            "retry_back_off_random_s": 0,
            "message_attempt_interval_s": 0,
        }
        station_options = {
            name: config.pop(name) for name in ("tls", "certificates", "logs", "system_time") if name in config
        }
        station = OcppStation(OcppConfig(**options | config), self.journal, self.facts.append, **station_options)
        self.stations.append(station)
        await station.start()
        if wait:
            await until(lambda: station.online)
        return station

    def facts_of(self, kind: type) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def events(self) -> list[dict[str, Any]]:
        """The TransactionEvents as the CSMS has them."""
        return self.csms.received("TransactionEvent")

    async def close(self) -> None:
        for station in self.stations:
            await station.stop()


async def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Csms() as csms:
        bench = Bench(csms)
        yield bench
        await bench.close()
        assert csms.faults() == [], "the station sent something that breaks the standard"


@pytest.fixture
def wait_until() -> Callable[..., Awaitable[None]]:
    return until


@pytest.fixture
def read() -> Callable[..., MeterReading]:
    return reading


@pytest.fixture
def memory_journal() -> MemoryJournal:
    return MemoryJournal()
