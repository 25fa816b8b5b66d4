"""What a bundle for support takes from the daemon: its configuration and its log, without their secrets."""

import asyncio
import dataclasses
import platform
import re
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from firmware.control.method import Call, Method
from firmware.control.params import Param
from firmware.control.roles import Role

MAX_LOG_BYTES = 2_000_000
HIDDEN = "***"
_SECRET = re.compile(r"password|secret|auth_file|pin", re.IGNORECASE)
_USER_INFO = re.compile(r"(\w+://)[^/@\s]*@")
_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?(?:-----END \1-----|\Z)", re.DOTALL)
_ASSIGNED = re.compile(r"(?i)(password\W{1,4})[^\s\"',;}]+")


async def _config(call: Call) -> object:
    return {"config": _plain(call.station.config)}


def _plain(value: object, name: str = "") -> Any:  # JSON
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name), item.name) for item in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _plain(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item, name) for item in value]
    if _SECRET.search(name) and value not in ("", None, False, True):
        return HIDDEN
    if isinstance(value, str):
        return _USER_INFO.sub(rf"\1{HIDDEN}@", value)
    return value if isinstance(value, bool | int | float | None) else str(value)


async def _versions(call: Call) -> object:
    packages = await asyncio.to_thread(lambda: dict(_packages()))
    return {
        "evsed": call.station.version,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "packages": packages,
    }


def _packages() -> Iterator[tuple[str, str]]:
    for found in distributions():
        yield found.name, found.version


async def _log(call: Call, limit: int) -> object:
    """Empty where the log goes to the journal alone."""
    file = call.station.config.log.file
    text = await asyncio.to_thread(_tail, file, limit) if file else ""
    return {"file": str(file) if file else None, "text": without_secrets(text)}


def _tail(file: Path, limit: int) -> str:
    """The last bytes of the file and of the one before it, from a line's beginning."""
    older = file.with_name(f"{file.name}.1")
    written = b"".join(path.read_bytes() for path in (older, file) if path.exists())
    cut = written[-limit:]
    return (cut if len(written) <= limit else cut.partition(b"\n")[2]).decode(errors="replace")


def without_secrets(text: str) -> str:
    """No PEM block, no password, no user in a URL: whoever wrote them there."""
    return _ASSIGNED.sub(rf"\1{HIDDEN}", without_keys(text))


def without_keys(text: str) -> str:
    """No PEM block, and no user in a URL."""
    return _USER_INFO.sub(rf"\1{HIDDEN}@", _PEM.sub(rf"-----{HIDDEN}-----", text))


BUNDLE_METHODS: dict[str, Method] = {
    "Bundle.Config": Method(Role.TECHNICIAN, _config, {}, "the daemon's configuration without its secrets"),
    "Bundle.Versions": Method(Role.OBSERVER, _versions, {}, "what runs here, to the package"),
    "Log.Read": Method(
        Role.TECHNICIAN,
        _log,
        {"limit": Param(int, MAX_LOG_BYTES, low=1, high=MAX_LOG_BYTES, says="bytes")},
        "the end of the daemon's log file, without secrets",
    ),
}
