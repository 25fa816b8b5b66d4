"""`PowerMeter` over Modbus: reads the blocks of its map each cycle, and says so when the meter does not answer.

A reading is as old as the first block of its cycle. Nothing is kept from a cycle that was not completed.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from hal.modbus.bus import ModbusBus
from hal.modbus.pdu import ModbusError
from hal.modbus.registers import MeterMap, values_from
from hal.polled_meter import PERIOD_S, PolledMeter
from hal.ports import BoardUnavailable, Report
from hal.quantities import EvseId, MeterReading
from hal.wall_clock import utc_now


class ModbusMeter(PolledMeter):
    """`unit` is the meter's Modbus address. Several meters may share one `bus`; it is closed by whoever made it."""

    def __init__(
        self,
        bus: ModbusBus,
        unit: int,
        meter: MeterMap,
        evse: EvseId,
        report: Report,
        *,
        period_s: float = PERIOD_S,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = utc_now,
    ) -> None:
        log = logging.getLogger(f"{__name__}.{evse}")
        super().__init__(meter.model, log, report, period_s=period_s, clock=clock)
        self.misses: Counter[str] = Counter()
        self._bus = bus
        self._unit = unit
        self._map = meter
        self._wall = wall

    async def _measure(self) -> MeterReading:
        try:
            return await self._read()
        except ModbusError as error:
            self.misses[type(error).__name__] += 1
            raise BoardUnavailable(f"{self._map.model}: {error}") from error

    async def _read(self) -> MeterReading:
        registers: dict[int, int] = {}
        taken_at_s = self._clock()
        for read in self._map.reads:
            asked_s = self._clock()
            block = await self._bus.ask(self._unit, read)
            if not registers:
                # The bus may have kept us waiting for another device; the values are not older than the asking.
                taken_at_s = asked_s
            registers |= dict(enumerate(block, read.address))
        values = values_from(self._map, registers)
        return MeterReading(
            energy_import_wh=values.energy_import_wh,
            power_import_w=values.power_import_w,
            current_a=values.current_a,
            voltage_v=values.voltage_v,
            taken_at_s=taken_at_s,
            wall_time=self._wall(),
        )
