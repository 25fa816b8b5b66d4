"""`evse plc`: the powerline modems."""

from __future__ import annotations

import argparse

from firmware.cli import out
from firmware.cli.client import add_common, add_evse, ask


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    actions = subparsers.add_parser("plc", help="the powerline modems").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    info = actions.add_parser("info", help="what each modem is and does, and what it dropped")
    add_evse(info)
    add_common(info)


def run(args: argparse.Namespace) -> int:
    told = ask(args, "Plc.Info", evse=args.evse)
    if args.json:
        out.as_json(told)
        return 0
    for modem in told["modems"]:
        words = [modem[name] for name in ("vendor", "hardware", "firmware", "mac") if modem[name]]
        drops = {**modem["modem_drops"], **modem["slac_drops"]}
        out.pairs(
            f"EVSE {modem['evse']}  {modem['interface']}",
            [
                ("modem", " ".join(words) or "not found"),
                ("state", modem["modem"]),
                ("link", "up" if modem["link_up"] else "down"),
                ("matching", f"{modem['matching']}, {modem['profile']} profile"),
                ("dropped", ", ".join(f"{reason}: {count}" for reason, count in drops.items()) or "nothing"),
            ],
        )
    return 0
