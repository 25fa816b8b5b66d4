"""What the simulated MCU's wires end at: contactor, lock, vehicle, meter. Pure; energy is integrated between calls."""

from dataclasses import dataclass

CLOSE_DELAY_S = 0.02
OPEN_DELAY_S = 0.015
LOCK_DELAY_S = 0.05
RCD_DELAY_S = 0.03

_NEVER = float("inf")


@dataclass(slots=True)
class Actuator:
    """Follows its command after a delay, unless it is stuck."""

    on_delay_s: float
    off_delay_s: float
    position: bool = False
    stuck_on: bool = False
    stuck_off: bool = False
    _command: bool = False
    _moves_at_s: float = _NEVER

    def drive(self, command: bool, now: float) -> None:
        if command is not self._command:
            self._command = command
            self._moves_at_s = now + (self.on_delay_s if command else self.off_delay_s)

    def free(self, now: float) -> None:
        """No longer stuck: takes the position it was last told."""
        self.stuck_on = self.stuck_off = False
        self._moves_at_s = now

    def tick(self, now: float) -> None:
        if now < self._moves_at_s:
            return
        self._moves_at_s = _NEVER
        if self.position is not self._command and not (self.stuck_on if self.position else self.stuck_off):
            self.position = self._command

    def deadline(self) -> float:
        return self._moves_at_s


class Plant:
    """`draw_a` is what the vehicle would take per phase; it flows only through a closed contactor."""

    def __init__(self, voltage_v: float, now: float, energy_wh: float = 0.0) -> None:
        self.contactor = Actuator(CLOSE_DELAY_S, OPEN_DELAY_S)
        self.lock = Actuator(LOCK_DELAY_S, LOCK_DELAY_S)
        self.rcd = Actuator(RCD_DELAY_S, RCD_DELAY_S)
        """The residual current sensor under its test current."""
        self.voltage_v = (voltage_v, voltage_v, voltage_v)
        self.energy_wh = energy_wh
        self._draw_a = (0.0, 0.0, 0.0)
        self._integrated_s = now

    @property
    def current_a(self) -> tuple[float, float, float]:
        return self._draw_a if self.contactor.position else (0.0, 0.0, 0.0)

    @property
    def power_w(self) -> float:
        return sum(u * i for u, i in zip(self.voltage_v, self.current_a, strict=True))

    def draw(self, current_a: tuple[float, float, float], now: float) -> None:
        self._integrate(now)
        self._draw_a = current_a

    def drive(self, coil: bool, lock: bool, now: float, rcd_test: bool = False) -> None:
        self.contactor.drive(coil, now)
        self.lock.drive(lock, now)
        self.rcd.drive(rcd_test, now)

    def tick(self, now: float) -> None:
        self._integrate(now)
        self.contactor.tick(now)
        self.lock.tick(now)
        self.rcd.tick(now)

    def deadline(self) -> float:
        return min(self.contactor.deadline(), self.lock.deadline(), self.rcd.deadline())

    def _integrate(self, now: float) -> None:
        self.energy_wh += self.power_w * (now - self._integrated_s) / 3600
        self._integrated_s = now
