"""The simulated board: its MCU's program and its plant between two lines, the UART and the cable."""

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from hal.duty import current_for_duty
from hal.mcu.faults import to_bits
from hal.mcu.payloads import TokenKind, WireCp, WireCpMode
from hal.ports import Fault
from sim.mcu.cable import Levels
from sim.mcu.firmware import Firmware, Inputs, Outputs
from sim.mcu.line import PtyLine, Quality
from sim.mcu.plant import Plant

log = logging.getLogger(__name__)

SHOW_PERIOD_S = 1.0
PLANT_FAULTS = ("weld", "stuck_open", "lock_jam", "silence", "reset")
"""What can be wrong with the plant and the MCU, beside the faults the board's sensors see."""
_MAX_LINE = 4096
_STEADY_DUTY = {WireCpMode.X1: 100.0, WireCpMode.E: 0.0, WireCpMode.F: 0.0}


class SimulatedBoard:
    """`run()` until cancelled. `boot` makes the MCU's program, at start and after each reset."""

    def __init__(self, boot: Callable[[float], Firmware], plant: Plant, trace: Path | None) -> None:
        self._boot_firmware = boot
        self._plant = plant
        self._trace: TextIO | None = trace.open("a", encoding="utf-8") if trace else None
        self._traced: dict[str, object] = {}
        self._cables: set[asyncio.StreamWriter] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._silent = False
        self._held = False
        self._cp = WireCp.A
        self._faults = 0
        self._shown: Levels | None = None
        self._next_show_s = 0.0
        self._boot(time.monotonic())

    async def run(self, pty_link: Path, cable: Path, quality: Quality, reset_line: Path | None = None) -> None:
        """Serve the cable, then publish the serial line at `pty_link`: whoever sees it may start."""
        _remove(cable)
        reset = None if reset_line is None else self._watch_reset_line(reset_line)
        server = await asyncio.start_unix_server(self._serve_cable, cable, limit=_MAX_LINE)
        self._line = PtyLine(pty_link, self._received, quality)
        try:
            self._step()
            await asyncio.get_running_loop().create_future()
        finally:
            self._line.close()
            server.close()
            _remove(cable)
            if reset is not None:
                asyncio.get_running_loop().remove_reader(reset)
                os.close(reset)

    def _watch_reset_line(self, fifo: Path) -> int:
        fifo.unlink(missing_ok=True)
        os.mkfifo(fifo)
        # Held open for writing too, so that it never ends.
        descriptor = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        asyncio.get_running_loop().add_reader(descriptor, self._reset_line_moved, descriptor)
        return descriptor

    def _reset_line_moved(self, descriptor: int) -> None:
        with contextlib.suppress(BlockingIOError):
            for level in os.read(descriptor, 64):
                self._held = level == ord("1")
                # Fresh from reset it drives nothing; while held it hears and says nothing either.
                self._boot(time.monotonic())
        self._step()

    def _boot(self, now: float) -> None:
        self._firmware = self._boot_firmware(now)
        self._out = self._firmware.step(self._inputs(), now)
        self._note(now, "boot", True)

    def _inputs(self) -> Inputs:
        plant = self._plant
        return Inputs(
            cp=self._cp,
            contactor_closed=plant.contactor.position,
            locked=plant.lock.position,
            current_a=plant.current_a,
            voltage_v=plant.voltage_v,
            power_w=plant.power_w,
            energy_wh=plant.energy_wh,
            faults=self._faults | (to_bits([Fault.RESIDUAL_CURRENT]) if plant.rcd.position else 0),
        )

    def _step(self) -> None:
        now = time.monotonic()
        self._plant.tick(now)
        self._out = self._firmware.step(self._inputs(), now)
        self._plant.drive(self._out.coil, self._out.lock, now, self._out.rcd_test)
        self._send()
        if self._out.reboot:
            self._boot(now)
            self._send()
        # Whoever is told may look into the trace at once.
        self._trace_changes(now, self._out)
        self._tell_vehicle(now)
        self._arm(now)

    def _send(self) -> None:
        sent = self._firmware.transmit()
        if not self._silent and not self._held:
            self._line.write(sent)

    def _arm(self, now: float) -> None:
        due = min(self._firmware.deadline(now), self._plant.deadline(), self._next_show_s)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self._step)

    def _received(self, data: bytes) -> None:
        if not self._silent and not self._held:
            self._firmware.receive(data, time.monotonic())
            self._step()

    # --- the cable ---

    async def _serve_cable(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._cables.add(writer)
        writer.write(self._levels(time.monotonic()).to_line())
        try:
            while line := await reader.readline():
                self._heard(line)
        except (ConnectionError, ValueError) as error:
            log.warning("cable closed: %s", error)
        finally:
            self._cables.discard(writer)
            writer.close()

    def _heard(self, line: bytes) -> None:
        try:
            self._undergo(json.loads(line), time.monotonic())
        except (ValueError, KeyError, TypeError) as error:
            log.warning("not understood on the cable: %r: %s", line[:80], error)
            return
        self._step()

    def _undergo(self, said: object, now: float) -> None:
        match said:
            case {"cp": "A" | "B" | "C" | "D" | "E" as state}:
                self._cp = WireCp[state]
                self._note(now, "cp", state)
            case {"draw_a": [*draw]}:
                currents = [float(str(value)) for value in draw][:3]
                i1, i2, i3 = currents + [0.0] * (3 - len(currents))
                self._plant.draw((i1, i2, i3), now)
            case {"swipe": {"id_token": str(uid), "kind": str(kind)}}:
                self._firmware.present(TokenKind[kind], bytes.fromhex(uid), now)
            case {"fault": str(name), "active": bool(active)}:
                self._fault(name, active, now)
                self._note(now, "fault", f"{name} {'on' if active else 'off'}")
            case _:
                raise ValueError("no such word")

    def _fault(self, name: str, active: bool, now: float) -> None:
        contactor, lock = self._plant.contactor, self._plant.lock
        match name:
            case "weld":
                contactor.stuck_on = active
            case "stuck_open":
                contactor.stuck_off = active
            case "lock_jam":
                lock.stuck_on = lock.stuck_off = active
            case "rcd_dead":
                self._plant.rcd.stuck_off = active
            case "rcd_stuck":
                self._plant.rcd.stuck_on = active
            case "silence":
                self._silent = active
            case "reset":
                self._boot(now)
            case _:
                bit = to_bits([Fault(name)])
                self._faults = self._faults | bit if active else self._faults & ~bit
        if not active and name in ("weld", "stuck_open"):
            contactor.free(now)
        if not active and name == "lock_jam":
            lock.free(now)

    def _levels(self, now: float) -> Levels:
        out, plant = self._out, self._plant
        duty = _STEADY_DUTY.get(out.cp_mode, out.duty_centi / 100)
        return Levels(
            t=now,
            cp=self._cp.name,
            cp_mode=out.cp_mode.name,
            duty_percent=duty,
            contactor="closed" if plant.contactor.position else "open",
            locked=plant.lock.position,
            limit_a=current_for_duty(duty) if out.cp_mode is WireCpMode.X2 else 0.0,
            permitted=out.allowed,
            energy_wh=round(plant.energy_wh, 3),
            current_a=list(plant.current_a),
            voltage_v=list(plant.voltage_v),
        )

    def _tell_vehicle(self, now: float) -> None:
        levels = self._levels(now)
        # Time and energy always change; they go along with something else, and once a second.
        shown = replace(levels, t=0.0, energy_wh=0.0)
        if shown == self._shown and now < self._next_show_s:
            return
        self._shown = shown
        self._next_show_s = now + SHOW_PERIOD_S
        for cable in self._cables:
            cable.write(levels.to_line())

    # --- the trace ---

    def _trace_changes(self, now: float, out: Outputs) -> None:
        observed = {
            "contactor": "closed" if self._plant.contactor.position else "open",
            "coil": out.coil,
            "pilot": [out.cp_mode.name, out.duty_centi / 100],
            "permitted": out.allowed,
            "tripped": out.tripped,
            "locked": self._plant.lock.position,
            "faults": out.faults,
        }
        for event, value in observed.items():
            if self._traced.get(event) != value:
                self._traced[event] = value
                self._note(now, event, value)

    def _note(self, now: float, event: str, value: object) -> None:
        if self._trace is not None:
            self._trace.write(json.dumps({"t": now, "event": event, "value": value}) + "\n")
            self._trace.flush()


def _remove(socket: Path) -> None:
    socket.unlink(missing_ok=True)
