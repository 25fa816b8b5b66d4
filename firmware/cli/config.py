"""`evse config`: the configuration file. It is read here, not by the daemon: the daemon need not run."""

from __future__ import annotations

import argparse
from pathlib import Path

from firmware.cli import out
from firmware.cli.client import FAILED


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    actions = subparsers.add_parser("config", help="the configuration file").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    validate = actions.add_parser("validate", help="whether the daemon would take it; exit code 1 if not")
    validate.add_argument("file", type=Path)
    validate.add_argument("--json", action="store_true", help="one JSON object")


def run(args: argparse.Namespace) -> int:
    from firmware.config import ConfigError, load

    told: dict[str, object] = {"file": str(args.file), "good": True, "error": None, "evses": None}
    try:
        told["evses"] = len(load(args.file).evse)
    except ConfigError as error:
        told.update(good=False, error=str(error))
    if args.json:
        out.as_json(told)
    else:
        print(told["error"] or f"{args.file}: good, {told['evses']} EVSE")
    return 0 if told["good"] else FAILED
