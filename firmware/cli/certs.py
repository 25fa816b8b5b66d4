"""`evse certs`: the chains in use and the trusted roots. `expiry` exits with 1 when one of them ends soon."""

from __future__ import annotations

import argparse

from firmware.cli import out
from firmware.cli.client import FAILED, Told, add_common, ask


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    actions = subparsers.add_parser("certs", help="certificates and when they end").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    add_common(actions.add_parser("list", help="all certificates"))
    expiry = actions.add_parser("expiry", help="by their end; exit code 1 when one ends soon")
    expiry.add_argument("--within", type=int, default=30, metavar="DAYS", help="what is soon; 30 without it")
    add_common(expiry)


def run(args: argparse.Namespace) -> int:
    told = ask(args, "Certs.List") if args.action == "list" else ask(args, "Certs.Expiry", within_days=args.within)
    if args.json:
        out.as_json(told)
    elif args.action == "list":
        out.table(
            ("USE", "ROLE", "SUBJECT", "KEY", "ENDS"),
            [
                (info["use"], info["role"], _name(info["subject"]), info["key_id"], info["not_after"][:10])
                for info in told["certificates"]
            ],
        )
    else:
        _print_expiry(told)
    return FAILED if told.get("expiring") else 0


def _print_expiry(told: Told) -> None:
    out.table(
        ("DAYS", "ENDS", "USE", "ROLE", "SUBJECT"),
        [
            (f"{info['days_left']:.0f}", info["not_after"][:10], info["use"], info["role"], _name(info["subject"]))
            for info in told["certificates"]
        ],
    )
    if told["expiring"]:
        print(out.styled(f"{told['expiring']} end within {told['within_days']} days", out.RED))


def _name(subject: str) -> str:
    """The common name, where there is one."""
    parts = dict(part.partition("=")[::2] for part in subject.split(","))
    return parts.get("CN", subject)
