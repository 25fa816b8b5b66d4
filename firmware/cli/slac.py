"""`evse slac`: matching runs, matching as it happens, a modem's self-test, and captures of what it hears."""

from __future__ import annotations

import argparse

from firmware.cli import out
from firmware.cli.client import FAILED, add_common, add_evse, ask
from firmware.cli.events import follow, moment


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    actions = subparsers.add_parser("slac", help="SLAC matching").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    last = actions.add_parser("last", help="the latest runs, newest first")
    last.add_argument("--limit", type=int, default=5, metavar="N", help="at most so many; 5 without it")
    watch = actions.add_parser("watch", help="matching as it happens, until interrupted")
    watch.add_argument("--since", type=moment, metavar="WHEN", help="begin with what happened since, as in 10m")
    for action in (last, watch):
        add_evse(action)
    test = actions.add_parser("selftest", help="whether an EVSE's modem answers and takes a key; without a vehicle")
    test.add_argument("evse", type=int, metavar="EVSE", help="the EVSE's number")
    capture = actions.add_parser("capture", help="write what the modem hears and is told to a file for Wireshark")
    capture.add_argument("file", metavar="FILE.pcap", help="- is standard output, as for `| wireshark -k -i -`")
    capture.add_argument("--seconds", type=int, default=60, metavar="S", help="1 to 600; 60 without it")
    capture.add_argument("--evse", type=int, default=1, metavar="N", help="the EVSE's number; 1 without it")
    for action in (last, watch, test, capture):
        add_common(action)


def run(args: argparse.Namespace) -> int:
    match args.action:
        case "watch":
            return follow(args, ["plc"], all_events=False)
        case "selftest":
            return _self_test(args)
        case "capture":
            from firmware.cli.capture import capture

            return capture(args)
    return _last(args)


def _last(args: argparse.Namespace) -> int:
    told = ask(args, "Slac.Last", evse=args.evse, limit=args.limit)
    if args.json:
        out.as_json(told)
        return 0
    out.table(
        ("EVSE", "VEHICLE", "AGO", "SOUNDS", "MEAN DB", "WORST", "TOOK S", "VERDICT"),
        [
            (
                evse["evse"],
                run["ev_mac"],
                out.span(run["ago_s"]),
                f"{run['sounds']}/{run['expected']}",
                run["mean_db"],
                run["worst_db"],
                run["took_s"],
                run["verdict"],
            )
            for evse in told["evses"]
            for run in evse["runs"]
        ],
    )
    return 0


def _self_test(args: argparse.Namespace) -> int:
    """1 also for a modem that works, but in another role."""
    told = ask(args, "Slac.SelfTest", evse=args.evse)
    if args.json:
        out.as_json(told)
        return 0 if told["passed"] else FAILED
    role = {None: "cannot be read", "EVSE": "EVSE"}.get(told["role"], f"{told['role']}, SLAC mode {told['slac_mode']}")
    words = [told[name] for name in ("vendor", "hardware", "firmware") if told[name]]
    out.pairs(
        f"EVSE {told['evse']}  {'passed' if told['passed'] else 'FAILED'}",
        [
            ("modem answers", f"{told['mac']} after {told['answered_s'] * 1000:.0f} ms"),
            ("firmware", " ".join(words)),
            ("role", role),
            ("key set", f"verified by {told['verified_by']} after {told['took_s'] * 1000:.0f} ms"),
        ],
    )
    return 0 if told["passed"] else FAILED
