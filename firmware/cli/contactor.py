"""`evse contactor test`: close and open it on a test adapter in state C, never on a vehicle.

Exit code 1 if it fails or is refused.
"""

from __future__ import annotations

import argparse

from firmware.cli import out
from firmware.cli.client import FAILED, Client
from firmware.cli.hands import add_hands, enter
from firmware.cli.selftest import TIMEOUT_S


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    actions = subparsers.add_parser("contactor", help="close and open the contactor on a test adapter").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    add_hands(actions.add_parser("test", help="wants a test adapter in state C within 20 s (technician)"))


def run(args: argparse.Namespace) -> int:
    with Client(args.socket, TIMEOUT_S) as client:
        enter(client, args)
        if not args.json and out.is_terminal():
            print("plug the test adapter in and set it to state C", flush=True)
        told = client.call("Selftest.Run", evse=args.evse, test="contactor")
    if args.json:
        out.as_json(told)
    else:
        out.pairs(
            f"EVSE {told['evse']}: {told['verdict']}",
            [("", told["detail"]), *((name, value) for name, value in told["measured"].items())],
        )
    return 0 if told["verdict"] == "passed" else FAILED
