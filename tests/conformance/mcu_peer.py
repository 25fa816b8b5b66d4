"""The simulated MCU as a process of its own, and a board driver at the other end of its serial line."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hal.board import McuBoard
from hal.ports import EvseCapabilities, HalFact
from hal.quantities import EvseId
from sim.mcu.cable import Cable

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "hal" / "mcu" / "reference"


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
    process: asyncio.subprocess.Process
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
        if self.process.returncode is None:
            self.process.terminate()
        await self.process.wait()


async def start_peer(directory: Path, *arguments: str) -> Peer:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sim.mcu",
        "--pty-link",
        str(directory / "tty"),
        "--cable",
        str(directory / "cable"),
        "--trace",
        str(directory / "trace"),
        *arguments,
        cwd=ROOT,
    )
    cable = await Cable.connect(directory / "cable")
    peer = Peer(directory, process, cable)
    await until(lambda: Path(peer.device).exists())
    return peer


async def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


@dataclass
class Bench:
    """A board, its peer, and what it has reported."""

    peer: Peer
    facts: list[HalFact] = field(default_factory=list)
    alive: bool = True

    def __post_init__(self) -> None:
        self.board = McuBoard(self.peer.device, EvseId(1), self.facts.append, alive=lambda: self.alive)

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
    """Makes benches with one kind of MCU at the far end: `arguments` choose it."""

    arguments: tuple[str, ...] = ()

    async def peer(self, directory: Path, *arguments: str) -> Peer:
        return await start_peer(directory, *self.arguments, *arguments)

    @asynccontextmanager
    async def __call__(self, directory: Path, *arguments: str) -> AsyncIterator[Bench]:
        peer = await self.peer(directory, *arguments)
        try:
            made = Bench(peer)
            yield made
            await made.board.close()
        finally:
            await peer.stop()


@asynccontextmanager
async def frozen(pid: int) -> AsyncIterator[None]:
    """The process stands still within, and is left running."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
