"""For commands that work in maintenance: in the technician's own that stands, or in one for as long as they run."""

from __future__ import annotations

import argparse

from firmware.cli.client import Client, add_common, add_number


def add_hands(parser: argparse.ArgumentParser) -> None:
    add_number(parser)
    parser.add_argument("--force", action="store_true", help="although a vehicle is plugged in (service)")
    add_common(parser)


def enter(client: Client, args: argparse.Namespace, *, for_s: int = 600) -> None:
    """Maintenance that stands is used, whose ever it is: the daemon says whose hands may. Raises Failure."""
    if client.call("Maintenance.Status", evse=args.evse)["maintenance"] is None:
        client.call("Maintenance.Begin", evse=args.evse, for_s=for_s, force=args.force or None)
