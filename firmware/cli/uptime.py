"""`evse uptime`: how much of the last year each EVSE could have charged.

Exit code 1 below the 97 % that NEVI asks for.
"""

from __future__ import annotations

import argparse

from firmware.cli import out
from firmware.cli.client import FAILED, Told, add_common, ask


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("uptime", help="how much of the last year each EVSE could have charged")
    parser.add_argument("--months", action="store_true", help="month by month")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    told = ask(args, "Uptime.Show")
    low = [evse for evse in told["evses"] if (evse["percent"] or 100.0) < told["required_percent"]]
    if args.json:
        out.as_json(told)
    else:
        rows = [_row(evse["evse"], "year", evse) for evse in told["evses"]]
        if args.months:
            rows += [_row(evse["evse"], month["month"], month) for evse in told["evses"] for month in evse["months"]]
        out.table(("EVSE", "SPAN", "UPTIME", "OUTAGE", "EXCLUDED"), rows)
    return FAILED if low else 0


def _row(number: int, span: str, told: Told) -> tuple[object, ...]:
    percent = "-" if told["percent"] is None else f"{told['percent']:.3f} %"
    return number, span, percent, out.span(told["outage_s"]), out.span(told["excluded_s"])
