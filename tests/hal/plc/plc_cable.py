"""A modem's interface without a network: a socket pair behind the packet port, with a line and modems beyond."""

import asyncio
import errno
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from hal.plc import link as link_module
from hal.plc import port as port_module
from sim.plc.powerline import Powerline, Role, VirtualModem
from sim.plc.vehicle import EvSlac
from tests.hal.plc.plc_talk import EV, EVSE, MODEM

PEER = bytes.fromhex("00b052aa0002")


class Interface:
    """What the fake packet sockets of a test stand on."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self.ours, self.theirs):
            end.setblocking(False)
        self.exists = True
        self.running = True
        self.refuse: int | None = None
        self.opened = 0

    def packet_socket(self, *_arguments: int) -> "FakeSocket":
        if self.refuse == errno.EPERM:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        self.opened += 1
        return FakeSocket(self)


class FakeSocket:
    """As much of a packet socket as the port uses."""

    def __init__(self, interface: Interface) -> None:
        self.interface = interface
        self.errors: list[OSError] = []

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def setsockopt(self, *option: int) -> None:
        assert option == (263, 23, 1)

    def bind(self, address: tuple[str, int]) -> None:
        assert address[1] == 0x88E1
        if not self.interface.exists:
            raise OSError(errno.ENODEV, "No such device")

    def getsockname(self) -> tuple[object, ...]:
        return ("plc0", 0x88E1, 0, 1, EVSE)

    def fileno(self) -> int:
        return self.interface.ours.fileno()

    def recv(self, size: int) -> bytes:
        if not self.interface.running:
            raise OSError(errno.ENETDOWN, "Network is down")
        return self.interface.ours.recv(size)

    def send(self, frame: bytes) -> None:
        if self.interface.refuse is not None:
            raise OSError(self.interface.refuse, "refused")
        if not self.interface.running:
            raise OSError(errno.ENETDOWN, "Network is down")
        self.interface.ours.send(frame)

    def close(self) -> None:
        pass


@contextmanager
def fake_interface(monkeypatch: pytest.MonkeyPatch) -> Iterator[Interface]:
    """What a `GreenPhyLink` on any name finds, while this lasts."""
    interface = Interface()

    def flags(descriptor: object, request: int, argument: bytes) -> bytes:
        if not interface.exists:
            raise OSError(errno.ENODEV, "No such device")
        return argument[:16] + struct.pack("H14x", 0x40 if interface.running else 0)

    # Stand-ins for the modules as the port sees them: the test's own event loop keeps its sockets.
    packets = SimpleNamespace(socket=interface.packet_socket, AF_PACKET=socket.AF_PACKET, SOCK_RAW=socket.SOCK_RAW)
    monkeypatch.setattr(port_module, "socket", packets)
    monkeypatch.setattr(port_module, "fcntl", SimpleNamespace(ioctl=flags))
    monkeypatch.setattr(link_module, "INTERFACE_POLL_S", 0.01)
    monkeypatch.setattr(link_module, "driver_counters", lambda name: {})
    try:
        yield interface
    finally:
        interface.ours.close()
        interface.theirs.close()


class Cable:
    """The far end of the interface: a line with the station's modem and a vehicle."""

    def __init__(self, interface: Interface) -> None:
        self.interface = interface
        self.modem = VirtualModem("evse", Role.EVSE, MODEM)
        self.ev_modem = VirtualModem("ev", Role.EV, PEER)
        self.line = Powerline([self.modem, self.ev_modem], join_delay_s=0.05)
        self.vehicle = EvSlac(EV)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            self.vehicle.tick(now)
            for frame in self.vehicle.take_frames():
                self.deliver(self.line.from_host(self.ev_modem, frame, now), now)
            try:
                while True:
                    frame = self.interface.theirs.recv(2000)
                    self.deliver(self.line.from_host(self.modem, frame, now), now)
            except BlockingIOError:
                await asyncio.sleep(0.002)

    def deliver(self, deliveries: list[tuple[VirtualModem, bytes]], now: float) -> None:
        for modem, frame in deliveries:
            if modem is self.modem:
                self.interface.theirs.send(frame)
            else:
                self.vehicle.feed(frame, now)
