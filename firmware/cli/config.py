"""`evse config`: the station's OCPP variables by their names, and the configuration file.

`validate` reads the file itself: for it the daemon need not run. Exit code 1 when something is refused or differs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from firmware.cli import out
from firmware.cli.client import FAILED, USAGE, Failure, Told, add_common, ask

FORMAT = 1


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    actions = subparsers.add_parser("config", help="OCPP variables, and the configuration file").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    get = actions.add_parser("get", help="variables and their values")
    get.add_argument("names", nargs="*", metavar="NAME", help="Component, Variable or Component.Variable")
    setting = actions.add_parser("set", help="all of them or none (technician; security needs service)")
    setting.add_argument("settings", nargs="+", metavar="NAME=VALUE", help="as in OCPPCommCtrlr.HeartbeatInterval=60")
    diff = actions.add_parser("diff", help="what differs from the defaults, or from an exported file; then exit code 1")
    diff.add_argument("file", nargs="?", type=Path)
    export = actions.add_parser("export", help="what can be set, without secrets, as a file for `import`")
    export.add_argument("-o", "--output", type=Path, metavar="FILE", help="standard output without it")
    importing = actions.add_parser("import", help="set what an exported file says, all of it or nothing (service)")
    importing.add_argument("file", type=Path)
    for action in (get, setting, diff, export, importing):
        add_common(action)
    validate = actions.add_parser("validate", help="whether the daemon would take a configuration file")
    validate.add_argument("file", type=Path)
    validate.add_argument("--json", action="store_true", help="one JSON object")


def run(args: argparse.Namespace) -> int:
    return {"get": _get, "set": _set, "diff": _diff, "export": _export, "import": _import, "validate": _validate}[
        args.action
    ](args)


def _get(args: argparse.Namespace) -> int:
    told = ask(args, "Config.List", names=args.names or None)
    if args.json:
        out.as_json(told)
    else:
        out.table(("NAME", "VALUE", ""), [(row["name"], _value(row), _remark(row)) for row in told["variables"]])
    return 0


def _value(row: Told) -> str:
    if row["value"] is None:
        return "(secret)"
    return f"{row['value']} {row['unit']}" if row["unit"] else str(row["value"])


def _remark(row: Told) -> str:
    words = ["read-only"] if row["mutability"] == "ReadOnly" else []
    return ", ".join([*words, *(["after a restart"] if row["reboot_required"] else [])])


def _set(args: argparse.Namespace) -> int:
    return _send(args, args.settings)


def _send(args: argparse.Namespace, settings: list[str]) -> int:
    told = ask(args, "Config.Set", settings=settings)
    if args.json:
        out.as_json(told)
    else:
        shown = told["results"] if told["changed"] else [row for row in told["results"] if row["status"] != "Accepted"]
        out.table(("NAME", "STATUS", "REASON"), [(row["name"], row["status"], row["reason"]) for row in shown])
        if not told["changed"]:
            print(out.styled("nothing was changed", out.RED))
        elif any(row["status"] == "RebootRequired" for row in told["results"]):
            print(out.styled("some of it holds after a restart of the daemon", out.YELLOW))
    return 0 if told["changed"] else FAILED


def _diff(args: argparse.Namespace) -> int:
    rows = ask(args, "Config.List")["variables"]
    others = _read(args.file) if args.file else {row["name"]: row["default"] for row in rows}
    values = {row["name"]: row["value"] for row in rows if row["mutability"] == "ReadWrite"}
    found = [
        {"name": name, "here": values.get(name), "there": other}
        for name, other in others.items()
        if (name in values or args.file) and values.get(name) != other
    ]
    if args.json:
        out.as_json({"differences": found})
    elif found:
        head = ("NAME", "HERE", args.file.name.upper() if args.file else "DEFAULT")
        out.table(head, [(row["name"], row["here"], row["there"]) for row in found])
    else:
        print(f"as {args.file}" if args.file else "all as by default")
    return FAILED if found else 0


def _export(args: argparse.Namespace) -> int:
    rows = ask(args, "Config.List")["variables"]
    values = {row["name"]: row["value"] for row in rows if row["mutability"] == "ReadWrite"}
    told = {"format": FORMAT, "variables": values}
    if args.output is None:
        print(json.dumps(told, indent=2))
        return 0
    try:
        args.output.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise Failure(FAILED, f"{args.output}: {error.strerror}") from error
    if args.json:
        out.as_json({"file": str(args.output), "variables": len(values)})
    else:
        print(f"{len(values)} variables in {args.output}")
    return 0


def _import(args: argparse.Namespace) -> int:
    return _send(args, [f"{name}={value}" for name, value in _read(args.file).items()])


def _read(file: Path) -> dict[str, str]:
    """The variables of an exported file. Raises Failure."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise Failure(USAGE, f"{file}: {error}") from error
    values = told.get("variables") if isinstance(told, dict) and told.get("format") == FORMAT else None
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise Failure(USAGE, f"{file}: not written by `evse config export`")
    return values


def _validate(args: argparse.Namespace) -> int:
    from firmware.config import ConfigError, load

    told: dict[str, object] = {"file": str(args.file), "good": True, "error": None, "evses": None}
    try:
        told["evses"] = len(load(args.file).evse)
    except ConfigError as error:
        told.update(good=False, error=str(error))
    if args.json:
        out.as_json(told)
    else:
        print(told["error"] or f"{args.file}: good, {told['evses']} EVSE")
    return 0 if told["good"] else FAILED
