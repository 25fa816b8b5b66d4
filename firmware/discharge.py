"""Whether a vehicle may feed back now: the grid's voltage and frequency, and the battery's reserve. Pure.

Feeding stops at once outside the band in which a generator must stay connected, and begins again once the grid has been
within the narrower band for a minute. Without a reading nothing is fed.
"""

from dataclasses import dataclass, field

from hal.quantities import MeterReading

# VDE-AR-N 4105 clauses 6.5.2 and 8.3: disconnection and reconnection of generators on the low-voltage grid.
LOWEST_VOLTAGE, HIGHEST_VOLTAGE = 0.80, 1.15  # unverified: VDE-AR-N 4105
LOWEST_HZ, HIGHEST_HZ = 47.5, 51.5  # unverified: VDE-AR-N 4105
RETURN_VOLTAGE = (0.85, 1.10)  # unverified: VDE-AR-N 4105
RETURN_HZ = (49.5, 50.1)  # unverified: VDE-AR-N 4105
RETURN_S = 60.0


@dataclass(frozen=True, slots=True)
class Feeding:
    """What an EVSE may take back: nothing with `limit_a` 0. Per phase; the reserve is the battery's state of charge."""

    limit_a: float = 0.0
    reserve_percent: float = 0.0
    phases: int = 3
    voltage_v: float = 230.0
    """Nominal, phase to neutral."""


NO_FEEDING = Feeding()


@dataclass(slots=True)
class GridGuard:
    feeding: Feeding
    allows: bool = field(default=False, init=False)
    _cut: bool = field(default=False, init=False)
    _sound_since_s: float | None = field(default=None, init=False)

    def measured(self, reading: MeterReading, soc_percent: float | None, now: float) -> bool:
        """Whether feeding is allowed from now on; the state of charge is the vehicle's word, where it gives one.

        Of a DC output the meter says nothing about the grid: there the converter has its own protection.
        """
        nominal_v = self.feeding.voltage_v
        volts = [] if reading.dc else [phase_v / nominal_v for phase_v in reading.voltage_v[: self.feeding.phases]]
        hertz = reading.frequency_hz
        if not _within(volts, LOWEST_VOLTAGE, HIGHEST_VOLTAGE) or not _frequency(hertz, LOWEST_HZ, HIGHEST_HZ):
            self._cut, self._sound_since_s = True, None
        elif self._cut:
            self._await_return(volts, hertz, now)
        self.allows = not self._cut and (soc_percent is None or soc_percent > self.feeding.reserve_percent)
        return self.allows

    def _await_return(self, volts: list[float], hertz: float | None, now: float) -> None:
        if not _within(volts, *RETURN_VOLTAGE) or not _frequency(hertz, *RETURN_HZ):
            self._sound_since_s = None
        elif self._sound_since_s is None:
            self._sound_since_s = now
        elif now - self._sound_since_s >= RETURN_S:
            self._cut = False


def _within(values: list[float], low: float, high: float) -> bool:
    return all(low <= value <= high for value in values)


def _frequency(hertz: float | None, low: float, high: float) -> bool:
    """A meter that does not tell it leaves it to the vehicle's own protection, which every feeding vehicle has."""
    return hertz is None or low <= hertz <= high
