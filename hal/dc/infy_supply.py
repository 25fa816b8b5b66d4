"""`DcPowerSupply` of Infy modules in parallel: one voltage, the current shared evenly.

Modules say nothing by themselves, so each is asked ten times a second. A reading goes up when every module has
answered; with one of them silent there is none, and whoever watches ends the charge. Set-points go out with each
change, and again every second: a module that hears nothing switches itself off.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

from hal.can.bus import CanBus, CanError
from hal.can.frame import CanFrame
from hal.dc import infy
from hal.dc.infy import ModuleCapabilities, Output, Status
from hal.dc.ports import OFF, SupplyCapabilities, SupplyMode, SupplyReading, SupplySetpoint, TakeReading
from hal.ports import BoardUnavailable

PERIOD_S = 0.1
REPEAT_S = 1.0
OPEN_TIMEOUT_S = 1.0


class InfySupply:
    """`modules` are the addresses on their switches. Several supplies may share one `bus`."""

    def __init__(
        self,
        bus: CanBus,
        modules: Sequence[int],
        take: TakeReading,
        *,
        period_s: float = PERIOD_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus = bus
        self._modules = tuple(modules)
        self._take = take
        self._period_s = period_s
        self._clock = clock
        self._setpoint = OFF
        self._sent_at_s = float("-inf")
        self._outputs: dict[int, Output] = {}
        self._statuses: dict[int, Status] = {}
        self._capabilities: dict[int, ModuleCapabilities] = {}
        self._known = asyncio.Event()
        self._working: asyncio.Task[None] | None = None
        bus.subscribe(self._heard)

    async def open(self) -> SupplyCapabilities:
        """Raises BoardUnavailable."""
        try:
            self._bus.open()
        except CanError as error:
            raise BoardUnavailable(f"DC supply: {error}") from error
        if self._working is None:
            self._working = asyncio.create_task(self._work(), name="DC supply")
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await self._known.wait()
        except TimeoutError as error:
            silent = [module for module in self._modules if module not in self._capabilities]
            raise BoardUnavailable(f"DC supply: no answer of module {', '.join(map(str, silent))}") from error
        return self._whole()

    async def close(self) -> None:
        self.put(OFF)
        if self._working is not None:
            self._working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._working
            self._working = None
        self._bus.close()

    def put(self, setpoint: SupplySetpoint) -> None:
        if setpoint != self._setpoint:
            self._setpoint = setpoint
            self._tell()

    # --- inside ---

    def _tell(self) -> None:
        """The set-point before the switch: no module goes on with an old one."""
        self._sent_at_s = self._clock()
        on = self._setpoint.mode is SupplyMode.EXPORT
        share_a = self._setpoint.current_a / len(self._modules)
        for module in self._modules:
            self._bus.send(infy.set_output(module, self._setpoint.voltage_v, share_a))
            self._bus.send(infy.switch(module, on))

    async def _work(self) -> None:
        while True:
            if self._clock() >= self._sent_at_s + REPEAT_S:
                self._tell()
            self._outputs.clear()
            for module in self._modules:
                if module not in self._capabilities:
                    self._bus.send(infy.request(infy.READ_CAPABILITIES, module))
                self._bus.send(infy.request(infy.READ_STATUS, module))
                self._bus.send(infy.request(infy.READ_VI, module))
            await asyncio.sleep(self._period_s)

    def _heard(self, frame: CanFrame) -> None:
        parsed = infy.parse(frame)
        if parsed is None or parsed[0] not in self._modules:
            return
        module, answer = parsed
        match answer:
            case ModuleCapabilities():
                self._capabilities[module] = answer
                if len(self._capabilities) == len(self._modules):
                    self._known.set()
            case Status():
                self._statuses[module] = answer
            case Output():
                self._outputs[module] = answer
                if len(self._outputs) == len(self._modules):
                    self._tell_up()

    def _tell_up(self) -> None:
        outputs = self._outputs.values()
        alarms = [
            f"module {module}: {', '.join(said.alarms)}" for module, said in self._statuses.items() if said.alarms
        ]
        self._take(
            SupplyReading(
                voltage_v=max(output.voltage_v for output in outputs),
                current_a=sum(output.current_a for output in outputs),
                taken_at_s=self._clock(),
                fault="; ".join(alarms),
            )
        )

    def _whole(self) -> SupplyCapabilities:
        each = list(self._capabilities.values())
        return SupplyCapabilities(
            max_voltage_v=min(one.max_voltage_v for one in each),
            min_voltage_v=max(one.min_voltage_v for one in each),
            max_current_a=sum(one.max_current_a for one in each),
            max_power_w=sum(one.max_power_w for one in each),
        )
