"""`evse bundle`: everything support asks for, in one archive. Secrets are never in it; with --redact no identities.

A part that cannot be had (a role that is missing, an EVSE without a modem) is told in `missing.json`, and the rest
comes all the same.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

from firmware.cli import out
from firmware.cli.client import FAILED, USAGE, Client, Failure, add_common
from firmware.cli.identities import Identities
from firmware.cli.progress import Progress

PARTS: dict[str, tuple[str, dict[str, object]]] = {
    "versions.json": ("Bundle.Versions", {}),
    "status.json": ("Station.Status", {}),
    "config.json": ("Bundle.Config", {}),
    "variables.json": ("Config.List", {}),
    "events.json": ("Events.List", {"limit": 1000}),
    "faults.json": ("Faults.List", {"history": True}),
    "sessions.json": ("Session.List", {"limit": 100}),
    "slac.json": ("Slac.Last", {"limit": 50}),
    "plc.json": ("Plc.Info", {}),
    "ocpp.json": ("Ocpp.Status", {}),
    "queue.json": ("Ocpp.Queue", {"limit": 500}),
    "certificates.json": ("Certs.List", {}),
    "levels.json": ("Log.Levels", {}),
    "audit.json": ("Audit.Show", {"limit": 500}),
    "log.json": ("Log.Read", {}),
}
LATEST_SESSIONS = 10
JOURNAL = ("journalctl", "--unit=evse", "--no-pager", "--output=short-iso-precise", "--lines=5000")


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("bundle", help="everything support asks for, in one archive")
    parser.add_argument("file", type=Path, help="NAME.tar.gz, or NAME.tar.zst where zstd is installed")
    parser.add_argument("--redact", action="store_true", help="no tokens, contracts, MAC addresses, names of the site")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    _check_name(args.file)
    with Client(args.socket) as client, Progress(len(PARTS) + 2, quiet=args.json) as progress:
        taken, missing = _taken(client, progress)
    files = {name: json.dumps(value, indent=2) for name, value in taken.items() if name != "log.json"}
    files["evsed.log"] = _log(taken)
    files["missing.json"] = json.dumps(missing, indent=2)
    if args.redact:
        identities = Identities()
        for value in taken.values():
            identities.learn(value)
        files = {name: identities.struck_out(text) for name, text in files.items()}
    try:
        _write(args.file, files)
    except OSError as error:
        raise Failure(FAILED, f"{args.file}: {error.strerror or error}") from error
    told = {"file": str(args.file), "bytes": args.file.stat().st_size, "files": sorted(files), "missing": missing}
    if args.json:
        out.as_json(told)
    else:
        print(f"{args.file}: {told['bytes'] / 1000:.0f} kB, {len(files)} files")
        for name, why in missing.items():
            print(out.styled(f"without {name}: {why}", out.YELLOW))
    return 0


def _check_name(file: Path) -> None:
    if not file.name.endswith((".tar.gz", ".tar.zst")):
        raise Failure(USAGE, f"{file}: ends neither in .tar.gz nor in .tar.zst")
    if file.name.endswith(".zst") and shutil.which("zstd") is None:
        raise Failure(USAGE, "zstd is not installed; take a .tar.gz")


def _taken(client: Client, progress: Progress) -> tuple[dict[str, object], dict[str, str]]:
    taken: dict[str, object] = {}
    missing: dict[str, str] = {}
    for name, (method, params) in PARTS.items():
        progress.begins(name)
        _take(client, name, method, params, taken, missing)
    progress.begins("sessions")
    status = taken.get("status.json")
    for evse in status["evses"] if isinstance(status, dict) else ():
        _take(client, f"why-{evse['evse']}.json", "Evse.Why", {"evse": evse["evse"]}, taken, missing)
    sessions = taken.get("sessions.json")
    for session in sessions["sessions"][-LATEST_SESSIONS:] if isinstance(sessions, dict) else ():
        number = str(session["session"])
        _take(client, f"session-{number}.json", "Session.Show", {"id": number}, taken, missing)
    progress.begins("archive")
    return taken, missing


def _take(
    client: Client,
    name: str,
    method: str,
    params: dict[str, object],
    taken: dict[str, object],
    missing: dict[str, str],
) -> None:
    try:
        taken[name] = client.call(method, **params)
    except Failure as failure:
        if failure.exit_code not in (FAILED, 4):
            raise
        missing[name] = str(failure)


def _log(taken: dict[str, object]) -> str:
    """The daemon's file; where it has none, the journal's lines, if this user may read them."""
    from firmware.control.bundle import without_secrets

    told = taken.get("log.json")
    if isinstance(told, dict) and told["text"]:
        return str(told["text"])
    try:
        found = subprocess.run(JOURNAL, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return without_secrets(found.stdout.decode(errors="replace")) if found.returncode == 0 else ""


def _write(file: Path, files: dict[str, str]) -> None:
    """Raises OSError."""
    name = file.name.partition(".tar.")[0]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz" if file.name.endswith(".gz") else "w") as archive:
        for member, content in _members(name, files):
            archive.addfile(member, io.BytesIO(content))
    data = packed.getvalue()
    if file.name.endswith(".zst"):
        data = subprocess.run(("zstd", "-q", "-c"), input=data, capture_output=True, check=True).stdout
    file.write_bytes(data)
    file.chmod(0o600)


def _members(name: str, files: dict[str, str]) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    for path, text in sorted(files.items()):
        content = text.encode()
        member = tarfile.TarInfo(f"{name}/{path}")
        member.size, member.mtime, member.mode = len(content), int(time.time()), 0o600
        yield member, content
