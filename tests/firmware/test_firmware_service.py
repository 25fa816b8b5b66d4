"""What the service manager hears, over the socket it gives."""

import asyncio
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from firmware.service import CSMS_LOOP_S, ServiceManager, Watch


@dataclass
class OneEvse:
    number: int = 1
    resting: bool = False
    turns: bool = True
    in_transaction: bool = False

    def alive(self) -> bool:
        return self.turns


class Manager:
    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(1.0)
        self.address = str(path)

    def heard(self) -> list[str]:
        return self.socket.recv(4096).decode().split("\n")


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.socket.close()


def client(manager: Manager, **environment: str) -> ServiceManager:
    return ServiceManager({"NOTIFY_SOCKET": manager.address} | environment)


def test_it_hears(manager: Manager) -> None:
    client(manager).say("READY=1", "STATUS=on")
    assert manager.heard() == ["READY=1", "STATUS=on"]


def test_an_abstract_socket_too() -> None:
    name = f"evsed-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(f"\0{name}")
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).say("READY=1")
        assert told.recv(100) == b"READY=1"


def test_without_a_manager_nothing_is_said(manager: Manager, caplog: pytest.LogCaptureFixture) -> None:
    ServiceManager({}).say("READY=1")
    assert caplog.text == ""
    ServiceManager({"NOTIFY_SOCKET": "/nowhere/notify"}).say("READY=1")
    assert "READY=1" in caplog.text


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "10000000"}, 10.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
    ],
)
def test_the_watchdog_s_time(environment: dict[str, str], seconds: float | None) -> None:
    assert ServiceManager(environment).watchdog_s == seconds


def watch(manager: Manager, *evses: Any, loop_turns: bool = True, clock: Any = None) -> Watch:
    def on_loop(call: Any) -> None:
        if loop_turns:
            call()

    return Watch(client(manager), evses, on_loop, lambda: True, clock or (lambda: 0.0))


def test_it_is_fed_while_all_turns(manager: Manager) -> None:
    made = watch(manager, OneEvse(in_transaction=True), OneEvse(2))
    made.look()
    assert manager.heard() == ["WATCHDOG=1", "STATUS=2 EVSE, 1 in a transaction, CSMS online"]


def test_an_evse_that_hangs_starves_it(manager: Manager) -> None:
    made = watch(manager, OneEvse(), OneEvse(2, turns=False))
    made.look()
    assert manager.heard() == ["STATUS=stuck: EVSE 2"]


def test_an_evse_that_rests_after_a_crash_does_not(manager: Manager) -> None:
    made = watch(manager, OneEvse(), OneEvse(2, turns=False, resting=True))
    made.look()
    assert manager.heard()[0] == "WATCHDOG=1"


def test_the_csms_loop_that_hangs_starves_it_after_a_while(manager: Manager) -> None:
    now = [0.0]
    made = watch(manager, OneEvse(), loop_turns=False, clock=lambda: now[0])
    made.look()
    assert manager.heard()[0] == "WATCHDOG=1"
    now[0] = CSMS_LOOP_S + 1
    made.look()
    assert manager.heard() == ["STATUS=stuck: the link to the CSMS"]


async def test_it_is_fed_three_times_in_its_span(manager: Manager) -> None:
    feeding = Watch(client(manager, WATCHDOG_USEC="60000"), [OneEvse()], lambda call: call(), lambda: False)  # type: ignore[list-item]
    task = asyncio.create_task(feeding.run())
    for _ in range(4):
        assert "WATCHDOG=1" in (await asyncio.to_thread(manager.heard))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
