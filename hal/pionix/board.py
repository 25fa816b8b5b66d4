"""The Pionix boards as drivers: Yeti and what speaks its protocol, and one connector of a phyVERSO."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from hal.pionix.dialect import PHYVERSO, YETI, Dialect, PhyVersoTongue, YetiTongue
from hal.pionix.wire import PionixWire, Tongue
from hal.ports import EvseCapabilities, Report
from hal.quantities import EvseId
from hal.serial_board import SerialBoard
from hal.wall_clock import utc_now

RESTART_TIMEOUT_S = 5.0

BOARD = EvseCapabilities(
    max_current_a=32.0,
    min_current_a=6.0,
    phases=3,
    has_lock=True,
    has_ventilation=False,
    nominal_voltage_v=230.0,
    model="Pionix",
    firmware="",
)


class PionixBoard(SerialBoard):
    """`BoardSupport` for one EVSE. `board` is what the board does not tell of itself."""

    def __init__(
        self,
        device: str,
        evse: EvseId,
        report: Report,
        dialect: Dialect,
        tongue: Tongue,
        *,
        connector: int = 1,
        board: EvseCapabilities = BOARD,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = utc_now,
        alive: Callable[[], bool] = lambda: True,
    ) -> None:
        self._pionix = PionixWire(dialect, tongue, board, connector, alive)
        super().__init__(device, evse, report, self._pionix, clock=clock, wall=wall)

    async def reset_faults(self) -> None:
        """Reset the board, and with it what it has latched. Raises BoardUnavailable when it does not come back."""
        self._handle(self._pionix.reset_board(self._clock()))
        await self._forget_faults(RESTART_TIMEOUT_S)

    @property
    def frames_dropped(self) -> Counter[str]:
        """What came over the line and was no message, by reason."""
        return Counter(self._pionix.reader.drops)


def yeti(device: str, evse: EvseId, report: Report, *, alive: Callable[[], bool], has_lock: bool) -> PionixBoard:
    board = replace(BOARD, has_lock=has_lock)
    return PionixBoard(device, evse, report, YETI, YetiTongue(), board=board, alive=alive)


def phyverso(
    device: str, evse: EvseId, report: Report, tongue: PhyVersoTongue, *, alive: Callable[[], bool]
) -> PionixBoard:
    return PionixBoard(device, evse, report, PHYVERSO, tongue, connector=tongue.connector, alive=alive)
