"""`PowerMeter` over Modbus: reads the blocks of its map each cycle, and says so when the meter does not answer.

A reading is as old as the first block of its cycle. Nothing is kept from a cycle that was not completed.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from hal.faults import severity_of
from hal.modbus.bus import ModbusBus
from hal.modbus.pdu import ModbusError
from hal.modbus.registers import MeterMap, values_from
from hal.ports import BoardFault, BoardUnavailable, Fault, MeterSampled, Report
from hal.quantities import EvseId, MeterReading

PERIOD_S = 1.0
FAULT_AFTER_CYCLES = 2
STALE_AFTER_CYCLES = 3


def utc_now() -> datetime:
    return datetime.now(UTC)


class ModbusMeter:
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
        self.misses: Counter[str] = Counter()
        self._log = logging.getLogger(f"{__name__}.{evse}")
        self._bus = bus
        self._unit = unit
        self._map = meter
        self._report = report
        self._period_s = period_s
        self._clock = clock
        self._wall = wall
        self._reading: MeterReading | None = None
        self._missed_in_a_row = 0
        self._polling: asyncio.Task[None] | None = None

    async def open(self) -> None:
        if self._polling is None:
            self._polling = asyncio.create_task(self._poll(), name=f"meter {self._unit}")

    async def close(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._polling
            self._polling = None

    def reading(self) -> MeterReading:
        if self._reading is None:
            raise BoardUnavailable(f"{self._map.model}: no reading yet")
        if (age_s := self._reading.age_s(self._clock())) > STALE_AFTER_CYCLES * self._period_s:
            raise BoardUnavailable(f"{self._map.model}: no reading for {age_s:.1f} s")
        return self._reading

    async def _poll(self) -> None:
        while True:
            began_s = self._clock()
            try:
                reading = await self._read()
            except ModbusError as error:
                self._missed(error)
            else:
                self._read_well(reading)
            await asyncio.sleep(max(0.0, began_s + self._period_s - self._clock()))

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

    def _read_well(self, reading: MeterReading) -> None:
        self._reading = reading
        was_missing = self._missed_in_a_row >= FAULT_AFTER_CYCLES
        self._missed_in_a_row = 0
        if was_missing:
            self._tell(active=False, detail=f"{self._map.model}: answers again")
        self._report(MeterSampled(reading))

    def _missed(self, error: ModbusError) -> None:
        self.misses[type(error).__name__] += 1
        self._missed_in_a_row += 1
        if self._missed_in_a_row == FAULT_AFTER_CYCLES:
            self._tell(active=True, detail=f"{self._map.model}: {error}")

    def _tell(self, *, active: bool, detail: str) -> None:
        self._log.log(logging.ERROR if active else logging.INFO, "%s", detail)
        fault = Fault.POWER_METER_FAILURE
        self._report(BoardFault(fault, active, severity_of(fault), detail, self._clock()))
