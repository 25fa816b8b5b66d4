"""The board behind one serial line to its safety MCU: port, link and pilot machine put together, with a clock.

Every timer runs on the caller's event loop. A loop that hangs sends no CONTROL, and the MCU opens the contactor.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from hal.mcu.link import STALE_AFTER_S, BoardLog, LinkDown, LinkEvent, LinkUp, McuLink
from hal.mcu.payloads import Ack, AckResult, CommandCode, Control, State, Telemetry, Token
from hal.mcu.translate import capabilities_from, control_from, levels_from, reading_from, token_from
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
)
from hal.quantities import EvseId, MeterReading
from hal.serial_port import PortError, SerialPort

WATCHDOG_S = 0.9
"""With the contactor's own time and the MCU's this keeps a hung daemon's power below 1.1 s."""
OPEN_TIMEOUT_S = 3.0
COMMAND_TIMEOUT_S = 0.5
COMMAND_TRIES = 3
METER_STALE_AFTER_S = 3.0
CLOSE_LINGER_S = 0.5
_LOG_LEVELS = {3: logging.ERROR, 4: logging.WARNING, 5: logging.INFO, 6: logging.INFO}


def utc_now() -> datetime:
    return datetime.now(UTC)


class McuBoard:
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
        self._log = logging.getLogger(f"{__name__}.{evse}")
        self._report = report
        self._clock = clock
        self._wall = wall
        self._pilot = PilotMachine()
        self._link = McuLink(channel, int.from_bytes(os.urandom(4)), alive)
        self._port = SerialPort(device, self._port_opened, self._received, self._port_lost)
        self._timer: asyncio.TimerHandle | None = None
        self._answered: asyncio.Future[EvseCapabilities] | None = None
        self._stated = asyncio.Event()
        self._acks: dict[int, asyncio.Future[int]] = {}
        self._phases = 1
        self._reading: MeterReading | None = None

    # --- BoardSupport ---

    async def open(self) -> EvseCapabilities:
        """Open the line and agree with the MCU. Raises BoardUnavailable; then everything is closed again."""
        self._answered = asyncio.get_running_loop().create_future()
        # Nothing is steered before the machine has spoken: X1, no power.
        self._settle([])
        try:
            self._port.open()
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                return await self._answered
        except TimeoutError as error:
            reason = self._link.describe()
            self._shut()
            raise BoardUnavailable(f"board: {reason}") from error
        except PortError as error:
            raise BoardUnavailable(str(error)) from error

    async def close(self) -> None:
        """Pilot F and contactor open, confirmed where the board still answers, then the line is let go."""
        self.signal_error()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_LINGER_S):
                while self._link.is_up and not self._is_safe():
                    await self._next_state()
        self._shut()

    def snapshot(self) -> EvseSnapshot:
        levels, age_s = self._pilot.levels, self._clock() - self._link.state_at_s
        if levels is None:
            raise BoardUnavailable(f"board: {self._link.describe()}")
        if age_s > STALE_AFTER_S:
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
            taken_at_s=self._link.state_at_s,
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

    # --- for the technician ---

    async def command(self, code: CommandCode) -> AckResult:
        """Have the MCU do something once. Raises BoardUnavailable when no ACK comes."""
        for _ in range(COMMAND_TRIES):
            seq = self._link.command(code)
            self._acks[seq] = asyncio.get_running_loop().create_future()
            self._flush()
            try:
                async with asyncio.timeout(COMMAND_TIMEOUT_S):
                    return AckResult(await self._acks[seq])
            except TimeoutError:
                continue
            finally:
                del self._acks[seq]
        raise BoardUnavailable(f"board: no ACK to {code.name}")

    async def reset_faults(self) -> AckResult:
        """Clear latched faults, the board's and then ours; REFUSED while their cause stands, and nothing is cleared."""
        result = await self.command(CommandCode.RESET_FAULT)
        if result is not AckResult.REFUSED:
            # The last STATE is from before the reset, and would latch the fault again.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(COMMAND_TIMEOUT_S):
                    await self._next_state()
            self._settle(self._pilot.reset_faults(self._clock()))
        return result

    @property
    def frames_dropped(self) -> Counter[str]:
        """What came over the line and was not taken, by reason."""
        dropped = Counter({reason.name: count for reason, count in self._link.reader.drops.items()})
        return dropped + self._link.ignored

    # --- the line ---

    def _port_opened(self) -> None:
        self._link.connected(self._clock())
        self._settle([])

    def _port_lost(self, reason: str) -> None:
        self._handle(self._link.disconnected(reason))

    def _received(self, data: bytes) -> None:
        self._handle(self._link.feed(data, self._clock()))

    def _wake(self) -> None:
        self._timer = None
        now = self._clock()
        self._handle(self._link.tick(now))
        self._settle(self._pilot.tick(now))

    def _handle(self, events: list[LinkEvent]) -> None:
        for event in events:
            self._settle(self._facts_of(event, self._clock()))
        self._settle([])

    def _facts_of(self, event: LinkEvent, now: float) -> list[BoardFact]:
        match event:
            case State():
                self._stated.set()
                return self._pilot.feed(levels_from(event), now)
            case Telemetry():
                self._reading = reading_from(event, now, self._wall())
                return [MeterSampled(self._reading)]
            case Token():
                return [token_from(event, now)]
            case LinkUp():
                return self._link_up(event, now)
            case LinkDown():
                return self._pilot.link_lost(event.reason, now)
            case BoardLog():
                self._log.log(_LOG_LEVELS.get(event.level, logging.DEBUG), "board: %s", event.text)
                return []
            case Ack():
                self._acknowledged(event)
                return []

    def _link_up(self, event: LinkUp, now: float) -> list[BoardFact]:
        capabilities = capabilities_from(event.board)
        self._phases = capabilities.phases
        self._pilot.fit(capabilities.has_lock, capabilities.has_ventilation)
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(capabilities)
        return self._pilot.link_up(f"{capabilities.model} {capabilities.firmware}", event.same_boot, now)

    def _acknowledged(self, ack: Ack) -> None:
        waiting = self._acks.get(ack.command_seq)
        if waiting is not None and not waiting.done():
            waiting.set_result(ack.result)

    # --- inside ---

    def _settle(self, facts: list[BoardFact]) -> None:
        """Tell the board what it must know now, then report; the board comes first."""
        self._link.control(self._control(), self._clock())
        self._flush()
        for fact in facts:
            self._report(fact)

    def _control(self) -> Control:
        return control_from(self._pilot.setpoints, self._phases, WATCHDOG_S)

    def _flush(self) -> None:
        self._port.write(self._link.data_to_send())
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = [at for at in (self._link.deadline(), self._pilot.deadline()) if at is not None]
        if due and self._port.is_open:
            delay_s = max(0.0, min(due) - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._wake)

    async def _next_state(self) -> None:
        self._stated.clear()
        await self._stated.wait()

    def _is_safe(self) -> bool:
        levels = self._pilot.levels
        return levels is not None and levels.cp_mode is CpMode.F and levels.contactor is not Contactor.CLOSED

    def _shut(self) -> None:
        self._port.close()
        # Nobody is told of a loss that was asked for.
        self._link.disconnected("closed")
        self._pilot.link_lost("closed", self._clock())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
