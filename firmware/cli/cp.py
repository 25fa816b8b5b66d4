"""`evse cp set`: put X1, PWM of a current, or F on the pilot, in maintenance begun before by `evse maintenance begin`.

Without such a maintenance it stands for as long as the command runs: until interrupted.
"""

from __future__ import annotations

import argparse
import time

from firmware.cli import out
from firmware.cli.client import USAGE, Client, Failure
from firmware.cli.hands import add_hands, enter


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    actions = subparsers.add_parser("cp", help="put something on the control pilot").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    setting = actions.add_parser("set", help="X1, X2 with a current, or F (technician)")
    setting.add_argument("mode", choices=("X1", "X2", "F"))
    setting.add_argument("current", nargs="?", metavar="AMPERE", help="with X2: 6 to 80, as in 16 or 16A")
    add_hands(setting)


def run(args: argparse.Namespace) -> int:
    limit_a = _ampere(args)
    with Client(args.socket) as client:
        stands = client.call("Maintenance.Status", evse=args.evse)["maintenance"] is not None
        enter(client, args)
        told = client.call("Pilot.Set", evse=args.evse, mode=args.mode, limit_a=limit_a)
        if args.json:
            out.as_json(told)
        else:
            duty = f", {told['duty_percent']:g} %" if told["cp_mode"] == "X2" else ""
            waits = "" if told["wanted"] == told["cp_mode"] else f"; {told['wanted']} once something is plugged in"
            print(f"EVSE {told['evse']}: {told['cp_mode']}{duty} on the pilot, state {told['cp']}{waits}", flush=True)
        if not stands:
            print("until interrupted", flush=True)
            while True:
                client.call("Maintenance.Status", evse=args.evse)
                time.sleep(1)
    return 0


def _ampere(args: argparse.Namespace) -> int | None:
    if (args.mode == "X2") is (args.current is None):
        raise Failure(USAGE, "a current goes with X2, as in `evse cp set X2 16A`, and with nothing else")
    if args.current is None:
        return None
    text = args.current.removesuffix("A")
    if not text.isdecimal() or not 6 <= int(text) <= 80:
        raise Failure(USAGE, f"{args.current!r} is no current of 6 to 80 A")
    return int(text)
