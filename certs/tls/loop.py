"""An asyncio loop in a thread of its own, for links whose TLS key is in a TPM.

A real chip takes 200 to 600 ms for a signature, and `ssl` makes it inside the handshake, on the loop that reads the
socket. So every listener for vehicles and the link to the CSMS run on loops of their own, one each, and the daemon's
main loop never waits for the chip. `submit` and `call` lead there, `call_soon_threadsafe` of the other loop back.
"""

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

from certs.errors import CertsError

log = logging.getLogger(__name__)

T = TypeVar("T")


class LoopThread:
    """A named thread that runs one asyncio loop from `start` to `stop`. Also a context manager."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Raises CertsError unless it runs."""
        if self._loop is None:
            raise CertsError(f"the loop {self._name} does not run")
        return self._loop

    def start(self) -> None:
        """Returns once the loop runs."""
        if self._thread is not None:
            raise CertsError(f"the loop {self._name} runs already")
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name=self._name, daemon=True)
        self._thread.start()
        ready.wait()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Cancel what runs, let it finish, and join the thread. Raises CertsError if a task will not end in time."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self.loop.call_soon_threadsafe(self.loop.stop)
        thread.join(timeout_s)
        if thread.is_alive():
            raise CertsError(f"the loop {self._name} did not end in {timeout_s} s")

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine there. From another loop, await it with `asyncio.wrap_future`."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def call(self, function: Callable[[], object]) -> None:
        """Call a function there, soon, and forget its result."""
        self.loop.call_soon_threadsafe(function)

    def _run(self, ready: threading.Event) -> None:
        with asyncio.Runner() as runner:
            self._loop = loop = runner.get_loop()
            loop.call_soon(ready.set)
            loop.run_forever()
            self._loop = None

    def __enter__(self) -> "LoopThread":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
