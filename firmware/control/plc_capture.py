"""Frames of an EVSE's interfaces on their way to a technician's file: one capture of a kind an EVSE, bounded.

A capture begins by `start` and ends by its time, by its size, by `stop`, or when nobody has read it for a while. What
came until then is read in pages; the pages in turn are the file.
"""

import asyncio
import base64
import itertools
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from firmware.control.rpc import Code, RpcError
from hal.plc.capture import file_header, record
from hal.plc.link import GreenPhyLink

MAX_SECONDS = 600
MAX_FILE_BYTES = 16 << 20
MAX_WAITING_BYTES = 1 << 20
"""What a slow reader may leave unread; frames beyond are lost, and counted."""
PAGE_BYTES = 40_000
"""In an answer they are a third more."""
PAGE_WAIT_S = 1.0
"""How long an answer waits for a frame."""
ABANDONED_S = 15.0


class Ended(StrEnum):
    """Why no more frames come."""

    TIME = "time"
    SIZE = "size"
    STOPPED = "stopped"


Take = Callable[[bytes], None]


class Source(Protocol):
    """Where a file's pieces come from."""

    def header(self) -> bytes: ...

    def watch(self, take: Take | None) -> None:
        """Give each piece to `take` from now on; None: no more."""
        ...


class PlcSource:
    """The frames of one powerline link, without keys."""

    def __init__(self, link: GreenPhyLink) -> None:
        self._link = link

    def header(self) -> bytes:
        return file_header()

    def watch(self, take: Take | None) -> None:
        self._link.watch_frames(None if take is None else lambda frame: take(record(frame, time.time_ns())))


class Capture:
    """The pieces of one source. On the main loop, whose timers end it."""

    def __init__(self, number: int, source: Source, for_s: int) -> None:
        self.number = number
        self.ended: Ended | None = None
        self._source = source
        self._waiting = bytearray(source.header())
        self._taken = 0
        self._frames = self._lost = 0
        self._came = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.call_later(for_s, self.end, Ended.TIME)
        self._patience = self._loop.call_later(ABANDONED_S, self._give_up)
        source.watch(self._take)

    @property
    def is_over(self) -> bool:
        """Ended, and read to its end."""
        return self.ended is not None and not self._waiting

    def end(self, why: Ended) -> None:
        if self.ended is None:
            self.ended = why
            self._end.cancel()
            self._source.watch(None)
            self._came.set()

    async def page(self) -> dict[str, object]:
        """What has come since the last page, as base64; waits PAGE_WAIT_S for it. `ended` in the last."""
        self._patience.cancel()
        self._patience = self._loop.call_later(ABANDONED_S, self._give_up)
        if not self._waiting and self.ended is None:
            self._came.clear()
            try:
                async with asyncio.timeout(PAGE_WAIT_S):
                    await self._came.wait()
            except TimeoutError:
                pass  # A page may be empty: its reader sees that the capture goes on.
        piece = bytes(self._waiting[:PAGE_BYTES])
        del self._waiting[:PAGE_BYTES]
        self._taken += len(piece)
        return {
            "pcap": base64.b64encode(piece).decode(),
            "frames": self._frames,
            "lost": self._lost,
            "ended": self.ended if not self._waiting else None,
        }

    def _give_up(self) -> None:
        """Nobody reads."""
        self.end(Ended.STOPPED)
        self._waiting.clear()

    def _take(self, piece: bytes) -> None:
        if self._taken + len(self._waiting) + len(piece) > MAX_FILE_BYTES:
            self.end(Ended.SIZE)
        elif len(self._waiting) + len(piece) > MAX_WAITING_BYTES:
            self._lost += 1
        else:
            self._waiting += piece
            self._frames += 1
            self._came.set()


class Captures:
    """At most one an EVSE."""

    def __init__(self) -> None:
        self._by_evse: dict[int, Capture] = {}
        self._numbers = itertools.count(1)

    def start(self, evse: int, source: Callable[[], Source], for_s: int) -> int:
        """The capture's number. Raises RpcError BUSY, and what `source` raises."""
        known = self._by_evse.get(evse)
        if known is not None and not known.is_over:
            raise RpcError(Code.BUSY, f"a capture of EVSE {evse} is under way; it ends when nobody reads it")
        number = next(self._numbers)
        self._by_evse[evse] = Capture(number, source(), for_s)
        return number

    async def page(self, number: int) -> dict[str, object]:
        """Raises RpcError NOT_FOUND."""
        return await self._find(number).page()

    def stop(self, number: int) -> None:
        """No more frames; those that came can still be read. Raises RpcError NOT_FOUND."""
        self._find(number).end(Ended.STOPPED)

    def _find(self, number: int) -> Capture:
        for capture in self._by_evse.values():
            if capture.number == number:
                return capture
        raise RpcError(Code.NOT_FOUND, f"there is no capture {number}")
