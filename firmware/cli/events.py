"""`evse events`: what happened lately; with -f also what happens from now on, until interrupted."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from firmware.cli import out
from firmware.cli.client import Client, Told, add_common, add_evse, ask

SOURCES = ("board", "plc", "v2g", "ocpp", "station")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("events", help="what happened lately, or happens now")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what happens now")
    parser.add_argument("--since", type=moment, metavar="WHEN", help="as in 10m, 2h, 1d or 2026-01-31T08:00")
    parser.add_argument("--source", action="append", choices=SOURCES, help="only this source; may be repeated")
    parser.add_argument("--all", action="store_true", help="with -f: meter readings and V2G messages too")
    add_evse(parser)
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    if args.follow:
        return follow(args, args.source, all_events=args.all)
    told = ask(args, "Events.List", evse=args.evse, since=args.since, sources=args.source)
    if args.json:
        out.as_json(told)
    else:
        for event in told["events"]:
            print(line(event))
    return 0


def follow(args: argparse.Namespace, sources: Sequence[str] | None, *, all_events: bool) -> int:
    """Until interrupted. What was dropped because the terminal did not keep up is told."""
    with Client(args.socket) as client:
        told = client.call(
            "Events.Subscribe", evse=args.evse, since=args.since, sources=sources, frequent=all_events or None
        )
        for event in told["events"]:
            _show(event, 0, as_json=args.json)
        for event, dropped in client.events():
            _show(event, dropped, as_json=args.json)
    return 0


def _show(event: Told, dropped: int, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**event, "dropped": dropped}), flush=True)
        return
    if dropped:
        print(out.styled(f"({dropped} events were dropped here)", out.YELLOW))
    print(line(event), flush=True)


def line(event: Told) -> str:
    said = f"{out.moment(event['wall_time'])}  {event['evse']}  {event['source']:<7}  {event['event']:<21}"
    return f"{said}  {out.fields(event['data'])}".rstrip()


def moment(text: str) -> str:
    """An ISO 8601 moment with offset, from a span back from now or from a local date and time."""
    if span := re.fullmatch(r"(\d{1,6})([smhd])", text):
        return (datetime.now(UTC) - timedelta(seconds=int(span[1]) * _UNITS_S[span[2]])).isoformat()
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a span as in 10m nor a date and time") from error
