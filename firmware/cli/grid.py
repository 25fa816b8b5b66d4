"""`evse grid`: what limits the whole station from outside, and when it was dimmed."""

from __future__ import annotations

import argparse

from firmware.cli import out
from firmware.cli.client import Told, add_common, ask


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    actions = subparsers.add_parser("grid", help="limits of the whole station from outside").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    add_common(actions.add_parser("show", help="what limits the station, and what it draws"))
    limit = actions.add_parser("limit", help="limit it as an energy manager would (technician)")
    limit.add_argument("amps", nargs="?", type=float, metavar="A", help="per phase; no limit without it")
    add_common(limit)
    dim = actions.add_parser("dim", help="dim it as the grid operator's contact would (technician)")
    dim.add_argument("to", choices=("on", "off"))
    add_common(dim)
    log = actions.add_parser("log", help="when it was dimmed, by what, when it followed")
    log.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many; 20 without it")
    add_common(log)


def run(args: argparse.Namespace) -> int:
    if args.action == "log":
        return _log(args)
    if args.action == "limit":
        told = ask(args, "Grid.Limit", limit_ma=None if args.amps is None else round(args.amps * 1000))
    elif args.action == "dim":
        told = ask(args, "Grid.Dim", active=args.to == "on")
    else:
        told = ask(args, "Grid.Show")
    if args.json:
        out.as_json(told)
    else:
        _print(told)
    return 0


def _print(told: Told) -> None:
    limits = ", ".join(f"{cause} {amps:g} A" for cause, amps in told["limits_a"].items())
    out.pairs(
        "Grid",
        [
            ("limits", limits or "none"),
            ("dimmed by", ", ".join(told["dimmed_by"]) or "nobody"),
            ("power", _kilowatts(told["power_w"])),
        ],
    )


def _log(args: argparse.Namespace) -> int:
    told = ask(args, "Grid.DimmingLog", limit=args.limit)
    if args.json:
        out.as_json(told)
    else:
        out.table(
            ("TIME", "EVENT", "LIMIT", "POWER", "BY"),
            [
                (
                    out.moment(entry["at"], date=True),
                    entry["event"],
                    _kilowatts(entry["limit_w"]),
                    _kilowatts(entry["power_w"]),
                    entry["by"],
                )
                for entry in told["entries"]
            ],
        )
    return 0


def _kilowatts(watts: float | None) -> str | None:
    return None if watts is None else f"{watts / 1000:.1f} kW"
