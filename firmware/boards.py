"""The board and the meter of each EVSE, by the configuration's names. Meters of one line share its bus."""

from collections.abc import Callable

from firmware.config import Evse as EvseSettings
from firmware.config import Meter as MeterSettings
from hal import drivers
from hal.meter import ModbusMeter
from hal.metered_board import MeteredBoard
from hal.modbus.bus import ModbusBus
from hal.modbus.meters import METERS
from hal.modbus.rtu_line import RtuLine
from hal.modbus.tcp_line import TcpLine
from hal.ports import BoardSupport, Report
from hal.quantities import EvseId


class Boards:
    def __init__(self) -> None:
        self._buses: dict[tuple[str, int], ModbusBus] = {}

    def make(self, settings: EvseSettings, report: Report, alive: Callable[[], bool]) -> BoardSupport:
        """Nothing is opened yet. Raises hal.drivers.DriverError."""
        driver = drivers.load(settings.driver)
        number = EvseId(settings.id)

        def board(report: Report) -> BoardSupport:
            return driver(settings.device, number, report, alive=alive, options=settings.options)

        if settings.meter is None:
            return board(report)
        if settings.meter.model not in METERS:
            raise drivers.DriverError(f"no such meter: {settings.meter.model}; known are {', '.join(METERS)}")
        meter = ModbusMeter(
            self._bus(settings.meter), settings.meter.unit, METERS[settings.meter.model], number, report
        )
        return MeteredBoard(board, meter, report)

    def _bus(self, meter: MeterSettings) -> ModbusBus:
        place = (meter.host, meter.port) if meter.host else (meter.device, 0)
        if place not in self._buses:
            line = (
                TcpLine(meter.host, meter.port)
                if meter.host
                else RtuLine(meter.device, meter.baudrate, meter.parity, meter.stopbits)
            )
            self._buses[place] = ModbusBus(line)
        return self._buses[place]
