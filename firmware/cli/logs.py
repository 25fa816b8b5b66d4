"""`evse logs`: log levels, changed while the daemon runs, the audit log of this socket, and security events."""

from __future__ import annotations

import argparse

from firmware.cli import out
from firmware.cli.client import FAILED, USAGE, Failure, Told, add_common, ask

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    actions = subparsers.add_parser("logs", help="log levels and the audit log").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    level = actions.add_parser("level", help="show the levels, or set one (technician)")
    level.add_argument("logger", nargs="?", help="as in hal.plc or evse.1")
    level.add_argument("level", nargs="?", choices=LEVELS)
    level.add_argument("--for", dest="for_s", type=int, default=0, metavar="SECONDS", help="then back as it was")
    add_common(level)
    audit = actions.add_parser("audit", help="who called what, and whether the chain is whole (service)")
    audit.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many; 20 without it")
    add_common(audit)
    security = actions.add_parser("security", help="tampering and other security events (technician)")
    security.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many; 20 without it")
    add_common(security)


def run(args: argparse.Namespace) -> int:
    return {"audit": _audit, "security": _security, "level": _level}[args.action](args)


def _level(args: argparse.Namespace) -> int:
    if args.logger and not args.level:
        raise Failure(USAGE, f"which level for {args.logger}? One of {', '.join(LEVELS)}")
    if args.logger:
        told = ask(args, "Log.SetLevel", logger=args.logger, level=args.level, for_s=args.for_s)
    else:
        told = ask(args, "Log.Levels")
    if args.json:
        out.as_json(told)
    else:
        out.table(("LOGGER", "LEVEL"), told["levels"].items())
    return 0


def _audit(args: argparse.Namespace) -> int:
    told = ask(args, "Audit.Show", limit=args.limit)
    if args.json:
        out.as_json(told)
    else:
        _print_audit(told)
    return FAILED if told["broken"] else 0


def _security(args: argparse.Namespace) -> int:
    told = ask(args, "Log.Security", limit=args.limit)
    if args.json:
        out.as_json(told)
    else:
        out.table(
            ("NO", "TIME", "EVENT", "INFO"),
            [
                (one["number"], out.moment(one["wall_time"], date=True), one["type"], one["info"])
                for one in told["latest"]
            ],
        )
        broken = ", ".join(map(str, told["breaks"]))
        print(out.styled(f"the chain is broken at {broken}", out.RED) if broken else "the chain is whole")
    return FAILED if told["breaks"] else 0


def _print_audit(told: Told) -> None:
    out.table(
        ("NO", "TIME", "UID", "ROLE", "METHOD", "OUTCOME"),
        [
            (
                entry["number"],
                out.moment(entry["wall_time"], date=True),
                entry["uid"],
                entry["role"],
                entry["method"],
                entry["outcome"],
            )
            for entry in told["latest"]
        ],
    )
    if told["broken"]:
        print(out.styled(f"the chain is broken at {told['broken']}", out.RED))
    else:
        print(f"{told['entries']} entries, the chain is whole")
