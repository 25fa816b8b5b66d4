"""Encode and decode times of the EXI codec: in Python, accelerated, and those of the jar, side by side on one machine.

    python -m tests.bench.exi [--json] [--no-jar]

Times are medians in microseconds of octets to dict and back; the jar's are of octets to JSON text and back, warm.
`startup_ms` is the time to compile the tables of all nine schemas in a fresh process, `rss_mb` what that adds to it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

from secc.exi import codec, decoder, encoder
from secc.exi.tables import tables
from tests.secc.exi.exi_messages import KINDS
from tests.secc.exi.exi_oracle import JAVA, Jar, json_text

ROUNDS = 400
JAR_ROUNDS = 40

STARTUP = """
import resource, time
def rss(): return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 1e6
before, started = rss(), time.perf_counter()
from secc.exi import Namespace
from secc.exi.tables import tables
imported = time.perf_counter()
for namespace in Namespace:
    tables(namespace)
done = time.perf_counter()
print((done - imported) * 1e3, (imported - started) * 1e3, rss() - before, rss())
"""


def median_us(call: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        started = perf_counter()
        call()
        times.append(perf_counter() - started)
    return round(median(times) * 1e6, 2)


def pure(kind: str) -> dict[str, float]:
    namespace, message, fragment = KINDS[kind]
    found = tables(namespace)
    octets = encoder.encode(found, message, fragment=fragment)
    return {
        "decode_us": median_us(lambda: decoder.decode(found, octets, fragment=fragment), ROUNDS),
        "encode_us": median_us(lambda: encoder.encode(found, message, fragment=fragment), ROUNDS),
    }


def accelerated(kind: str) -> dict[str, float] | None:
    if codec.accelerator is None:
        return None
    namespace, message, fragment = KINDS[kind]
    octets = codec.encode(namespace, message, fragment=fragment)
    return {
        "decode_us": median_us(lambda: codec.decode(namespace, octets, fragment=fragment), ROUNDS * 10),
        "encode_us": median_us(lambda: codec.encode(namespace, message, fragment=fragment), ROUNDS * 10),
    }


def in_jar(kind: str, jar: Jar) -> dict[str, float | None]:
    """What the jar fails on is None."""
    namespace, message, fragment = KINDS[kind]
    octets = codec.encode(namespace, message, fragment=fragment)
    text = json_text(namespace, message, fragment=fragment)
    times: dict[str, float | None] = {"decode_us": None, "encode_us": None}
    if jar.encode_text(namespace, text) is not None:
        times["encode_us"] = median_us(lambda: jar.encode_text(namespace, text), JAR_ROUNDS)
    if not fragment and jar.decode_text(namespace, octets) is not None:
        times["decode_us"] = median_us(lambda: jar.decode_text(namespace, octets), JAR_ROUNDS)
    return times


def startup() -> dict[str, float]:
    runs = []
    for _ in range(5):
        output = subprocess.run([sys.executable, "-c", STARTUP], capture_output=True, text=True, check=True).stdout
        runs.append([float(part) for part in output.split()])
    tables_ms, import_ms, added_mb, whole_mb = (median(column) for column in zip(*runs, strict=True))
    return {
        "startup_ms": round(tables_ms, 1),
        "import_ms": round(import_ms, 1),
        "rss_mb": round(added_mb, 1),
        "process_rss_mb": round(whole_mb, 1),
    }


def measure(with_jar: bool) -> dict[str, Any]:
    """Ours first: a JVM that has just run goes on compiling in its own threads."""
    kinds: dict[str, Any] = {
        kind: {"pure": pure(kind), "accelerated": accelerated(kind), "jar": None} for kind in KINDS
    }
    result: dict[str, Any] = {"kinds": kinds, **startup()}
    result["peak_rss_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)
    if with_jar and JAVA is not None:
        started = perf_counter()
        jar = Jar()
        result["jar_startup_ms"] = round((perf_counter() - started) * 1e3, 1)
        try:
            for kind, times in kinds.items():
                times["jar"] = in_jar(kind, jar)
            result["jar_rss_mb"] = jar.rss_mb()
        finally:
            jar.close()
    return result


def table(result: dict[str, Any]) -> str:
    columns = ("pure", "accelerated", "jar")
    lines = [f"{'decode / encode, us (median)':34}" + "".join(f"{column:>22}" for column in columns)]
    for kind, times in result["kinds"].items():
        cells = (
            "-"
            if not times[column]
            else " / ".join(str(times[column][key] or "-") for key in ("decode_us", "encode_us"))
            for column in columns
        )
        lines.append(f"{kind:34}" + "".join(f"{cell:>22}" for cell in cells))
    lines += [f"{name}: {value}" for name, value in result.items() if name != "kinds"]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="a JSON object after the table")
    parser.add_argument("--no-jar", action="store_true", help="start no JVM")
    arguments = parser.parse_args()
    result = measure(with_jar=not arguments.no_jar)
    print(table(result))
    if arguments.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
