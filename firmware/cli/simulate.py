"""`evse simulate`: vehicles, cards, faults and a lost network, while a simulated board is in use."""

from __future__ import annotations

import argparse

from firmware.cli import out
from firmware.cli.client import add_common, ask


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    actions = subparsers.add_parser(
        "simulate", help="drive vehicles up to a simulated board, break it, cut the network"
    ).add_subparsers(dest="action", required=True, metavar="ACTION")
    plug_in = _action(actions, "plug_in", "a vehicle drives up and plugs in")
    plug_in.add_argument("--vehicle", metavar="KIND", help="kind and payment, as in iec (default) or iso2-ac-pnc")
    plug_in.add_argument("--charge-s", type=int, metavar="S", help="seconds in state C (20)")
    plug_in.add_argument("--max-a", type=int, metavar="A", help="what the vehicle can draw per phase (32)")
    plug_in.add_argument("--card", metavar="UID", help="an RFID card in hex, held to the reader after plugging in")
    plug_out = _action(actions, "plug_out", "the vehicle leaves")
    plug_out.add_argument("--pull", action="store_true", help="tear the cable out instead of ending the charge")
    swipe = _action(actions, "swipe", "hold a card to the reader")
    swipe.add_argument("token", metavar="UID", help="in hex")
    swipe.add_argument("--kind", choices=("ISO14443", "ISO15693"))
    for name, says in (("fault", "a fault of the board begins"), ("fault_clear", "a fault of the board ends")):
        fault = _action(actions, name, says)
        fault.add_argument("name", help="its MREC name, or weld, stuck_open, lock_jam, silence, reset")
    for name, says in (("net_down", "the network to the CSMS is gone"), ("net_up", "the network to the CSMS is back")):
        add_common(actions.add_parser(name, help=says))


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, says: str
) -> argparse.ArgumentParser:
    action = actions.add_parser(name, help=says)
    action.add_argument("evse", type=int, metavar="N", help="the EVSE's number")
    add_common(action)
    return action


def run(args: argparse.Namespace) -> int:
    method = "Simulate." + "".join(part.capitalize() for part in args.action.split("_"))
    not_params = ("command", "action", "json", "socket")
    told = ask(args, method, **{name: value for name, value in vars(args).items() if name not in not_params})
    if args.json:
        out.as_json(told)
    elif "network" in told:
        print(f"the network is {told['network']}")
    elif "fault" in told:
        print(f"EVSE {told['evse']}: {told['fault']} {'on' if told['active'] else 'off'}")
    elif "plugged" in told:
        print(f"EVSE {told['evse']}: {'a vehicle is plugged in' if told['plugged'] else 'no vehicle'}")
    else:
        print(f"EVSE {told['evse']}: the card was held to the reader")
    return 0
