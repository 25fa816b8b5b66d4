"""`evse ocpp`: the link to the CSMS, and what waits for it."""

from __future__ import annotations

import argparse

from firmware.cli import out
from firmware.cli.client import add_common, ask
from firmware.cli.status import link_words, queue_words


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    actions = subparsers.add_parser("ocpp", help="the link to the CSMS").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    add_common(actions.add_parser("status", help="the link, and what was dropped or refused"))
    queue = actions.add_parser("queue", help="the messages that wait, in their order")
    queue.add_argument("--limit", type=int, default=50, metavar="N", help="at most so many; 50 without it")
    add_common(queue)


def run(args: argparse.Namespace) -> int:
    told = ask(args, "Ocpp.Status") if args.action == "status" else ask(args, "Ocpp.Queue", limit=args.limit)
    if args.json:
        out.as_json(told)
    elif args.action == "status":
        rows = [
            ("link", link_words(told)),
            ("profile", f"security profile {told['security_profile']}"),
            ("queue", queue_words(told)),
            (
                "counts",
                ", ".join(f"{reason}: {count}" for reason, count in told["counts"].items()) or "nothing refused",
            ),
        ]
        out.pairs("CSMS", rows)
    else:
        print(f"{told['queue_length']} messages wait")
        out.table(
            ("ORDER", "ACTION", "TRANSACTION", "ATTEMPTS", "BYTES"),
            [[message[name] for name in _COLUMNS] for message in told["messages"]],
        )
    return 0


_COLUMNS = ("order", "action", "transaction_id", "attempts", "bytes")
