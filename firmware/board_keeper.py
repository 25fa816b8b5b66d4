"""Opens an EVSE's board. One that does not answer is a fault of this EVSE, and is looked for as long as it takes."""

import asyncio
import logging
import time

from firmware.evse import Evse
from firmware.facts import LimitSource, LocalLimit
from hal.faults import severity_of
from hal.ports import BoardFault, BoardSupport, BoardUnavailable, EvseCapabilities, Fault

log = logging.getLogger(__name__)

RETRY_S = 2.0


async def open_board(evse: Evse, board: BoardSupport, max_current_a: float) -> None:
    """Returns once the board is open and its limit known to the session."""
    capabilities = evse.capabilities = await _until_it_answers(evse, board)
    log.info("evse.%s: board %s, firmware %s", evse.number, capabilities.model, capabilities.firmware)
    evse.report(LocalLimit(LimitSource.BOARD, min(capabilities.max_current_a, max_current_a)))


async def _until_it_answers(evse: Evse, board: BoardSupport) -> EvseCapabilities:
    silent = False
    while True:
        try:
            capabilities = await board.open()
        except BoardUnavailable as error:
            if not silent:
                log.error("evse.%s: %s", evse.number, error)
                evse.report(_silence(str(error), active=True))
            silent = True
            await asyncio.sleep(RETRY_S)
        else:
            if silent:
                evse.report(_silence("the board answers", active=False))
            return capabilities


def _silence(detail: str, *, active: bool) -> BoardFault:
    fault = Fault.COMMUNICATION_FAULT
    return BoardFault(fault, active, severity_of(fault), detail, time.monotonic())
