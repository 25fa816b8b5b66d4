"""How fast the board's side is: `python -m tests.bench.board --json`, over a line paced at 115200 Bd.

close_ms_p50   pilot edge to C, until the permission is with the MCU (median), and close_ms_max
open_ms_max    pilot edge to B, until the contactor's feedback is open
freeze_open_s  SIGSTOP of the process that drives the board, until the contactor is open
lag_ms_p99     how late this process's event loop was meanwhile
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

from hal.ports import PluggedIn
from tests.conformance.mcu_peer import Bench, Maker, Peer, build_reference, ended, frozen

PACED = ("--baudrate", "115200")


async def watch_lag(lags_ms: list[float]) -> None:
    while True:
        due_s = time.monotonic() + 0.01
        await asyncio.sleep(0.01)
        lags_ms.append((time.monotonic() - due_s) * 1000)


def since(peer: Peer, event: str, value: object, edge: str) -> float:
    """Milliseconds from the last edge of the pilot to `edge` to what followed."""
    edge_s = [t for t, _, state in peer.trace("cp") if state == edge][-1]
    return (next(t for t, _, said in peer.trace(event) if said == value and t >= edge_s) - edge_s) * 1000


async def edges(stand: Bench, count: int) -> tuple[list[float], list[float]]:
    await stand.open()
    await stand.cable.set_cp("B")
    await stand.hears(PluggedIn)
    stand.board.offer_current(16)
    stand.board.permit_power(True)
    closed_ms, opened_ms = [], []
    for number in range(count):
        # Not in step with the 100 ms of STATE and CONTROL.
        await asyncio.sleep(0.05 + number * 0.007 % 0.1)
        await stand.cable.set_cp("C")
        await stand.cable.wait_for(lambda levels: levels.contactor == "closed")
        closed_ms.append(since(stand.peer, "permitted", True, "C"))
        await stand.cable.set_cp("B")
        await stand.cable.wait_for(lambda levels: levels.contactor == "open")
        opened_ms.append(since(stand.peer, "contactor", "open", "B"))
    return closed_ms, opened_ms


async def freeze(maker: Maker, directory: Path) -> float:
    peer = await maker.peer(directory, *PACED)
    daemon = maker.daemon(directory)
    try:
        await peer.cable.set_cp("C")
        await peer.cable.wait_for(lambda levels: levels.contactor == "closed")
        async with frozen(daemon):
            stopped_s = time.monotonic()
            await peer.cable.wait_for(lambda levels: levels.contactor == "open")
        return next(t for t, _, said in peer.trace("contactor") if said == "open" and t > stopped_s) - stopped_s
    finally:
        daemon.kill()
        await ended(daemon)
        await peer.stop()


async def measure(maker: Maker, count: int) -> dict[str, float]:
    lags_ms: list[float] = []
    watching = asyncio.create_task(watch_lag(lags_ms))
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        async with maker(Path(first), *PACED) as stand:
            closed_ms, opened_ms = await edges(stand, count)
        watching.cancel()
        frozen_s = await freeze(maker, Path(second))
    return {
        "close_ms_p50": round(statistics.median(closed_ms), 2),
        "close_ms_max": round(max(closed_ms), 2),
        "open_ms_max": round(max(opened_ms), 2),
        "freeze_open_s": round(frozen_s, 3),
        "lag_ms_p99": round(statistics.quantiles(lags_ms, n=100)[98], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.board", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--edges", type=int, default=60)
    parser.add_argument("--reference", action="store_true", help="against the reference MCU in C")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as build:
        maker = (
            Maker("reference_mcu", ("--reference", str(build_reference(Path(build))))) if said.reference else Maker()
        )
        figures = asyncio.run(measure(maker, said.edges))
    print(json.dumps(figures) if said.json else "\n".join(f"{name} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
