"""`evse measure`: what the hardware measures now; with --watch again and again, until interrupted."""

from __future__ import annotations

import argparse
import json
import time

from firmware.cli import out
from firmware.cli.client import FAILED, Client, Told, add_common, add_number

WHAT = ("cp", "pp", "mains", "temps", "imd", "contactor")


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("measure", help="pilot, proximity, mains, temperatures, insulation as measured now")
    parser.add_argument("what", nargs="?", choices=WHAT, help="all without it")
    parser.add_argument("--watch", action="store_true", help="again and again")
    parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="with --watch; 1 without it")
    parser.add_argument("--count", type=int, metavar="N", help="with --watch: end after so many")
    add_number(parser)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    with Client(args.socket) as client:
        left = args.count if args.watch else 1
        while True:
            told = client.call("Board.Measure", evse=args.evse)
            _show(told, args)
            if left is not None:
                left -= 1
                if left <= 0:
                    break
            time.sleep(max(args.every, 0.2))
    return FAILED if args.what and not rows(told, args.what) else 0


def _show(told: Told, args: argparse.Namespace) -> None:
    if args.json and args.watch:
        print(json.dumps(told), flush=True)
    elif args.json:
        out.as_json(told)
    elif args.watch and args.what:
        print("  ".join(f"{name} {value}" for name, value in rows(told, args.what)) or "not measured", flush=True)
    else:
        found = [row for what in ((args.what,) if args.what else WHAT) for row in rows(told, what)]
        out.pairs(f"EVSE {told['evse']}", found or [(args.what, "this board does not measure it")])


def rows(told: Told, what: str) -> list[tuple[str, str]]:
    """Name and value with its unit; none for what the board does not measure."""
    one = told[what]
    if one is None:
        return []
    if what == "mains":
        return [
            (f"L{phase}", f"{volts:.1f} V  {amps:.2f} A")
            for phase, (volts, amps) in enumerate(zip(one["voltage_v"], one["current_a"], strict=True), 1)
        ] + [("energy", f"{one['energy_import_wh'] / 1000:.3f} kWh  {one['power_import_w'] / 1000:.2f} kW")]
    named = {
        "cp": (
            ("state", "CP", "{}"),
            ("mode", "offered", "{}"),
            ("duty_percent", "duty", "{:g} %"),
            ("high_v", "CP high", "{:+.2f} V"),
            ("low_v", "CP low", "{:+.2f} V"),
        ),
        "pp": (("ampacity_a", "PP cable", "{:g} A"),),
        "temps": (("board_c", "board", "{:.1f} C"), ("plug_c", "plug", "{:.1f} C")),
        "imd": (("insulation_kohm", "insulation", "{:g} kOhm"),),
        "contactor": (("state", "contactor", "{}"), ("last_ms", "last switching", "{:g} ms")),
    }[what]
    return [(name, form.format(one[key])) for key, name, form in named if one[key] is not None]
