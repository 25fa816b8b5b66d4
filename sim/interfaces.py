"""The settings of a virtual Ethernet interface that frames bridged by hand need. Linux only."""

import ctypes
import fcntl
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS = 0x8913
IFF_RUNNING = 0x40
SIOCETHTOOL = 0x8946
ETHTOOL_SRXCSUM = 0x15
ETHTOOL_STXCSUM = 0x17
ETHTOOL_SGSO = 0x24
ETHTOOL_SGRO = 0x2C
ADDR_GEN_MODE_EUI64 = "0"


@contextmanager
def inside(netns: str) -> Iterator[None]:
    """The calling thread in the named network namespace, and back."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as home, Path("/run/netns", netns).open("rb") as there:
        _setns(libc, there.fileno())
        try:
            yield
        finally:
            _setns(libc, home.fileno())


def _setns(libc: ctypes.CDLL, descriptor: int) -> None:
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def configure_interface(interface: str, *, ipv6: bool) -> None:
    """Before it goes up: a link-local address from its MAC, usable without waiting for duplicate address detection, and
    every checksum in the frames, because a frame that crosses a packet socket is never finished by the kernel."""
    conf = Path("/proc/sys/net/ipv6/conf", interface)
    if conf.is_dir():
        settings = {"accept_dad": "0", "addr_gen_mode": ADDR_GEN_MODE_EUI64, "disable_ipv6": "0" if ipv6 else "1"}
        for name, value in settings.items():
            (conf / name).write_text(value, encoding="ascii")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in (ETHTOOL_STXCSUM, ETHTOOL_SRXCSUM, ETHTOOL_SGSO, ETHTOOL_SGRO):
            _ethtool_set(control, interface, command, 0)


def wait_until_running(interface: str, *, timeout_s: float = 5.0) -> None:
    """The kernel notices a carrier up to a second after both ends are up. Raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        while not _flags(control, interface) & IFF_RUNNING:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{interface} has no carrier")
            time.sleep(0.005)


def _flags(control: socket.socket, interface: str) -> int:
    answer = fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16sH14x", interface.encode(), 0))
    flags: int = struct.unpack("16xH14x", answer)[0]
    return flags


def _ethtool_set(control: socket.socket, interface: str, command: int, value: int) -> None:
    setting = ctypes.create_string_buffer(struct.pack("II", command, value))
    request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(setting))
    fcntl.ioctl(control, SIOCETHTOOL, request)
