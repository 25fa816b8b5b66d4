"""Events on their way to those who follow them. A reader that does not keep up loses events and is told how many."""

import asyncio
from collections import deque
from collections.abc import Callable

from firmware.history import Event

MAX_WAITING = 256
"""Events a subscription keeps for a reader."""


class Subscription:
    """A bounded queue. `put` never waits; `next` does."""

    def __init__(self, wanted: Callable[[Event], bool]) -> None:
        self._wanted = wanted
        self._waiting: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._dropped = 0

    def put(self, event: Event) -> None:
        if not self._wanted(event):
            return
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(event)
        self._arrived.set()

    async def next(self) -> tuple[Event, int]:
        """The oldest event that waits, and how many before it were dropped."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        dropped, self._dropped = self._dropped, 0
        return self._waiting.popleft(), dropped
