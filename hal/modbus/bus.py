"""One bus and its devices: one request at a time, and a dead device is asked ever more seldom."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hal.modbus.pdu import ModbusError, NoAnswer, Request

BACK_OFF_FIRST_S = 2.0
BACK_OFF_MAX_S = 16.0


class Transport(Protocol):
    """Carries one request at a time."""

    async def exchange(self, unit: int, request: Request) -> bytes:
        """The answering PDU. Raises NoAnswer."""
        ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class _Silence:
    misses: int = 0
    ask_again_s: float = float("-inf")


class BackOff:
    """A device that missed two requests in a row is left alone for 2 s, then 4, 8, 16: its time-outs are the others'
    time. Pure."""

    def __init__(self) -> None:
        self._silences: dict[int, _Silence] = {}

    def wait_s(self, unit: int, now: float) -> float:
        """How long `unit` is to be left alone; 0 when it may be asked."""
        silence = self._silences.get(unit)
        return max(0.0, silence.ask_again_s - now) if silence else 0.0

    def missed(self, unit: int, now: float) -> None:
        silence = self._silences.setdefault(unit, _Silence())
        silence.misses += 1
        if silence.misses > 1:
            silence.ask_again_s = now + min(BACK_OFF_FIRST_S * 2 ** min(silence.misses - 2, 8), BACK_OFF_MAX_S)

    def answered(self, unit: int) -> None:
        self._silences.pop(unit, None)


class ModbusBus:
    """What the drivers of all devices on one line share. `failures` counts what went wrong, by kind."""

    def __init__(self, transport: Transport, clock: Callable[[], float] = time.monotonic) -> None:
        self.failures: Counter[str] = Counter()
        self._transport = transport
        self._clock = clock
        self._lock = asyncio.Lock()
        self._back_off = BackOff()

    async def ask(self, unit: int, request: Request) -> tuple[int, ...]:
        """The registers read. Raises NoAnswer, Refused or BadAnswer; nothing is tried twice."""
        async with self._lock:
            wait_s = self._back_off.wait_s(unit, self._clock())
            if wait_s > 0:
                raise NoAnswer(f"unit {unit} is silent; asked again in {wait_s:.0f} s")
            try:
                pdu = await self._transport.exchange(unit, request)
                self._back_off.answered(unit)
                return request.parse(pdu)
            except NoAnswer:
                self._back_off.missed(unit, self._clock())
                self.failures["NoAnswer"] += 1
                raise
            except ModbusError as error:
                self.failures[type(error).__name__] += 1
                raise

    async def close(self) -> None:
        async with self._lock:
            await self._transport.close()
