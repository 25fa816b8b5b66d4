"""From the CSMS to the vehicle: `python -m tests.bench.smart [--json] [--changes N] [--vehicle KIND] [--paced]`.

A whole site: the daemon, the CSMS over TLS and WebSocket, the board at its pty, the vehicle over PLC, each a process.
The CSMS sets a TxProfile with another limit so many times while the vehicle charges. Measured by the daemon's facts,
all from the moment the CALL was read:

    to_duty     the board confirms the new duty on the pilot
    to_v2g      the next response of the charge loop carries the limit, without the time until the vehicle asked for it
    to_v2g_all  the same with that time

A vehicle that planned is sent back for another schedule, and then hears of a new limit in ChargeParameterDiscoveryRes;
such changes are counted (`renegotiated`) and left out of the charge loop's figures.

IEC 61851-1 lets one duty follow another after 5 s at the earliest, and `hal.pilot_output` keeps that: a change that
comes sooner waits for the rest of the 5 s, whatever the software does. Five hundred changes would be measured by that
rule alone, so the bench's daemon runs with an interval of 0; `--paced` keeps the rule and sends a change every 5.2 s.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from firmware import app
from hal import pilot_output
from hal.duty import duty_for_current
from sim.namespaces import missing_right
from sim.site import CARD, Event, Options, Site
from sim.vehicle.driver import Kind

PACE_S = 5.2
ANSWER_S = 10.0
LOOPS = {"ChargingStatusRes", "CurrentDemandRes", "AC_ChargeLoopRes", "DC_ChargeLoopRes"}
WITH_CARD = {Kind.ISO2_AC_EIM}


class UnpacedSite(Site):
    """A site whose daemon knows no interval between duties."""

    def start_daemon(self) -> None:
        before = len(self.log_of("evsed"))
        self._start("evsed", "station", ["tests.bench.smart", "--daemon", self._path("evsed.toml")])
        self.wait_for(lambda: "is ready" in self.log_of("evsed")[before:], "evsed to be ready", 20)


class Events:
    """The daemon's events as they are written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open()
        self._rest = ""

    def fresh(self) -> Iterator[Event]:
        self._rest += self._file.read()
        *lines, self._rest = self._rest.split("\n")
        yield from map(json.loads, lines)

    def within(self, seconds: float) -> Iterator[Event]:
        deadline_s = time.monotonic() + seconds
        while time.monotonic() < deadline_s:
            yield from self.fresh()
            time.sleep(0.001)
        raise TimeoutError("the station did not follow")


class Change:
    """What became of one change of the limit."""

    def __init__(self, limit_a: float) -> None:
        self._limit_a = limit_a
        self._duty = duty_for_current(limit_a)
        self._read_s = self._taken_s = self._took_s = 0.0
        self.to_duty_ms: float | None = None
        self.to_v2g_ms: float | None = None
        self.to_v2g_all_ms: float | None = None
        self.renegotiated = False

    @property
    def done(self) -> bool:
        return self.to_duty_ms is not None and (self.renegotiated or self.to_v2g_ms is not None)

    def see(self, event: Event) -> None:
        match event["event"]:
            case "CsmsLimit" if event.get("limit_a") == self._limit_a:
                self._read_s, self._taken_s = event["received_at_s"], event["at_s"]
            case "MessageAnswered":
                self._took_s = event["took_s"]
                self._answered_s = event["at_s"]
                if self.to_v2g_all_ms is not None and self.to_v2g_ms is None:
                    self._leave_waiting_out()
            case "LimitSent" if self._read_s and event["limit_a"] == self._limit_a and self.to_v2g_all_ms is None:
                self.renegotiated = event["response"] not in LOOPS
                self.to_v2g_all_ms = 1000 * (event["at_s"] - self._read_s)
            case "PilotOffered" if self._read_s and abs(event["duty_percent"] - self._duty) < 0.02:
                self.to_duty_ms = 1000 * (event["at_s"] - self._read_s)

    def _leave_waiting_out(self) -> None:
        """The station was ready with the limit taken; it then waited for the vehicle's request, if that came later."""
        assert self.to_v2g_all_ms is not None
        asked_s = self._answered_s - self._took_s
        waited_ms = 1000 * max(0.0, asked_s - self._taken_s)
        self.to_v2g_ms = self.to_v2g_all_ms - waited_ms


def measure(directory: Path, kind: Kind, count: int, paced: bool) -> dict[str, float | int]:
    options = Options(sampled_interval_s=60.0, max_current_a=32.0)
    dice = random.Random(1)
    changes = []
    with (Site if paced else UnpacedSite)(directory, options) as site:
        site.start_all()
        swipe = ["--swipe", CARD, "--swipe-after", "1"] if kind in WITH_CARD else []
        last = ["--charge-s", "100000", "--timeout-s", "100000", "--loop-delay-s", "0.05"]
        site.start_vehicle(kind, *last, *swipe)
        site.wait_for(lambda: any(e["event"] == "draw" for e in site.read("vehicle")), "the vehicle to draw", 60)
        time.sleep(2.0)
        events = Events(directory / "events.jsonl")
        list(events.fresh())
        limit_a = 16.0
        for _ in range(count):
            limit_a = dice.choice([amps / 10 for amps in range(60, 321) if abs(amps / 10 - limit_a) > 1])
            change = Change(limit_a)
            site.command_csms({"limit": limit_a})
            for event in events.within(ANSWER_S):
                change.see(event)
                if change.done:
                    break
            changes.append(change)
            time.sleep(PACE_S if paced else dice.uniform(0.0, 0.03))
    return {"changes": count, **figures(changes)}


def figures(changes: list[Change]) -> dict[str, float]:
    looped = [change for change in changes if not change.renegotiated]
    made: dict[str, float] = {"renegotiated": len(changes) - len(looped)}
    for name in ("to_duty_ms", "to_v2g_ms", "to_v2g_all_ms"):
        values = sorted(getattr(change, name) for change in (changes if name == "to_duty_ms" else looped))
        made[f"{name}_p50"] = round(statistics.median(values), 2)
        made[f"{name}_p99"] = round(statistics.quantiles(values, n=100)[98], 2)
        made[f"{name}_max"] = round(values[-1], 2)
    return made


def daemon(config: str) -> int:
    pilot_output.DUTY_INTERVAL_S = 0.0
    return app.main([config])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.smart", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--changes", type=int, default=500)
    parser.add_argument("--vehicle", type=Kind, default=Kind.ISO2_AC_EIM, choices=list(Kind))
    parser.add_argument("--paced", action="store_true", help="keep the 5 s between duties")
    parser.add_argument("--daemon", help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.daemon:
        return daemon(said.daemon)
    if right := missing_right():
        print(f"smart: {right}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="evsed-smart-") as directory:
        found = measure(Path(directory), said.vehicle, said.changes, said.paced)
    print(json.dumps(found) if said.json else "\n".join(f"{name} {value}" for name, value in found.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
