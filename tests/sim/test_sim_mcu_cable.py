"""The cable's two ends: what a vehicle can do at the simulated board, and what nonsense does."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sim.mcu.cable import Cable, CableError, Levels
from tests.conformance.mcu_peer import Peer, ended, start_peer


@pytest.fixture
async def peer(tmp_path: Path) -> AsyncIterator[Peer]:
    started = await start_peer(tmp_path, "--energy-wh", "1234.5", "--telemetry-s", "0.05")
    yield started
    await started.stop()


async def test_levels_at_connect_without_a_daemon(peer: Peer) -> None:
    levels = peer.cable.levels
    assert (levels.cp, levels.cp_mode, levels.contactor, levels.energy_wh) == ("A", "F", "open", 1234.5)
    assert levels.current_a == [0, 0, 0]


async def test_two_ends_see_the_same_board(peer: Peer) -> None:
    async with await Cable.connect(peer.directory / "cable") as bystander:
        await peer.cable.set_cp("B")
        await bystander.wait_for(lambda levels: levels.cp == "B")


async def test_a_vehicle_whose_socket_closes_stays_plugged(peer: Peer) -> None:
    async with await Cable.connect(peer.directory / "cable") as vehicle:
        await vehicle.set_cp("C")
        await vehicle.wait_for(lambda levels: levels.cp == "C")
    await asyncio.sleep(0.1)
    assert peer.cable.levels.cp == "C"


@pytest.mark.parametrize(
    "nonsense",
    [
        b"{",
        b"[]",
        b'{"cp": "Z"}',
        b'{"cp": 5}',
        b'{"draw_a": ["x"]}',
        b'{"fault": "NoSuchFault", "active": true}',
        b'{"swipe": {"id_token": "zz", "kind": "ISO14443"}}',
        b'{"swipe": {"id_token": "04", "kind": "Magnet"}}',
        b"\xff\xfe",
    ],
)
async def test_nonsense_on_the_cable_changes_nothing(peer: Peer, nonsense: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(peer.directory / "cable"))
    writer.write(nonsense + b"\n" + json.dumps({"cp": "B"}).encode() + b"\n")
    await peer.cable.wait_for(lambda levels: levels.cp == "B")
    assert await reader.readline()
    writer.close()


async def test_a_line_without_an_end_costs_its_sender_the_connection_only(peer: Peer) -> None:
    reader, writer = await asyncio.open_unix_connection(str(peer.directory / "cable"))
    writer.write(b"x" * 100_000)
    async with asyncio.timeout(5):
        while await reader.read(4096):
            pass
    writer.close()
    await peer.cable.set_cp("B")
    await peer.cable.wait_for(lambda levels: levels.cp == "B")


async def test_waiting_in_vain_says_what_was_there(peer: Peer) -> None:
    with pytest.raises(TimeoutError, match="cp_mode='F'"):
        await peer.cable.wait_for(lambda levels: levels.contactor == "closed", 0.1)


async def test_a_board_that_goes_is_noticed(peer: Peer) -> None:
    waiting = asyncio.create_task(peer.cable.wait_for(lambda levels: levels.contactor == "closed"))
    await asyncio.sleep(0)
    peer.process.terminate()
    with pytest.raises(CableError, match="has gone"):
        await waiting
    with pytest.raises(CableError):
        _ = peer.cable.levels
    await ended(peer.process)
    assert {path.name for path in leftovers(peer.directory)} == {"trace"}


def leftovers(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(CableError, match="nobody at"):
        await Cable.connect(tmp_path / "cable", timeout_s=0.1)


@pytest.mark.parametrize("line", [b"", b"{}", b"[1]", b"nonsense"])
def test_what_are_no_levels(line: bytes) -> None:
    with pytest.raises(CableError):
        Levels.from_line(line)


async def test_the_last_word_is_heard(peer: Peer) -> None:
    """A vehicle that unplugs and is gone at once is unplugged, however many levels it left unread."""
    for _ in range(20):
        async with await Cable.connect(peer.directory / "cable") as cable:
            await cable.set_cp("B")
            await cable.set_cp("A")
        assert cps(peer)[-1] == "A"


def cps(peer: Peer) -> list[str]:
    lines = map(json.loads, (peer.directory / "trace").read_text().splitlines())
    return [line["value"] for line in lines if line["event"] == "cp"]
