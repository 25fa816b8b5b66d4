"""What a DC output's wires end at: supply, contactor, cable with insulation and heat, a vehicle's battery. Pure.

Quasi-static between steps of some milliseconds: voltages follow their cause by a slope or an exponential, currents by
Ohm's law. The contactor is the board's; the vehicle's is the vehicle's. Everything in SI units.
"""

import math
from dataclasses import dataclass

SLOPE_V_PER_S = 1500.0
SLOPE_A_PER_S = 500.0
DISCHARGE_TAU_S = 0.15
CABLE_TAU_S = 0.05
CABLE_OHM = 0.02
HEAT_TAU_S = 300.0
HEAT_K_PER_A2 = 40.0 / 200.0**2
AMBIENT_C = 25.0
OPEN_OHM = 1e7


@dataclass(slots=True)
class Battery:
    """`closed`: the vehicle's contactors. The voltage rises with the charge; 10 % of it between empty and full."""

    voltage_v: float = 380.0
    inner_ohm: float = 0.08
    capacity_wh: float = 60_000.0
    energy_wh: float = 18_000.0
    closed: bool = False
    insulation_ohm: float = 2e6

    @property
    def soc_percent(self) -> float:
        return 100.0 * self.energy_wh / self.capacity_wh

    @property
    def open_circuit_v(self) -> float:
        return self.voltage_v * (0.97 + 0.1 * self.energy_wh / self.capacity_wh)


@dataclass(slots=True)
class Faults:
    """What is broken. `offset_v` is what the insulation monitor shows too much."""

    leak_ohm: float = 0.0
    welded: bool = False
    offset_v: float = 0.0
    supply_dead: bool = False
    over_v: float = 0.0
    short_ohm: float = 0.0
    no_discharge: bool = False
    hot: bool = False


class DcPlant:
    """`tick(now)` moves it; the attributes below are what instruments show."""

    def __init__(self, now: float, energy_wh: float = 0.0) -> None:
        self.battery: Battery | None = None
        self.faults = Faults()
        self.contactor_closed = False
        self.set_v = 0.0
        self.set_a = 0.0
        self.on = False
        self.supply_v = 0.0
        self.outer_v = 0.0
        self.current_a = 0.0
        self.energy_wh = energy_wh
        self.cable_c = AMBIENT_C
        self._at_s = now

    @property
    def connected(self) -> bool:
        """Whether supply and cable are one."""
        return self.contactor_closed or self.faults.welded

    @property
    def power_w(self) -> float:
        return self.outer_v * self.current_a

    @property
    def insulation_ohm(self) -> float:
        """Of cable and, behind its contactors, vehicle, in parallel with what leaks."""
        paths = [5e6]
        if self.battery is not None and self.battery.closed:
            paths.append(self.battery.insulation_ohm)
        if self.faults.leak_ohm:
            paths.append(self.faults.leak_ohm)
        return 1 / sum(1 / ohm for ohm in paths)

    def to_earth_v(self) -> tuple[float, float]:
        """Of DC+ and DC-: even halves, until something leaks on one side."""
        if self.faults.leak_ohm and self.faults.leak_ohm < 1e5:
            return self.outer_v * 0.95, -self.outer_v * 0.05
        return self.outer_v / 2, -self.outer_v / 2

    def tick(self, now: float) -> None:
        passed_s = max(0.0, now - self._at_s)
        self._at_s = now
        # A long silence of the caller is many small steps.
        steps = min(200, math.ceil(passed_s / 0.01))
        for _ in range(steps):
            self._step(passed_s / steps)

    def _step(self, dt: float) -> None:
        battery = self.battery
        attached = battery if battery is not None and battery.closed else None
        on = self.on and not self.faults.supply_dead
        if not self.connected:
            self.current_a = 0.0
            self._move_supply(on, dt)
            goal_v = attached.open_circuit_v if attached else 0.0
            self.outer_v = self._fall(self.outer_v, goal_v, CABLE_TAU_S, dt)
        elif attached is not None:
            self._charge(attached, on, dt)
        else:
            self._loaded(on, dt)
        self._warm(dt)

    def _move_supply(self, on: bool, dt: float) -> None:
        if on:
            goal_v = self.set_v + self.faults.over_v
            self.supply_v += max(-SLOPE_V_PER_S * dt, min(SLOPE_V_PER_S * dt, goal_v - self.supply_v))
        elif not self.faults.no_discharge:
            self.supply_v = self._fall(self.supply_v, 0.0, DISCHARGE_TAU_S, dt)

    def _charge(self, battery: Battery, on: bool, dt: float) -> None:
        ohm = battery.inner_ohm + CABLE_OHM
        able_a = max(0.0, (self.set_v - battery.open_circuit_v) / ohm) if on else 0.0
        goal_a = min(able_a, self.set_a)
        self.current_a += max(-4 * SLOPE_A_PER_S * dt, min(SLOPE_A_PER_S * dt, goal_a - self.current_a))
        if not on:
            self.current_a = 0.0
        self.outer_v = battery.open_circuit_v + self.current_a * battery.inner_ohm + (self.faults.over_v if on else 0.0)
        self.supply_v = self.outer_v + self.current_a * CABLE_OHM
        energy_wh = self.outer_v * self.current_a * dt / 3600
        self.energy_wh += energy_wh
        battery.energy_wh = min(battery.capacity_wh, battery.energy_wh + energy_wh)

    def _loaded(self, on: bool, dt: float) -> None:
        """Nothing at the cable, or what should not be there."""
        self._move_supply(on, dt)
        ohm = self.faults.short_ohm or OPEN_OHM
        self.supply_v = min(self.supply_v, self.set_a * ohm) if on else self.supply_v
        self.current_a = self.supply_v / ohm if on and self.faults.short_ohm else 0.0
        self.outer_v = self.supply_v

    def _warm(self, dt: float) -> None:
        goal_c = AMBIENT_C + HEAT_K_PER_A2 * self.current_a**2 + (80.0 if self.faults.hot else 0.0)
        tau_s = 2.0 if self.faults.hot else HEAT_TAU_S
        self.cable_c = self._fall(self.cable_c, goal_c, tau_s, dt)

    @staticmethod
    def _fall(value: float, goal: float, tau_s: float, dt: float) -> float:
        return goal + (value - goal) * math.exp(-dt / tau_s)
