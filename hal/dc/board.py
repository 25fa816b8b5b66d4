"""A board with a DC output: `BoardSupport` and `DcSupport` over a board, a supply, monitors and the power path.

Whoever drives it sees one board. The permission it gives is the power path's to use: the contactor below closes only
for a cable check and what follows, and the supply is told before the contactor wherever that is the order. Pilot, lock
and tokens stay the board's own; the board's proximity pilot says nothing of a cable that is fixed.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from hal.dc.ports import (
    DcLevels,
    DcMeasured,
    DcPowerSupply,
    DcStaged,
    InsulationReading,
    IsolationMonitor,
    OverVoltageMonitor,
    OverVoltageReading,
    Reading,
    SupplyCapabilities,
    SupplyReading,
    TakeReading,
)
from hal.dc.power_path import DcPowerPath, Orders, Stage
from hal.diagnostics import BoardDiagnostics, Measurements, SelfTest, Verdict, diagnostics_of
from hal.faults import ActiveFaults
from hal.ports import (
    BoardFault,
    BoardLink,
    BoardSupport,
    BoardUnavailable,
    CpState,
    EvseCapabilities,
    EvseSnapshot,
    HalFact,
    MeterSampled,
    PluggedIn,
    Report,
    Severity,
    Unplugged,
)
from hal.quantities import MeterReading

PHASES = 3
"""A DC supply is fed by three phases; a limit per phase is one of its power."""


class Devices(Protocol):
    """Makes what is beside the board, each to report to `take`."""

    def supply(self, take: TakeReading) -> DcPowerSupply: ...

    def isolation_monitor(self, take: TakeReading) -> IsolationMonitor: ...

    def over_voltage_monitor(self, take: TakeReading) -> OverVoltageMonitor | None:
        """None where the board, or the supply itself, does that."""
        ...


class DcBoard:
    """`make_board` is given the report its board (with its DC meter) is to use. `rating` bounds what the supply can."""

    def __init__(
        self,
        make_board: Callable[[Report], BoardSupport],
        devices: Devices,
        rating: SupplyCapabilities,
        report: Report,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report = report
        self._clock = clock
        self._board = make_board(self._told)
        self._supply = devices.supply(self._take)
        self._monitor = devices.isolation_monitor(self._take)
        self._over_voltage = devices.over_voltage_monitor(self._take)
        self._rating = rating
        self._path = DcPowerPath(rating)
        self._done: Orders = self._path.orders
        self._faults = ActiveFaults()
        self._staged: tuple[object, ...] = ()
        self._plugged = False
        self._nominal_voltage_v = 230.0
        self._lock_wanted = False
        self._locked_told = False
        self._ticking: asyncio.Task[None] | None = None

    # --- BoardSupport ---

    async def open(self) -> EvseCapabilities:
        """Raises BoardUnavailable as long as the board or the supply does not answer."""
        board = await self._board.open()
        try:
            found = await self._supply.open()
        except BoardUnavailable:
            await self._board.close()
            raise
        await self._monitor.open()
        if self._over_voltage is not None:
            await self._over_voltage.open()
        self._nominal_voltage_v = board.nominal_voltage_v
        self._path.output = _lower(found, self._rating)
        self._path.limit_power(self._path.output.max_power_w, self._clock())
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick(), name="DC output")
        max_current_a = self._path.output.max_power_w / (PHASES * board.nominal_voltage_v)
        return replace(board, max_current_a=max_current_a, phases=PHASES)

    async def close(self) -> None:
        """Supply off first, then the board's own: pilot F and contactor open."""
        self._path.emergency(self._clock())
        self._carry_out()
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking
            self._ticking = None
        try:
            await self._supply.close()
        finally:
            await self._board.close()
            await self._monitor.close()
            if self._over_voltage is not None:
                await self._over_voltage.close()

    def snapshot(self) -> EvseSnapshot:
        levels = self._board.snapshot()
        return replace(levels, pp_ampacity_a=None, faults=levels.faults | self._faults.active)

    def meter(self) -> MeterReading:
        return replace(self._board.meter(), dc=True)

    def offer_nothing(self) -> None:
        self._board.offer_nothing()

    def offer_hlc(self) -> None:
        self._board.offer_hlc()

    def offer_current(self, limit_a: float) -> None:  # noqa: ARG002  # the port's
        """A vehicle cannot charge from a DC output by its pilot alone."""
        self._board.offer_nothing()

    def limit_current(self, limit_a: float) -> None:
        """Per phase of what feeds the supply: a limit of its power. Its losses are on top of it."""
        self._path.limit_power(limit_a * PHASES * self._nominal_voltage_v, self._clock())
        self._carry_out()

    def signal_error(self) -> None:
        """State F: supply and contactor at once."""
        self._path.emergency(self._clock())
        self._carry_out()
        self._board.signal_error()

    def permit_power(self, permit: bool) -> None:
        self._path.permit(permit, self._clock())
        self._carry_out()

    def lock_connector(self, lock: bool) -> None:
        """Unlock once the contactor is open and the connector dead."""
        self._lock_wanted = lock
        self._carry_out()

    # --- DcSupport ---

    def levels(self) -> DcLevels:
        path, now = self._path, self._clock()
        return DcLevels(
            stage=path.stage.value,
            charging=path.stage is Stage.CHARGING,
            voltage_v=path.seen.present_v(now),
            current_a=path.seen.present_a(now),
            check_id=path.check.check_id if path.check is not None else "",
            insulation=path.insulation,
            max_power_w=path.max_power_w,
            capabilities=path.output,
        )

    def check_cable(self, check_id: str, vehicle_max_v: float) -> None:
        self._path.check_cable(check_id, vehicle_max_v, self._clock())
        self._carry_out()

    def target(self, voltage_v: float, current_a: float) -> None:
        self._path.target(voltage_v, current_a, self._clock())
        self._carry_out()

    def deliver(self, deliver: bool) -> None:
        self._path.deliver(deliver, self._clock())
        self._carry_out()

    @property
    def diagnostics(self) -> BoardDiagnostics | None:
        """The board's, with the output's insulation and its latched faults."""
        below = diagnostics_of(self._board)
        return _Diagnostics(below, self) if below is not None else None

    @property
    def insulation_kohm(self) -> float | None:
        """As measured last; None while nothing is measured."""
        seen, now = self._path.seen, self._clock()
        return seen.insulation.resistance_kohm if seen.insulation is not None and seen.insulation_fresh(now) else None

    def reset_output(self) -> None:
        """Latched faults of the output, after a technician has seen to them."""
        if self._over_voltage is not None:
            self._over_voltage.reset()
        self._path.reset_faults(self._clock())
        self._carry_out()

    # --- inside ---

    def _told(self, fact: HalFact) -> None:
        """The board's facts pass; what they say of the output is heeded first."""
        now = self._clock()
        match fact:
            case PluggedIn():
                self._plugged = True
            case Unplugged():
                self._plugged = False
                if self._over_voltage is not None:
                    self._over_voltage.reset()
            case MeterSampled(reading):
                self._path.metered(reading.voltage_v[0], reading.taken_at_s, now)
                fact = MeterSampled(replace(reading, dc=True))
            case BoardLink(up=False):
                self._path.board(None, None, now)
            case BoardFault(active=True, severity=Severity.EMERGENCY):
                self._path.emergency(now)
        self._look(now)
        self._carry_out()
        self._report(fact)

    def _look(self, now: float) -> None:
        """At the board's levels: the raw pilot is quicker than the fact that it has settled."""
        try:
            levels = self._board.snapshot()
        except BoardUnavailable:
            self._path.board(None, None, now)
            return
        cp = levels.cp
        if not self._plugged:
            cp = CpState.A
        elif cp is CpState.A:
            cp = CpState.B
        self._path.board(cp, levels.contactor, now)

    def _take(self, reading: Reading) -> None:
        now = self._clock()
        match reading:
            case SupplyReading():
                self._path.supply(reading, now)
                seen = self._path.seen
                self._report(DcMeasured(round(seen.present_v(now), 1), round(reading.current_a, 1), now))
            case InsulationReading():
                self._path.monitored(reading, now)
            case OverVoltageReading():
                self._path.over_voltage(reading, now)
        self._carry_out()

    async def _tick(self) -> None:
        while True:
            self._look(self._clock())
            self._path.tick(self._clock())
            self._carry_out()
            await asyncio.sleep(self._path.period_s)

    def _carry_out(self) -> None:
        """The supply before the contactor, so that nothing opens under a current it could have been spared."""
        done, orders = self._done, self._path.orders
        self._done = orders
        if orders.supply != done.supply:
            self._supply.put(orders.supply)
        if orders.close != done.close:
            self._board.permit_power(orders.close)
        if orders.measure != done.measure:
            self._monitor.measure(orders.measure)
        if orders.self_test and not done.self_test:
            self._monitor.start_self_test()
        if self._over_voltage is not None and (orders.emergency_v, orders.error_v) != (done.emergency_v, done.error_v):
            self._over_voltage.watch(orders.emergency_v, orders.error_v)
        self._move_lock(orders.unlock)
        self._tell()

    def _move_lock(self, may_unlock: bool) -> None:
        lock = self._lock_wanted or (self._locked_told and not may_unlock)
        if lock != self._locked_told:
            self._locked_told = lock
            self._board.lock_connector(lock)

    def _tell(self) -> None:
        path, now = self._path, self._clock()
        for fact in self._faults.update(path.faults, now):
            self._report(fact)
        detail = path.check.failure if path.check is not None else ""
        staged = (path.stage, path.insulation, detail)
        if staged != self._staged:
            self._staged = staged
            self._report(DcStaged(path.stage.value, path.stage is Stage.CHARGING, path.insulation, detail, now))


class _Diagnostics:
    """Implements `BoardDiagnostics`."""

    def __init__(self, below: BoardDiagnostics, output: DcBoard) -> None:
        self._below = below
        self._output = output

    def measurements(self) -> Measurements:
        return replace(self._below.measurements(), insulation_kohm=self._output.insulation_kohm)

    async def self_test(self, test: SelfTest) -> Verdict:
        return await self._below.self_test(test)

    async def clear_faults(self) -> Verdict:
        verdict = await self._below.clear_faults()
        if verdict is not Verdict.REFUSED:
            self._output.reset_output()
        return verdict


def _lower(found: SupplyCapabilities, rating: SupplyCapabilities) -> SupplyCapabilities:
    """What cable, connector and wiring leave of what the supply could."""
    return SupplyCapabilities(
        max_voltage_v=min(found.max_voltage_v, rating.max_voltage_v),
        min_voltage_v=max(found.min_voltage_v, rating.min_voltage_v),
        max_current_a=min(found.max_current_a, rating.max_current_a),
        max_power_w=min(found.max_power_w, rating.max_power_w),
        max_import_current_a=min(found.max_import_current_a, rating.max_import_current_a),
        max_import_power_w=min(found.max_import_power_w, rating.max_import_power_w),
    )
