"""`evse commission`: the bring-up checklist as a guide. Each step is kept as it is done; interrupted, it goes on there.

The record is a JSON file, and beside it the same as a page to print. Exit code 1 while a step is open or has failed.
"""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from firmware.cli import out
from firmware.cli.checklist import ABSENT, PASSED, STEPS, Result, Site, words
from firmware.cli.client import FAILED, USAGE, Client, Failure, Told, add_common, add_number
from firmware.cli.commission_report import html
from firmware.cli.selftest import TIMEOUT_S

FORMAT = 1
_STATION = ("identity", "vendor", "model", "serial", "version")


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("commission", help="the bring-up checklist, step by step, with a report")
    parser.add_argument("--record", type=Path, default=Path("commission.json"), metavar="FILE", help=_RECORD)
    parser.add_argument("--step", action="append", choices=STEPS, metavar="STEP", help=_STEP)
    parser.add_argument("--restart", action="store_true", help="forget what the record holds")
    parser.add_argument("--report", action="store_true", help="write the page from the record, and do nothing else")
    add_number(parser)
    add_common(parser)


_STEP = f"only this, again if need be; may be repeated: {', '.join(STEPS)}"
_RECORD = "commission.json without it; the page to print is beside it, as .html"


def run(args: argparse.Namespace) -> int:
    with Client(args.socket, TIMEOUT_S) as client:
        station = {name: client.call("Station.Status")["station"][name] for name in _STATION}
        record = _begun(args, station)
        for name in [] if args.report else args.step or [name for name in STEPS if not _is_done(record, name)]:
            _do(client, args, record, name)
    _close(args.record, record)
    if args.json:
        out.as_json(record)
    else:
        _print(args.record, record)
    return 0 if record["passed"] else FAILED


def _begun(args: argparse.Namespace, station: Told) -> Told:
    """The record that is there, if it is this EVSE's, else a new one. Raises Failure."""
    if args.record.exists() and not args.restart:
        record = _read(args.record)
        same = record["station"]["serial"] == station["serial"] and record["evse"] == args.evse
        if not same:
            other = f"EVSE {record['evse']} of {record['station']['identity']}"
            raise Failure(USAGE, f"{args.record} is about {other}: say --restart, or another --record")
        return {**record, "station": station}
    return {
        "format": FORMAT,
        "station": station,
        "evse": args.evse,
        "technician": getpass.getuser(),
        "begun": _now(),
        "ended": None,
        "steps": {},
        "passed": False,
    }


def _read(file: Path) -> Told:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["format"] == FORMAT and isinstance(record["steps"], dict) and record["station"]["serial"]:
            known: Told = record
            return known
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        pass
    raise Failure(USAGE, f"{file} is no commissioning record: say --restart, or another --record")


def _do(client: Client, args: argparse.Namespace, record: Told, name: str) -> None:
    title, step, in_maintenance = STEPS[name]
    site = Site(client, args.evse, _ask, lambda line: print(line, file=sys.stderr, flush=True))
    site.tell(out.styled(f"{list(STEPS).index(name) + 1}/{len(STEPS)} {title}", out.BOLD))
    own = in_maintenance and client.call("Maintenance.Status", evse=args.evse)["maintenance"] is None
    try:
        if own:
            client.call("Maintenance.Begin", evse=args.evse)
        result = step(site)
    except Failure as failure:
        if failure.exit_code != FAILED:
            raise
        result = Result("failed", str(failure))
    finally:
        if own:
            _end(client, args.evse)
    record["steps"][name] = {
        "verdict": result.verdict,
        "detail": result.detail,
        "measured": result.measured,
        "wall_time": _now(),
    }
    _keep(args.record, record)
    site.tell(f"  {result.verdict}: {words(result)}")


def _end(client: Client, evse: int) -> None:
    """Whether or not it began; it ends with this connection in any case."""
    try:
        client.call("Maintenance.End", evse=evse)
    except Failure as failure:
        if failure.exit_code != FAILED:
            raise


def _ask(question: str, answers: str) -> str:
    """Raises Failure when nobody answers."""
    print(f"  {question} [{answers}] ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise Failure(USAGE, "nobody answers: commissioning wants somebody at the keyboard")
    return line


def _is_done(record: Told, name: str) -> bool:
    return name in record["steps"] and record["steps"][name]["verdict"] in (PASSED, ABSENT)


def _close(file: Path, record: Told) -> None:
    record["passed"] = all(_is_done(record, name) for name in STEPS)
    record["ended"] = (record["ended"] or _now()) if record["passed"] else None
    _keep(file, record)
    _write(file.with_suffix(".html"), html(record))


def _keep(file: Path, record: Told) -> None:
    _write(file, json.dumps(record, indent=2) + "\n")


def _write(file: Path, text: str) -> None:
    """Whole or not at all. Raises Failure."""
    try:
        new = file.with_name(f"{file.name}.new")
        new.write_text(text, encoding="utf-8")
        new.replace(file)
    except OSError as error:
        raise Failure(FAILED, f"{file}: {error.strerror}") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _print(file: Path, record: Told) -> None:
    steps = record["steps"]
    open_ = {"verdict": "open", "detail": "", "measured": {}}
    rows = [(name, steps.get(name, open_)["verdict"], steps.get(name, open_)["detail"]) for name in STEPS]
    out.table(("STEP", "VERDICT", "DETAIL"), rows)
    print(f"{'passed' if record['passed'] else 'NOT passed'}; {file} and {file.with_suffix('.html')}")
