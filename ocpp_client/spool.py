"""Between the journal and the outbox: durable messages go to disk first and are then offered for sending.

Only a window of the journal is held in memory, so that days offline cost disk alone. The journal works its calls off in
order; that is what makes the window and the disk agree. When the journal cannot write, the message still goes out from
memory, in its place behind those on disk: a full disk must not cost the operator a transaction.
"""

import logging
from collections import Counter
from collections.abc import Callable

from ocpp_client.ports import Journal, JournalError, QueuedMessage, TransactionState
from ocpp_client.queue import Call, Outbox, Verdict

log = logging.getLogger(__name__)

WINDOW = 100
MAX_WAITING = 50_000
"""Messages on disk, some 60 MB: beyond, Updated events are thinned."""
COUNT_EVERY = 500
"""Appends between two looks at how many wait."""
MAX_IN_MEMORY = 1000
"""Messages kept only in memory while the journal fails."""


class Spool:
    """`thinned` is told how many Updated events were left out because room ran short."""

    def __init__(self, journal: Journal, outbox: Outbox, thinned: Callable[[int], None]) -> None:
        self._journal = journal
        self._outbox = outbox
        self._thinned = thinned
        self._since_count = 0
        self._last_order = 0
        self._all_loaded = False
        self._loading = False
        self._memory: list[QueuedMessage] = []
        self._next_memory_order = -1
        self.counts: Counter[str] = Counter()

    async def store(
        self,
        action: str,
        payload_json: str,
        transaction: TransactionState | None = None,
        *,
        ended: bool = False,
    ) -> bool:
        """Write, then offer for sending. False when it could not be written (it is offered all the same)."""
        transaction_id = transaction.transaction_id if transaction else None
        try:
            order = await self._append(action, payload_json, transaction, ended)
        except JournalError as error:
            self.counts["not written"] += 1
            log.error("%s is not durable, the journal failed: %s", action, error)
            self._keep_in_memory(QueuedMessage(self._next_memory_order, action, payload_json, transaction_id, 0))
            return False
        if self._all_loaded and self._outbox.durable < WINDOW:
            self._outbox.load(QueuedMessage(order, action, payload_json, transaction_id, 0))
            self._last_order = order
        else:
            self._all_loaded = False
        return True

    async def _append(self, action: str, payload_json: str, transaction: TransactionState | None, ended: bool) -> int:
        """Once more after thinning, where thinning made room. Raises JournalError."""
        self._since_count += 1
        if self._since_count >= COUNT_EVERY:
            self._since_count = 0
            if await self._journal.pending_count() > MAX_WAITING:
                await self._thin()
        try:
            return await self._journal.append(action, payload_json, transaction, ended=ended)
        except JournalError:
            if await self._thin() == 0:
                raise
        return await self._journal.append(action, payload_json, transaction, ended=ended)

    async def _thin(self) -> int:
        count = await self._journal.thin(self._last_order)
        if count:
            self.counts["thinned"] += count
            log.error("room runs short: %s Updated events left out", count)
            self._thinned(count)
        return count

    def _keep_in_memory(self, message: QueuedMessage) -> None:
        self._next_memory_order -= 1
        if self._all_loaded:
            self._outbox.load(message)
        elif len(self._memory) < MAX_IN_MEMORY:
            self._memory.append(message)
        else:
            self.counts["lost"] += 1
            log.error("%s lost: neither the journal nor memory takes it", message.action)

    @property
    def wants_refill(self) -> bool:
        return not self._all_loaded and not self._loading and self._outbox.durable <= WINDOW // 2

    async def refill(self) -> None:
        """Load the next messages from disk once there is room."""
        if not self.wants_refill:
            return
        self._loading = True
        try:
            messages = await self._journal.pending(self._last_order, WINDOW)
        except JournalError as error:
            self.counts["not read"] += 1
            log.error("waiting messages cannot be read: %s", error)
            return
        finally:
            self._loading = False
        for message in messages:
            self._outbox.load(message)
            self._last_order = message.order
        if len(messages) < WINDOW:
            self._all_loaded = True
            for message in self._memory:
                self._outbox.load(message)
            self._memory.clear()

    async def settle(self, call: Call, verdict: Verdict) -> None:
        """Carry out in the journal what the outbox decided."""
        if call.order is None or call.order < 0 or verdict is Verdict.NONE:
            return
        try:
            if verdict is Verdict.COUNT_ATTEMPT:
                await self._journal.attempted(call.order)
            else:
                await self._journal.delivered(call.order)
        except JournalError as error:
            # It will be sent once more after a restart, with the same seqNo: the CSMS can tell.
            self.counts["not settled"] += 1
            log.error("%s stays in the journal: %s", call.action, error)

    async def waiting(self, transaction_id: str | None = None) -> bool:
        """Whether messages about one transaction, or about any, wait (E14)."""
        told = [message.transaction_id for message in self._memory if message.transaction_id is not None]
        if transaction_id in told or (transaction_id is None and told):
            return True
        try:
            return await self._journal.pending_count(transaction_id, of_transactions=True) > 0
        except JournalError:
            return self._outbox.durable > 0
