"""A board behind one serial line: port, wire and pilot machine put together, with a clock.

Every timer runs on the caller's event loop. A loop that hangs sends no heartbeat, and the board opens the contactor.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import datetime

from hal.levels import BoardLevels
from hal.pilot import PilotMachine
from hal.ports import (
    BoardFact,
    BoardUnavailable,
    Contactor,
    CpMode,
    EvseCapabilities,
    EvseSnapshot,
    MeterSampled,
    Report,
    TokenPresented,
)
from hal.quantities import EvseId, MeterReading
from hal.serial_port import PortError, SerialPort
from hal.wall_clock import utc_now
from hal.wire import Wire, WireDown, WireEvent, WireLog, WireSample, WireUp

OPEN_TIMEOUT_S = 3.0
METER_STALE_AFTER_S = 3.0
CLOSE_LINGER_S = 0.5


class SerialBoard:
    """`BoardSupport` over `wire`."""

    def __init__(
        self,
        device: str,
        evse: EvseId,
        report: Report,
        wire: Wire,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = utc_now,
    ) -> None:
        self._log = logging.getLogger(f"{__name__}.{evse}")
        self._report = report
        self._clock = clock
        self._wall = wall
        self._pilot = PilotMachine()
        self._wire = wire
        self._port = SerialPort(device, self._port_opened, self._received, self._port_lost)
        self._timer: asyncio.TimerHandle | None = None
        self._answered: asyncio.Future[EvseCapabilities] | None = None
        self._stated = asyncio.Event()
        self._reading: MeterReading | None = None

    # --- BoardSupport ---

    async def open(self) -> EvseCapabilities:
        """Open the line and agree with the board. Raises BoardUnavailable; then everything is closed again."""
        self._answered = asyncio.get_running_loop().create_future()
        # Nothing is steered before the machine has spoken: X1, no power.
        self._settle([])
        try:
            self._port.open()
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                return await self._answered
        except TimeoutError as error:
            reason = self._wire.describe()
            self._shut()
            raise BoardUnavailable(f"board: {reason}") from error
        except PortError as error:
            raise BoardUnavailable(str(error)) from error

    async def close(self) -> None:
        """Pilot F and contactor open, confirmed where the board still answers, then the line is let go."""
        self.signal_error()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_LINGER_S):
                while self._wire.is_up and not self._is_safe():
                    await self._next_levels()
        self._shut()

    def snapshot(self) -> EvseSnapshot:
        levels, age_s = self._pilot.levels, self._clock() - self._wire.state_at_s
        if levels is None:
            raise BoardUnavailable(f"board: {self._wire.describe()}")
        if age_s > self._wire.stale_after_s:
            raise BoardUnavailable(f"board: no levels for {age_s:.1f} s")
        return EvseSnapshot(
            cp=levels.cp,
            cp_mode=levels.cp_mode,
            duty_percent=levels.duty_percent,
            contactor=self._pilot.contactor,
            locked=levels.locked,
            pp_ampacity_a=levels.pp_ampacity_a,
            faults=self._pilot.faults,
            power_permitted=levels.power_permitted,
            taken_at_s=self._wire.state_at_s,
        )

    def meter(self) -> MeterReading:
        if self._reading is None:
            raise BoardUnavailable("meter: no reading yet")
        if (age_s := self._reading.age_s(self._clock())) > METER_STALE_AFTER_S:
            raise BoardUnavailable(f"meter: no reading for {age_s:.1f} s")
        return self._reading

    def offer_nothing(self) -> None:
        self._settle(self._pilot.offer_nothing(self._clock()))

    def offer_hlc(self) -> None:
        self._settle(self._pilot.offer_hlc(self._clock()))

    def offer_current(self, limit_a: float) -> None:
        self._settle(self._pilot.offer_current(limit_a, self._clock()))

    def limit_current(self, limit_a: float) -> None:
        self._settle(self._pilot.limit_current(limit_a, self._clock()))

    def signal_error(self) -> None:
        self._settle(self._pilot.signal_error(self._clock()))

    def permit_power(self, permit: bool) -> None:
        self._settle(self._pilot.permit_power(permit, self._clock()))

    def lock_connector(self, lock: bool) -> None:
        self._settle(self._pilot.lock_connector(lock, self._clock()))

    # --- the line ---

    def _port_opened(self) -> None:
        self._wire.connected(self._clock())
        self._settle([])

    def _port_lost(self, reason: str) -> None:
        self._handle(self._wire.disconnected(reason))

    def _received(self, data: bytes) -> None:
        self._handle(self._wire.feed(data, self._clock()))

    def _wake(self) -> None:
        self._timer = None
        now = self._clock()
        self._handle(self._wire.tick(now))
        self._settle(self._pilot.tick(now))

    def _handle(self, events: list[WireEvent]) -> None:
        for event in events:
            self._settle(self._facts_of(event, self._clock()))
        self._settle([])

    def _facts_of(self, event: WireEvent, now: float) -> list[BoardFact]:
        match event:
            case BoardLevels():
                self._stated.set()
                return self._pilot.feed(event, now)
            case WireSample():
                self._reading = self._reading_of(event, now)
                return [MeterSampled(self._reading)]
            case TokenPresented():
                return [event]
            case WireUp():
                return self._link_up(event, now)
            case WireDown():
                return self._pilot.link_lost(event.reason, now)
            case WireLog():
                self._log.log(event.level, "board: %s", event.text)
                return []

    def _link_up(self, event: WireUp, now: float) -> list[BoardFact]:
        board = event.board
        self._pilot.fit(board.has_lock, board.has_ventilation)
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(board)
        return self._pilot.link_up(f"{board.model} {board.firmware}", event.same_boot, now)

    def _reading_of(self, sample: WireSample, now: float) -> MeterReading:
        return MeterReading(
            energy_import_wh=sample.energy_import_wh,
            power_import_w=sample.power_import_w,
            current_a=sample.current_a,
            voltage_v=sample.voltage_v,
            taken_at_s=now - sample.age_s,
            wall_time=self._wall(),
        )

    # --- inside ---

    def _settle(self, facts: list[BoardFact]) -> None:
        """Tell the board what it must know now, then report; the board comes first."""
        self._wire.put(self._pilot.setpoints, self._clock())
        self._flush()
        for fact in facts:
            self._report(fact)

    def _flush(self) -> None:
        self._port.write(self._wire.data_to_send())
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = [at for at in (self._wire.deadline(), self._pilot.deadline()) if at is not None]
        if due and self._port.is_open:
            delay_s = max(0.0, min(due) - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._wake)

    async def _forget_faults(self, timeout_s: float) -> None:
        """Ours that are latched; judged on fresh levels: the last are from before whatever was done about the cause.

        Raises BoardUnavailable when none come.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._next_levels()
        except TimeoutError as error:
            raise BoardUnavailable(f"board: {self._wire.describe()}") from error
        self._settle(self._pilot.reset_faults(self._clock()))

    async def _next_levels(self) -> None:
        self._stated.clear()
        await self._stated.wait()

    def _is_safe(self) -> bool:
        levels = self._pilot.levels
        return levels is not None and levels.cp_mode is CpMode.F and levels.contactor is not Contactor.CLOSED

    def _shut(self) -> None:
        self._port.close()
        # Nobody is told of a loss that was asked for.
        self._wire.disconnected("closed")
        self._pilot.link_lost("closed", self._clock())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
