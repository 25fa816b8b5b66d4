"""`evse meter`: what the meters say; and whether a signed record is the meter's own. `verify` needs no daemon."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from firmware.cli import out
from firmware.cli.client import FAILED, Failure, Told, add_common, ask

MAX_FILE = 1 << 20


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("meter", help="the energy meters, and what they signed")
    parser.add_argument("--evse", type=int, metavar="N", help="of this EVSE; of all without it")
    add_common(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    verify = actions.add_parser("verify", help="judge signed records (OCMF); exit code 1 unless every one is valid")
    verify.add_argument("file", metavar="FILE", help="OCMF records, a line each, or JSON of OCPP; - for stdin")
    verify.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object")
    verify.add_argument("--key", metavar="KEY", help="the meter's public key, or a file with it; else what JSON brings")


def run(args: argparse.Namespace) -> int:
    return _verify(args) if args.action == "verify" else _show(args)


def _show(args: argparse.Namespace) -> int:
    told = ask(args, "Meter.Read", evse=args.evse)
    if args.json:
        out.as_json(told)
        return 0
    for meter in told["meters"]:
        out.pairs(f"EVSE {meter['evse']}  {meter['model']}", _rows(meter))
    return 0


def _rows(meter: Told) -> list[tuple[str, object]]:
    reading = meter["reading"]
    rows: list[tuple[str, object]] = [("reading", meter["problem"])]
    if reading is not None:
        count = 1 if reading["dc"] else 3
        rows = [
            ("energy", f"{reading['energy_import_wh'] / 1000:.4f} kWh"),
            ("power", f"{reading['power_import_w'] / 1000:.3f} kW"),
            ("current", " ".join(f"{value:.2f}" for value in reading["current_a"][:count]) + " A"),
            ("voltage", " ".join(f"{value:.1f}" for value in reading["voltage_v"][:count]) + " V"),
            ("age", f"{reading['age_s']:.1f} s"),
        ]
    rows.append(("serial number", meter["serial"]))
    rows.append(("public key", meter["public_key"] if meter["signs"] else "the meter signs nothing"))
    return rows


# --- verify ---


def _verify(args: argparse.Namespace) -> int:
    given = "" if args.key is None else _key(args.key)
    judged = [_judge(text, given or key) for text, key in _records(_read(args.file))]
    if args.json:
        out.as_json({"records": judged})
    else:
        columns = ("verdict", "meter", "page", "id_token", "energy_wh", "last_time", "detail")
        out.table([name.upper() for name in columns], [[record[name] for name in columns] for record in judged])
    return 0 if judged and all(record["verdict"] == "VALID" for record in judged) else FAILED


def _read(name: str) -> str:
    try:
        raw = sys.stdin.buffer.read(MAX_FILE + 1) if name == "-" else Path(name).read_bytes()[: MAX_FILE + 1]
        text = raw.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(FAILED, f"{name}: {error}") from error
    if len(raw) > MAX_FILE:
        raise Failure(FAILED, f"{name}: more than {MAX_FILE} bytes")
    return text


def _key(given: str) -> str:
    path = Path(given)
    try:
        return path.read_text(encoding="utf-8").strip() if len(given) < 256 and path.is_file() else given
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(FAILED, f"{given}: {error}") from error


def _records(text: str) -> Iterator[tuple[str, str]]:
    """Each record with the key that came with it, or empty. Raises Failure."""
    if not text.lstrip().startswith(("{", "[")):
        yield from ((line.strip(), "") for line in text.splitlines() if line.strip())
        return
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Failure(FAILED, f"neither OCMF nor JSON: {error}") from error
    found = list(_signed_values(whole))
    if not found:
        raise Failure(FAILED, "no signedMeterValue in it")
    # Told once a transaction, the key holds for its other values too.
    known = next((key for _, key in found if key), "")
    yield from ((record, key or known) for record, key in found)


def _signed_values(node: Any) -> Iterator[tuple[str, str]]:
    """Every SignedMeterValueType, however deep in a message of OCPP."""
    if isinstance(node, list):
        for item in node:
            yield from _signed_values(item)
    elif isinstance(node, dict) and "signedMeterData" in node:
        yield _base64(node["signedMeterData"]), _base64(node.get("publicKey", "")).removeprefix("oca:base16:asn1:")
    elif isinstance(node, dict):
        for item in node.values():
            yield from _signed_values(item)


def _base64(text: object) -> str:
    import base64
    import binascii

    try:
        return base64.b64decode(str(text), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def _judge(text: str, key: str) -> dict[str, object]:
    from hal.ocmf import OcmfError, parse
    from hal.ocmf_signature import verify

    judged: dict[str, object] = dict.fromkeys(("meter", "page", "id_token", "energy_wh", "last_time"))
    try:
        record = parse(text)
        last, energy = record.readings[-1], record.energy_wh
        judged |= {
            "meter": record.meter_serial,
            "page": record.pagination,
            "id_token": record.identification,
            "energy_wh": None if energy is None else float(energy),
            "last_time": last.time.isoformat(),
        }
        if not key:
            return judged | {"verdict": "NO_KEY", "detail": "no public key came with it: give one by --key"}
        verdict = verify(record, key)
    except OcmfError as error:
        return judged | {"verdict": "UNREADABLE", "detail": str(error)}
    return judged | {"verdict": verdict.name, "detail": verdict.value}
