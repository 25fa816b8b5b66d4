"""`evse faults`: the faults that stand; with --history those that went, and how the EVSE stood when each came.

Exit code 1 while a fault stands.
"""

from __future__ import annotations

import argparse

from firmware.cli import out
from firmware.cli.client import FAILED, add_common, add_evse, ask
from firmware.cli.status import evse_rows


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("faults", help="faults that stand, or stood")
    parser.add_argument("--history", action="store_true", help="past ones too")
    parser.add_argument("--snapshots", action="store_true", help="how the EVSE stood when each came")
    add_evse(parser)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    told = ask(args, "Faults.List", evse=args.evse, history=args.history or args.snapshots)
    faults = told["faults"]
    standing = [fault for fault in faults if fault["until"] is None]
    if args.json:
        out.as_json(told)
    elif not faults:
        print("no fault stands" if not args.history else "no fault since the daemon started")
    else:
        for fault in faults if args.snapshots else ():
            title = f"{fault['fault']}: {fault['detail']}  {out.moment(fault['since'], date=True)}"
            out.pairs(title, evse_rows(fault["snapshot"]))
        out.table(
            ("EVSE", "FAULT", "MREC", "SEVERITY", "SINCE", "UNTIL", "DETAIL"),
            [
                (
                    fault["evse"],
                    fault["fault"],
                    fault["mrec"],
                    fault["severity"],
                    out.moment(fault["since"], date=True),
                    out.moment(fault["until"], date=True) if fault["until"] else "stands",
                    fault["detail"],
                )
                for fault in faults
            ],
        )
    return FAILED if standing else 0
