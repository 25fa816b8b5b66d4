"""`evse top`: one live screen an EVSE. Keys: 1 to 9 choose the EVSE, q ends."""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from firmware.cli import out
from firmware.cli.client import Client, add_common
from firmware.cli.screen import Histories, Line, render

CLEAR, HOME, TO_END, TO_LINE_END = "\x1b[2J", "\x1b[H", "\x1b[J", "\x1b[K"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
LEAST_S = 0.2


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("top", help="one live screen an EVSE")
    parser.add_argument("evse", type=int, nargs="?", default=1, metavar="EVSE", help="its number; 1 without it")
    parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="how often; 1 without it")
    parser.add_argument("--ascii", action="store_true", help="no other signs, for a serial console")
    parser.add_argument("--count", type=int, metavar="N", help="end after so many screens")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """With --json the statuses, one a line."""
    with Client(args.socket) as client, _keys() as next_key:
        view = View(client, args)
        while view.show() and (key := next_key(max(args.every, LEAST_S))) != "q":
            view.choose(key)
    return 0


class View:
    """Which EVSE is looked at, and what was seen of all of them."""

    def __init__(self, client: Client, args: argparse.Namespace) -> None:
        self._client = client
        self._args = args
        self._chosen: int = args.evse
        self._histories: dict[int, Histories] = {}
        self._left: int | None = args.count

    def choose(self, key: str) -> None:
        if key.isdigit() and int(key) in self._histories:
            self._chosen = int(key)

    def show(self) -> bool:
        """One screen; False when it was the last. Raises Failure."""
        told, why = self._client.call("Station.Status"), self._client.call("Evse.Why", evse=self._chosen)
        numbers = [evse["evse"] for evse in told["evses"]]
        for evse in told["evses"]:
            self._histories.setdefault(evse["evse"], Histories()).take(evse["meter"])
        if self._args.json:
            print(json.dumps(told), flush=True)
        else:
            seen = self._histories[self._chosen]
            index, utf8 = numbers.index(self._chosen), self._utf8()
            _draw(render(told, why, index, seen, wide=out.width(), high=_height(), utf8=utf8))
        if self._left is not None:
            self._left -= 1
        return self._left != 0

    def _utf8(self) -> bool:
        return not self._args.ascii and sys.stdout.encoding.lower() == "utf-8"


def _draw(lines: list[Line]) -> None:
    if not out.is_terminal():
        print("\n".join(line.text for line in lines))
        return
    body = f"{TO_LINE_END}\r\n".join(out.styled(line.text, line.style) for line in lines)
    sys.stdout.write(f"{HOME}{body}{TO_LINE_END}{TO_END}")
    sys.stdout.flush()


def _height() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).lines or 24
    except OSError:
        return 24


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """A function that waits for a key and returns it, or nothing when the time is up; the terminal is put back."""
    if not (sys.stdin.isatty() and out.is_terminal()):
        yield _sleep
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    sys.stdout.write(HIDE + CLEAR)
    try:
        yield _key
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        sys.stdout.write(f"{SHOW}\r\n")
        sys.stdout.flush()


def _key(timeout_s: float) -> str:
    if select.select([sys.stdin], [], [], timeout_s)[0]:
        return os.read(sys.stdin.fileno(), 1).decode("ascii", "replace") or "q"
    return ""


def _sleep(timeout_s: float) -> str:
    time.sleep(timeout_s)
    return ""
