"""Over-voltage of a DC output: the error level by our own samples, the emergency level by who measures faster. Pure.

The 9 ms of the emergency level are beyond a daemon: a monitor or the board cuts then, and tells. A sample of ours above
that level is as good a reason, for it is older than 9 ms when it comes.
"""

from hal.dc.seen import Seen
from hal.dc.thresholds import OVER_VOLTAGE_ERROR_S, emergency_voltage
from hal.power_path import Stopwatch


class OverVoltage:
    """`maximum_v` is the negotiated maximum: the lower of vehicle and output."""

    def __init__(self, output_max_v: float) -> None:
        self._output_max_v = output_max_v
        self.maximum_v = output_max_v
        self.emergency_v = emergency_voltage(output_max_v)
        self._above = Stopwatch()

    def negotiated(self, vehicle_max_v: float) -> None:
        self.maximum_v = min(vehicle_max_v, self._output_max_v)
        self.emergency_v = emergency_voltage(self.maximum_v)
        self._above.since_s = None

    def judge(self, seen: Seen, allowed_v: float, now: float) -> str:
        """What is wrong, or nothing. `allowed_v`: more than the negotiated maximum is there during the cable check."""
        monitor = seen.over_voltage
        if monitor is not None and monitor.emergency:
            return f"emergency level: the monitor cut at {monitor.voltage_v:.0f} V"
        volts = seen.present_v(now)
        if volts >= max(self.emergency_v, allowed_v * 1.1):
            return f"emergency level: {volts:.0f} V"
        limit_v = max(self.maximum_v, allowed_v)
        # As near as a supply regulates is no error.
        above = volts > limit_v * 1.02 or (monitor is not None and monitor.error)
        self._above.run(above, now)
        if self._above.due(OVER_VOLTAGE_ERROR_S, now):
            return f"error level: {volts:.0f} V, agreed are {limit_v:.0f} V"
        return ""
