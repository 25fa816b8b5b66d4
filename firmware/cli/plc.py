"""`evse plc`: the powerline modems."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from firmware.cli import out
from firmware.cli.client import Told, add_common, add_evse, ask


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    actions = subparsers.add_parser("plc", help="the powerline modems").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    info = actions.add_parser("info", help="what each modem is and does, and what it dropped")
    link = actions.add_parser("link", help="who is in each modem's network now, and how fast")
    for action in (info, link):
        add_evse(action)
        add_common(action)


def run(args: argparse.Namespace) -> int:
    return _info(args) if args.action == "info" else _link(args)


def _info(args: argparse.Namespace) -> int:
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
                ("role", _role(modem)),
                ("state", modem["modem"]),
                ("link", "up" if modem["link_up"] else "down"),
                ("matching", f"{modem['matching']}, {modem['profile']} profile"),
                ("offset", f"{modem['attenuation_offset_db']} dB"),
                ("dropped", _counts(drops) or "nothing"),
                ("driver", _driver(modem["driver_counters"])),
            ],
        )
    return 0


def _role(modem: Told) -> str | None:
    if modem["role"] is None or modem["role"] == "EVSE":
        role: str | None = modem["role"]
        return role
    return f"{modem['role']}: SLAC mode {modem['slac_mode']} in its PIB"


def _driver(counters: dict[str, int]) -> str:
    """As `ethtool -S`; what never happened is left out."""
    if not counters:
        return "tells no counters"
    return _counts({name: count for name, count in counters.items() if count}) or "all counters are 0"


def _counts(counted: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counted.items())


def _link(args: argparse.Namespace) -> int:
    told = ask(args, "Plc.Link", evse=args.evse)
    if args.json:
        out.as_json(told)
        return 0
    for link in told["links"]:
        out.pairs(f"EVSE {link['evse']}  {link['interface']}", _rows(link))
    return 0


def _rows(link: Told) -> Iterator[tuple[str, object]]:
    yield "modem", link["modem"]
    yield "link", "up" if link["link_up"] else "down"
    yield "matching", link["matching"]
    yield "vehicle", link["ev_mac"]
    if link["amplitude_map"]:
        yield "amplitude map", f"{link['amplitude_map']['carriers']} carriers, {link['amplitude_map']['outcome']}"
    if not link["networks"]:
        yield "network", "the modem tells none"
    for network in link["networks"]:
        yield "network", f"NID {network['nid']}, {network['role']} with TEI {network['tei']}"
        yield "coordinator", network["coordinator"]
        for station in network["stations"]:
            yield "member", _member(station)


def _member(station: Told) -> str:
    rates = f"to it {station['tx_mbps']}, from it {station['rx_mbps']} Mbit/s"
    return f"{station['mac']}, TEI {station['tei']}, host {station['host_mac']}, {rates}"
