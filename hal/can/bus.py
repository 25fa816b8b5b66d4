"""A CAN bus shared by the drivers of its devices: Linux's SocketCAN, and a bus of Unix datagrams where there is none.

`bus_of("can0")` or `bus_of("unix:/run/evse/can")`. On a bus nobody waits: what cannot be sent at once is dropped and
counted, as a controller without a free mailbox does, and drivers repeat what matters.
"""

import asyncio
import itertools
import os
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from hal.can.frame import FRAME_LENGTH, CanFrame
from hal.ports import HalError

UNIX = "unix:"
QUEUE_LENGTH = 64
FLUSH_S = 0.001
Take = Callable[[CanFrame], None]


class CanError(HalError):
    """The bus cannot be used; the message names it and the cause."""


class CanBus(Protocol):
    """`dropped` counts frames that could not be sent."""

    dropped: int

    def open(self) -> None:
        """Raises CanError. Once is enough, however many share the bus."""
        ...

    def close(self) -> None: ...

    def subscribe(self, take: Take) -> None:
        """`take` gets every frame of the others, on the event loop."""
        ...

    def send(self, frame: CanFrame) -> None:
        """At once or not at all."""
        ...


class _SocketBus:
    """What both kinds share: one non-blocking socket that gives a frame a datagram."""

    def __init__(self, name: str) -> None:
        self.dropped = 0
        self._name = name
        self._socket: socket.socket | None = None
        self._takers: list[Take] = []

    def open(self) -> None:
        if self._socket is not None:
            return
        try:
            self._socket = self._make()
        except OSError as error:
            raise CanError(f"{self._name}: {error}") from error
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._readable)

    def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def subscribe(self, take: Take) -> None:
        self._takers.append(take)

    def send(self, frame: CanFrame) -> None:
        if self._socket is None:
            self.dropped += 1
            return
        try:
            self._put(self._socket, frame.to_bytes())
        except OSError:
            self.dropped += 1

    def _make(self) -> socket.socket:
        raise NotImplementedError

    def _put(self, line: socket.socket, octets: bytes) -> None:
        line.send(octets)

    def _readable(self) -> None:
        if self._socket is None:
            return
        # An interface that goes down reads as an error, and is there again when it comes up.
        with suppress(OSError):
            frame = CanFrame.from_bytes(self._socket.recv(FRAME_LENGTH + 1))
            for take in self._takers if frame is not None else ():
                assert frame is not None
                take(frame)


class SocketCan(_SocketBus):
    """An interface of Linux, already up with its bit rate (`ip link set can0 up type can bitrate 125000`)."""

    def _make(self) -> socket.socket:
        family, protocol = getattr(socket, "AF_CAN", None), getattr(socket, "CAN_RAW", 1)
        if family is None:
            raise OSError("this Python has no SocketCAN")
        line = socket.socket(family, socket.SOCK_RAW, protocol)
        try:
            line.bind((self._name,))
        except OSError:
            line.close()
            raise
        return line


class DatagramBus(_SocketBus):
    """A directory of sockets: whoever has one in it hears what the others send.

    The kernel takes few datagrams before the other end has read; what it does not take waits, as in a transmit queue.
    """

    _numbers = itertools.count(1)

    def __init__(self, directory: Path) -> None:
        super().__init__(str(directory))
        self._directory = directory
        self._own = directory / f"{os.getpid()}-{next(self._numbers)}"
        self._waiting: deque[tuple[Path, bytes]] = deque()
        self._flushing: asyncio.TimerHandle | None = None

    def close(self) -> None:
        if self._flushing is not None:
            self._flush()
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        super().close()
        self._own.unlink(missing_ok=True)

    def _make(self) -> socket.socket:
        self._directory.mkdir(parents=True, exist_ok=True)
        line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._own.unlink(missing_ok=True)
        line.bind(str(self._own))
        return line

    def _put(self, line: socket.socket, octets: bytes) -> None:
        for other in self._directory.iterdir():
            if other != self._own and (self._waiting or not self._sent(line, other, octets)):
                self._wait(other, octets)

    def _sent(self, line: socket.socket, other: Path, octets: bytes) -> bool:
        """False: try again later."""
        try:
            line.sendto(octets, str(other))
        except BlockingIOError:
            return False
        except ConnectionRefusedError:
            other.unlink(missing_ok=True)  # Its owner died without a word.
        except OSError:
            self.dropped += 1
        return True

    def _wait(self, other: Path, octets: bytes) -> None:
        if len(self._waiting) >= QUEUE_LENGTH:
            self.dropped += 1
            return
        self._waiting.append((other, octets))
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(FLUSH_S, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        while self._socket is not None and self._waiting:
            if not self._sent(self._socket, *self._waiting[0]):
                self._flushing = asyncio.get_running_loop().call_later(FLUSH_S, self._flush)
                return
            self._waiting.popleft()


def bus_of(name: str) -> CanBus:
    return DatagramBus(Path(name.removeprefix(UNIX))) if name.startswith(UNIX) else SocketCan(name)
