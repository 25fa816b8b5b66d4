"""Accepts TCP connections for as long as it is open, whatever single ones come to."""

import asyncio
import logging
import socket
from collections.abc import Callable

log = logging.getLogger(__name__)

# Out of file descriptors the socket stays readable: without a pause the loop would spin.
_PAUSE_S = 1.0


class Listener:
    """Calls `on_accept` with each accepted socket."""

    def __init__(self, sock: socket.socket, on_accept: Callable[[socket.socket], None]) -> None:
        self._sock = sock
        self._on_accept = on_accept
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self.port: int = sock.getsockname()[1]
        self._watch()

    def close(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _watch(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        try:
            accepted, _address = self._sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            log.error("can't accept connections: %s", error)
            self._loop.remove_reader(self._sock)
            self._pause = self._loop.call_later(_PAUSE_S, self._watch)
            return
        accepted.setblocking(False)
        self._on_accept(accepted)
