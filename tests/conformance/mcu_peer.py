"""The simulated board as a process of its own, and a board driver at the other end of its serial line.

The processes are forked off one that has already imported what they run: a start takes 20 ms instead of 400.
"""

import asyncio
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from hal.board import McuBoard
from hal.ports import EvseCapabilities, HalFact
from sim.mcu.__main__ import main as run_mcu
from sim.mcu.cable import Cable
from sim.meter.__main__ import main as run_meter
from tests.conformance.board_daemon import main as run_daemon
from tests.conformance.kinds import KINDS, Kind

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "hal" / "mcu" / "reference"

_forkserver = multiprocessing.get_context("forkserver")
_forkserver.set_forkserver_preload(["sim.mcu.__main__", "sim.meter.__main__", "tests.conformance.board_daemon"])


def build_reference(directory: Path) -> Path:
    """The C reference MCU as a shared library; skips where there is no C compiler."""
    if shutil.which("cc") is None or shutil.which("make") is None:
        pytest.skip("no C compiler: the reference MCU cannot be built")
    subprocess.run(["make", "-s", "-C", REFERENCE, f"BUILD={directory}"], check=True)
    return directory / "libevse_mcu.so"


@dataclass
class Peer:
    """Paths of one board's two ends, and its process."""

    directory: Path
    process: ForkServerProcess
    cable: Cable

    @property
    def device(self) -> str:
        return str(self.directory / "tty")

    def trace(self, event: str | None = None) -> list[tuple[float, str, object]]:
        lines = (self.directory / "trace").read_text().splitlines()
        said = [json.loads(line) for line in lines]
        return [(one["t"], one["event"], one["value"]) for one in said if event in (None, one["event"])]

    async def stop(self) -> None:
        await self.cable.close()
        self.process.terminate()
        await ended(self.process)


async def ended(process: ForkServerProcess) -> None:
    await until(lambda: process.exitcode is not None)
    process.join()


async def start_peer(directory: Path, *arguments: str) -> Peer:
    ends = ("--pty-link", directory / "tty", "--cable", directory / "cable", "--trace", directory / "trace")
    process = _forkserver.Process(target=run_mcu, args=([*map(str, ends), *arguments],), daemon=True)
    process.start()
    cable = await Cable.connect(directory / "cable")
    peer = Peer(directory, process, cable)
    await until(lambda: Path(peer.device).exists())
    return peer


def start_meter(*arguments: str) -> ForkServerProcess:
    """A simulated meter: `python -m sim.meter` with these arguments."""
    process = _forkserver.Process(target=run_meter, args=(arguments,), daemon=True)
    process.start()
    return process


async def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


@dataclass
class Bench:
    """A board, its peer, and what it has reported."""

    peer: Peer
    kind: Kind
    facts: list[HalFact] = field(default_factory=list)
    alive: bool = True

    def __post_init__(self) -> None:
        self.board = self.kind.make_board(self.peer.directory, self.facts.append, lambda: self.alive)

    @property
    def mcu_board(self) -> McuBoard:
        """For what only the EVSE-MCU link has."""
        assert isinstance(self.board, McuBoard)
        return self.board

    @property
    def cable(self) -> Cable:
        return self.peer.cable

    async def open(self) -> EvseCapabilities:
        return await self.board.open()

    def heard(self, kind: type[HalFact]) -> list[HalFact]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def hears(self, kind: type[HalFact], count: int = 1, timeout_s: float = 5.0) -> HalFact:
        await until(lambda: len(self.heard(kind)) >= count, timeout_s)
        return self.heard(kind)[count - 1]

    async def until(self, condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
        await until(condition, timeout_s)


@dataclass(frozen=True)
class Maker:
    """Makes benches with one kind of board at the far end: `arguments` are the peer's."""

    name: str = "python_mcu"
    arguments: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]

    async def peer(self, directory: Path, *arguments: str) -> Peer:
        return await start_peer(directory, *self.kind.peer_arguments(directory), *self.arguments, *arguments)

    def daemon(self, directory: Path) -> ForkServerProcess:
        """A daemon in small at the peer of this directory."""
        process = _forkserver.Process(target=run_daemon, args=(self.name, directory), daemon=True)
        process.start()
        return process

    @asynccontextmanager
    async def __call__(self, directory: Path, *arguments: str) -> AsyncIterator[Bench]:
        peer = await self.peer(directory, *arguments)
        try:
            made = Bench(peer, self.kind)
            yield made
            await made.board.close()
        finally:
            await peer.stop()


@asynccontextmanager
async def frozen(process: ForkServerProcess) -> AsyncIterator[None]:
    """The process stands still within, and is left running."""
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)
