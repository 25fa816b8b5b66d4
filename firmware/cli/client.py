"""The other end of the control socket: one connection, questions in turn, and events that come unasked."""

from __future__ import annotations

import argparse
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

DEFAULT_SOCKET = "/run/evse/control.sock"
TIMEOUT_S = 10.0

FAILED, USAGE, UNREACHABLE, NOT_ALLOWED = 1, 2, 3, 4
_ROLE_MISSING = -32001

Told = dict[str, Any]


class Failure(Exception):
    """Ends the command with a message and an exit code."""

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Client:
    """A context manager. Every call may raise Failure."""

    def __init__(self, path: str, timeout_s: float | None = None) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_s or TIMEOUT_S)
        self._lines = self._socket.makefile("rb")
        self._count = 0

    def __enter__(self) -> Client:
        try:
            self._socket.connect(self._path)
        except PermissionError as error:
            self.__exit__()
            raise Failure(NOT_ALLOWED, f"{self._path}: {error.strerror}") from error
        except OSError as error:
            self.__exit__()
            raise Failure(UNREACHABLE, f"no daemon at {self._path}: {error.strerror or error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def wait_for(self, seconds: float) -> None:
        """How long an answer may take, from now on."""
        self._socket.settimeout(seconds)

    def call(self, method: str, **params: object) -> Told:
        """Parameters that are None are left out."""
        self._count += 1
        given = {name: value for name, value in params.items() if value is not None}
        request = {"jsonrpc": "2.0", "id": self._count, "method": method, "params": given}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise _gone(error) from error
        while (answer := self._read()).get("id") != self._count:
            pass
        if "error" in answer:
            raise _failure(answer["error"])
        result: Told = answer["result"]
        return result

    def events(self) -> Iterator[tuple[Told, int]]:
        """After Events.Subscribe: each event, and how many before it were dropped. Ends only by Failure."""
        self._socket.settimeout(None)
        while True:
            told = self._read()
            if told.get("method") == "Events.Event":
                yield told["params"]["event"], told["params"]["dropped"]

    def _read(self) -> Told:
        try:
            line = self._lines.readline()
        except OSError as error:
            raise _gone(error) from error
        if not line:
            raise Failure(UNREACHABLE, "the daemon closed the connection")
        told: Told = json.loads(line)
        return told


def _gone(error: OSError) -> Failure:
    return Failure(UNREACHABLE, f"the daemon does not answer: {error.strerror or error}")


def _failure(error: Told) -> Failure:
    return Failure(NOT_ALLOWED if error["code"] == _ROLE_MISSING else FAILED, error["message"])


def add_common(parser: argparse.ArgumentParser) -> None:
    """What every command that asks the daemon takes."""
    parser.add_argument(
        "--json", action="store_true", help="one JSON object (or one a line), by the schema in the manual"
    )
    where = os.environ.get("EVSE_SOCKET", DEFAULT_SOCKET)
    parser.add_argument("--socket", metavar="PATH", default=where, help="the daemon's control socket (EVSE_SOCKET)")


def add_evse(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--evse", type=int, metavar="N", help="only this EVSE")


def add_number(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--evse", type=int, default=1, metavar="N", help="the EVSE's number; 1 without it")


def ask(args: argparse.Namespace, method: str, **params: object) -> Told:
    """One question on a connection of its own."""
    with Client(args.socket) as client:
        return client.call(method, **params)
