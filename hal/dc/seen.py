"""What is known of a DC output now: the last word of each device, and how old it is. Pure."""

from dataclasses import dataclass

from hal.dc.ports import InsulationReading, OverVoltageReading, SupplyReading
from hal.dc.thresholds import MONITOR_STALE_S, SUPPLY_STALE_S
from hal.ports import Contactor, CpState

_OLD = float("-inf")


@dataclass(slots=True)
class Seen:
    """`cp` and `contactor` are the board's; None while it is out of reach."""

    cp: CpState | None = None
    contactor: Contactor | None = None
    supply: SupplyReading | None = None
    insulation: InsulationReading | None = None
    over_voltage: OverVoltageReading | None = None
    meter_v: float = 0.0
    meter_at_s: float = _OLD

    def charge_state(self) -> bool:
        """State C or D: the vehicle is ready. DC cables need no ventilation."""
        return self.cp is CpState.C or self.cp is CpState.D

    def closed(self) -> bool:
        return self.contactor is Contactor.CLOSED

    def open(self) -> bool:
        return self.contactor is Contactor.OPEN or self.contactor is Contactor.STUCK_OPEN

    def supply_fresh(self, now: float) -> bool:
        return self.supply is not None and now - self.supply.taken_at_s <= SUPPLY_STALE_S

    def insulation_fresh(self, now: float) -> bool:
        return self.insulation is not None and now - self.insulation.taken_at_s <= MONITOR_STALE_S

    def outer_voltages(self, now: float) -> list[float]:
        """Of the conductors on the vehicle's side of the contactor, by every device that measures there."""
        volts = []
        if self.insulation_fresh(now) and self.insulation is not None and self.insulation.voltage_v is not None:
            volts.append(self.insulation.voltage_v)
        if self.over_voltage is not None and now - self.over_voltage.taken_at_s <= SUPPLY_STALE_S:
            volts.append(self.over_voltage.voltage_v)
        if now - self.meter_at_s <= MONITOR_STALE_S:
            volts.append(self.meter_v)
        return volts

    def touchable_v(self, now: float) -> float | None:
        """The highest voltage at the connector; None when nobody knows."""
        volts = self.outer_voltages(now)
        if (self.closed() or not volts) and self.supply is not None and self.supply_fresh(now):
            volts.append(self.supply.voltage_v)
        return max(volts, default=None)

    def present_v(self, now: float) -> float:
        """What the vehicle is told: the supply's measurement, the quickest, where it is connected to the cable."""
        if self.closed() and self.supply is not None and self.supply_fresh(now):
            return self.supply.voltage_v
        return self.touchable_v(now) or 0.0

    def present_a(self, now: float) -> float:
        return self.supply.current_a if self.supply is not None and self.supply_fresh(now) else 0.0
