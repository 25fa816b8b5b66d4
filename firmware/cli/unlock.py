"""`evse unlock`: see `firmware/cli/lock.py`."""

from __future__ import annotations

import argparse

from firmware.cli.hands import add_hands
from firmware.cli.lock import move


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    add_hands(subparsers.add_parser("unlock", help="unlock the connector"))


def run(args: argparse.Namespace) -> int:
    return move(args, lock=False)
