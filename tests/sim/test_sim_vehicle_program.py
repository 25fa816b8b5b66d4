"""`python -m sim.vehicle` on a real socket whose other end the test plays, and as the demo would start it."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim.mcu.cable import Levels
from sim.namespaces import REPOSITORY

IDLE = Levels(
    t=0.0,
    cp="A",
    cp_mode="X1",
    duty_percent=100.0,
    contactor="open",
    locked=False,
    limit_a=0.0,
    permitted=False,
    energy_wh=100.0,
    current_a=[0.0, 0.0, 0.0],
    voltage_v=[230.0, 230.0, 230.0],
)


class Board:
    """Answers a card with 16 A, closes in state C, and writes down all it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.levels = IDLE
        self._writer: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._send()
        with suppress(ConnectionError):
            while line := await reader.readline():
                words = json.loads(line)
                self.told.append(words)
                self._react(words)
        writer.close()

    def _react(self, words: dict[str, Any]) -> None:
        if "swipe" in words:
            self.show(cp_mode="X2", duty_percent=26.67)
        elif "cp" in words:
            closed = words["cp"] == "C"
            self.show(cp=words["cp"], contactor="closed" if closed else "open", locked=words["cp"] != "A" and closed)
        elif "draw_a" in words:
            self.show(current_a=words["draw_a"], energy_wh=self.levels.energy_wh + 2.0)

    def show(self, **levels: Any) -> None:
        self.levels = replace(self.levels, **levels)
        self._send()

    def hang_up(self) -> None:
        assert self._writer is not None
        self._writer.close()

    def _send(self) -> None:
        assert self._writer is not None
        self._writer.write(self.levels.to_line())

    async def until_told(self, words: dict[str, Any]) -> None:
        for _ in range(1000):
            if words in self.told:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{words} not in {self.told}")


class Car:
    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self._log = log

    async def end(self) -> tuple[int, str]:
        """Exit code and last line on stderr."""
        _, stderr = await asyncio.wait_for(self.process.communicate(), 15)
        assert self.process.returncode is not None
        return self.process.returncode, stderr.decode().strip().splitlines()[-1]

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]


@asynccontextmanager
async def car_at(board: Board, directory: Path, *options: str) -> AsyncIterator[Car]:
    socket, log = directory / "cable.sock", directory / "vehicle.jsonl"
    server = await asyncio.start_unix_server(board.serve, socket)
    arguments = ["-m", "sim.vehicle", *options, "--interface", "lo", "--cable", str(socket), "--log", str(log)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=REPOSITORY, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield Car(process, log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
        server.close()
        await server.wait_closed()


async def test_a_plain_car_comes_swipes_charges_and_goes(tmp_path: Path) -> None:
    board = Board()
    async with car_at(
        board, tmp_path, "iec", "--swipe", "04A1B2C3", "--swipe-after", "0.1", "--charge-s", "0.3"
    ) as car:
        assert await car.end() == (0, "vehicle: charged")
    assert board.told == [
        {"cp": "B"},
        {"swipe": {"id_token": "04A1B2C3", "kind": "ISO14443"}},
        {"cp": "C"},
        {"draw_a": [pytest.approx(16.0, abs=0.01)] * 3},
        {"draw_a": [0.0, 0.0, 0.0]},
        {"cp": "B"},
        {"cp": "A"},
    ]
    names = [event["event"] for event in car.events()]
    assert [name for name in names if name not in ("pwm", "contactor")] == [
        "plugged", "swiped", "pilot", "draw", "draw", "pilot", "stopped", "unplugged", "ended",
    ]  # fmt: skip
    assert car.events()[-1] == {**car.events()[-1], "verdict": "charged", "exit_code": 0}


async def test_terminated_it_unplugs_first(tmp_path: Path) -> None:
    board = Board()
    async with car_at(board, tmp_path, "iec", "--swipe", "04A1B2C3", "--swipe-after", "0", "--charge-s", "60") as car:
        await board.until_told({"cp": "C"})
        car.process.send_signal(signal.SIGTERM)
        assert await car.end() == (1, "vehicle: driven off")
    assert board.told[-2:] == [{"cp": "B"}, {"cp": "A"}]


async def test_it_does_not_stay_for_ever(tmp_path: Path) -> None:
    board = Board()
    async with car_at(board, tmp_path, "iec", "--timeout-s", "0.5") as car:
        assert await car.end() == (1, "vehicle: gave up after 0.5 s")
    assert board.told == [{"cp": "B"}, {"cp": "A"}]


async def test_a_board_that_goes_is_told(tmp_path: Path) -> None:
    board = Board()
    async with car_at(board, tmp_path, "iec", "--swipe", "04A1B2C3", "--swipe-after", "0", "--charge-s", "60") as car:
        await board.until_told({"cp": "C"})
        board.hang_up()
        code, last_line = await car.end()
    assert code == 1
    assert "the board has gone" in last_line
    assert car.events()[-1]["event"] == "ended"
