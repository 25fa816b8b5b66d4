"""`python -m sim.vehicle` as it is meant to run: simulated MCU, virtual modems, our drivers, the package's SECC."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sim.namespaces import World, charging_site, missing_right
from sim.pki.pki import EMAID, build
from tests.sim.vehicle_pki import export_both_ends


class Site:
    def __init__(self, world: World, directory: Path) -> None:
        self._world = world
        self._directory = directory
        self._pki = export_both_ends(build(directory / "authorities"), directory / "vehicle")
        self._start("station", "mcu", "sim.mcu", "--pty-link", self._path("pty"), "--cable", self._path("cable"))
        modems = ["--modem", "evse1:m-evse1:evse", "--modem", "ev1:m-ev1:ev"]
        self._start("plc", "plc", "sim.plc", *modems)
        self._until(lambda: (directory / "pty").exists())
        board = ["--board", self._path("pty"), "--limits", "16,16,10"]
        self._start("station", "station", "tests.sim.vehicle_station", "plc0", str(self._pki), "PNC,EIM", *board)
        self._until(lambda: "ModemReady" in self.says("station"))

    def visit(self, *options: str) -> tuple[int, list[dict[str, Any]]]:
        """The exit code and what the vehicle logged."""
        arguments = [*options, "--interface", "plc0", "--cable", self._path("cable"), "--pki", str(self._pki)]
        log = self._path("vehicle.jsonl")
        ran = self._world.run("vehicle1", [sys.executable, "-m", "sim.vehicle", *arguments, "--log", log])
        return ran.returncode, [json.loads(line) for line in Path(log).read_text().splitlines()]

    def says(self, name: str) -> str:
        return (self._directory / f"{name}.log").read_text()

    def _start(self, netns: str, name: str, module: str, *arguments: str) -> None:
        with (self._directory / f"{name}.log").open("w") as log:
            self._world.spawn(
                netns,
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _path(self, name: str) -> str:
        return str(self._directory / name)

    def _until(self, condition: Callable[[], bool]) -> None:
        for _ in range(400):
            if condition():
                return
            time.sleep(0.05)
        raise AssertionError({name: self.says(name) for name in ("mcu", "plc", "station")})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    if (missing := missing_right()) is not None:
        pytest.skip(missing)
    with World(charging_site()) as world:
        yield Site(world, tmp_path)


def test_from_the_plug_to_the_drive_off(site: Site) -> None:
    exit_code, events = site.visit("iso2-ac-pnc", "--charge-s", "2.5", "--loop-delay-s", "0.3")
    assert exit_code == 0
    chapters = [e["event"] for e in events if e["event"] not in ("message", "pwm", "contactor", "limit_seen")]
    assert chapters == [
        "plugged", "slac_matched", "sdp", "tls", "session", "payment", "contract", "pilot", "draw", "draw", "stopped",
        "draw", "pilot", "unplugged", "ended",
    ]  # fmt: skip
    by_name = {e["event"]: e for e in events}
    assert by_name["slac_matched"]["attempts"] == 1
    assert by_name["contract"]["emaid"] == EMAID
    assert [e["current_a"] for e in events if e["event"] == "draw"] == [15.94, 10.0, 0.0]
    assert [e["duty_percent"] for e in events if e["event"] == "pwm"] == [100.0, 5.0]
    assert by_name["stopped"]["energy_wh"] > 1.0, "at 10 A and 16 A for 2.5 s it is 5 Wh; the meter speaks each second"
    assert "current_a=(10.0, 10.0, 10.0)" in site.says("station")


def test_a_plain_car_beside_it(site: Site) -> None:
    exit_code, events = site.visit("iec", "--swipe", "04A1B2C3", "--swipe-after", "0.5", "--charge-s", "1")
    assert exit_code == 0
    assert [e["current_a"] for e in events if e["event"] == "draw"] == [16.0, 0.0]
    assert "TokenPresented(id_token='04A1B2C3'" in site.says("station")
    assert "SlacMatched" not in site.says("station")
