"""The grid's machine in the daemon: its inputs, its clock, and where its word goes.

Inputs are the control socket, Modbus TCP registers and dry contacts of the boards (`hal.ports.ContactChanged`). Lives
on the main loop, and watches the EVSEs as an observer.

Modbus holding registers, for an energy manager:

    0   limit per phase in 0.1 A; 65535 lifts it. Writing it shows that the manager lives
    1   1 dims the station, 0 releases it
    10  to 12: what the vehicles may draw now from L1, L2, L3, in 0.1 A (read only, as all that follow)
    13  and 14: what the station draws, in W, high word first
    15  whether it is dimmed, by any input
    16  whether its fail-safe current holds
    17  how many EVSEs there are
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from firmware.config import Config
from firmware.dimming_log import DimmingLog, Entry
from firmware.evse import Evse, Observation
from firmware.grid import Cause, Grid, Limited, Noted, Outcome
from firmware.site import Site, loaded_phases
from hal.modbus.tcp_server import ILLEGAL_ADDRESS, ILLEGAL_VALUE, RegisterFault
from hal.ports import ContactChanged, MeterSampled
from hal.quantities import EvseId
from ocpp_client.ports import CsmsOnline

NO_LIMIT = 0xFFFF
LIMIT, DIM, LOADS, POWER, DIMMED, FAILSAFE, COUNT = 0, 1, 10, 13, 15, 16, 17
SOURCES = {Cause.ENERGY_MANAGER: "EMS", Cause.DIMMING: "SO", Cause.SILENCE: "Other"}
"""OCPP ChargingLimitSourceEnumType; what holds because the CSMS is out of reach is not told to it."""

FRESH_S = 10.0
"""A reading older than this is not what an EVSE draws now."""


class Teller(Protocol):
    """Tells the CSMS of a limit that somebody else has set (K11-K14); None lifts it."""

    def __call__(self, source: str, limit_a: float | None, critical: bool, /) -> None: ...


class GridSide:
    def __init__(
        self,
        config: Config,
        evses: Mapping[EvseId, Evse],
        site: Site,
        log: DimmingLog,
        clock: Callable[[], float],
    ) -> None:
        phases = {phase for settings in config.evse for phase in loaded_phases(settings)}
        self._grid = Grid(config.grid, len(phases), config.evse[0].nominal_voltage_v, clock())
        self._evses = evses
        self._site = site
        self._log = log
        self._clock = clock
        self._powers: dict[EvseId, tuple[float, float]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._writing: set[asyncio.Task[None]] = set()
        self._in_order = asyncio.Lock()
        self.tell: Teller | None = None

    def start(self) -> None:
        self._arm()

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._writing)

    # --- Inputs ---

    def __call__(self, seen: Observation) -> None:
        """An observer of the EVSEs."""
        match seen.fact:
            case ContactChanged(active):
                self.dim(f"contact {seen.evse}", active)
            case CsmsOnline(online) if seen.evse == min(self._evses):
                self._perform(self._grid.online(online, self._clock()))
            case MeterSampled(reading):
                self._powers[seen.evse] = (reading.power_import_w, seen.at_s)
                self._perform(self._grid.measured(self.power_w()))

    def manage(self, limit_a: float | None) -> None:
        """The energy manager's limit per phase; None lifts it."""
        self._perform(self._grid.manage(limit_a, self._clock()))

    def dim(self, by: str, active: bool) -> None:
        self._perform(self._grid.dim(by, active))

    # --- What there is to see ---

    def power_w(self) -> float:
        now = self._clock()
        return sum(power_w for power_w, at_s in self._powers.values() if now - at_s < FRESH_S)

    @property
    def limits(self) -> dict[Cause, float]:
        return self._grid.limits

    @property
    def inputs(self) -> tuple[str, ...]:
        return self._grid.inputs

    async def dimming_log(self) -> list[Entry]:
        return await asyncio.to_thread(self._log.entries)

    # --- Modbus registers ---

    def read(self, address: int, count: int) -> Sequence[int]:
        values = self._registers()
        wanted = range(address, address + count)
        if any(number not in values for number in wanted):
            raise RegisterFault(ILLEGAL_ADDRESS)
        return [values[number] for number in wanted]

    def write(self, address: int, values: Sequence[int]) -> None:
        if address + len(values) > DIM + 1:
            raise RegisterFault(ILLEGAL_ADDRESS)
        written = dict(enumerate(values, address))
        if written.get(DIM, 0) > 1:
            raise RegisterFault(ILLEGAL_VALUE)
        if LIMIT in written:
            self.manage(None if written[LIMIT] == NO_LIMIT else written[LIMIT] / 10)
        if DIM in written:
            self.dim("modbus", written[DIM] == 1)

    def _registers(self) -> dict[int, int]:
        limits, power_w = self._grid.limits, round(max(self.power_w(), 0.0))
        managed = limits.get(Cause.ENERGY_MANAGER)
        loads = {LOADS + phase: round(amps * 10) for phase, amps in enumerate(self._site.load())}
        return {
            LIMIT: NO_LIMIT if managed is None else round(managed * 10),
            DIM: int("modbus" in self._grid.inputs),
            **{number: min(value, NO_LIMIT) for number, value in loads.items()},
            POWER: power_w >> 16,
            POWER + 1: power_w & 0xFFFF,
            DIMMED: int(Cause.DIMMING in limits),
            FAILSAFE: int(Cause.SILENCE in limits or Cause.OFFLINE in limits),
            COUNT: len(self._evses),
        }

    # --- What follows ---

    def _perform(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            match outcome:
                case Limited(cause, limit_a):
                    self._site.limit(cause.value, limit_a)
                    if self.tell is not None and cause in SOURCES:
                        self.tell(SOURCES[cause], limit_a, cause is Cause.DIMMING)
                case Noted():
                    task = asyncio.get_running_loop().create_task(self._write(outcome))
                    self._writing.add(task)
                    task.add_done_callback(self._writing.discard)
        self._arm()

    async def _write(self, noted: Noted) -> None:
        at = datetime.now(UTC)
        async with self._in_order:
            await asyncio.to_thread(self._log.append, noted, at)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due_s = self._grid.deadline()
        if due_s is not None:
            delay_s = max(due_s - self._clock(), 0.0)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def _tick(self) -> None:
        self._perform(self._grid.tick(self._clock()))
