"""A test suite from outside: the daemon with a simulated board in it, overrides at start, verbs on the socket."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sim.namespaces import REPOSITORY

CARD = "04A2B3C4"
CONFIG = """\
[station]
identity = "overridden"
vendor = "evsed"
model = "simulated"
serial = "0001"
state_dir = "state"

[csms]
url = "ws://overridden.example/ocpp"
security_profile = 1
password = "0123456789abcdef"
retry_back_off_s = 1

[tpm]
tcti = "swtpm:host=127.0.0.1,port=1"
absent = "without-tls"

[control]
socket = "control.sock"

[[evse]]
id = 1
evse_id = "DE*EVS*E0001"
device = "board1"
driver = "sim.mcu.driver:simulated"
max_current_a = 16
"""


class Stand:
    """The daemon and a CSMS on loopback."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        (self.directory / "evsed.toml").write_text(CONFIG)
        port = free_port()
        csms = ("--port", str(port), "--log", "csms.jsonl", "--password", "0123456789abcdef", "--rfid", CARD)
        self._spawn("sim.csms", *csms)
        ocpp = ("--ocpp", "SampledDataCtrlr.TxUpdatedInterval=1", "--ocpp", "TxCtrlr.EVConnectionTimeOut=30")
        where = ("--csms-url", f"ws://127.0.0.1:{port}/ocpp", "--identity", "CS-BENCH")
        self._spawn("firmware.app", "evsed.toml", *where, *ocpp)
        self.wait_for(lambda: self.actions("BootNotification"), "the boot")

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
            process.wait(30)

    def evse(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "firmware.cli", *words, "--socket", str(self.directory / "control.sock")]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False)

    def told(self, *words: str) -> dict[str, Any]:
        done = self.evse(*words, "--json")
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def actions(self, action: str) -> list[dict[str, Any]]:
        path = self.directory / "csms.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        said = [json.loads(line) for line in lines if line.endswith("\n")]
        return [line["payload"] for line in said if line["action"] == action]

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.actions("TransactionEvent") if event["eventType"] == kind]

    def wait_for(self, holds: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not holds():
            gone = [process.args for process in self._processes if process.poll() is not None]
            assert not gone, (gone, (self.directory / "firmware.app.out").read_text()[-3000:])
            assert time.monotonic() < deadline_s, f"waited for {what}"
            time.sleep(0.05)

    def _spawn(self, module: str, *arguments: str) -> None:
        out = (self.directory / f"{module}.out").open("wb")
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-m", module, *arguments]
        self._processes.append(
            subprocess.Popen(command, cwd=self.directory, env=environment, stdout=out, stderr=subprocess.STDOUT)
        )
        out.close()


def free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        port: int = line.getsockname()[1]
        return port


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_a_suite_from_outside_drives_a_charge(stand: Stand) -> None:
    plug_in = ("simulate", "plug_in", "1", "--vehicle", "iec", "--charge-s", "60", "--max-a", "10", "--card", CARD)
    assert stand.told(*plug_in) == {"evse": 1, "plugged": True}
    stand.wait_for(lambda: stand.events("Started"), "the transaction")
    again = stand.evse(*plug_in)
    assert (again.returncode, again.stderr) == (1, "evse: a vehicle is here already\n")

    stand.wait_for(lambda: stand.events("Updated"), "a periodic reading, each second by the override")
    assert "network is down" in stand.evse("simulate", "net_down").stdout
    stand.wait_for(lambda: not stand.told("ocpp", "status")["online"], "the link to go")
    stand.wait_for(lambda: stand.told("ocpp", "status")["queue_length"], "events to wait")
    stand.evse("simulate", "net_up")
    stand.wait_for(lambda: any(event["offline"] for event in stand.events("Updated")), "what was offline")

    assert stand.evse("simulate", "fault", "1", "ResidualCurrent").returncode == 0
    stand.wait_for(lambda: "ResidualCurrent" in str(stand.actions("NotifyEvent")), "the fault")
    assert stand.evse("simulate", "fault_clear", "1", "ResidualCurrent").returncode == 0
    assert stand.told("simulate", "plug_out", "1", "--pull")["plugged"] is False
    stand.wait_for(lambda: stand.events("Ended"), "the end")

    (started,), (ended,) = stand.events("Started"), stand.events("Ended")
    assert started["idToken"]["idToken"] == CARD
    assert started["transactionInfo"]["transactionId"] == ended["transactionInfo"]["transactionId"]
    assert stand.told("status")["station"]["identity"] == "CS-BENCH"


def test_what_cannot_be_simulated_is_said(stand: Stand) -> None:
    unknown = stand.evse("simulate", "fault", "1", "Gremlins")
    assert unknown.returncode == 1
    assert "no such fault; there are weld," in unknown.stderr
    assert stand.evse("simulate", "plug_in", "1", "--vehicle", "hovercraft").returncode == 1
    assert stand.evse("simulate", "swipe", "1", "not hex").returncode == 1
    assert stand.evse("simulate", "swipe", "2", CARD).returncode == 1
    assert stand.told("simulate", "plug_out", "1")["plugged"] is False
