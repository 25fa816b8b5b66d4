"""`evse session`: the latest sessions, and one of them as a line of time over pilot, SLAC, V2G and OCPP."""

from __future__ import annotations

import argparse
from pathlib import Path

from firmware.cli import out
from firmware.cli.client import FAILED, Failure, Told, add_common, ask


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    actions = subparsers.add_parser("session", help="sessions as lines of time").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    listing = actions.add_parser("list", help="the latest sessions")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many; 20 without it")
    add_common(listing)
    showing = actions.add_parser("show", help="one session's line of time")
    showing.add_argument(
        "id", help="its number, its ISO 15118 session id or its OCPP transaction id, or how one begins"
    )
    add_common(showing)
    plot = actions.add_parser("plot", help="one session as a picture (SVG)")
    plot.add_argument("id", help="as with show")
    plot.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    add_common(plot)


def run(args: argparse.Namespace) -> int:
    if args.action == "plot":
        return _plot(args)
    listing = args.action == "list"
    told = ask(args, "Session.List", limit=args.limit) if listing else ask(args, "Session.Show", id=args.id)
    if args.json:
        out.as_json(told)
    elif listing:
        _print_list(told["sessions"])
    else:
        _print_one(told)
    return 0


def _plot(args: argparse.Namespace) -> int:
    from firmware.cli.plot import svg

    told = ask(args, "Session.Show", id=args.id)
    try:
        args.output.write_text(svg(told), encoding="utf-8")
    except OSError as error:
        raise Failure(FAILED, f"{args.output}: {error.strerror}") from error
    if args.json:
        out.as_json({"file": str(args.output), "session": told["session"], "bytes": args.output.stat().st_size})
    else:
        print(f"session {told['session']} in {args.output}")
    return 0


def _print_list(sessions: list[Told]) -> None:
    out.table(
        ("NO", "EVSE", "BEGAN", "ENDED", "WH", "STOPPED BY", "V2G", "TRANSACTION"),
        [
            (
                session["session"],
                session["evse"],
                out.moment(session["began"], date=True),
                out.moment(session["ended"], date=True)[11:] if session["ended"] else "runs",
                session["energy_wh"],
                session["stopped_by"],
                " ".join(session["v2g_session_ids"]),
                " ".join(transaction[:8] for transaction in session["transaction_ids"]),
            )
            for session in sessions
        ],
    )


def _print_one(session: Told) -> None:
    out.pairs(
        f"session {session['session']} at EVSE {session['evse']}",
        [
            ("began", out.moment(session["began"], date=True)),
            ("ended", out.moment(session["ended"], date=True) if session["ended"] else "runs"),
            ("ISO 15118", " ".join(session["v2g_session_ids"])),
            ("OCPP", " ".join(session["transaction_ids"])),
            ("energy", f"{session['energy_wh']:g} Wh" if session["energy_wh"] is not None else None),
            ("stopped by", session["stopped_by"]),
        ],
    )
    out.table(
        ("SECONDS", "SOURCE", "EVENT", "TIMES", "DETAIL"),
        [
            (
                f"{entry['after_s']:9.3f}",
                entry["source"],
                entry["event"],
                entry["count"],
                out.fields({name: value for name, value in entry["data"].items() if name not in _IDS}),
            )
            for entry in session["entries"]
        ],
    )
    if session["left_out"]:
        print(f"({session['left_out']} more events were not kept)")


_IDS = frozenset({"session_id", "transaction_id", "received_at_s"})
