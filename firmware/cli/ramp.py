"""`evse ramp`: offer a charging vehicle one current after the other, and see what it draws.

The limits of cable, operator and site hold all the same. Exit code 1 when the vehicle draws more than it was offered.
"""

from __future__ import annotations

import argparse
import time

from firmware.cli import out
from firmware.cli.client import FAILED, USAGE, Client, Failure, Told, add_common, add_number
from firmware.cli.progress import Progress

TOLERANCE = 1.10
SLACK_A = 0.5


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("ramp", help="offer a charging vehicle one current after the other")
    parser.add_argument("first", type=int, metavar="FROM", help="ampere, 6 to 80")
    parser.add_argument("last", type=int, metavar="TO", help="ampere, 6 to 80")
    parser.add_argument("--step", type=int, default=2, metavar="A", help="2 without it")
    parser.add_argument(
        "--settle",
        type=float,
        default=12.0,
        metavar="SECONDS",
        help="wait so long at each; 12 without it: 5 between two duties, 5 for the vehicle, 2 for the meter",
    )
    add_number(parser)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    if not (6 <= args.first <= 80 and 6 <= args.last <= 80 and args.step > 0):
        raise Failure(USAGE, "currents are 6 to 80 A, and the step is more than nothing")
    sign = 1 if args.last >= args.first else -1
    currents = list(range(args.first, args.last + sign, sign * args.step))
    steps = []
    with Client(args.socket) as client, Progress(len(currents), quiet=args.json) as progress:
        _check_charging(client, args.evse)
        for wanted in currents:
            progress.begins(f"{wanted} A")
            lasts_s = round(args.settle) + 30
            offer_a = client.call("Limit.Set", evse=args.evse, limit_a=wanted, for_s=lasts_s)["offer_a"]
            time.sleep(args.settle)
            steps.append(_seen(client, args.evse, wanted, offer_a))
    told = {"evse": args.evse, "steps": steps, "good": all(step["good"] for step in steps)}
    if args.json:
        out.as_json(told)
    else:
        out.table(
            ("WANTED A", "OFFERED A", "DUTY %", "L1 A", "L2 A", "L3 A", "KW", "VERDICT"),
            [
                (
                    step["wanted_a"],
                    step["offer_a"],
                    step["duty_percent"],
                    *step["current_a"],
                    round(step["power_w"] / 1000, 2),
                    "good" if step["good"] else "draws too much",
                )
                for step in steps
            ],
        )
    return 0 if told["good"] else FAILED


def _check_charging(client: Client, evse: int) -> None:
    told = client.call("Evse.Why", evse=evse)
    if not told["charging"]:
        blocker = told["blockers"][0]["what"] if told["blockers"] else "it is not charging"
        raise Failure(FAILED, f"no vehicle charges at EVSE {evse}: {blocker}")


def _seen(client: Client, number: int, wanted: int, offer_a: float) -> Told:
    told = next(evse for evse in client.call("Station.Status")["evses"] if evse["evse"] == number)
    board, meter = told["board"] or {}, told["meter"] or {"current_a": [None] * 3, "power_import_w": 0.0}
    most_a = max((amps for amps in meter["current_a"] if amps is not None), default=0.0)
    return {
        "wanted_a": wanted,
        "offer_a": offer_a,
        "duty_percent": board.get("duty_percent"),
        "current_a": meter["current_a"],
        "power_w": meter["power_import_w"],
        "good": most_a <= (offer_a + SLACK_A) * TOLERANCE,
    }
