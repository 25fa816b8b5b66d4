"""How long `evse status` takes from start to end, beside a daemon on a simulated site.

    python -m tests.bench.cli [--json]

`status_ms` is the median of whole processes; `python_ms` is Python starting and doing nothing; `call_ms` is the
question alone, on a connection of its own.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from firmware.cli.client import Client
from sim.site import Options, Site

ROUNDS = 30


def median_ms(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - began))
    return round(statistics.median(taken), 1)


def measured(path: str) -> dict[str, float]:
    status = [sys.executable, "-m", "firmware.cli", "status", "--socket", path]

    def run(command: list[str]) -> None:
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)

    def call() -> None:
        with Client(path) as client:
            client.call("Station.Status")

    return {
        "status_ms": median_ms(lambda: run(status)),
        "python_ms": median_ms(lambda: run([sys.executable, "-c", "pass"])),
        "call_ms": median_ms(call),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="evsed-bench-") as directory, Site(Path(directory), Options()) as site:
        site.start_all()
        figures = measured(f"{directory}/control.sock")
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:<12} {value:8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
