"""`evse fw`: the firmware slots, installing a bundle, calling what runs good, and going back."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

from firmware.cli import out
from firmware.cli.client import USAGE, Client, Failure, Told, add_common, ask

LOOK_S = 0.5
INSTALL_S = 3600.0


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    actions = subparsers.add_parser("fw", help="firmware: the slots, installing, going back").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    status = actions.add_parser("status", help="what is in the slots, which runs, which starts next")
    install = actions.add_parser("install", help="install a bundle into the other slot, and restart into it")
    install.add_argument("file", type=Path, metavar="FILE.raucb", help="on the station")
    good = actions.add_parser("mark-good", help="call what runs good before it has proven so")
    back = actions.add_parser("rollback", help="restart into the other slot")
    back.add_argument("--yes", action="store_true", help="really")
    for action in (status, install, good, back):
        add_common(action)


def run(args: argparse.Namespace) -> int:
    if args.action == "status":
        return _status(args)
    if args.action == "install":
        told = _install(args)
        words = "installed; the board restarts into it"
    elif args.action == "mark-good":
        told, words = ask(args, "Firmware.MarkGood"), "what runs is marked good"
    elif not args.yes:
        print("evse: this restarts the board into its other firmware: say --yes", file=sys.stderr)
        return USAGE
    else:
        told = ask(args, "Firmware.RollBack")
        words = f"the board restarts into slot {told['slot']}, version {told['version'] or 'unknown'}"
    if args.json:
        out.as_json(told)
    else:
        print(words)
    return 0


def _status(args: argparse.Namespace) -> int:
    told = ask(args, "Firmware.Status")
    if args.json:
        out.as_json(told)
        return 0
    floor = told["rollback_floor"]
    out.pairs(
        "Firmware",
        [
            ("daemon", told["version"]),
            ("board", told["compatible"]),
            ("update", _update(told)),
            ("floor", "cannot be read" if floor is None else f"security epoch {floor}"),
        ],
    )
    out.table(
        ("SLOT", "BOOT NAME", "RUNS", "STARTS NEXT", "GOOD", "VERSION"),
        [
            (
                slot["slot"],
                slot["bootname"],
                _yes(slot["booted"]),
                _yes(slot["slot"] == told["starts_next"]),
                _yes(slot["good"]),
                slot["version"],
            )
            for slot in told["slots"]
        ],
    )
    return 0


def _update(told: Told) -> str:
    if told["installing_percent"] is not None:
        return f"installing, {told['installing_percent']} %"
    latest = told["latest"]
    if latest is None:
        return "none yet"
    outcome = latest["outcome"] or ("is proving itself" if told["proving"] else "waits for the restart")
    return f"{latest['version'] or 'unknown'} in {latest['slot']}: {outcome}"


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _install(args: argparse.Namespace) -> Told:
    """With percents on a terminal, asked for beside the call that installs."""
    done = threading.Event()

    def show() -> None:
        while not done.wait(LOOK_S):
            try:
                percent = ask(args, "Firmware.Status")["installing_percent"]
            except Failure:
                continue
            if percent is not None:
                print(f"\r{'#' * (percent * 40 // 100):40} {percent:3d} %", end="", flush=True)
        print("\r", end="")

    showing = threading.Thread(target=show)
    if out.is_terminal() and not args.json:
        showing.start()
    try:
        with Client(args.socket) as client:
            client.wait_for(INSTALL_S)
            return client.call("Firmware.Install", file=str(args.file.resolve()))
    finally:
        done.set()
        if showing.is_alive():
            showing.join()
