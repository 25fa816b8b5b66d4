"""`evse why`: why an EVSE does not charge, what to see to first first. Exit code 1 while something blocks."""

from __future__ import annotations

import argparse

from firmware.cli import out
from firmware.cli.client import FAILED, Told, add_common, ask


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("why", help="why an EVSE does not charge")
    parser.add_argument("evse", type=int, nargs="?", default=1, metavar="EVSE", help="its number; 1 without it")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    told = ask(args, "Evse.Why", evse=args.evse)
    if args.json:
        out.as_json(told)
    else:
        _print(told)
    return FAILED if told["blockers"] else 0


def _print(told: Told) -> None:
    if not told["blockers"]:
        doing = "charges" if told["charging"] else "is ready"
        print(out.styled(f"EVSE {told['evse']} {doing}; up to {told['offer_a']:g} A are offered.", out.GREEN))
    for number, blocker in enumerate(told["blockers"], 1):
        _point(f"{number}. ", blocker, out.RED if number == 1 else "")
    for note in told["notes"]:
        _point("note: ", note, out.YELLOW)


def _point(mark: str, blocker: Told, style: str) -> None:
    for line in out.wrapped(mark, out.printable(blocker["what"]), out.width()):
        print(out.styled(line, style))
    for line in out.wrapped("   -> ", out.printable(blocker["remedy"]), out.width()):
        print(line)
