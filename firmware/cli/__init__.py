"""`evse`: the technician's command. Each module of this package is one subcommand."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from firmware.cli import v2g

COMMANDS = {"v2g": v2g}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="evse", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True)
    for command in COMMANDS.values():
        command.add_arguments(subparsers)
    parsed = parser.parse_args(arguments)
    status: int = COMMANDS[parsed.command].run(parsed)
    return status
