"""When an offer may go on the pilot.

- With no vehicle connected the pilot is X1: a PWM is for a vehicle (IEC 61851-1 table A.4).
- E and F go out at once, and stay for 300 ms so that every vehicle sees them. # unverified: IEC 61851-1 A.3
- From E or F the way to PWM leads over 750 ms of X1 (ISO 15118-3, T_vald_state_duration). # unverified
- One PWM duty follows another after 5 s at the earliest: that is how long a vehicle may take to follow the last
  (IEC 61851-1 table A.6, sequence 6). X1 in between does not shorten it, another vehicle does; the same
  duty may come back at once, and the 5 s count from then.
- A vehicle that sleeps is woken by one step to F of 4 s (t_step_EF), the way back as from every F.
"""

from dataclasses import dataclass

from hal.duty import HLC_DUTY_PERCENT, MIN_CURRENT_A, duty_for_current
from hal.ports import CpMode

DUTY_INTERVAL_S = 5.0
ERROR_HOLD_S = 0.3
X1_AFTER_ERROR_S = 0.75
STEP_EF_S = 4.0


@dataclass(frozen=True, slots=True)
class Offer:
    mode: CpMode
    duty_percent: float


NOTHING = Offer(CpMode.X1, 100.0)
HLC = Offer(CpMode.X2, HLC_DUTY_PERCENT)
STATE_E = Offer(CpMode.E, 0.0)
STATE_F = Offer(CpMode.F, 0.0)
_ERRORS = frozenset({CpMode.E, CpMode.F})


def offer_of_current(limit_a: float) -> Offer:
    return Offer(CpMode.X2, duty_for_current(limit_a)) if limit_a >= MIN_CURRENT_A else NOTHING


class PilotOutput:
    """Turns the wanted offer into the one that is due: `want`, then `tick`; `put` is on the pilot."""

    def __init__(self) -> None:
        self.put = NOTHING
        self._wanted = NOTHING
        self._latched = False
        self._step_until_s = float("-inf")
        self._put_at_s = float("-inf")
        self._after_error = False
        self._last_pwm = NOTHING
        self._last_pwm_at_s = float("-inf")

    def want(self, offer: Offer) -> None:
        self._wanted = offer

    def latch_error(self, latched: bool) -> None:
        """F, whatever is wanted, for as long as the fault is latched."""
        self._latched = latched

    def step(self, now: float) -> None:
        """F for 4 s, then what is wanted."""
        self._step_until_s = now + STEP_EF_S

    def forget_vehicle(self) -> None:
        """The next vehicle is offered nothing until somebody offers, and waits for no interval of this one's."""
        self._last_pwm_at_s = self._step_until_s = float("-inf")
        if self._wanted.mode is CpMode.X2:
            self._wanted = NOTHING

    def tick(self, vehicle: bool, now: float) -> None:
        if now >= self._step_until_s:
            self._step_until_s = float("-inf")
        while (target := self._target(vehicle)) != self.put and self._earliest_s(target) <= now:
            self._put(target, now)

    def deadline(self, vehicle: bool) -> float | None:
        target = self._target(vehicle)
        if target != self.put:
            return self._earliest_s(target)
        return self._step_until_s if self._step_until_s > float("-inf") else None

    def _target(self, vehicle: bool) -> Offer:
        if self._latched or self._step_until_s > float("-inf"):
            return STATE_F
        if self._wanted.mode is CpMode.X2 and (not vehicle or self.put.mode in _ERRORS):
            return NOTHING
        return self._wanted

    def _earliest_s(self, target: Offer) -> float:
        if target.mode in _ERRORS:
            return float("-inf")
        if self.put.mode in _ERRORS:
            return self._put_at_s + ERROR_HOLD_S
        if target.mode is CpMode.X1:
            return float("-inf")
        settled_s = self._put_at_s + X1_AFTER_ERROR_S if self._after_error else float("-inf")
        paced_s = float("-inf") if target == self._last_pwm else self._last_pwm_at_s + DUTY_INTERVAL_S
        return max(settled_s, paced_s)

    def _put(self, offer: Offer, now: float) -> None:
        self._after_error = offer.mode is CpMode.X1 and self.put.mode in _ERRORS
        if offer.mode is CpMode.X2:
            self._last_pwm, self._last_pwm_at_s = offer, now
        self.put, self._put_at_s = offer, now
