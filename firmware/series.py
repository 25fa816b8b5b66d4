"""What a session's picture is drawn from, bounded: readings that thin out as it grows long, levels by their changes.

Pure. Times are seconds since the visit began.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hal.quantities import MeterReading

MAX_POINTS = 240
MAX_STEPS = 200
INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True)
class Point:
    """Power is positive towards the vehicle, current the highest of the phases with the power's sign."""

    after_s: float
    power_w: float
    current_a: float
    energy_wh: float
    """The meter's register."""
    soc_percent: float | None


@dataclass(slots=True)
class Steps:
    """A level by its changes. When there are too many the oldest go: the end of a session is asked about most."""

    values: list[tuple[float, tuple[object, ...]]] = field(default_factory=list)

    def put(self, after_s: float, *level: object) -> None:
        if self.values and self.values[-1][1] == level:
            return
        if len(self.values) >= MAX_STEPS:
            del self.values[1]
        self.values.append((after_s, level))


@dataclass(slots=True)
class Series:
    points: list[Point] = field(default_factory=list)
    offers: Steps = field(default_factory=Steps)
    """Ampere, and who set it."""
    pilot: Steps = field(default_factory=Steps)
    """The vehicle's state, A to D."""
    _interval_s: float = INTERVAL_S

    def sample(self, after_s: float, reading: MeterReading) -> None:
        if self.points and after_s - self.points[-1].after_s < self._interval_s:
            return
        if len(self.points) >= MAX_POINTS:
            self.points[:] = self.points[::2]
            self._interval_s *= 2
        current_a = max(reading.current_a, key=abs)
        sign = -1.0 if reading.power_import_w < 0 < current_a else 1.0
        self.points.append(
            Point(after_s, reading.power_import_w, sign * current_a, reading.energy_import_wh, reading.soc_percent)
        )

    def shown(self) -> dict[str, object]:
        """Columns for JSON; energy counts from the first point."""
        first_wh = self.points[0].energy_wh if self.points else 0.0
        return {
            "after_s": _column([point.after_s for point in self.points]),
            "power_w": _column([point.power_w for point in self.points]),
            "current_a": _column([point.current_a for point in self.points]),
            "energy_wh": _column([point.energy_wh - first_wh for point in self.points]),
            "soc_percent": [point.soc_percent for point in self.points],
            "offers": [
                {"after_s": round(at, 3), "offer_a": level[0], "by": level[1]} for at, level in self.offers.values
            ],
            "pilot": [{"after_s": round(at, 3), "state": level[0]} for at, level in self.pilot.values],
        }


def _column(values: Sequence[float]) -> list[float]:
    return [round(value, 2) for value in values]
