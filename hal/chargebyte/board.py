"""A board with a chargebyte safety controller: Charge SOM or Charge Control Y."""

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from hal.chargebyte.wire import ChargebyteWire
from hal.ports import EvseCapabilities, Report
from hal.quantities import EvseId
from hal.serial_board import SerialBoard
from hal.wall_clock import utc_now

log = logging.getLogger(__name__)

RESET_PULSE_S = 0.5
RESTART_TIMEOUT_S = 3.0

CHARGE_SOM = EvseCapabilities(
    max_current_a=32.0,
    min_current_a=6.0,
    phases=3,
    has_lock=False,
    has_ventilation=False,
    nominal_voltage_v=230.0,
    model="chargebyte",
    firmware="",
)


class ResetLine:
    """The controller's reset, as a file that takes 1 and 0: a GPIO's `value`, or anything made to look like one."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._releasing: asyncio.TimerHandle | None = None

    def pulse(self) -> None:
        """Hold the controller in reset for 0.5 s. A line that cannot be written is logged: there is nobody to ask."""
        if self._releasing is None and self._write(b"1"):
            self._releasing = asyncio.get_running_loop().call_later(RESET_PULSE_S, self._release)

    def close(self) -> None:
        if self._releasing is not None:
            self._releasing.cancel()
            self._release()

    def _release(self) -> None:
        self._releasing = None
        self._write(b"0")

    def _write(self, value: bytes) -> bool:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            log.error("reset line: %s", error)
            return False
        try:
            os.write(descriptor, value)
        except OSError as error:
            log.error("reset line: %s", error)
            return False
        finally:
            os.close(descriptor)
        return True


class ChargebyteBoard(SerialBoard):
    """`BoardSupport` for one EVSE. `reset_line` names the file of the controller's reset; without one a controller in
    its safe state stays there until somebody resets it."""

    def __init__(
        self,
        device: str,
        evse: EvseId,
        report: Report,
        *,
        reset_line: str = "",
        board: EvseCapabilities = CHARGE_SOM,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = utc_now,
        alive: Callable[[], bool] = lambda: True,
    ) -> None:
        self._reset_line = ResetLine(reset_line) if reset_line else None
        self._chargebyte = ChargebyteWire(board, self._reset, alive)
        super().__init__(device, evse, report, self._chargebyte, clock=clock, wall=wall)

    async def close(self) -> None:
        await super().close()
        if self._reset_line is not None:
            self._reset_line.close()

    async def reset_faults(self) -> None:
        """Reset the controller: the only way out of its safe state. Its faults come again while their cause stands.

        Raises BoardUnavailable when the controller does not come back.
        """
        self._handle(self._chargebyte.reset_controller(self._clock()))
        await self._forget_faults(RESTART_TIMEOUT_S)

    @property
    def frames_dropped(self) -> Counter[str]:
        """Bytes that came over the line and were part of no frame."""
        return Counter(self._chargebyte.reader.drops)

    def _reset(self) -> None:
        if self._reset_line is not None:
            self._reset_line.pulse()
        else:
            self._log.error("the safety controller is in its safe state and there is no reset line")
