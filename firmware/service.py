"""What the service manager is told (sd_notify): ready, how it goes, that it lives, and that it stops.

The watchdog is fed only while every EVSE's control loop turns, or rests after a crash that its supervisor has in hand,
and the loop of the CSMS link answers. This runs on the main loop: when that hangs, nothing is fed either.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence

from firmware.evse import Evse

log = logging.getLogger(__name__)

STATUS_S = 5.0
CSMS_LOOP_S = 30.0
"""A TLS handshake with a slow TPM may hold the CSMS link's loop for seconds."""


class ServiceManager:
    """Speaks to the socket of NOTIFY_SOCKET; without one it is silent."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        told = dict(os.environ) if environment is None else environment
        self._address = told.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        own = told.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = told.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(microseconds) / 1e6 if own and microseconds.isdigit() else None
        """How long it may hear nothing; None for no watchdog."""

    def say(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as told:
                told.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warning("the service manager is not told %s: %s", lines[0], error)


class Watch:
    """`on_csms_loop` runs a call on the loop of the CSMS link; `csms_online` is shown in the status."""

    def __init__(
        self,
        manager: ServiceManager,
        evses: Sequence[Evse],
        on_csms_loop: Callable[[Callable[[], object]], object],
        csms_online: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._manager = manager
        self._evses = evses
        self._on_csms_loop = on_csms_loop
        self._csms_online = csms_online
        self._clock = clock
        self._csms_turned_at_s = clock()

    async def run(self) -> None:
        """Until cancelled."""
        pause_s = STATUS_S if self._manager.watchdog_s is None else min(STATUS_S, self._manager.watchdog_s / 3)
        while True:
            self.look()
            await asyncio.sleep(pause_s)

    def look(self) -> None:
        self._on_csms_loop(self._csms_turned)
        stuck = self.stuck()
        if stuck:
            log.error("the watchdog is not fed: %s", ", ".join(stuck))
            self._manager.say(f"STATUS=stuck: {', '.join(stuck)}")
        else:
            self._manager.say("WATCHDOG=1", f"STATUS={self._status()}")

    def _csms_turned(self) -> None:
        self._csms_turned_at_s = self._clock()

    def stuck(self) -> list[str]:
        """What does not turn any more."""
        found = [f"EVSE {evse.number}" for evse in self._evses if not (evse.resting or evse.alive())]
        if self._clock() - self._csms_turned_at_s > CSMS_LOOP_S:
            found.append("the link to the CSMS")
        return found

    def _status(self) -> str:
        charging = sum(evse.in_transaction for evse in self._evses)
        link = "online" if self._csms_online() else "offline"
        return f"{len(self._evses)} EVSE, {charging} in a transaction, CSMS {link}"
