"""A board whose energy is measured by a meter of its own: the board's own values, if it has any, are not used."""

from collections.abc import Callable

from hal.diagnostics import BoardDiagnostics, diagnostics_of
from hal.ports import (
    BoardSupport,
    EvseCapabilities,
    EvseSnapshot,
    HalFact,
    MeterSampled,
    PowerMeter,
    Report,
)
from hal.quantities import MeterReading


def without_samples(report: Report) -> Report:
    """For the board's driver: what it measures itself is not reported."""

    def reported(fact: HalFact) -> None:
        if not isinstance(fact, MeterSampled):
            report(fact)

    return reported


class MeteredBoard:
    """`BoardSupport` that takes its readings from `meter`. `make_board` is given the report its board is to use."""

    def __init__(self, make_board: Callable[[Report], BoardSupport], meter: PowerMeter, report: Report) -> None:
        self._board = make_board(without_samples(report))
        self._meter = meter

    @property
    def diagnostics(self) -> BoardDiagnostics | None:
        """The board's."""
        return diagnostics_of(self._board)

    async def open(self) -> EvseCapabilities:
        """Board first: without a meter the board answers all the same, and the meter's fault is reported."""
        capabilities = await self._board.open()
        await self._meter.open()
        return capabilities

    async def close(self) -> None:
        try:
            await self._board.close()
        finally:
            await self._meter.close()

    def snapshot(self) -> EvseSnapshot:
        return self._board.snapshot()

    def meter(self) -> MeterReading:
        return self._meter.reading()

    def offer_nothing(self) -> None:
        self._board.offer_nothing()

    def offer_hlc(self) -> None:
        self._board.offer_hlc()

    def offer_current(self, limit_a: float) -> None:
        self._board.offer_current(limit_a)

    def limit_current(self, limit_a: float) -> None:
        self._board.limit_current(limit_a)

    def signal_error(self) -> None:
        self._board.signal_error()

    def permit_power(self, permit: bool) -> None:
        self._board.permit_power(permit)

    def lock_connector(self, lock: bool) -> None:
        self._board.lock_connector(lock)
