"""`evse fw` and the methods behind it, on a board whose slots are files."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from certs.tls.loop import LoopThread
from firmware.cli import main, out
from firmware.control.slots import SlotControl
from firmware.update.slots import Health, RaucSlots
from tests.firmware.control_bench import bench, charges
from tests.firmware.rauc_board import RaucBoard


class Counter:
    value = 2

    def rollback_counter(self) -> int:
        return self.value

    def raise_rollback_counter(self) -> int:
        self.value += 1
        return self.value


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Any]:
    board = RaucBoard(tmp_path)
    board.power_on()
    await board.ready()
    with LoopThread("slots") as loop:
        async with bench() as made:
            made.reboots = []
            slots = RaucSlots(
                board.rauc,
                tmp_path / "update",
                Counter(),
                Health(lambda: True, lambda: True),
                lambda: made.reboots.append(1),
                boot_id=lambda: board.boot_id,
            )
            made.rauc, made.slots = board, slots
            made.dispatcher._station = replace(made.dispatcher._station, slots=SlotControl(slots, loop))
            yield made
    board.power_off()


async def run(made: Any, line: str) -> int:
    return await asyncio.to_thread(main, [*line.split(), "--socket", str(made.path)])


async def test_the_slots_are_shown(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(made, "fw status") == 0
    told = capsys.readouterr().out
    assert "security epoch 1" in told
    assert "none yet" in told
    assert "rootfs.0\tA\tyes\tyes\tyes" in told


@pytest.mark.parametrize("terminal", [True, False])
async def test_installing(
    made: Any, terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out, "is_terminal", lambda: terminal)
    monkeypatch.setattr("firmware.cli.fw.LOOK_S", 0.02)
    bundle = made.rauc.bundle("2.0.0+epoch.1", hook="sleep 0.3")
    assert await run(made, f"fw install {bundle}") == 0
    assert made.reboots == [1]
    told = capsys.readouterr().out
    assert ("%" in told) is terminal
    assert "restarts into it" in told
    assert await run(made, "fw status") == 0
    assert "2.0.0+epoch.1 in rootfs.1: waits for the restart" in capsys.readouterr().out


async def test_what_is_refused(made: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bundle = made.rauc.bundle("2.0.0", compatible="another-board")
    assert await run(made, f"fw install {bundle}") == 1
    assert "not for this station" in capsys.readouterr().err
    (tmp_path / "B.img").unlink()
    assert await run(made, f"fw install {made.rauc.bundle('2.0.0+epoch.1')}") == 1
    assert "could not be written" in capsys.readouterr().err
    assert made.reboots == []


async def test_not_while_a_vehicle_is_there(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    charges(made)
    assert await run(made, "fw install /image") == 1
    assert "EVSE 1" in capsys.readouterr().err
    assert await run(made, "fw rollback --yes") == 1


async def test_marking_good_and_going_back(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(made, "fw mark-good --json") == 0
    assert await run(made, "fw rollback") == 2
    assert await run(made, "fw rollback --yes") == 1, "the other slot holds an epoch below the floor"
    assert "below the floor" in capsys.readouterr().err
    Counter.value, before = 0, Counter.value
    assert await run(made, "fw rollback --yes") == 0
    Counter.value = before
    assert "rootfs.1" in capsys.readouterr().out
    assert made.reboots == [1]


async def test_a_station_without_slots(capsys: pytest.CaptureFixture[str]) -> None:
    async with bench() as made:
        for line in ("fw status", "fw install /image", "fw mark-good", "fw rollback --yes"):
            assert await run(made, line) == 1
            assert "without firmware slots" in capsys.readouterr().err


async def test_rauc_that_does_not_answer(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    made.rauc.power_off()
    assert await run(made, "fw status") == 1
    assert capsys.readouterr().err
