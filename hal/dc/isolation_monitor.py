"""`IsolationMonitor` over Modbus: asks twice a second, starts self-tests, and configures the device whenever it is new.

What cannot be read is not reported. A device that was silent for some cycles may have restarted: it is configured anew.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable

from hal.dc.monitors import Found, MonitorMap
from hal.dc.ports import InsulationReading, SelfTest, TakeReading
from hal.modbus.bus import ModbusBus
from hal.modbus.pdu import ModbusError

PERIOD_S = 0.5
NEW_AFTER_CYCLES = 3
SELF_TEST_LIMIT_S = 30.0
SELF_TEST_SHOWS_S = 3.0
"""By when a device must have been seen at the test it was told to do."""

log = logging.getLogger(__name__)


class ModbusIsolationMonitor:
    """`unit` is its Modbus address. The bus may carry others; it is closed by whoever made it."""

    def __init__(
        self,
        bus: ModbusBus,
        unit: int,
        device: MonitorMap,
        take: TakeReading,
        *,
        period_s: float = PERIOD_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.misses: Counter[str] = Counter()
        self._bus = bus
        self._unit = unit
        self._device = device
        self._take = take
        self._period_s = period_s
        self._clock = clock
        self._configured = 0
        self._missed_in_a_row = 0
        self._measuring = False
        self._self_test = SelfTest.NONE
        self._test_at_s = 0.0
        self._test_seen = False
        self._told = True
        self._working: asyncio.Task[None] | None = None

    async def open(self) -> None:
        if self._working is None:
            self._working = asyncio.create_task(self._work(), name=self._device.model)

    async def close(self) -> None:
        if self._working is not None:
            self._working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._working
            self._working = None

    def measure(self, on: bool) -> None:
        """The device goes on measuring voltages; of the insulation nothing is reported while this is off."""
        self._measuring = on

    def start_self_test(self) -> None:
        self._self_test = SelfTest.RUNNING
        self._test_at_s = self._clock()
        self._test_seen = self._told = False

    # --- inside ---

    async def _work(self) -> None:
        while True:
            began_s = self._clock()
            try:
                await self._look()
            except ModbusError as error:
                self._missed(error)
            await asyncio.sleep(max(0.0, began_s + self._period_s - self._clock()))

    async def _look(self) -> None:
        for write in self._device.configuration[self._configured :]:
            await self._bus.ask(self._unit, write)
            self._configured += 1
        if not self._told:
            await self._bus.ask(self._unit, self._device.self_test)
            self._told = True
        taken_at_s = self._clock()
        registers: dict[int, int] = {}
        for read in self._device.reads:
            registers |= dict(enumerate(await self._bus.ask(self._unit, read), read.address))
        found = self._device.parse(registers)
        self._missed_in_a_row = 0
        self._follow_test(found)
        self._take(
            InsulationReading(
                resistance_kohm=found.resistance_kohm if self._measuring else None,
                taken_at_s=taken_at_s,
                voltage_v=found.voltage_v,
                positive_to_earth_v=found.positive_to_earth_v,
                negative_to_earth_v=found.negative_to_earth_v,
                self_test=self._self_test,
                fault=found.fault,
            )
        )

    def _missed(self, error: ModbusError) -> None:
        self.misses[type(error).__name__] += 1
        self._missed_in_a_row += 1
        if self._missed_in_a_row == NEW_AFTER_CYCLES:
            log.warning("%s: %s", self._device.model, error)
            self._configured = 0

    def _follow_test(self, found: Found) -> None:
        if self._self_test is not SelfTest.RUNNING or not self._told:
            return
        passed_s = self._clock() - self._test_at_s
        if found.testing:
            self._test_seen = True
        if found.testing and passed_s < SELF_TEST_LIMIT_S:
            return
        if not self._test_seen and passed_s < SELF_TEST_SHOWS_S:
            return
        good = self._test_seen and not found.testing and not found.fault
        self._self_test = SelfTest.PASSED if good else SelfTest.FAILED
