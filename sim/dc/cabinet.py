"""The simulated power cabinet of a DC output: its plant between a CAN bus, a Modbus line, the board and the vehicle.

The board decides on the contactor, so the cabinet looks along at the board's cable; everything else of the output is
here. What is driven and what flows goes into a trace.
"""

import asyncio
import contextlib
import json
import logging
import time
from pathlib import Path
from typing import TextIO

from hal.can.bus import CanBus
from hal.can.frame import CanFrame
from hal.modbus.meters import METERS
from sim.dc.infy import InfyModule
from sim.dc.monitors import Bender, Dold, Monitor
from sim.dc.plant import Battery, DcPlant
from sim.dc.plug import DcContacts
from sim.mcu.cable import Cable
from sim.mcu.line import Quality
from sim.meter.device import Meter
from sim.meter.server import SerialMeters

log = logging.getLogger(__name__)

STEP_S = 0.005
SHOW_S = 0.05
METER_MODEL = "acrel-djsf1352"
METER_UNIT, MONITOR_UNIT = 1, 2
MONITOR_KINDS: dict[str, type[Monitor]] = {"bender-isocha425": Bender, "dold-rn5893": Dold}
_MAX_LINE = 4096
LEAK_OHM = 40_000.0
OVER_V = 120.0
SHORT_OHM = 20.0
OFFSET_V = 70.0
_OVER_TEMPERATURE = 1 << 12
"""A module's own fault: byte 6, bit 4."""


class Cabinet:
    """`run()` until cancelled. `modules` supplies in parallel have the addresses 0, 1, ..."""

    def __init__(self, monitor: str, modules: int, trace: Path | None, energy_wh: float = 0.0) -> None:
        now = time.monotonic()
        self.plant = DcPlant(now, energy_wh)
        self.modules = [InfyModule(address, self.plant, share=1 / modules) for address in range(modules)]
        self.monitor = MONITOR_KINDS[monitor](self.plant)
        self.meter = Meter(METERS[METER_MODEL], energy_wh=energy_wh, voltage_v=(0.0, 0.0, 0.0))
        self._trace: TextIO | None = trace.open("a", encoding="utf-8") if trace else None
        self._traced: dict[str, object] = {}
        self._plugs: set[asyncio.StreamWriter] = set()

    async def run(self, can: CanBus, line: Path, quality: Quality, cable: Path, plug: Path) -> None:
        """Serve vehicle and buses, then follow the board at `cable` for as long as there is one."""
        can.subscribe(lambda frame: self._heard(can, frame))
        can.open()
        _remove(plug)
        server = await asyncio.start_unix_server(self._serve_plug, plug, limit=_MAX_LINE)
        serial = SerialMeters(line, {METER_UNIT: self.meter, MONITOR_UNIT: self.monitor}, quality)
        try:
            async with await Cable.connect(cable) as board:
                await self._follow(board)
        finally:
            serial.close()
            server.close()
            for writer in tuple(self._plugs):
                writer.close()
            if self._trace is not None:
                self._trace.close()
            can.close()
            _remove(plug)

    async def _follow(self, board: Cable) -> None:
        show_at_s = 0.0
        while True:
            now = time.monotonic()
            self.plant.contactor_closed = board.levels.contactor == "closed"
            self._step(now)
            if now >= show_at_s:
                show_at_s = now + SHOW_S
                line = self._contacts(now).to_line()
                for writer in self._plugs:
                    writer.write(line)
            await asyncio.sleep(STEP_S)

    def _step(self, now: float) -> None:
        plant = self.plant
        plant.tick(now)
        self.monitor.tick(now)
        for module in self.modules:
            module.tick(now)
        meter = self.meter
        meter.voltage_v, meter.current_a = (plant.outer_v, 0.0, 0.0), (plant.current_a, 0.0, 0.0)
        meter.power_w, meter.energy_wh = plant.power_w, plant.energy_wh
        self._note_changes(now)

    def _heard(self, can: CanBus, frame: CanFrame) -> None:
        now = time.monotonic()
        for module in self.modules:
            answer = module.answer(frame.can_id, frame.data, now)
            if answer is not None:
                can.send(CanFrame(*answer))

    # --- the vehicle, and who breaks things ---

    async def _serve_plug(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._plugs.add(writer)
        writer.write(self._contacts(time.monotonic()).to_line())
        try:
            while line := await reader.readline():
                try:
                    self._undergo(json.loads(line))
                except (ValueError, KeyError, TypeError) as error:
                    log.warning("not understood at the plug: %r: %s", line[:80], error)
        except (ConnectionError, ValueError):
            pass
        finally:
            self._plugs.discard(writer)
            writer.close()

    def _undergo(self, said: object) -> None:
        plant = self.plant
        match said:
            case {"battery_v": float() | int() as volts, "soc_percent": float() | int() as soc}:
                battery = Battery(voltage_v=float(volts))
                battery.energy_wh = battery.capacity_wh * soc / 100
                plant.battery = battery
            case {"closed": bool(closed)} if plant.battery is not None:
                plant.battery.closed = closed
            case {"unplugged": True}:
                plant.battery = None
            case {"fault": str(name), "active": bool(active)}:
                self._fault(name, active)
                self._note(time.monotonic(), "fault", f"{name} {'on' if active else 'off'}")
            case _:
                raise ValueError("no such word")

    def _fault(self, name: str, active: bool) -> None:
        faults = self.plant.faults
        match name:
            case "leak":
                faults.leak_ohm = LEAK_OHM if active else 0.0
            case "short":
                faults.short_ohm = SHORT_OHM if active else 0.0
            case "welded":
                faults.welded = active
            case "mismatch":
                faults.offset_v = OFFSET_V if active else 0.0
            case "over_voltage":
                faults.over_v = OVER_V if active else 0.0
            case "no_discharge":
                faults.no_discharge = active
            case "hot":
                faults.hot = active
            case "supply_dead":
                faults.supply_dead = active
                self._each_module("silent", active)
            case "supply_alarm":
                self._each_module("alarms", _OVER_TEMPERATURE if active else 0)
            case "monitor_silent":
                self.monitor.silent = active
            case "monitor_broken":
                self.monitor.broken = active
            case "self_test_bad":
                self.monitor.self_test_good = not active
            case "meter_silent":
                self.meter.silent = active
            case _:
                raise ValueError(f"no such fault: {name}")

    def _each_module(self, name: str, value: bool | int) -> None:
        for module in self.modules:
            setattr(module, name, value)

    def _contacts(self, now: float) -> DcContacts:
        plant = self.plant
        battery = plant.battery
        return DcContacts(
            t=now,
            voltage_v=round(plant.outer_v, 2),
            current_a=round(plant.current_a, 2),
            energy_wh=round(plant.energy_wh, 3),
            soc_percent=round(battery.soc_percent, 2) if battery is not None else 0.0,
            cable_c=round(plant.cable_c, 1),
        )

    # --- the trace ---

    def _note_changes(self, now: float) -> None:
        plant = self.plant
        observed = {
            "supply": "on" if plant.on else "off",
            "flows": plant.current_a >= 1.0,
            "contactor": "closed" if plant.connected else "open",
            "live": plant.outer_v >= 60,
        }
        for event, value in observed.items():
            if self._traced.get(event) != value:
                self._traced[event] = value
                self._note(now, event, value)

    def _note(self, now: float, event: str, value: object) -> None:
        if self._trace is not None:
            with contextlib.suppress(OSError):
                self._trace.write(json.dumps({"t": now, "event": event, "value": value}) + "\n")
                self._trace.flush()


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
