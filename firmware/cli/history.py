"""`evse history`: what was charged in the last twelve months, by month or by transaction, also as CSV."""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict

from firmware.cli import out
from firmware.cli.client import Told, add_common, ask

COLUMNS = ("transaction_id", "evse", "began", "ended", "energy_wh")


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("history", help="what was charged in the last twelve months")
    parser.add_argument("--days", type=int, default=366, metavar="N", help="so far back; 366 without it, 400 at most")
    parser.add_argument("--all", action="store_true", help="each transaction, not months")
    parser.add_argument("--csv", action="store_true", help="each transaction as CSV (RFC 4180)")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    told = ask(args, "Consumption.List", days=args.days)
    rows = told["charged"]
    if args.json:
        out.as_json(told)
    elif args.csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(COLUMNS)
        writer.writerows([row[name] for name in COLUMNS] for row in rows)
    elif args.all:
        out.table(
            ("BEGAN", "ENDED", "EVSE", "KWH", "TRANSACTION"),
            [
                (
                    out.moment(row["began"], date=True),
                    out.moment(row["ended"], date=True)[11:] if row["ended"] else "runs",
                    row["evse"],
                    f"{row['energy_wh'] / 1000:.3f}",
                    row["transaction_id"],
                )
                for row in rows
            ],
        )
    else:
        _by_month(rows)
    return 0


def _by_month(rows: list[Told]) -> None:
    months: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    for row in rows:
        months[row["began"][:7], row["evse"]].append(row["energy_wh"])
    out.table(
        ("MONTH", "EVSE", "TRANSACTIONS", "KWH"),
        [(month, evse, len(wh), f"{sum(wh) / 1000:.3f}") for (month, evse), wh in sorted(months.items())],
    )
