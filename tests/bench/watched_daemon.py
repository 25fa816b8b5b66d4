"""The daemon, with somebody who looks how late its loop is: `python -m tests.bench.watched_daemon FIGURES CONFIG`.

A task of its own asks to be woken every 10 ms and notes how late it was, and how much of that this thread was working:
the rest is the machine's, when others use it. Once a second it notes the memory. The figures go to the file at the end,
as one JSON object.
"""

import asyncio
import json
import os
import resource
import sys
import time
from array import array
from pathlib import Path
from typing import Any

import firmware.app as app

PERIOD_S = 0.01
READY_S = 3.0
"""Imports, keys and the CSMS link come before the first vehicle."""
BUCKETS = 10_000
PAGE = resource.getpagesize()


class Spread:
    """How often each tenth of a millisecond was seen: as much memory at the end as at the beginning."""

    def __init__(self) -> None:
        self.counts = array("L", bytes(8 * BUCKETS))
        self.highest = 0.0

    def add(self, milliseconds: float) -> None:
        self.highest = max(self.highest, milliseconds)
        self.counts[min(BUCKETS - 1, max(0, int(milliseconds * 10)))] += 1

    def quantile(self, share: float) -> float:
        """Rounded up to a tenth of a millisecond."""
        left = share * sum(self.counts)
        for tenths, count in enumerate(self.counts):
            left -= count
            if left <= 0:
                return (tenths + 1) / 10
        return self.highest

    def figures(self) -> dict[str, float]:
        return {"p50": self.quantile(0.5), "p99": self.quantile(0.99), "max": round(self.highest, 1)}


class Watch:
    def __init__(self) -> None:
        self.late = Spread()
        self.own = Spread()
        self.rss_mib: list[tuple[float, float]] = []
        self.began_s = time.monotonic()

    async def run(self) -> None:
        next_memory_s = 0.0
        while True:
            due_s, worked_s = time.monotonic() + PERIOD_S, time.thread_time()
            await asyncio.sleep(PERIOD_S)
            now = time.monotonic()
            late_ms = (now - due_s) * 1000
            if now >= self.began_s + READY_S:
                self.late.add(late_ms)
                self.own.add(min(late_ms, (time.thread_time() - worked_s) * 1000))
            if now >= next_memory_s:
                next_memory_s = now + 1
                pages = int(Path("/proc/self/statm").read_text().split()[1])  # noqa: ASYNC240
                self.rss_mib.append((round(now - self.began_s, 1), round(pages * PAGE / 2**20, 2)))

    def figures(self) -> dict[str, Any]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "late_ms": self.late.figures(),
            "own_ms": self.own.figures(),
            "rss_mib": self.rss_mib,
            "cpu_s": round(used.ru_utime + used.ru_stime, 1),
            "pid": os.getpid(),
        }


def _write(figures: Path, watch: Watch) -> None:
    figures.write_text(json.dumps(watch.figures()))


def main() -> int:
    figures = Path(sys.argv[1])
    daemon = app.run

    async def watched(*arguments: Any) -> None:
        watch = Watch()
        looking = asyncio.create_task(watch.run())
        try:
            await daemon(*arguments)
        finally:
            looking.cancel()
            _write(figures, watch)

    app.run = watched
    return app.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
