"""RAUC by its command: what is in the slots, what a bundle is, and installing one.

The command talks to the RAUC service, which runs as root and alone writes slots; the daemon needs no right of its own.
"""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ocpp_client.ports import FirmwareError

log = logging.getLogger(__name__)

QUICK_S = 30.0
INSTALL_S = 3600.0
BUSY_WAIT_S = 5.0
BUSY_TRIES = 120
_PROGRESS = re.compile(rb"^\s*(\d{1,3})% ")
_EPOCH = re.compile(r"\+epoch\.(\d{1,9})$")


class RaucError(FirmwareError):
    """The command failed; the text is its last line."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose signature leads to RAUC's keyring."""

    compatible: str
    version: str


@dataclass(frozen=True, slots=True)
class Slot:
    name: str
    bootname: str
    booted: bool
    good: bool
    version: str
    """Of the bundle that was installed there; empty when RAUC did not install it."""


@dataclass(frozen=True, slots=True)
class SlotStatus:
    compatible: str
    primary: str
    """The slot that starts next."""
    slots: tuple[Slot, ...]

    @property
    def booted(self) -> Slot | None:
        return next((slot for slot in self.slots if slot.booted), None)

    @property
    def other(self) -> Slot | None:
        """The first bootable slot that does not run."""
        return next((slot for slot in self.slots if not slot.booted and slot.bootname), None)


def epoch_of(version: str) -> int:
    """The security epoch in a version, as in `2026.5.1+epoch.3`: what the rollback floor counts. 0 for none."""
    found = _EPOCH.search(version)
    return int(found[1]) if found else 0


class Rauc:
    """`command` and `environment` reach another service than the system's, for tests."""

    def __init__(self, command: Sequence[str] = ("rauc",), environment: Mapping[str, str] | None = None) -> None:
        self._command = tuple(command)
        self._environment = None if environment is None else dict(environment)

    async def status(self) -> SlotStatus:
        """Raises RaucError."""
        told = _object(await self._run("status", "--detailed", "--output-format=json"))
        try:
            slots = tuple(_slot(name, slot) for entry in told["slots"] for name, slot in entry.items())
            return SlotStatus(told["compatible"], told["boot_primary"] or "", slots)
        except (KeyError, TypeError, AttributeError) as error:
            raise RaucError(f"its status cannot be read: {error!r}") from error

    async def info(self, image: str) -> Bundle:
        """Raises RaucError for a bundle that is not whole, or not by a key of the keyring."""
        told = _object(await self._run("info", "--output-format=json", image))
        try:
            return Bundle(str(told["compatible"]), str(told["version"] or ""))
        except KeyError as error:
            raise RaucError(f"the bundle does not say its {error}") from error

    async def install(self, image: str, progress: Callable[[int], None]) -> None:
        """Raises RaucError. `progress` hears percents. Cancelled, the service goes on by itself."""
        await self._run("install", image, timeout_s=INSTALL_S, progress=progress)

    async def mark(self, state: Literal["good", "bad", "active"], slot: str = "booted") -> None:
        """`slot`: booted, other, or a name. Raises RaucError."""
        await self._run("status", f"mark-{state}", slot)

    async def _run(
        self, *arguments: str, timeout_s: float | None = None, progress: Callable[[int], None] = lambda _percent: None
    ) -> bytes:
        """A service that is busy, perhaps with what a daemon before us began, is waited for."""
        for _ in range(BUSY_TRIES - 1):
            try:
                return await self._once(arguments, timeout_s or QUICK_S, progress)
            except RaucError as error:
                if "already processing" not in str(error):
                    raise
            await asyncio.sleep(BUSY_WAIT_S)
        return await self._once(arguments, timeout_s or QUICK_S, progress)

    async def _once(self, arguments: Sequence[str], timeout_s: float, progress: Callable[[int], None]) -> bytes:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment,
            )
        except OSError as error:
            raise RaucError(f"{self._command[0]}: {error}") from error
        try:
            async with asyncio.timeout(timeout_s):
                told, said = await asyncio.gather(_read(process.stdout, progress), _read(process.stderr, progress))
                code = await process.wait()
        except TimeoutError as error:
            raise RaucError(f"no answer to {arguments[0]} in {timeout_s:.0f} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code != 0:
            raise RaucError(_reason(said + told))
        return told


async def _read(stream: asyncio.StreamReader | None, progress: Callable[[int], None]) -> bytes:
    lines = []
    while stream is not None and (line := await stream.readline()):
        lines.append(line)
        if percent := _PROGRESS.match(line):
            progress(int(percent[1]))
    return b"".join(lines)


def _reason(said: bytes) -> str:
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if "LastError" in line or "rror" in line or "failed" in line]
    return (telling or lines or ["it says nothing"])[-1][:300]


def _object(told: bytes) -> dict[str, Any]:  # as RAUC words it
    try:
        found = json.loads(told)
    except ValueError as error:
        raise RaucError(f"its answer is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise RaucError("its answer is no object")
    return found


def _slot(name: str, told: dict[str, object]) -> Slot:
    installed = told.get("slot_status")
    bundle = installed.get("bundle") if isinstance(installed, dict) else None
    version = bundle.get("version") if isinstance(bundle, dict) else None
    return Slot(
        name,
        str(told.get("bootname") or ""),
        told["state"] == "booted",
        told.get("boot_status") == "good",
        str(version or ""),
    )
