"""Keeps EVSEs running: the one place where any exception is caught.

A crashed EVSE is made safe, waits, and starts anew; its siblings go on charging. The wait doubles from 1 s to 30 s and
is forgotten after a minute without a crash.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from firmware.evse import Evse

log = logging.getLogger(__name__)

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0
STEADY_S = 60.0


async def supervise(
    evse: Evse,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Run one EVSE until cancelled."""
    wait_s = FIRST_WAIT_S
    while True:
        started_s = clock()
        try:
            await evse.run()
        except Exception:
            log.exception("evse.%s crashed; safe now, starting anew in %.0f s", evse.number, wait_s)
        evse.make_safe()
        if clock() - started_s > STEADY_S:
            wait_s = FIRST_WAIT_S
        evse.resting = True
        await sleep(wait_s)
        evse.resting = False
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        evse.start_anew()
