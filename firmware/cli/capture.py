"""`evse slac capture`, `evse v2g trace`: the daemon's pages, one after the other, into a file.

Ctrl-C ends it and keeps what has come.
"""

from __future__ import annotations

import argparse
import base64
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from firmware.cli import out
from firmware.cli.client import FAILED, USAGE, Client, Failure, Told


@dataclass(frozen=True, slots=True)
class Methods:
    start: str
    read: str
    stop: str


SLAC = Methods("Slac.StartCapture", "Slac.ReadCapture", "Slac.StopCapture")
V2G = Methods("V2g.StartTrace", "V2g.ReadTrace", "V2g.StopTrace")


def capture(args: argparse.Namespace, methods: Methods = SLAC) -> int:
    """The file is touched only once the capture has begun. Raises Failure."""
    if args.file == "-" and args.json:
        raise Failure(USAGE, "standard output is the capture's; leave out --json")
    with Client(args.socket) as client, _interrupts() as interrupted:
        begun = client.call(methods.start, evse=args.evse, for_s=args.seconds)
        told: Told = {"ended": None}
        try:
            with _opened(args.file) as file:
                for told in _pages(client, methods, begun["capture"], interrupted):
                    file.write(base64.b64decode(told["pcap"]))
                    file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise Failure(FAILED, f"{args.file}: {error.strerror}") from error
        finally:
            if told["ended"] is None:
                client.call(methods.stop, capture=begun["capture"])
    summary = {"evse": args.evse, "file": args.file, **{name: told[name] for name in ("frames", "lost", "ended")}}
    if args.json:
        out.as_json(summary)
    else:
        lost = f", {told['lost']} more lost" if told["lost"] else ""
        print(f"{told['frames']} frames in {args.file}{lost}; ended by {told['ended']}", file=sys.stderr)
    return 0


def _pages(client: Client, methods: Methods, number: int, interrupted: Callable[[], bool]) -> Iterator[Told]:
    """To the last one, which tells why it is."""
    stopped = False
    while True:
        if interrupted() and not stopped:
            stopped = True
            client.call(methods.stop, capture=number)
        told = client.call(methods.read, capture=number)
        yield told
        if told["ended"] is not None:
            return


def _opened(file: str) -> nullcontext[BinaryIO] | BinaryIO:
    return nullcontext(sys.stdout.buffer) if file == "-" else Path(file).open("wb")


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed: in the middle of an answer it would lose the rest of it."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event.is_set
        return
    before = signal.signal(signal.SIGINT, lambda *_: event.set())
    try:
        yield event.is_set
    finally:
        signal.signal(signal.SIGINT, before)
