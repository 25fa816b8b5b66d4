"""How long the station takes to start and what it holds: `python tests/bench/start.py [--json]`. Needs root.

boot_notification_s            from exec of the daemon to its BootNotification at the CSMS, with bytecode
boot_notification_no_pyc_s     the same without any bytecode, as on a read-only root that was not compiled ahead
boot_cpu_s, boot_cpu_no_pyc_s  the daemon's CPU time until then, which a busy machine does not lengthen so much
pilot_a_s, pilot_a_no_pyc_s    to the pilot at +12 V, from where a plugged-in vehicle gets its PWM
rss_idle_mb                    resident memory (MiB), connected and without a vehicle
rss_charging_mb                the most while a vehicle charges by ISO 15118-2 with its contract
compressed_mb, installed_mb    the Debian package, and what it unpacks to

Medians of `--runs`. The daemon runs from the unpacked Debian package, in a simulated site: keys in swtpm, mutual TLS.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[0] = str(ROOT)
sys.path.insert(1, str(ROOT / "deploy"))

import package  # noqa: E402

from sim.site import Options, Site  # noqa: E402

SETTLED_S = 3.0
TICKS = os.sysconf("SC_CLK_TCK")
GOALS = {"boot_notification_s": 1.0, "rss_idle_mb": 80.0, "compressed_mb": 40.0}


@contextmanager
def prepared(command: tuple[str, ...]) -> Iterator[Site]:
    """A site with everything but the daemon."""
    directory = Path(tempfile.mkdtemp(prefix="evsed-start-"))
    try:
        with Site(directory, Options(daemon=command)) as site:
            site.prepare()
            site.start_csms()
            site.start_modems()
            site.start_board()
            yield site
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def start_once(site: Site) -> tuple[float, float, float]:
    """Seconds from exec to BootNotification at the CSMS, the CPU's share of it, and to a pilot that serves vehicles."""
    boots = count_boots(site)
    seen = len(site.read("board"))
    site.start_daemon()
    began = started_s(daemon_pid(site))
    site.wait_for(lambda: count_boots(site) > boots, "BootNotification", 20)
    cpu = cpu_s(daemon_pid(site))
    booted = [line["at_s"] for line in site.read("csms") if line["action"] == "BootNotification"][-1] - began
    site.wait_for(lambda: pilots(site, seen), "the pilot", 20)
    return booted, cpu, pilots(site, seen)[0] - began


def stat(pid: int) -> list[str]:
    """From the third field of proc(5)'s stat on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_s(pid: int) -> float:
    return (int(stat(pid)[11]) + int(stat(pid)[12])) / TICKS


def started_s(pid: int) -> float:
    """When the process began, as time.monotonic counts: what the harness does before is not the daemon's."""
    return int(stat(pid)[19]) / TICKS


def count_boots(site: Site) -> int:
    return sum(line["action"] == "BootNotification" for line in site.read("csms"))


def pilots(site: Site, seen: int) -> list[float]:
    lines = site.read("board")[seen:]
    return [line["t"] for line in lines if line["event"] == "pilot" and line["value"][0] == "X1"]


def stop(site: Site) -> None:
    site.kill("evsed", signal.SIGTERM)


def rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError(pid)


def memory(site: Site) -> tuple[float, float]:
    """Idle, and the most while a vehicle charges."""
    site.start_daemon()
    pid = daemon_pid(site)
    time.sleep(SETTLED_S)
    idle = rss_mb(pid)
    vehicle = site.start_vehicle("iso2-ac-pnc", "--charge-s", "12")
    most = idle
    while vehicle.poll() is None:
        most = max(most, rss_mb(pid))
        time.sleep(0.1)
    if vehicle.returncode != 0:
        raise SystemExit(f"the vehicle did not charge: {site.log_of('vehicle')}")
    stop(site)
    return idle, most


def daemon_pid(site: Site) -> int:
    return site._processes["evsed"].pid


def measured(command: tuple[str, ...], runs: int) -> tuple[float, float, float]:
    """Medians of what `start_once` gives."""
    with prepared(command) as site:
        times = []
        for _ in range(runs):
            times.append(start_once(site))
            stop(site)
    boot, cpu, pilot = (statistics.median(values) for values in zip(*times, strict=True))
    return boot, cpu, pilot


def measure(tree: Path, bytecode_free: Path, runs: int) -> dict[str, float]:
    with_pyc = launcher(tree)
    boot, cpu, pilot = measured(with_pyc, runs)
    slow_boot, slow_cpu, slow_pilot = measured(launcher(bytecode_free), runs)
    with prepared(with_pyc) as site:
        idle, charging = memory(site)
    return {
        "boot_notification_s": boot,
        "boot_notification_no_pyc_s": slow_boot,
        "boot_cpu_s": cpu,
        "boot_cpu_no_pyc_s": slow_cpu,
        "pilot_a_s": pilot,
        "pilot_a_no_pyc_s": slow_pilot,
        "rss_idle_mb": idle,
        "rss_charging_mb": charging,
    }


def launcher(tree: Path) -> tuple[str, ...]:
    """The package's own command, from where it was unpacked; it writes no bytecode, as on a read-only root."""
    place = tree / package.PREFIX / "bin"
    return (str(place / "python3"), "-I", "-B", str(place / "evsed"))


def main() -> int:
    parser = argparse.ArgumentParser(description="How long the station takes to start and what it holds.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--deb", type=Path, help="a package that was built already")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="evsed-start-bench-"))
    try:
        deb = options.deb or package.build(work / "out")
        tree, bytecode_free = work / "tree", work / "without"
        for place in (tree, bytecode_free):
            subprocess.run(["dpkg-deb", "-x", deb, place], check=True)
        for folder in list(bytecode_free.rglob("__pycache__")):
            shutil.rmtree(folder)
        found = measure(tree, bytecode_free, options.runs)
        found["compressed_mb"] = deb.stat().st_size / 1e6
        files = [file for file in tree.rglob("*") if file.is_file() and not file.is_symlink()]
        found["installed_mb"] = sum(file.stat().st_size for file in files) / 1e6
    finally:
        shutil.rmtree(work, ignore_errors=True)
    show(found, as_json=options.json)
    return 0


def show(found: dict[str, float], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({name: round(value, 3) for name, value in found.items()}))
        return
    for name, value in found.items():
        goal = f"   goal {GOALS[name]:g}" if name in GOALS else ""
        print(f"{name:28} {value:8.2f}{goal}")
    print(f"on {os.cpu_count()} cores")


if __name__ == "__main__":
    sys.exit(main())
