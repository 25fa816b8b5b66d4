"""A packet socket for HomePlug AV frames on one interface. It needs CAP_NET_RAW.

It is opened once and never again: an interface that goes down and comes back keeps its socket.
"""

import errno
import fcntl
import socket
import struct
from collections.abc import Iterator

from hal.plc.frame import ETH_P_HPAV
from hal.ports import HalError

SOL_PACKET = 263
PACKET_IGNORE_OUTGOING = 23
_LONGEST_FRAME = 2048
_SIOCGIFFLAGS = 0x8913
_IFF_RUNNING = 0x40
# No more frames than these before others of the loop get their turn.
FRAMES_A_WAKE = 32


class PortError(HalError):
    """The interface does not exist, or the right to open a packet socket on it is missing."""


class InterfaceGone(HalError):
    """The interface was removed; a new one of the same name needs a new port."""


class InterfaceDown(HalError):
    """The interface is down; it may come back."""


class PacketPort:
    """Sends and receives whole Ethernet frames of EtherType 0x88E1 without blocking."""

    def __init__(self, interface: str) -> None:
        """Raises PortError."""
        self.interface = interface
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError as error:
            raise PortError("a packet socket needs CAP_NET_RAW") from error
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            self._socket.bind((interface, ETH_P_HPAV))
        except OSError as error:
            self._socket.close()
            raise PortError(f"{interface}: {error.strerror}") from error
        self.mac: bytes = self._socket.getsockname()[4]

    def fileno(self) -> int:
        return self._socket.fileno()

    def is_running(self) -> bool:
        """Up and with a carrier. Raises InterfaceGone."""
        request = struct.pack("16sH14x", self.interface.encode(), 0)
        try:
            answer = fcntl.ioctl(self._socket, _SIOCGIFFLAGS, request)
        except OSError as error:
            raise InterfaceGone(f"{self.interface}: {error.strerror}") from error
        flags: int = struct.unpack("16xH14x", answer)[0]
        return bool(flags & _IFF_RUNNING)

    def frames(self) -> Iterator[bytes]:
        """What has come in, at most FRAMES_A_WAKE frames. Raises InterfaceDown."""
        for _ in range(FRAMES_A_WAKE):
            try:
                frame = self._socket.recv(_LONGEST_FRAME)
            except BlockingIOError:
                return
            except OSError as error:
                raise self._down(error) from error
            yield frame

    def send(self, frame: bytes) -> bool:
        """Whether it went out; a full queue loses it, as the line may. Raises InterfaceDown."""
        try:
            self._socket.send(frame)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ENOBUFS):
                return False
            raise self._down(error) from error
        return True

    def close(self) -> None:
        self._socket.close()

    def _down(self, error: OSError) -> InterfaceDown:
        return InterfaceDown(f"{self.interface}: {error.strerror}")
