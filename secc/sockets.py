"""The sockets of one interface: SDP by multicast, TCP on the link-local address. All are bound to the device."""

import logging
import secrets
import socket
import sys
from collections.abc import Callable
from ipaddress import IPv6Address
from pathlib import Path

from secc.ports import SeccError
from secc.sdp import MULTICAST_GROUP, PORT

log = logging.getLogger(__name__)

# `address prefix-interface-index prefix-length scope flags name`, one address a line.
_IF_INET6 = Path("/proc/thread-self/net/if_inet6")
_TENTATIVE = 0x40
_BACKLOG = 4

# V2G_DST_TCP_DATA is a port from 49152 on, and vehicles refuse others. The kernel takes those below 61000 for outgoing
# connections, so one of them may be in use when it is wanted again.
_PORTS = range(61_000, 65_536)
_ATTEMPTS = 16


class InterfaceError(SeccError):
    """The interface is absent or has no usable link-local address."""


class LinkSockets:
    """Opens sockets on `interface` that see traffic of no other one."""

    def __init__(self, interface: str) -> None:
        self._interface = interface

    def address(self) -> IPv6Address:
        """The link-local address.

        Raises:
            InterfaceError: there is none, or duplicate address detection is not through.
        """
        try:
            lines = _IF_INET6.read_text(encoding="ascii").splitlines()
        except OSError as error:
            raise InterfaceError(f"IPv6 is off: {error}") from error
        for line in lines:
            digits, _index, _length, _scope, flags, name = line.split()
            address = IPv6Address(bytes.fromhex(digits))
            if name == self._interface and address.is_link_local and not int(flags, 16) & _TENTATIVE:
                return address
        raise InterfaceError(f"{self._interface} has no link-local address")

    def sdp(self) -> socket.socket:
        """The UDP socket of SDP, member of all nodes on the link.

        Raises:
            InterfaceError: it can't be had.
        """
        return self._open(socket.SOCK_DGRAM, _bind_sdp)

    def listener(self, port: int) -> socket.socket:
        """A listening TCP socket on `port` if it is free; else, or if it is 0, on another that vehicles accept.

        Raises:
            InterfaceError: it can't be had.
        """
        candidates = ([port] if port else []) + [secrets.choice(_PORTS) for _ in range(_ATTEMPTS)]
        for candidate in candidates[:-1]:
            try:
                return self._listener(candidate)
            except InterfaceError as error:
                log.info("%s", error)
        return self._listener(candidates[-1])

    def _listener(self, port: int) -> socket.socket:
        address = self.address()

        def bind(sock: socket.socket, index: int) -> None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((str(address), port, 0, index))
            sock.listen(_BACKLOG)

        return self._open(socket.SOCK_STREAM, bind)

    def _open(self, kind: socket.SocketKind, bind: Callable[[socket.socket, int], None]) -> socket.socket:
        sock = socket.socket(socket.AF_INET6, kind)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface.encode())
            bind(sock, socket.if_nametoindex(self._interface))
        except OSError as error:
            sock.close()
            raise InterfaceError(f"{self._interface}: {error}") from error
        return sock


def _bind_sdp(sock: socket.socket, index: int) -> None:
    sock.bind(("::", PORT, 0, 0))
    group = socket.inet_pton(socket.AF_INET6, MULTICAST_GROUP) + index.to_bytes(4, sys.byteorder)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
