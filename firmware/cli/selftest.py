"""`evse selftest`: the hardware's tests, in maintenance. Exit code 1 when one fails or is refused."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

from firmware.cli import out
from firmware.cli.client import FAILED, Client, Told
from firmware.cli.hands import add_hands, enter
from firmware.cli.progress import Progress

TESTS = ("meter", "cp", "rcd", "lock", "led", "imd", "contactor")
"""In an order in which each finds what it needs; the contactor's wants a test adapter, and comes last."""
TIMEOUT_S = 40.0


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("selftest", help="test the hardware")
    parser.add_argument("tests", nargs="*", choices=(*TESTS, "all"), default="all", metavar="TEST", help=_LIST)
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the results here as JSON")
    add_hands(parser)


_LIST = f"some of {', '.join(TESTS)}, or all; without it all but contactor, which wants a test adapter"


def run(args: argparse.Namespace) -> int:
    wanted = list(args.tests) if isinstance(args.tests, list) else list(TESTS[:-1])
    tests = list(TESTS) if "all" in wanted else [test for test in TESTS if test in wanted]
    results = []
    with Client(args.socket, TIMEOUT_S) as client:
        station = client.call("Station.Status")["station"]
        enter(client, args)
        with Progress(len(tests), quiet=args.json) as progress:
            for test in tests:
                progress.begins(test)
                results.append(client.call("Selftest.Run", evse=args.evse, test=test))
    record = {
        "station": {name: station[name] for name in ("identity", "serial", "version")},
        "evse": args.evse,
        "wall_time": datetime.now(UTC).isoformat(timespec="seconds"),
        "results": results,
        "passed": not any(result["verdict"] in ("failed", "refused") for result in results),
    }
    if args.record:
        args.record.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if args.json:
        out.as_json(record)
    else:
        _print(results)
    return 0 if record["passed"] else FAILED


def _print(results: list[Told]) -> None:
    out.table(
        ("TEST", "VERDICT", "DETAIL"),
        [(result["test"], result["verdict"], _detail(result)) for result in results],
    )


def _detail(result: Told) -> str:
    measured = out.fields({name: value for name, value in result["measured"].items() if value is not None})
    return f"{result['detail']}{'; ' if measured else ''}{measured}"
