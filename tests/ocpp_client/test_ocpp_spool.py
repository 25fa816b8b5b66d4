"""The window over the journal, and what happens when the journal fails."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hal.quantities import EvseId
from ocpp_client.ports import JournalError, TransactionState
from ocpp_client.queue import Outbox, Outcome, Registration, RetryRules, Verdict
from ocpp_client.spool import Spool


@pytest.fixture
def spooled(memory_journal: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Spool, Outbox, Any]:
    monkeypatch.setattr("ocpp_client.spool.WINDOW", 4)
    outbox = Outbox(RetryRules())
    outbox.registration = Registration.ACCEPTED
    return Spool(memory_journal, outbox, lambda _count: None), outbox, memory_journal


async def drain(spool: Spool, outbox: Outbox) -> list[str]:
    sent = []
    await spool.refill()
    while (call := outbox.next(0.0)) is not None:
        sent.append(call.payload_json)
        settled, verdict = outbox.settle(Outcome.DELIVERED, 0.0)
        assert settled is not None
        await spool.settle(settled, verdict)
        await spool.refill()
    return sent


def transaction() -> TransactionState:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    return TransactionState("tx-1", EvseId(1), 1, None, "Charging", began, began, None, "")


async def test_only_a_window_is_in_memory(spooled: tuple[Spool, Outbox, Any]) -> None:
    spool, outbox, journal = spooled
    await spool.refill()
    for number in range(20):
        assert await spool.store("TransactionEvent", str(number))
        assert outbox.durable <= 4
    assert await drain(spool, outbox) == [str(number) for number in range(20)]
    assert journal.messages == {}


async def test_what_waits_from_before_comes_before_what_is_new(spooled: tuple[Spool, Outbox, Any]) -> None:
    spool, outbox, journal = spooled
    for number in range(6):
        await journal.append("TransactionEvent", str(number), None)
    await spool.store("TransactionEvent", "new")
    assert await drain(spool, outbox) == ["0", "1", "2", "3", "4", "5", "new"]


async def test_what_the_disk_does_not_take_goes_from_memory_in_its_place(spooled: tuple[Spool, Outbox, Any]) -> None:
    spool, outbox, journal = spooled
    for number in range(8):
        await spool.store("TransactionEvent", str(number))
    journal.failing = True
    assert not await spool.store("TransactionEvent", "memory", transaction())
    assert await spool.waiting("tx-1")
    assert await spool.waiting()
    assert not spool.wants_refill or outbox.durable <= 2
    journal.failing = False
    assert await drain(spool, outbox) == [*map(str, range(8)), "memory"]


async def test_memory_is_bounded_too(spooled: tuple[Spool, Outbox, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    spool, _, journal = spooled
    monkeypatch.setattr("ocpp_client.spool.MAX_IN_MEMORY", 3)
    journal.failing = True
    for number in range(5):
        await spool.store("TransactionEvent", str(number))
    assert spool.counts["lost"] == 2


async def test_a_journal_that_cannot_be_read_is_asked_again(spooled: tuple[Spool, Outbox, Any]) -> None:
    spool, outbox, journal = spooled
    await journal.append("TransactionEvent", "0", None)
    journal.failing = True
    await spool.refill()
    assert spool.wants_refill
    assert spool.counts["not read"] == 1
    journal.failing = False
    assert await drain(spool, outbox) == ["0"]


async def test_what_cannot_be_settled_is_counted(spooled: tuple[Spool, Outbox, Any]) -> None:
    spool, outbox, journal = spooled
    await spool.refill()
    await spool.store("TransactionEvent", "0")
    call = outbox.next(0.0)
    assert call is not None
    journal.failing = True
    for verdict in (Verdict.FORGET, Verdict.COUNT_ATTEMPT, Verdict.GIVE_UP):
        await spool.settle(call, verdict)
    assert spool.counts["not settled"] == 3
    await spool.settle(call, Verdict.NONE)
    await spool.settle(replace(call, order=-1), Verdict.FORGET)
    assert spool.counts["not settled"] == 3
    assert await spool.waiting(), "with a failing journal the window is what we know"


async def test_attempts_are_counted_in_the_journal(spooled: tuple[Spool, Outbox, Any]) -> None:
    spool, outbox, journal = spooled
    await spool.refill()
    await spool.store("TransactionEvent", "0")
    outbox.next(0.0)
    call, verdict = outbox.settle(Outcome.FAILED, 0.0)
    assert call is not None
    await spool.settle(call, verdict)
    assert journal.messages[1].attempts == 1


async def test_the_error_is_the_ports(memory_journal: Any) -> None:
    memory_journal.failing = True
    with pytest.raises(JournalError):
        await memory_journal.append("TransactionEvent", "", None)
