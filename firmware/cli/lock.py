"""`evse lock` and `evse unlock`, in maintenance. Exit code 1 when the feedback does not follow."""

from __future__ import annotations

import argparse

from firmware.cli import out
from firmware.cli.client import FAILED, Client
from firmware.cli.hands import add_hands, enter


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    add_hands(subparsers.add_parser("lock", help="lock the connector"))


def run(args: argparse.Namespace) -> int:
    return move(args, lock=True)


def move(args: argparse.Namespace, *, lock: bool) -> int:
    with Client(args.socket) as client:
        enter(client, args)
        told = client.call("Connector.Lock", evse=args.evse, lock=lock)
    if args.json:
        out.as_json(told)
    else:
        stands = "locked" if told["locked"] else "unlocked"
        print(f"EVSE {told['evse']}: {stands}, by its feedback, after {told['took_ms']} ms")
    return 0 if told["locked"] is lock else FAILED
