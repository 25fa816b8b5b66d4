"""`evse maintenance`: take an EVSE out of service to work on it. It ends by itself when its time is up."""

from __future__ import annotations

import argparse

from firmware.cli import out
from firmware.cli.client import add_common, add_number, ask
from firmware.cli.spans import seconds
from firmware.cli.status import maintenance_words


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    actions = subparsers.add_parser("maintenance", help="take an EVSE out of service to work on it").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    begin = actions.add_parser("begin", help="no session begins until it ends (technician)")
    begin.add_argument("--for", dest="for_s", type=seconds, default=600, metavar="TIME", help="10m without it; 4h most")
    begin.add_argument("--force", action="store_true", help="although a vehicle is plugged in (service)")
    clear = actions.add_parser("clear-faults", help="have the board forget its latched faults (technician)")
    for action in (
        actions.add_parser("status", help="who has it, and for how long"),
        begin,
        actions.add_parser("end", help="back into service (technician)"),
        clear,
    ):
        add_number(action)
        add_common(action)


def run(args: argparse.Namespace) -> int:
    if args.action == "clear-faults":
        told = ask(args, "Board.ClearFaults", evse=args.evse)
        words = f"EVSE {args.evse}: {told['verdict']}"
    elif args.action == "begin":
        told = ask(args, "Maintenance.Begin", evse=args.evse, for_s=args.for_s, hold=True, force=args.force or None)
        words = f"EVSE {args.evse} is out of service, {maintenance_words(told)}"
    elif args.action == "end":
        told = ask(args, "Maintenance.End", evse=args.evse)
        words = f"EVSE {args.evse} is in service"
    else:
        told = ask(args, "Maintenance.Status", evse=args.evse)
        standing = told["maintenance"]
        words = f"EVSE {args.evse} is in {'maintenance ' + maintenance_words(standing) if standing else 'service'}"
    if args.json:
        out.as_json(told)
    else:
        print(words)
    return 0
