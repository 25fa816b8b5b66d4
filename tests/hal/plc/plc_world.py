"""A station, virtual modems and vehicles as programs in network namespaces, for tests that need the real wire."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sim.namespaces import REPOSITORY, World, charging_site

PEV_INI = """[default]
vehicle identifier = 0000000000000000000000000000000000
network membership key = 50D3E4933F855B7040784DF815AA8DB7
network identifier = B0F2E695666B03
attenuation threshold = 40
msound pause = 20
charge time = 1
settle time = 0
"""


class PlcWorld:
    """`facts` arrive as dictionaries; `expect` waits for the next of a kind."""

    def __init__(self, world: World, evses: int, profile: str, vendor: str) -> None:
        self.world = world
        modems = [f"evse{n}:m-evse{n}:evse:{vendor}" for n in range(1, evses + 1)]
        modems += [f"ev{n}:m-ev{n}:ev" for n in range(1, evses + 1)]
        arguments = [part for modem in modems for part in ("--modem", modem)]
        command = [sys.executable, "-m", "sim.plc", "--join-delay", "0.3", "--default-db", "30", *arguments]
        for n in range(1, evses + 1):
            command += ["--attenuation", f"evse{n}:ev{n}:8"]
        self.modem = self._spawn("plc", command)
        assert self.modem.stdout.readline() == "ready\n"
        self._facts: queue.Queue[dict[str, Any]] = queue.Queue()
        self.seen: list[dict[str, Any]] = []
        interfaces = [f"plc{n}" for n in range(evses)]
        script = [sys.executable, "-m", "tests.hal.plc.plc_station", profile, "50", *interfaces]
        self.station = self._spawn("station", script)
        threading.Thread(target=self._read, daemon=True).start()

    def _spawn(self, netns: str, command: list[str]) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
        return self.world.spawn(netns, command, stdin=pipe, stdout=pipe, text=True, env=environment)

    def _read(self) -> None:
        for line in self.station.stdout:
            self._facts.put(json.loads(line))

    def tell_station(self, line: str) -> None:
        self.station.stdin.write(line + "\n")
        self.station.stdin.flush()

    def tell_modem(self, line: str) -> None:
        self.modem.stdin.write(line + "\n")
        self.modem.stdin.flush()

    def expect(self, kind: str, timeout_s: float = 15.0, **values: Any) -> dict[str, Any]:
        """The next fact of a kind with these values; the ones before it are in `seen`."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            try:
                fact = self._facts.get(timeout=left)
            except queue.Empty:
                break
            self.seen.append(fact)
            if fact["fact"] == kind and values.items() <= fact.items():
                return fact
        raise AssertionError(f"no {kind} {values} within {timeout_s} s, but {self.seen[-5:]}")

    def match(self, number: int = 1, *options: str) -> subprocess.CompletedProcess[str]:
        return self.world.run(f"vehicle{number}", [sys.executable, "-m", "sim.plc.ev", "plc0", *options])

    def start_vehicle(self, number: int = 1, *options: str) -> subprocess.Popen[str]:
        return self._spawn(f"vehicle{number}", [sys.executable, "-m", "sim.plc.ev", "plc0", *options])

    def drops(self, number: int = 1) -> dict[str, Any]:
        self.tell_station(f"drops {number}")
        return self.expect("drops")


@contextmanager
def plc_world(evses: int = 1, profile: str = "field", vendor: str = "qualcomm") -> Iterator[PlcWorld]:
    with World(charging_site(evses)) as world:
        yield PlcWorld(world, evses, profile, vendor)
