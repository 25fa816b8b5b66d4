"""The board with our own safety MCU: a serial board over the EVSE-MCU link, and the commands the link has beside it."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from hal.diagnostics import BoardDiagnostics, Measurements, SelfTest, Verdict
from hal.mcu.link import McuLink
from hal.mcu.payloads import Ack, AckResult, CommandCode
from hal.mcu.translate import measurements_from
from hal.mcu.wire import McuWire
from hal.ports import BoardUnavailable, Report
from hal.quantities import EvseId
from hal.serial_board import SerialBoard
from hal.wall_clock import utc_now

COMMAND_TIMEOUT_S = 0.5
COMMAND_TRIES = 3
TEST_TIMEOUT_S = 3.0

_CODES = {SelfTest.RCD: CommandCode.RCD_TEST}
_VERDICTS = {
    AckResult.DONE: Verdict.PASSED,
    AckResult.UNSUPPORTED: Verdict.UNSUPPORTED,
    AckResult.REFUSED: Verdict.REFUSED,
    AckResult.FAILED: Verdict.FAILED,
}


class McuBoard(SerialBoard):
    """`BoardSupport` over the EVSE-MCU link. `channel` is the EVSE's number on its board, where a board has several.

    `alive` ties the heartbeat to whoever supervises: while it says False no CONTROL is sent and the MCU's watchdog
    ends power. It is asked on the event loop and must not block.
    """

    def __init__(
        self,
        device: str,
        evse: EvseId,
        report: Report,
        *,
        channel: int = 1,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = utc_now,
        alive: Callable[[], bool] = lambda: True,
    ) -> None:
        self._link = McuLink(channel, int.from_bytes(os.urandom(4)), alive)
        self._acks: dict[int, asyncio.Future[int]] = {}
        self._mcu = McuWire(self._link, self._acknowledged)
        super().__init__(device, evse, report, self._mcu, clock=clock, wall=wall)

    @property
    def diagnostics(self) -> BoardDiagnostics:
        return self

    def measurements(self) -> Measurements:
        self.snapshot()  # Raises for levels that are old.
        return measurements_from(self._mcu.state, self._mcu.telemetry)

    async def self_test(self, test: SelfTest) -> Verdict:
        self.snapshot()
        return _VERDICTS[await self.command(_CODES[test], tries=1, timeout_s=TEST_TIMEOUT_S)]

    async def clear_faults(self) -> Verdict:
        return _VERDICTS[await self.reset_faults()]

    async def command(
        self, code: CommandCode, *, tries: int = COMMAND_TRIES, timeout_s: float | None = None
    ) -> AckResult:
        """Have the MCU do something once. Raises BoardUnavailable when no ACK comes."""
        for _ in range(tries):
            seq = self._link.command(code)
            self._acks[seq] = asyncio.get_running_loop().create_future()
            self._flush()
            try:
                async with asyncio.timeout(COMMAND_TIMEOUT_S if timeout_s is None else timeout_s):
                    return AckResult(await self._acks[seq])
            except TimeoutError:
                continue
            finally:
                del self._acks[seq]
        raise BoardUnavailable(f"board: no ACK to {code.name}")

    async def reset_faults(self) -> AckResult:
        """Clear latched faults, the board's and then ours; REFUSED while their cause stands, and nothing is cleared.

        Raises BoardUnavailable.
        """
        result = await self.command(CommandCode.RESET_FAULT)
        if result is not AckResult.REFUSED:
            await self._forget_faults(COMMAND_TIMEOUT_S)
        return result

    @property
    def frames_dropped(self) -> Counter[str]:
        """What came over the line and was not taken, by reason."""
        dropped = Counter({reason.name: count for reason, count in self._link.reader.drops.items()})
        return dropped + self._link.ignored

    def _acknowledged(self, ack: Ack) -> None:
        waiting = self._acks.get(ack.command_seq)
        if waiting is not None and not waiting.done():
            waiting.set_result(ack.result)
