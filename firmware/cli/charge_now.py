"""`evse charge-now`: end the random delay, or peak hours, for the vehicle that is there."""

from __future__ import annotations

import argparse

from firmware.cli import out
from firmware.cli.client import add_common, add_number, ask


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("charge-now", help="begin though the start is delayed, or it is peak time")
    add_number(parser)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    told = ask(args, "Start.Now", evse=args.evse)
    if args.json:
        out.as_json(told)
    else:
        print(f"EVSE {told['evse']} begins")
    return 0
