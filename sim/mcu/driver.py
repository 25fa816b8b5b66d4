"""A board driver that brings its board along: `driver = "sim.mcu.driver:simulated"` in the configuration.

The simulated MCU runs in the daemon's own process, at the other end of a pseudo-terminal that appears under the
configured device path; the vehicle is a program of its own (`sim.vehicle`). For trying the daemon without hardware, and
for test suites from outside that drive it by the control socket's Simulate methods.
"""

import asyncio
import contextlib
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hal.board import McuBoard
from hal.drivers import HAL_VERSION, Options, take_options
from hal.mcu.faults import BITS
from hal.ports import EvseCapabilities, Fault, Report
from hal.quantities import EvseId
from hal.simulation import SimulationError, Visit
from sim.mcu.cable import Cable, CableError
from sim.mcu.firmware import BoardType, Firmware, PythonFirmware
from sim.mcu.line import Quality
from sim.mcu.plant import Plant
from sim.mcu.process import PLANT_FAULTS, SimulatedBoard

PLUG_S = 10.0
"""A vehicle's program has this long to start and plug in."""
LEAVE_S = 8.0
VISIT_MARGIN_S = 600.0
"""A visit may last so much longer than its charging."""


class BoardWithin(McuBoard):
    """`BoardSupport` and `Simulator`: our own link, and the MCU at its other end."""

    def __init__(
        self, device: Path, evse: EvseId, report: Report, board: BoardType, *, alive: Callable[[], bool], drive: str
    ) -> None:
        super().__init__(str(device), evse, report, alive=alive)
        self._device = device
        self._cable_path = device.with_name(f"{device.name}.cable")
        self._type = board
        self._drive = drive
        self._far_end: asyncio.Task[None] | None = None
        self._cable: Cable | None = None
        self._vehicle: asyncio.subprocess.Process | None = None

    async def open(self) -> EvseCapabilities:
        if self._far_end is None:
            now = time.monotonic()
            simulated = SimulatedBoard(self._boot, Plant(self._type.voltage_v, now), None)
            self._far_end = asyncio.create_task(simulated.run(self._device, self._cable_path, Quality()))
            self._cable = await Cable.connect(self._cable_path)
        return await super().open()

    async def close(self) -> None:
        await super().close()
        if self._vehicle is not None and self._vehicle.returncode is None:
            self._vehicle.kill()
            await self._vehicle.wait()
        if self._cable is not None:
            await self._cable.close()
        if self._far_end is not None:
            self._far_end.cancel()
            await asyncio.gather(self._far_end, return_exceptions=True)

    # --- Simulator ---

    async def plug_in(self, visit: Visit) -> None:
        cable = self._plugged_cable()
        if cable.levels.cp != "A" or (self._vehicle is not None and self._vehicle.returncode is None):
            raise SimulationError("a vehicle is here already")
        self._vehicle = await self._start(visit)
        ended = asyncio.create_task(self._vehicle.wait())
        plugged = asyncio.create_task(cable.wait_for(lambda levels: levels.cp != "A", PLUG_S))
        await asyncio.wait({ended, plugged}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not plugged.done() or plugged.exception() is not None:
            plugged.cancel()
            raise SimulationError(f"the vehicle did not come: see {self._vehicle_file('out')}")

    async def plug_out(self, *, pull: bool) -> bool:
        cable = self._plugged_cable()
        if self._vehicle is not None and self._vehicle.returncode is None:
            self._vehicle.kill() if pull else self._vehicle.terminate()
        if pull or self._vehicle is None or self._vehicle.returncode is not None:
            await cable.draw(0.0)
            await cable.set_cp("A")
        with contextlib.suppress(TimeoutError):
            await cable.wait_for(lambda levels: levels.cp == "A", LEAVE_S)
        return cable.levels.cp == "A"

    async def swipe(self, id_token: str, kind: str) -> None:
        try:
            bytes.fromhex(id_token)
        except ValueError as error:
            raise SimulationError("a card's UID is written in hex") from error
        await self._plugged_cable().swipe(id_token, kind)

    async def set_fault(self, name: str, active: bool) -> None:
        if name not in PLANT_FAULTS and name not in _FAULTS:
            raise SimulationError(f"no such fault; there are {', '.join((*PLANT_FAULTS, *_FAULTS))}")
        await self._plugged_cable().fault(name, active)

    # --- inside ---

    def _boot(self, now: float) -> Firmware:
        return PythonFirmware(self._type, now)

    def _plugged_cable(self) -> Cable:
        if self._cable is None:
            raise SimulationError("the simulated board is not open yet")
        try:
            self._cable.levels  # noqa: B018 - raises when the board has gone
        except CableError as error:
            raise SimulationError(str(error)) from error
        return self._cable

    async def _start(self, visit: Visit) -> asyncio.subprocess.Process:
        arguments = [visit.vehicle, "--cable", str(self._cable_path), "--log", str(self._vehicle_file("jsonl"))]
        arguments += ["--charge-s", f"{visit.charge_s:g}", "--max-a", f"{visit.max_current_a:g}"]
        arguments += ["--timeout-s", f"{visit.charge_s + VISIT_MARGIN_S:g}"]
        arguments += ["--swipe", visit.card] if visit.card else []
        with self._vehicle_file("out").open("ab") as out:
            return await asyncio.create_subprocess_exec(
                *shlex.split(self._drive), *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out
            )

    def _vehicle_file(self, ending: str) -> Path:
        return self._device.with_name(f"{self._device.name}.vehicle.{ending}")


_FAULTS = [fault.value for fault in Fault if fault in BITS]


def simulated(device: str, evse: EvseId, report: Report, *, alive: Callable[[], bool], options: Options) -> BoardWithin:
    """Options: the board's `phases`, `max_current_a`, `has_lock`, `has_ventilation`; `drive`, the vehicle's command.

    `drive` begins `python -m sim.vehicle` in the vehicle's network namespace, with the --interface of its modem and the
    --pki it needs; a plain IEC 61851 car needs neither.
    """
    here = f"{shlex.quote(sys.executable)} -m sim.vehicle --interface none"
    default: Options = {"phases": 3, "max_current_a": 32.0, "has_lock": True, "has_ventilation": False, "drive": here}
    known = take_options(options, default)
    board = BoardType(
        phases=int(known["phases"]),
        max_current_a=float(known["max_current_a"]),
        has_lock=bool(known["has_lock"]),
        has_ventilation=bool(known["has_ventilation"]),
    )
    return BoardWithin(Path(device), evse, report, board, alive=alive, drive=str(known["drive"]))


simulated.hal_version = HAL_VERSION  # type: ignore[attr-defined]
