"""Four EVSEs, two AC and two DC, one vehicle after the other, in one daemon: `python -m tests.bench.four --json`.

seconds        how long sessions ran
sessions       that ended as the vehicle wanted, and `failed` those that did not
lag_ms_p99     how late the daemon's loop was once it was ready, and `lag_ms_max`; `own_ms_*`: as far as it was working
               itself, and not kept waiting by a machine that others use
cpu_percent    of one core, by the daemon
rss_mib_*      its memory when two thirds of the time are over, at the end, and how much it grew by the hour between;
               what is kept for technicians (events, visits) is bounded, and full after some five minutes of this
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.site import CARD, Options, Site, SiteError

KINDS = {1: "iso2-ac-eim", 2: "iso2-ac-pnc", 3: "iso2-dc-eim", 4: "din-dc"}
"""By EVSE; the second pays by contract."""
LAST_WORDS_S = 20.0


@dataclass
class Traffic:
    """Vehicles that come and go at one site."""

    site: Site
    charge_s: int
    ended: list[tuple[int, int]] = field(default_factory=list)
    """(EVSE, the vehicle's exit code)"""
    here: dict[int, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def keep_up(self, more: bool) -> None:
        for evse, kind in KINDS.items():
            vehicle = self.here.get(evse)
            if vehicle is not None and vehicle.poll() is not None:
                self.ended.append((evse, vehicle.returncode))
                del self.here[evse]
            if more and evse not in self.here:
                swipe = [] if kind.endswith("pnc") else ["--swipe", CARD, "--swipe-after", "0.5"]
                self.here[evse] = self.site.start_vehicle(kind, "--charge-s", str(self.charge_s), *swipe, evse=evse)


def run(directory: Path, seconds: float, charge_s: int) -> dict[str, Any]:
    figures = directory / "figures.json"
    options = Options(
        sampled_interval_s=2.0,
        more=("ac", "dc", "dc"),
        daemon=(sys.executable, "-m", "tests.bench.watched_daemon", str(figures)),
        evse={"max_current_a": 16.0},
    )
    with Site(directory, options) as site:
        site.start_all()
        traffic = Traffic(site, charge_s)
        began_s = time.monotonic()
        while time.monotonic() < began_s + seconds:
            traffic.keep_up(more=True)
            time.sleep(0.2)
        leaving_s = time.monotonic()
        while traffic.here and time.monotonic() < leaving_s + charge_s + LAST_WORDS_S:
            traffic.keep_up(more=False)
            time.sleep(0.2)
        took_s = time.monotonic() - began_s
        load = os.getloadavg()[0]
        if site.kill("evsed", how=15) != 0:
            raise SiteError(f"the daemon failed: {site.log_of('evsed')[-2000:]}")
        return summary(site, json.loads(figures.read_text()), traffic, took_s, load)


def summary(site: Site, seen: dict[str, Any], traffic: Traffic, took_s: float, load: float) -> dict[str, Any]:
    late_ms, own_ms = seen["late_ms"], seen["own_ms"]
    rss = seen["rss_mib"]
    settled = [(at, mib) for at, mib in rss if at >= rss[-1][0] * 2 / 3]
    growth = statistics.linear_regression(*zip(*settled, strict=True)).slope * 3600 if len(settled) > 2 else 0.0
    by_evse = {evse: sum(1 for number, code in traffic.ended if (number, code) == (evse, 0)) for evse in KINDS}
    return {
        "seconds": round(took_s),
        "sessions": sum(by_evse.values()),
        "sessions_by_evse": by_evse,
        "failed": sum(1 for _, code in traffic.ended if code != 0) + len(traffic.here),
        "lag_ms_p50": late_ms["p50"],
        "lag_ms_p99": late_ms["p99"],
        "lag_ms_max": late_ms["max"],
        "own_ms_p99": own_ms["p99"],
        "own_ms_max": own_ms["max"],
        "cpu_percent": round(100 * seen["cpu_s"] / took_s, 1),
        "rss_mib_settled": settled[0][1],
        "rss_mib_end": rss[-1][1],
        "rss_mib_per_hour": round(growth, 1),
        "load_1min": round(load, 1),
        "schema_violations": sum(1 for line in site.read("csms") if line["fault"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.four", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--charge-s", type=int, default=20)
    parser.add_argument("--keep", type=Path, help="keep logs and state in this directory")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = run(said.keep or Path(directory), said.seconds, said.charge_s)
    print(json.dumps(figures) if said.json else "\n".join(f"{name} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
