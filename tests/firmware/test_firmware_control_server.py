"""The control socket itself: lines, limits, slow readers, stale files; and that it never holds up the daemon."""

import asyncio
import json
import os
import random
import socket
import stat
import time
from pathlib import Path

import pytest

from firmware.control import server as server_module
from firmware.control.rpc import MAX_LINE
from firmware.control.server import BURST, MAX_A_USER, MAX_SUBSCRIPTIONS, RATE_HZ, ControlError, _Pace
from firmware.control.subscriptions import MAX_WAITING
from hal import ports as hal
from tests.firmware.control_bench import GROUPS, Bench, bench, connected, reading

LINK = hal.BoardLink(True, "sim", 0.0)


async def test_a_conversation() -> None:
    async with bench() as made, connected(made.path) as line:
        who = await line.result("Control.WhoAmI")
        assert who == {"uid": os.geteuid(), "role": "service", "protocol": 1, "version": "1.2.3"}
        assert (await line.result("Station.Status"))["station"]["identity"] == "CS-1"
        assert stat.S_IMODE(made.path.stat().st_mode) == 0o666


async def test_bad_lines_are_answered_and_the_connection_goes_on() -> None:
    async with bench() as made, connected(made.path) as line:
        line.write(b"nonsense\n")
        assert (await line.read())["error"]["code"] == -32700
        line.write(b"x" * (MAX_LINE + 5))
        assert (await line.read())["error"]["code"] == -32700
        line.write(b"end\n[]\n")
        assert (await line.read())["error"]["code"] == -32600
        assert await line.error("No.Such") == -32601
        assert await line.error("Evse.Why") == -32602
        assert (await line.result("Control.WhoAmI"))["role"] == "service"
        assert sum(made.dispatcher.refusals.values()) == 5


async def test_a_notification_is_not_answered() -> None:
    async with bench() as made, connected(made.path) as line:
        line.write(b'{"jsonrpc":"2.0","method":"No.Such"}\n{"jsonrpc":"2.0","method":"Control.WhoAmI"}\n')
        assert "result" in await line.ask("Control.WhoAmI")


async def test_many_requests_in_one_write_are_answered_in_order() -> None:
    async with bench() as made, connected(made.path) as line:
        requests = [{"jsonrpc": "2.0", "id": n, "method": "Control.WhoAmI"} for n in range(15)]
        line.write(b"".join(json.dumps(request).encode() + b"\n" for request in requests))
        assert [(await line.read())["id"] for _ in range(15)] == list(range(15))


async def test_events_as_they_happen() -> None:
    async with bench() as made, connected(made.path) as line:
        made.hears(LINK)
        told = await line.result("Events.Subscribe", since="2026-01-01T00:00:00Z", sources=["board"])
        assert [event["event"] for event in told["events"]] == ["BoardLink"]
        made.hears(hal.ModemReady(0.0), hal.MeterSampled(reading()), hal.PluggedIn(0.0))
        seen = await line.read()
        assert seen["method"] == "Events.Event"
        assert (seen["params"]["event"]["event"], seen["params"]["dropped"]) == ("PluggedIn", 0)
        await line.result("Events.Unsubscribe", subscription=told["subscription"])
        made.hears(hal.Unplugged(0.0))
        assert "result" in await line.ask("Control.WhoAmI")
        assert await line.error("Events.Unsubscribe", subscription=told["subscription"]) == -32002


async def test_frequent_events_reach_those_who_want_them() -> None:
    async with bench() as made, connected(made.path) as line:
        await line.result("Events.Subscribe", frequent=True)
        made.hears(hal.MeterSampled(reading()))
        assert (await line.read())["params"]["event"]["event"] == "MeterSampled"
        assert (await line.result("Events.List"))["events"] == []


async def test_a_connection_may_hold_so_many_subscriptions() -> None:
    async with bench() as made, connected(made.path) as line:
        for _ in range(MAX_SUBSCRIPTIONS):
            await line.result("Events.Subscribe")
        assert await line.error("Events.Subscribe") == -32003


async def test_a_reader_that_stops_loses_events_and_is_told_how_many() -> None:
    async with bench() as made, connected(made.path) as line:
        await line.result("Events.Subscribe")
        line.writer.transport.pause_reading()  # type: ignore[attr-defined]
        count = 20 * MAX_WAITING
        began = time.monotonic()
        for _ in range(count):
            made.hears(LINK)
            await asyncio.sleep(0)
        assert time.monotonic() - began < 10, "the daemon was never held up"
        line.writer.transport.resume_reading()  # type: ignore[attr-defined]
        dropped, got = 0, 0
        while dropped + got < count:
            told = (await line.read())["params"]
            dropped, got = dropped + told["dropped"], got + 1
        assert dropped + got == count
        assert dropped > 0


async def test_a_follower_that_goes_away_is_forgotten() -> None:
    async with bench() as made:
        async with connected(made.path) as line:
            await line.result("Events.Subscribe")
        for _ in range(200):
            made.hears(LINK)
            await asyncio.sleep(0.001)
            if not made.server._connections:
                break
        assert made.server._connections == {}


async def test_one_user_may_hold_so_many_connections() -> None:
    async with bench(service=frozenset()) as made:
        open_ones = [await asyncio.open_unix_connection(made.path) for _ in range(MAX_A_USER + 1)]
        reader, _ = open_ones[-1]
        assert await reader.read() == b"", "one too many is closed at once"
        for _, writer in open_ones:
            writer.close()
        assert made.server.refused == {"too many connections": 1}


async def test_service_is_let_in_whatever_others_hold() -> None:
    async with bench() as made:
        open_ones = [await asyncio.open_unix_connection(made.path) for _ in range(MAX_A_USER + 3)]
        async with connected(made.path) as line:
            assert (await line.result("Control.WhoAmI"))["role"] == "service"
        for _, writer in open_ones:
            writer.close()


def test_a_bucket_of_requests() -> None:
    now = 100.0
    pace = _Pace(lambda: now)
    assert [pace.wait_s() for _ in range(BURST)] == [0.0] * BURST
    assert pace.wait_s() == pytest.approx(1 / RATE_HZ)
    assert pace.wait_s() == pytest.approx(2 / RATE_HZ)
    now += 10
    assert [pace.wait_s() for _ in range(BURST)] == [0.0] * BURST


async def test_a_flood_of_requests_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "RATE_HZ", 1000.0)
    async with bench() as made, connected(made.path) as flood, connected(made.path) as line:
        flood.write(b'{"jsonrpc":"2.0","id":1,"method":"Station.Status"}\n' * 500)
        longest = 0.0
        for _ in range(20):
            began = time.monotonic()
            await line.result("Control.WhoAmI")
            longest = max(longest, time.monotonic() - began)
        assert longest < 1.0


async def test_noise_ends_nothing() -> None:
    dice = random.Random(3)
    async with bench() as made:
        for _ in range(20):
            async with connected(made.path) as line:
                line.write(dice.randbytes(dice.randrange(5000)) + b"\n")
                await line.writer.drain()
        async with connected(made.path) as line:
            assert (await line.result("Control.WhoAmI"))["role"] == "service"


# --- The file ---


async def test_the_socket_goes_with_the_daemon_and_connections_end() -> None:
    async with bench() as made:
        async with connected(made.path) as line:
            await line.result("Events.Subscribe")
            await made.server.stop()
            assert await line.reader.read() == b""
        assert not made.path.exists()
        assert made.history.followers == [made.visits]


async def test_a_socket_left_by_a_killed_daemon_is_taken_over(tmp_path: Path) -> None:
    made = Bench(tmp_path)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(made.path))
    await made.server.start()
    async with connected(made.path) as line:
        assert "result" in await line.ask("Control.WhoAmI")
    await made.server.stop()


async def test_the_socket_of_a_living_daemon_is_left_alone() -> None:
    async with bench() as made:
        other = Bench(made.path.parent)
        with pytest.raises(ControlError, match="another daemon listens there"):
            await other.server.start()
        await other.server.stop()
        async with connected(made.path) as line:
            assert "result" in await line.ask("Control.WhoAmI")


@pytest.mark.parametrize("kind", ["file", "directory", "symlink"])
async def test_what_is_no_socket_is_left_alone(tmp_path: Path, kind: str) -> None:
    made = Bench(tmp_path)
    if kind == "file":
        made.path.write_text("precious")
    elif kind == "directory":
        made.path.mkdir()
    else:
        made.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ControlError, match="is no socket"):
        await made.server.start()
    assert made.path.is_symlink() or made.path.exists()


async def test_a_path_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file" / "below", tmp_path / ("x" * 120)):
        with pytest.raises(ControlError):
            await Bench(directory).server.start()


def test_groups_of_the_bench_are_nobodys_here() -> None:
    assert not set(GROUPS.values()) & set(os.getgroups())
