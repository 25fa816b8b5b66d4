"""The devices of a DC output by the configuration's names. What shares a bus shares its object."""

from collections.abc import Callable

from firmware.config import Dc, IsolationMonitor
from hal.can.bus import CanBus, bus_of
from hal.dc import ports
from hal.dc.infy_supply import InfySupply
from hal.dc.isolation_monitor import ModbusIsolationMonitor
from hal.dc.monitors import MONITORS
from hal.dc.ports import SupplyCapabilities, TakeReading
from hal.modbus.bus import ModbusBus


class CanBuses:
    def __init__(self) -> None:
        self._buses: dict[str, CanBus] = {}

    def bus(self, name: str) -> CanBus:
        return self._buses.setdefault(name, bus_of(name))


class DcDevices:
    """Implements `hal.dc.board.Devices` for one EVSE."""

    def __init__(self, settings: Dc, buses: CanBuses, modbus: Callable[[IsolationMonitor], ModbusBus]) -> None:
        self._settings = settings
        self._buses = buses
        self._modbus = modbus

    def supply(self, take: TakeReading) -> ports.DcPowerSupply:
        settings = self._settings.supply
        return InfySupply(self._buses.bus(settings.can), settings.modules, take)

    def isolation_monitor(self, take: TakeReading) -> ports.IsolationMonitor:
        settings = self._settings.isolation_monitor
        return ModbusIsolationMonitor(self._modbus(settings), settings.unit, MONITORS[settings.model], take)

    def over_voltage_monitor(self, take: TakeReading) -> ports.OverVoltageMonitor | None:  # noqa: ARG002  # the port's
        """None of ours has a driver: its emergency level is the supply's own, and the board's."""
        return None


def rating(settings: Dc) -> SupplyCapabilities:
    return SupplyCapabilities(
        max_voltage_v=settings.max_voltage_v,
        min_voltage_v=settings.min_voltage_v,
        max_current_a=settings.max_current_a,
        max_power_w=settings.max_power_w,
    )
