"""`evse v2g`: V2G messages as octets and as JSON, for captures and for building test messages; the key log; traces.

In the JSON both hexBinary and base64Binary values are hexadecimal.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from firmware.cli import out
from firmware.cli.client import add_common, ask
from secc.exi import ExiEncodeError, ExiError, Namespace, Reason, decode, encode
from secc.exi.binaries import convert
from secc.exi.codec import positions

V2GTP_HEADER_BYTES = 8
V2GTP_VERSION = b"\x01\xfe"
MAX_FILE_BYTES = 1 << 20

NAMESPACES = {
    "sap": Namespace.SAP,
    "din": Namespace.DIN,
    "iso2": Namespace.ISO_2,
    "iso20": Namespace.ISO_20_COMMON,
    "iso20-ac": Namespace.ISO_20_AC,
    "iso20-dc": Namespace.ISO_20_DC,
    "iso20-wpt": Namespace.ISO_20_WPT,
    "iso20-acdp": Namespace.ISO_20_ACDP,
    "xmldsig": Namespace.XMLDSIG,
}


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    v2g = subparsers.add_parser("v2g", help="decode and encode V2G messages")
    actions = v2g.add_subparsers(dest="action", required=True)
    decoding = actions.add_parser("decode", help="EXI octets to JSON")
    decoding.add_argument(
        "message", metavar="HEX|FILE", help="hexadecimal octets, a file of them or of raw octets, or -"
    )
    decoding.add_argument("--bits", action="store_true", help="print the bit position of each element and value")
    encoding = actions.add_parser("encode", help="JSON to hexadecimal EXI octets")
    encoding.add_argument("message", metavar="JSON|FILE", help="a JSON object of one key, a file of it, or -")
    key_log = actions.add_parser("keylog", help="let Wireshark read the TLS sessions of the next seconds")
    key_log.add_argument("--seconds", type=int, default=120, metavar="S", help="1 to 600; 120 without it")
    key_log.add_argument("--evse", type=int, default=1, metavar="N", help="the EVSE's number; 1 without it")
    add_common(key_log)
    trace = actions.add_parser("trace", help="write what an EVSE and its vehicle say, and the secrets to read it")
    trace.add_argument("file", metavar="FILE.pcapng", help="- is standard output, as for `| wireshark -k -i -`")
    trace.add_argument("--seconds", type=int, default=300, metavar="S", help="1 to 600; 300 without it")
    trace.add_argument("--evse", type=int, default=1, metavar="N", help="the EVSE's number; 1 without it")
    add_common(trace)
    for action in (decoding, encoding):
        action.add_argument("--namespace", choices=NAMESPACES, help="the schema; without it every one is tried in turn")
        action.add_argument("--fragment", action="store_true", help="a single element, as it is encoded to be signed")


def run(args: argparse.Namespace) -> int:
    """Prints the result. 0; 1 for a message that is none, with the reason on standard error."""
    if args.action == "keylog":
        return _key_log(args)
    if args.action == "trace":
        from firmware.cli.capture import V2G, capture

        return capture(args, V2G)
    try:
        text = _decoded(args) if args.action == "decode" else _encoded(args)
    except (ExiError, OSError, ValueError) as error:
        print(f"evse v2g {args.action}: {error}", file=sys.stderr)
        return 1
    print(text)
    return 0


def _key_log(args: argparse.Namespace) -> int:
    told = ask(args, "V2g.KeyLog", evse=args.evse, for_s=args.seconds)
    if args.json:
        out.as_json(told)
    else:
        print(f"EVSE {told['evse']}: TLS secrets go to {told['file']} for {told['for_s']} s. Delete it after use.")
    return 0


def _decoded(args: argparse.Namespace) -> str:
    octets = _without_v2gtp(_octets(args.message))
    message: dict[str, Any]
    namespace, message = _recognised(args, octets)
    message = convert(namespace, message, fragment=args.fragment, hexadecimal=bytes.hex, base64=bytes.hex)
    lines = [json.dumps({"namespace": namespace, "message": message}, indent=2, ensure_ascii=False)]
    if args.bits:
        for found in positions(namespace, octets, fragment=args.fragment):
            value = found.value.hex() if isinstance(found.value, bytes) else found.value
            shown = "" if isinstance(value, dict) else f" = {value}"
            lines.append(f"{found.start:6d}..{found.end - 1:<6d} {'  ' * found.depth}{found.name}{shown}")
    return "\n".join(lines)


def _recognised(args: argparse.Namespace, octets: bytes) -> tuple[Namespace, dict[str, Any]]:
    """Octets may be a message of several schemas: the one that writes them just so is meant."""

    def exact(namespace: Namespace) -> dict[str, Any]:
        message = decode(namespace, octets, fragment=args.fragment)
        if encode(namespace, message, fragment=args.fragment) != octets:
            raise ExiEncodeError(Reason.ROOT, "written otherwise")
        return message

    try:
        return _first(args, exact)
    except ExiError:
        return _first(args, lambda namespace: decode(namespace, octets, fragment=args.fragment))


def _encoded(args: argparse.Namespace) -> str:
    message = json.loads(_read(args.message).decode() if _is_file(args.message) else args.message)
    if isinstance(message, dict) and message.keys() == {"namespace", "message"}:
        args.namespace = next((name for name, uri in NAMESPACES.items() if uri == message["namespace"]), args.namespace)
        message = message["message"]
    if not isinstance(message, dict):
        raise ValueError("a JSON object of one key, the root's name, is needed")

    def attempt(namespace: Namespace) -> bytes:
        octets = {"hexadecimal": bytes.fromhex, "base64": bytes.fromhex}
        return encode(namespace, convert(namespace, message, fragment=args.fragment, **octets), fragment=args.fragment)

    return _first(args, attempt)[1].hex()


T = TypeVar("T")


def _first(args: argparse.Namespace, attempt: Callable[[Namespace], T]) -> tuple[Namespace, T]:
    """The first namespace that `attempt` succeeds with, and what it gave; else the error that came the furthest."""
    furthest: ExiError | None = None
    for namespace in [NAMESPACES[args.namespace]] if args.namespace else NAMESPACES.values():
        try:
            return namespace, attempt(namespace)
        except ExiError as error:
            if furthest is None or _progress(error) > _progress(furthest):
                furthest = error
    assert furthest is not None
    raise furthest


def _progress(error: ExiError) -> tuple[int, int]:
    return error.path.count("/") + bool(error.path), error.bit or 0


def _octets(argument: str) -> bytes:
    raw = _read(argument) if _is_file(argument) else argument.encode()
    try:
        return bytes.fromhex(raw.decode("ascii"))
    except ValueError:
        if _is_file(argument):
            return raw
        raise ValueError("neither hexadecimal octets nor a file") from None


def _without_v2gtp(octets: bytes) -> bytes:
    """The payload, where a V2GTP header (ISO 15118-2, 7.8.3) stands before it."""
    return octets[V2GTP_HEADER_BYTES:] if octets.startswith(V2GTP_VERSION) else octets


def _is_file(argument: str) -> bool:
    try:
        return argument == "-" or Path(argument).is_file()
    except OSError:  # hexadecimal octets are too long for a file name
        return False


def _read(argument: str) -> bytes:
    if argument == "-":
        return sys.stdin.buffer.read(MAX_FILE_BYTES)
    with Path(argument).open("rb") as file:
        return file.read(MAX_FILE_BYTES)
