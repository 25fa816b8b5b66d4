"""A lock that serves the urgent first: a vehicle in its handshake does not wait behind a key that is being made."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Who holds the TPM. Not re-entrant."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = False
        self._urgent_waiting = 0

    @contextmanager
    def turn(self, urgent: bool, limit_s: float | None = None) -> Iterator[None]:
        """Wait for the TPM, hold it for the block. Of those who wait, the urgent go first. Raises TimeoutError."""
        with self._changed:
            self._urgent_waiting += urgent
            free = self._changed.wait_for(
                lambda: not self._taken and (urgent or self._urgent_waiting == 0), timeout=limit_s
            )
            self._urgent_waiting -= urgent
            if not free:
                self._changed.notify_all()
                raise TimeoutError
            self._taken = True
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()
