"""`evse ocpp`: the link to the CSMS, what waits for it, what is said on it."""

from __future__ import annotations

import argparse
import json

from firmware.cli import out
from firmware.cli.client import Client, Told, add_common, ask
from firmware.cli.status import link_words, queue_words

MESSAGES = ("Heartbeat", "BootNotification", "StatusNotification", "MeterValues", "TransactionEvent")


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    actions = subparsers.add_parser("ocpp", help="the link to the CSMS").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    add_common(actions.add_parser("status", help="the link, and what was dropped or refused"))
    queue = actions.add_parser("queue", help="the messages that wait, in their order")
    queue.add_argument("--limit", type=int, default=50, metavar="N", help="at most so many; 50 without it")
    add_common(queue)
    trace = actions.add_parser("trace", help="every message as it goes and comes, until interrupted")
    trace.add_argument("--payload", action="store_true", help="what they say, without secrets (technician)")
    trace.add_argument("--action", dest="wanted", metavar="NAME", help="only this, as in TransactionEvent")
    trace.add_argument("--count", type=int, metavar="N", help="end after so many")
    add_common(trace)
    sending = actions.add_parser("send", help="have a message sent, as TriggerMessage would (technician)")
    sending.add_argument("message", choices=MESSAGES)
    sending.add_argument("--evse", type=int, metavar="N", help="of this EVSE; of all without it")
    add_common(sending)


def run(args: argparse.Namespace) -> int:
    return {"status": _status, "queue": _queue, "trace": _trace, "send": _send}[args.action](args)


def _status(args: argparse.Namespace) -> int:
    told = ask(args, "Ocpp.Status")
    if args.json:
        out.as_json(told)
        return 0
    counts = ", ".join(f"{reason}: {count}" for reason, count in told["counts"].items())
    rows = [
        ("link", link_words(told)),
        ("profile", f"security profile {told['security_profile']}"),
        ("queue", queue_words(told)),
        ("counts", counts or "nothing refused"),
    ]
    out.pairs("CSMS", rows)
    return 0


_COLUMNS = ("order", "action", "transaction_id", "attempts", "bytes")


def _queue(args: argparse.Namespace) -> int:
    told = ask(args, "Ocpp.Queue", limit=args.limit)
    if args.json:
        out.as_json(told)
        return 0
    print(f"{told['queue_length']} messages wait")
    out.table(
        ("ORDER", "ACTION", "TRANSACTION", "ATTEMPTS", "BYTES"),
        [[message[name] for name in _COLUMNS] for message in told["messages"]],
    )
    return 0


def _trace(args: argparse.Namespace) -> int:
    left = args.count
    with Client(args.socket) as client:
        client.call("Events.Subscribe", sources=["ocpp"], frequent=True)
        for event, dropped in client.events():
            if event["event"] != "OcppFrame" or args.wanted not in (None, event["data"]["action"]):
                continue
            print(json.dumps({**event, "dropped": dropped}) if args.json else _line(event, args.payload), flush=True)
            left = left - 1 if left is not None else None
            if left == 0:
                break
    return 0


def _line(event: Told, payload: bool) -> str:
    data = event["data"]
    arrow = "->" if data["way"] == "sent" else "<-"
    took = f"  {data['took_ms']:g} ms" if "took_ms" in data else ""
    head = f"{out.moment(event['wall_time'])} {arrow} {data['kind']:<10} {data['action']:<26} {data['bytes']} B{took}"
    return f"{head}\n    {out.printable(data['payload'])}" if payload and "payload" in data else head


def _send(args: argparse.Namespace) -> int:
    told = ask(args, "Ocpp.Send", message=args.message, evse=args.evse)
    if args.json:
        out.as_json(told)
    else:
        print(f"{told['message']} goes out")
    return 0
