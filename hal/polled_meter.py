"""What every meter that is asked once a cycle has in common: its cycle, the age of its reading, and its fault."""

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable

from hal.faults import severity_of
from hal.ports import BoardFault, BoardUnavailable, Fault, MeterSampled, Report
from hal.quantities import MeterReading

PERIOD_S = 1.0
FAULT_AFTER_CYCLES = 2
STALE_AFTER_CYCLES = 3


class PolledMeter(ABC):
    """`PowerMeter`. `name` begins what is said of the meter."""

    def __init__(
        self,
        name: str,
        log: logging.Logger,
        report: Report,
        *,
        period_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._log = log
        self._report = report
        self._period_s = period_s
        self._clock = clock
        self._reading: MeterReading | None = None
        self._missed_in_a_row = 0
        self._polling: asyncio.Task[None] | None = None

    @abstractmethod
    async def _measure(self) -> MeterReading:
        """One cycle. Raises BoardUnavailable, its message ready to be told."""

    def _stale_after_s(self) -> float:
        return STALE_AFTER_CYCLES * self._period_s

    async def open(self) -> None:
        if self._polling is None:
            self._polling = asyncio.create_task(self._poll(), name=self._name)

    async def close(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._polling
            self._polling = None

    def reading(self) -> MeterReading:
        if self._reading is None:
            raise BoardUnavailable(f"{self._name}: no reading yet")
        if (age_s := self._reading.age_s(self._clock())) > self._stale_after_s():
            raise BoardUnavailable(f"{self._name}: no reading for {age_s:.1f} s")
        return self._reading

    async def _poll(self) -> None:
        while True:
            began_s = self._clock()
            try:
                reading = await self._measure()
            except BoardUnavailable as error:
                self._missed(error)
            else:
                self._read_well(reading)
            await asyncio.sleep(max(0.0, began_s + self._period_s - self._clock()))

    def _read_well(self, reading: MeterReading) -> None:
        self._reading = reading
        was_missing = self._missed_in_a_row >= FAULT_AFTER_CYCLES
        self._missed_in_a_row = 0
        if was_missing:
            self._tell(active=False, detail=f"{self._name}: answers again")
        self._report(MeterSampled(reading))

    def _missed(self, error: BoardUnavailable) -> None:
        self._missed_in_a_row += 1
        if self._missed_in_a_row == FAULT_AFTER_CYCLES:
            self._tell(active=True, detail=str(error))

    def _tell(self, *, active: bool, detail: str) -> None:
        self._log.log(logging.ERROR if active else logging.INFO, "%s", detail)
        fault = Fault.POWER_METER_FAILURE
        self._report(BoardFault(fault, active, severity_of(fault), detail, self._clock()))
