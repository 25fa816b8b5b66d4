"""The board, the meter and the DC devices of each EVSE, by the configuration's names. One line is one bus."""

from collections.abc import Callable

from firmware.config import Evse as EvseSettings
from firmware.config import IsolationMonitor
from firmware.config import Meter as MeterSettings
from firmware.dc_devices import CanBuses, DcDevices, rating
from hal import drivers
from hal.dc.board import DcBoard
from hal.dcbm import DcbmMeter
from hal.meter import ModbusMeter
from hal.metered_board import MeteredBoard
from hal.modbus.bus import ModbusBus
from hal.modbus.meters import METERS
from hal.modbus.rtu_line import RtuLine
from hal.modbus.tcp_line import TcpLine
from hal.ports import BoardSupport, Report, SigningMeter
from hal.quantities import EvseId

SIGNING = "lem-dcbm"


def signs(settings: EvseSettings) -> bool:
    """Whether this EVSE's meter signs what it measures."""
    return settings.meter is not None and settings.meter.model == SIGNING


class Boards:
    """`signing` are the meters that sign, by their EVSE."""

    def __init__(self) -> None:
        self._buses: dict[tuple[str, int], ModbusBus] = {}
        self.signing: dict[EvseId, SigningMeter] = {}
        self._can = CanBuses()

    def make(self, settings: EvseSettings, report: Report, alive: Callable[[], bool]) -> BoardSupport:
        """Nothing is opened yet. Raises hal.drivers.DriverError."""
        driver = drivers.load(settings.driver)
        number = EvseId(settings.id)

        def board(report: Report) -> BoardSupport:
            return driver(settings.device, number, report, alive=alive, options=settings.options)

        if settings.meter is None:
            return board(report)
        if settings.dc is None:
            return self._metered(board, settings, settings.meter, number, report)
        meter = settings.meter
        devices = DcDevices(settings.dc, self._can, self._bus)
        return DcBoard(
            lambda report: self._metered(board, settings, meter, number, report), devices, rating(settings.dc), report
        )

    def _metered(
        self,
        board: Callable[[Report], BoardSupport],
        settings: EvseSettings,
        meter: MeterSettings,
        number: EvseId,
        report: Report,
    ) -> MeteredBoard:
        if signs(settings):
            signing = self.signing[number] = DcbmMeter(meter.host, meter.port or 80, number, report)
            return MeteredBoard(board, signing, report)
        if meter.model not in METERS:
            raise drivers.DriverError(f"no such meter: {meter.model}; known are {', '.join((*METERS, SIGNING))}")
        return MeteredBoard(
            board, ModbusMeter(self._bus(meter), meter.unit, METERS[meter.model], number, report), report
        )

    def _bus(self, meter: MeterSettings | IsolationMonitor) -> ModbusBus:
        place = (meter.host, meter.port or 502) if meter.host else (meter.device, 0)
        if place not in self._buses:
            line = (
                TcpLine(*place) if meter.host else RtuLine(meter.device, meter.baudrate, meter.parity, meter.stopbits)
            )
            self._buses[place] = ModbusBus(line)
        return self._buses[place]
