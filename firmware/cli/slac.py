"""`evse slac`: the latest matching runs, and matching as it happens."""

from __future__ import annotations

import argparse

from firmware.cli import out
from firmware.cli.client import add_common, add_evse, ask
from firmware.cli.events import follow, moment


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    actions = subparsers.add_parser("slac", help="SLAC matching").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    last = actions.add_parser("last", help="the latest runs, newest first")
    last.add_argument("--limit", type=int, default=5, metavar="N", help="at most so many; 5 without it")
    watch = actions.add_parser("watch", help="matching as it happens, until interrupted")
    watch.add_argument("--since", type=moment, metavar="WHEN", help="begin with what happened since, as in 10m")
    for action in (last, watch):
        add_evse(action)
        add_common(action)


def run(args: argparse.Namespace) -> int:
    if args.action == "watch":
        return follow(args, ["plc"], all_events=False)
    told = ask(args, "Slac.Last", evse=args.evse, limit=args.limit)
    if args.json:
        out.as_json(told)
        return 0
    out.table(
        ("EVSE", "VEHICLE", "AGO", "VERDICT", "SOUNDS", "MEAN DB", "WORST DB", "TOOK S"),
        [
            (
                evse["evse"],
                run["ev_mac"],
                out.span(run["ago_s"]),
                run["verdict"],
                run["sounds"],
                run["mean_db"],
                run["worst_db"],
                run["took_s"],
            )
            for evse in told["evses"]
            for run in evse["runs"]
        ],
    )
    return 0
