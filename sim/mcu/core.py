"""What the safety MCU's firmware decides, apart from the daemon: the rules of docs/mcu-link.md, pure.

The contactor's coil is driven only while all of these hold: power allowed by a CONTROL younger than its timeout, armed
by a CONTROL that allowed none, vehicle state C or D, a valid duty on the pilot (needed to close, not to stay closed:
the vehicle has 6 s in C1), no fault. Silence opens the contactor, puts F on the pilot and is latched.
"""

from dataclasses import dataclass

from hal.mcu.payloads import Control, ControlFlag, StateFlag, WireContactor, WireCp, WireCpMode

MAX_TIMEOUT_S = 1.0
CP_FILTER_S = 0.003
"""Three PWM periods."""
UNPLUG_S = 0.1
WELD_S = 0.15
STUCK_S = 0.5
C1_LIMIT_S = 6.0
OVER_CURRENT_S = 6.0
FAULT_OVER_CURRENT = 1 << 3
FAULT_CONTACTOR = 1 << 10
FAULT_RESIDUAL_CURRENT = 1 << 16
RCD_TRIP_S = 0.3
RCD_RELEASE_S = 2.0
WARNINGS = 1 << 2 | 1 << 11 | 1 << 18
"""High temperature, cable over-temperature (derate), vendor warning: charging goes on."""

_NEVER = float("inf")
_POWERED = (WireCp.C, WireCp.D)


def is_valid_duty(duty_centi: int) -> bool:
    return duty_centi == 500 or 1000 <= duty_centi <= 9600


@dataclass(slots=True)
class SafetyCore:
    """Inputs by method, then `tick(now)`; outputs are the attributes. Call `tick` at `deadline()` at the latest."""

    booted_s: float
    """Until the contactor has had its time to fall, a closed feedback says nothing."""
    cp: WireCp = WireCp.A
    cp_mode: WireCpMode = WireCpMode.F
    duty_centi: int = 0
    coil: bool = False
    lock: bool = False
    armed: bool = False
    tripped: bool = False
    contactor: WireContactor = WireContactor.OPEN
    unplug_count: int = 0
    faults: int = 0
    limit_da: int = 0
    injected: int = 0
    """Fault bits of the board's own sensors."""
    contactor_ms: int = 0
    rcd_testing: bool = False
    rcd_result: bool | None = None
    """Of the test that ended with the last `tick`."""
    _allow: bool = False
    _lock_wanted: bool = False
    _wanted: tuple[WireCpMode, int] = (WireCpMode.F, 0)
    _control_at_s: float = -_NEVER
    _timeout_s: float = MAX_TIMEOUT_S
    _raw: WireCp = WireCp.A
    _raw_at_s: float = -_NEVER
    _a_since_s: float = -_NEVER
    _a_counted: bool = True
    _feedback: bool = False
    _coil_at_s: float = -_NEVER
    _c1_at_s: float = _NEVER
    _over_at_s: float = _NEVER
    _current_a: float = 0.0
    _latched: int = 0
    _rcd_seen: bool = False
    _rcd_until_s: float = _NEVER

    def __post_init__(self) -> None:
        self._coil_at_s = self.booted_s

    @property
    def flags(self) -> StateFlag:
        flags = StateFlag(0)
        if self.coil:
            flags |= StateFlag.POWER_PERMITTED
        if self.armed:
            flags |= StateFlag.ARMED
        if self.tripped:
            flags |= StateFlag.TRIPPED
        return flags

    @property
    def allowed(self) -> bool:
        """What the last CONTROL said about power, as long as it counts."""
        return self._allow

    def control_age_s(self, now: float) -> float:
        return now - self._control_at_s

    def hello(self) -> None:
        """A host begins: whatever the last one allowed is void."""
        self.armed = False
        self._allow = False

    def control(self, control: Control, now: float) -> None:
        self._control_at_s = now
        self._timeout_s = min(control.timeout_ms / 1000, MAX_TIMEOUT_S)
        self._allow = bool(control.flags & ControlFlag.ALLOW_POWER)
        self._lock_wanted = bool(control.flags & ControlFlag.LOCK)
        self._wanted = (control.cp_mode, control.duty_centi)
        self.limit_da = control.limit_da
        if not self._allow:
            self.armed = True
            self.tripped = False
            if self.contactor is WireContactor.STUCK_OPEN:
                self._latched &= ~FAULT_CONTACTOR
                self.contactor = WireContactor.OPEN

    def vehicle(self, cp: WireCp, now: float) -> None:
        """What the pilot shows, unfiltered."""
        if cp is not self._raw:
            self._raw, self._raw_at_s = cp, now

    def feedback(self, closed: bool, now: float) -> None:
        if closed is not self._feedback:
            self._feedback = closed
            self.contactor_ms = round(min((now - self._coil_at_s) * 1000, 0xFFFF))

    def current(self, highest_a: float) -> None:
        self._current_a = highest_a

    def reset_fault(self) -> bool:
        """Whether the latched faults are gone; a contactor still closed without its coil keeps them."""
        if self._feedback and not self.coil:
            return False
        self._latched = 0
        self.contactor = WireContactor.CLOSED if self._feedback else WireContactor.OPEN
        return True

    @property
    def rcd_test(self) -> bool:
        """Whether the sensor's test input is to be driven."""
        return self.rcd_testing and not self._rcd_seen

    def begin_rcd_test(self, now: float) -> bool:
        """False where it may not be: power, or a residual current that is real. One that runs goes on."""
        if self._allow or self.coil or self._feedback or self.faults & FAULT_RESIDUAL_CURRENT:
            return False
        if not self.rcd_testing:
            self.rcd_testing, self._rcd_seen, self._rcd_until_s = True, False, now + RCD_TRIP_S
        return True

    def tick(self, now: float) -> None:
        self._watch_rcd_test(now)
        self._filter_cp(now)
        if not self.tripped and now >= self._control_at_s + self._timeout_s and self._control_at_s != -_NEVER:
            self.tripped, self.armed, self._allow = True, False, False
        self._drive_pilot(now)
        self._watch_current(now)
        self.faults = self.injected | self._latched
        self._drive_coil(now)
        self._judge_contactor(now)
        self.faults = self.injected | self._latched
        if not self.lock or (self.contactor is WireContactor.OPEN and not self.coil):
            self.lock = self._lock_wanted

    def deadline(self, now: float) -> float:
        due = [
            self._raw_at_s + CP_FILTER_S,
            self._a_since_s + UNPLUG_S,
            self._control_at_s + self._timeout_s,
            self._coil_at_s + WELD_S,
            self._coil_at_s + STUCK_S,
            self._c1_at_s + C1_LIMIT_S,
            self._over_at_s + OVER_CURRENT_S,
            self._rcd_until_s,
        ]
        return min((at for at in due if at > now), default=_NEVER)

    def _filter_cp(self, now: float) -> None:
        if self.cp_mode in (WireCpMode.E, WireCpMode.F):
            # Without a swing of the pilot nothing about the vehicle can be measured.
            self.cp = WireCp.E if self.cp_mode is WireCpMode.E else WireCp.F
            self._a_since_s = _NEVER
            return
        if now >= self._raw_at_s + CP_FILTER_S:
            self.cp = self._raw
        if self._raw is not WireCp.A:
            self._a_since_s, self._a_counted = _NEVER, False
        elif self._a_since_s == _NEVER:
            self._a_since_s = now
        if not self._a_counted and now >= self._a_since_s + UNPLUG_S:
            self._a_counted = True
            self.unplug_count = (self.unplug_count + 1) & 0xFFFF

    def _drive_pilot(self, now: float) -> None:
        mode, duty = (WireCpMode.F, 0) if self.tripped else self._wanted
        if mode is WireCpMode.X2 and not is_valid_duty(duty):
            mode, duty = WireCpMode.X1, 0
        was_measurable = self.cp_mode in (WireCpMode.X1, WireCpMode.X2)
        self.cp_mode, self.duty_centi = mode, duty if mode is WireCpMode.X2 else 0
        if not was_measurable:
            # The pilot must swing again before it says anything about the vehicle.
            self._raw_at_s = max(self._raw_at_s, now)
        if self.coil and mode is WireCpMode.X1:
            self._c1_at_s = min(self._c1_at_s, now)
        else:
            self._c1_at_s = _NEVER

    def _watch_rcd_test(self, now: float) -> None:
        """The sensor must trip while the test current flows, and let go when it does not."""
        self.rcd_result = None
        if not self.rcd_testing:
            return
        trips = bool(self.injected & FAULT_RESIDUAL_CURRENT)
        if trips and not self._rcd_seen:
            self._rcd_seen, self._rcd_until_s = True, now + RCD_RELEASE_S
        if (self._rcd_seen and not trips) or now >= self._rcd_until_s:
            self.rcd_result = self._rcd_seen and not trips
            self.rcd_testing, self._rcd_until_s = False, _NEVER
        else:
            self.injected &= ~FAULT_RESIDUAL_CURRENT  # Its word is no fault meanwhile.

    def _drive_coil(self, now: float) -> None:
        may_stay = (
            self._allow
            and self.armed
            and not self.tripped
            and not self.rcd_testing
            and self.cp in _POWERED
            and not self.faults & ~WARNINGS
            and now < self._c1_at_s + C1_LIMIT_S
        )
        coil = may_stay and (self.coil or self.cp_mode is WireCpMode.X2)
        if coil is not self.coil:
            self.coil, self._coil_at_s = coil, now

    def _judge_contactor(self, now: float) -> None:
        if self.contactor in (WireContactor.WELDED, WireContactor.STUCK_OPEN):
            return
        self.contactor = WireContactor.CLOSED if self._feedback else WireContactor.OPEN
        if self._feedback and not self.coil and now >= self._coil_at_s + WELD_S:
            self.contactor = WireContactor.WELDED
            self._latched |= FAULT_CONTACTOR
        elif self.coil and not self._feedback and now >= self._coil_at_s + STUCK_S:
            self.contactor = WireContactor.STUCK_OPEN
            self._latched |= FAULT_CONTACTOR
            self.coil, self._coil_at_s = False, now

    def _watch_current(self, now: float) -> None:
        over = self.limit_da > 0 and self._current_a > (self.limit_da / 10 + 0.5) * 1.1
        self._over_at_s = min(self._over_at_s, now) if over else _NEVER
        if now >= self._over_at_s + OVER_CURRENT_S:
            self._latched |= FAULT_OVER_CURRENT
