"""`evse`: the technician's command. Each module of this package is one subcommand, and only the one used is imported.

Exit codes: 0 good, 1 a check failed or there is no such thing, 2 usage, 3 the daemon cannot be reached, 4 not allowed.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

COMMANDS = {
    "status": "how everything stands now",
    "top": "one live screen an EVSE",
    "why": "why an EVSE does not charge",
    "events": "what happened lately, or happens now",
    "faults": "faults that stand, or stood",
    "history": "what was charged in the last twelve months",
    "uptime": "how much of the last year each EVSE could have charged",
    "session": "sessions as lines of time",
    "maintenance": "take an EVSE out of service to work on it",
    "measure": "pilot, proximity, mains, temperatures, insulation as measured now",
    "selftest": "test the hardware",
    "cp": "put something on the control pilot",
    "contactor": "close and open the contactor on a test adapter",
    "lock": "lock the connector",
    "unlock": "unlock the connector",
    "ramp": "offer a charging vehicle one current after the other",
    "meter": "the energy meters, and what they signed",
    "charge-now": "begin though the start is delayed, or it is peak time",
    "commission": "the bring-up checklist, step by step, with a report",
    "slac": "SLAC matching",
    "plc": "the powerline modems",
    "ocpp": "the link to the CSMS",
    "certs": "certificates and when they end",
    "tpm": "the chip that holds the keys",
    "grid": "limits of the whole station from outside",
    "config": "OCPP variables, and the configuration file",
    "logs": "log levels and the audit log",
    "fw": "firmware: the slots, installing, going back",
    "bundle": "everything support asks for, in one archive",
    "v2g": "decode and encode V2G messages",
    "simulate": "drive vehicles up to a simulated board, break it, cut the network",
    "provision": "give the station its keys and certificates",
    "factory-reset": "destroy every key and certificate of the station",
    "completion": "a script that completes this command in a shell",
}
INTERRUPTED = 130


def parser_for(commands: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; of the commands not named it knows only that they exist."""
    parser = argparse.ArgumentParser(
        prog="evse",
        description="Look into and steer an EV charging station.",
        epilog="Exit codes: 0 good, 1 a check failed or there is no such thing, 2 usage, 3 no daemon, 4 not allowed.",
    )
    # Without its name argparse would format a usage to find it, and import what that needs.
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", prog="evse")
    for name, says in COMMANDS.items():
        if name in commands:
            _module(name).add_arguments(subparsers)
        else:
            subparsers.add_parser(name, help=says)
    return parser


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"firmware.cli.{command.replace('-', '_')}")


def main(arguments: Sequence[str] | None = None) -> int:
    from firmware.cli.client import Failure

    given = sys.argv[1:] if arguments is None else arguments
    parsed = parser_for(given).parse_args(given)
    try:
        status: int = _module(parsed.command).run(parsed)
        sys.stdout.flush()
    except Failure as failure:
        print(f"evse: {failure}", file=sys.stderr)
        return failure.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Nothing is left to flush at exit.
        return 0
    return status
