"""What an EVSE and its vehicle say to each other, as packets with the TLS secrets to read them, for a technician.

Whoever has the file can read that session. So it is short, audited, and the secrets are nowhere else.
"""

import asyncio
import logging
import socket
import time
from contextlib import suppress
from pathlib import Path

from firmware import pcapng
from firmware.control.plc_capture import Take

log = logging.getLogger(__name__)

ETH_P_ALL = 0x0003
"""Frames we send are told to those alone who ask for all."""
IPV6 = b"\x86\xdd"
_ETHERTYPE = slice(12, 14)
_MAX_FRAME = 65_600
_AT_ONCE = 64
"""Frames read before others on the loop have their turn."""


class V2gSource:
    """A `firmware.control.plc_capture.Source`: IPv6 on `interface`, and what comes into `key_log` meanwhile."""

    def __init__(self, interface: str, key_log: Path) -> None:
        """Raises OSError: no such interface, or no right to listen on it."""
        self._interface = interface
        self._key_log = key_log
        self._read_to = 0
        self._take: Take | None = None
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        try:
            self._socket.bind((interface, ETH_P_ALL))
        except OSError:
            self._socket.close()
            raise

    def header(self) -> bytes:
        return pcapng.file_header(self._interface)

    def watch(self, take: Take | None) -> None:
        """None: no more, and the secrets that are on the disk go."""
        self._take = take
        if take is not None:
            self._loop.add_reader(self._socket, self._read)
            return
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._key_log.unlink(missing_ok=True)

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                frame = self._socket.recv(_MAX_FRAME)
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("%s: %s", self._interface, error)
                return
            if frame[_ETHERTYPE] == IPV6:
                self._tell(frame)
            if self._take is None:
                return

    def _tell(self, frame: bytes) -> None:
        """Secrets first: the handshake writes them before it sends what they decrypt."""
        assert self._take is not None
        if lines := self._new_secrets():
            self._take(pcapng.tls_secrets(lines))
        if self._take is not None:
            self._take(pcapng.packet(frame, time.time_ns()))

    def _new_secrets(self) -> bytes:
        """Whole lines that have come since."""
        with suppress(OSError), self._key_log.open("rb") as file:
            file.seek(self._read_to)
            lines = file.read()
            lines = lines[: lines.rfind(b"\n") + 1]
            self._read_to += len(lines)
            return lines
        return b""
