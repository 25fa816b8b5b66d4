"""`evse factory-reset`: destroy every key and certificate of a station. The daemon must not run meanwhile."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from firmware.cli import out
from firmware.cli.client import FAILED, USAGE


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "factory-reset",
        help="destroy every key and certificate of the station",
        description="Destroy every key in the TPM, every certificate and every sealed secret, for good.",
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the daemon's configuration")
    parser.add_argument("--yes", action="store_true", help="really")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(args: argparse.Namespace) -> int:
    from certs.errors import CertsError
    from firmware.cli.configured import stopped_station
    from firmware.journal import waiting_in
    from firmware.provisioning import reset

    config = stopped_station(args.config)
    if config is None:
        return USAGE
    waiting = waiting_in(config.station.state_dir / "journal.sqlite")
    if not args.yes:
        also = f", and {waiting} messages that the CSMS has not had" if waiting else ""
        print(f"evse: this destroys every key and certificate of the station{also}: say --yes", file=sys.stderr)
        return USAGE
    try:
        destroyed = list(reset(config))
    except (CertsError, OSError) as error:
        print(f"evse: {error}", file=sys.stderr)
        return FAILED
    if args.json:
        out.as_json({"destroyed": destroyed, "messages_lost": waiting})
    else:
        print(f"destroyed: {', '.join(destroyed) or 'no key was there'}; certificates and sealed secrets")
        if waiting:
            print(f"{waiting} messages that the CSMS has not had cannot be read any more")
    return 0
