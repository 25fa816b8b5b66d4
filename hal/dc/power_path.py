"""May a DC output be energised, and how does it end? The order of things, apart from any device.

    IDLE          off, contactor open
    CLOSING       a cable check is wanted and the cable is dead: the contactor closes
    CHECKING      `hal.dc.cable_check`
    READY         checked, dead again, the contactor stays closed
    PRE_CHARGE    the vehicle's voltage at 2 A
    CHARGING      the vehicle's target
    RAMP_DOWN     an orderly end: current down
    SWITCH_OFF    supply off, until no current flows
    OPENING       contactor open, until its feedback says so
    DISCHARGING   until the cable is dead

What moves it is `TRANSITIONS`; anything else leaves it where it is. The reasons behind the table:

- There is one way up, and it leads through the cable check and the pre-charge: a vehicle that begins anew is tested
  anew, because between two sessions anything may have happened to the cable.
- There is one way down. STOP is orderly: supply off, then the contactor, which is not to break a current. EMERGENCY
  switches both at the same moment, the contactor not waiting for the supply; so does everything after which the
  contactor does not wait for us anyway: the vehicle left state C, the board opened by itself or is out of reach.
- Below everything the contactor is the board's, with its own interlocks: `close` is a wish, and it is one only in state
  C or D and with the session's permission.
- The connector unlocks when the contactor is open, the supply is off and nobody measures 60 V or more at it.

Faults found here are told by name. Those of severity STOP end charging in order, emergencies at once. Pure: every
method takes `now`; after each the `orders` hold. Call `tick` every `period_s`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from hal.dc import current_demand
from hal.dc.cable_check import CableCheck
from hal.dc.current_demand import NOTHING, Ramp, Target
from hal.dc.over_voltage import OverVoltage
from hal.dc.ports import (
    OFF,
    Insulation,
    InsulationReading,
    OverVoltageReading,
    SupplyCapabilities,
    SupplyMode,
    SupplyReading,
    SupplySetpoint,
)
from hal.dc.seen import Seen
from hal.dc.supervision import Supervision
from hal.dc.thresholds import (
    CLOSE_LIMIT_S,
    DISCHARGE_LIMIT_S,
    NO_CURRENT_A,
    RAMP_DOWN_LIMIT_S,
    SAFE_V,
    SWITCH_OFF_LIMIT_S,
    test_voltage,
)
from hal.faults import LATCHED, severity_of
from hal.ports import Contactor, CpState, Fault, Severity

AWAKE_PERIOD_S = 0.02
ASLEEP_PERIOD_S = 0.25


class Stage(Enum):
    IDLE = "idle"
    CLOSING = "closing"
    CHECKING = "cable check"
    READY = "ready"
    PRE_CHARGE = "pre-charge"
    CHARGING = "charging"
    RAMP_DOWN = "ramp down"
    SWITCH_OFF = "switch off"
    OPENING = "opening"
    DISCHARGING = "discharging"


class Event(Enum):
    CHECK_WANTED = "a cable check is wanted, the cable is dead"
    CLOSED = "the contactor's feedback is closed"
    CHECKED = "the cable check passed"
    TARGET = "the vehicle names a voltage"
    NO_TARGET = "the vehicle wants nothing any more"
    DELIVER = "the vehicle wants power, and output and battery match"
    STOP = "the permission ended, the vehicle wants no power, or a fault that stops"
    EMERGENCY = "an emergency, or the contactor does not wait for us"
    NO_CURRENT = "nothing flows any more, or it had its time"
    OPENED = "the contactor's feedback is open"
    DEAD = "less than 60 V"


_E, _S = Event, Stage
_POWERLESS = {_E.STOP: _S.SWITCH_OFF, _E.EMERGENCY: _S.OPENING}

TRANSITIONS: Mapping[Stage, Mapping[Event, Stage]] = {
    _S.IDLE: {_E.CHECK_WANTED: _S.CLOSING},
    _S.CLOSING: {_E.CLOSED: _S.CHECKING, **_POWERLESS},
    _S.CHECKING: {_E.CHECKED: _S.READY, **_POWERLESS},
    _S.READY: {_E.TARGET: _S.PRE_CHARGE, **_POWERLESS},
    _S.PRE_CHARGE: {_E.DELIVER: _S.CHARGING, _E.NO_TARGET: _S.READY, **_POWERLESS},
    _S.CHARGING: {_E.STOP: _S.RAMP_DOWN, _E.EMERGENCY: _S.OPENING},
    _S.RAMP_DOWN: {_E.NO_CURRENT: _S.SWITCH_OFF, _E.EMERGENCY: _S.OPENING},
    _S.SWITCH_OFF: {_E.NO_CURRENT: _S.OPENING, _E.EMERGENCY: _S.OPENING},
    _S.OPENING: {_E.OPENED: _S.DISCHARGING},
    _S.DISCHARGING: {_E.DEAD: _S.IDLE},
}

CLOSED_STAGES = frozenset({_S.CLOSING, _S.CHECKING, _S.READY, _S.PRE_CHARGE, _S.CHARGING, _S.RAMP_DOWN, _S.SWITCH_OFF})
_ENDING = frozenset({_S.RAMP_DOWN, _S.SWITCH_OFF, _S.OPENING, _S.DISCHARGING, _S.IDLE})
_LIVE = frozenset({_S.CHECKING, _S.READY, _S.PRE_CHARGE, _S.CHARGING, _S.RAMP_DOWN, _S.SWITCH_OFF})
_MONITORED = frozenset({_S.READY, _S.PRE_CHARGE, _S.CHARGING, _S.RAMP_DOWN})


@dataclass(frozen=True, slots=True)
class Orders:
    """What the devices are to be told now. `self_test` is a level too: on until the monitor is seen at it."""

    supply: SupplySetpoint
    close: bool
    unlock: bool
    measure: bool
    self_test: bool
    emergency_v: float
    error_v: float


class DcPowerPath:
    def __init__(self, output: SupplyCapabilities) -> None:
        self.output = output
        self.seen = Seen()
        self.stage = Stage.IDLE
        self.check: CableCheck | None = None
        self.max_power_w = output.max_power_w
        self.orders = Orders(OFF, False, False, False, False, 0.0, 0.0)
        self._permit = False
        self._deliver = False
        self._target = NOTHING
        self._wanted_check: tuple[str, float] | None = None
        self._stage_at_s = 0.0
        self._told: SupplySetpoint = OFF
        self._ramp = Ramp()
        self._over_voltage = OverVoltage(output.max_voltage_v)
        self._supervision = Supervision(output.max_voltage_v, output.min_voltage_v)
        self._kept: dict[Fault, str] = {}
        self._passing: dict[Fault, str] = {}

    @property
    def faults(self) -> dict[Fault, str]:
        """What is wrong now, and what was found wrong with this vehicle."""
        return {**self._passing, **self._kept}

    @property
    def insulation(self) -> Insulation:
        if Fault.RESISTANCE_FAULT in self._kept:
            return Insulation.FAULT
        return self.check.insulation if self.check is not None else Insulation.UNKNOWN

    @property
    def period_s(self) -> float:
        return ASLEEP_PERIOD_S if self.stage is Stage.IDLE else AWAKE_PERIOD_S

    # --- wishes ---

    def permit(self, permit: bool, now: float) -> None:
        """The session's word. Without it nothing is energised; taken back, what is ends in order."""
        self._permit = permit
        self._advance(now)

    def check_cable(self, check_id: str, vehicle_max_v: float, now: float) -> None:
        self._wanted_check = check_id, vehicle_max_v
        self.check = None
        self._advance(now)

    def target(self, voltage_v: float, current_a: float, now: float) -> None:
        self._target = Target(voltage_v, current_a)
        self._advance(now)

    def deliver(self, deliver: bool, now: float) -> None:
        """PowerDelivery: True begins once output and battery match, False ends in order."""
        if self._deliver and not deliver:
            self._target = NOTHING
            self._forget_check()
            self._happen(Event.STOP, now)
        self._deliver = deliver
        self._advance(now)

    def limit_power(self, max_power_w: float, now: float) -> None:
        self.max_power_w = min(max_power_w, self.output.max_power_w)
        self._advance(now)

    def emergency(self, now: float) -> None:
        """Supply and contactor at the same moment; the permission is over."""
        self._permit = False
        self._forget_check()
        self._happen(Event.EMERGENCY, now)
        self._advance(now)

    # --- what is seen ---

    def board(self, cp: CpState | None, contactor: Contactor | None, now: float) -> None:
        """None for a board that is out of reach: it makes itself safe, and so do we."""
        self.seen.cp, self.seen.contactor = cp, contactor
        if cp is CpState.A:
            self._vehicle_gone()
        self._advance(now)

    def supply(self, reading: SupplyReading, now: float) -> None:
        self.seen.supply = reading
        self._advance(now)

    def monitored(self, reading: InsulationReading, now: float) -> None:
        self.seen.insulation = reading
        self._advance(now)

    def over_voltage(self, reading: OverVoltageReading, now: float) -> None:
        self.seen.over_voltage = reading
        self._advance(now)

    def metered(self, voltage_v: float, taken_at_s: float, now: float) -> None:
        self.seen.meter_v, self.seen.meter_at_s = voltage_v, taken_at_s
        self._advance(now)

    def tick(self, now: float) -> None:
        self._advance(now)

    def reset_faults(self, now: float) -> None:
        """A technician has seen to them; what still stands is found again."""
        self._kept.clear()
        self._advance(now)

    # --- inside ---

    def _vehicle_gone(self) -> None:
        self._forget_check()
        self.check = None
        self._kept = {fault: detail for fault, detail in self._kept.items() if fault in LATCHED}
        self._deliver = False
        self._target = NOTHING
        self._permit = False

    def _forget_check(self) -> None:
        self._wanted_check = None

    def _happen(self, event: Event, now: float) -> bool:
        after = TRANSITIONS[self.stage].get(event)
        if after is None:
            return False
        self.stage = after
        self._stage_at_s = now
        return True

    def _advance(self, now: float) -> None:
        if self.stage is not Stage.IDLE:
            self._supervise(now)
        else:
            self._watch_idle(now)
        # A stage may be over as soon as it begins; no stage comes twice.
        for _ in TRANSITIONS:
            if not self._step(now):
                break
        self._give_orders(now)

    def _watch_idle(self, now: float) -> None:
        needed = self._wanted_check is not None
        self._passing = self._supervision.devices(self.seen, needed, now) if needed or self.seen.supply else {}
        self._judge_dead(now, since_s=now if not needed else float("-inf"))
        supply = self.seen.supply
        if supply is not None and supply.voltage_v >= SAFE_V and now - self._stage_at_s >= DISCHARGE_LIMIT_S:
            self._passing[Fault.POWER_SUPPLY_FAILURE] = f"{supply.voltage_v:.0f} V though it is off"
        if self.seen.over_voltage is not None and self.seen.over_voltage.emergency:
            self._passing[Fault.OVER_VOLTAGE] = "the over-voltage monitor has tripped and waits for its reset"
        self._supervision.rest()

    def _judge_dead(self, now: float, since_s: float) -> None:
        volts = self.seen.touchable_v(now)
        if volts is not None and volts >= SAFE_V and now - since_s >= DISCHARGE_LIMIT_S:
            self._passing[Fault.CONNECTOR_VOLTAGE_HIGH] = f"{volts:.0f} V at the connector, contactor open"

    def _supervise(self, now: float) -> None:
        seen, stage = self.seen, self.stage
        self._passing = self._supervision.devices(seen, stage in _MONITORED, now)
        if stage is Stage.DISCHARGING:
            self._judge_dead(now, self._stage_at_s)
        if stage not in CLOSED_STAGES:
            return
        allowed_v = self.check.voltage_v if stage is Stage.CHECKING and self.check else 0.0
        if wrong := self._over_voltage.judge(seen, allowed_v, now):
            self._kept[Fault.OVER_VOLTAGE] = wrong
        if stage in _LIVE and self.insulation is Insulation.VALID:
            self._kept |= self._supervision.judge(seen, self._told, now)
        self._react(now)

    def _react(self, now: float) -> None:
        seen = self.seen
        lost = not seen.charge_state() or not (self._still_dead() if self.stage is Stage.CLOSING else seen.closed())
        if lost or any(severity_of(fault) is Severity.EMERGENCY for fault in (*self._kept, *self._passing)):
            self._happen(Event.EMERGENCY, now)
            self._forget_check()
        elif not self._permit or self._kept or self._passing:
            self._happen(Event.STOP, now)
            self._forget_check()

    def _still_dead(self) -> bool:
        """The contactor does not close onto a supply that comes alive on its own."""
        supply = self.seen.supply
        return supply is None or supply.voltage_v < SAFE_V

    def _step(self, now: float) -> bool:
        """Whether the stage was left."""
        stage, in_stage_s = self.stage, now - self._stage_at_s
        if stage is Stage.IDLE:
            return self._may_begin(now) and self._happen(Event.CHECK_WANTED, now)
        if stage is Stage.CLOSING:
            return self._closing(in_stage_s, now)
        if stage is Stage.CHECKING:
            return self._checking(now)
        if stage is Stage.READY:
            return self._target.voltage_v > 0 and self._happen(Event.TARGET, now)
        if stage is Stage.PRE_CHARGE:
            return self._pre_charging(now)
        if stage is Stage.RAMP_DOWN:
            amps = abs(self.seen.present_a(now)) if self.seen.supply_fresh(now) else 0.0
            over = self._ramp.fall(now) == 0 or amps < NO_CURRENT_A or in_stage_s >= RAMP_DOWN_LIMIT_S
            return over and self._happen(Event.NO_CURRENT, now)
        if stage is Stage.SWITCH_OFF:
            over = self._nothing_flows() or in_stage_s >= SWITCH_OFF_LIMIT_S
            return over and self._happen(Event.NO_CURRENT, now)
        if stage is Stage.OPENING:
            return self.seen.open() and self._happen(Event.OPENED, now)
        return stage is Stage.DISCHARGING and self._is_dead(now) and self._happen(Event.DEAD, now)

    def _may_begin(self, now: float) -> bool:
        if self._wanted_check is None or not self._permit or self._kept or self._passing:
            return False
        seen = self.seen
        supply_dead = seen.supply is not None and seen.supply.voltage_v < SAFE_V
        return seen.charge_state() and seen.contactor is Contactor.OPEN and supply_dead and self._is_dead(now)

    def _closing(self, in_stage_s: float, now: float) -> bool:
        if self.seen.closed() and self._wanted_check is not None:
            check_id, vehicle_max_v = self._wanted_check
            self._over_voltage.negotiated(vehicle_max_v)
            self.check = CableCheck(check_id, test_voltage(vehicle_max_v, self.output.max_voltage_v), now)
            return self._happen(Event.CLOSED, now)
        if in_stage_s >= CLOSE_LIMIT_S:
            # That it does not close is the board's fault to tell.
            self._forget_check()
            return self._happen(Event.STOP, now)
        return False

    def _checking(self, now: float) -> bool:
        check = self.check
        if check is None:
            return self._happen(Event.STOP, now)
        check.advance(self.seen, now)
        if check.failure:
            self._kept[Fault.CABLE_CHECK_FAULT] = check.failure
            self._forget_check()
            return self._happen(Event.STOP, now)
        return check.over and self._happen(Event.CHECKED, now)

    def _pre_charging(self, now: float) -> bool:
        if self._target.voltage_v <= 0:
            return self._happen(Event.NO_TARGET, now)
        supply = self.seen.supply
        # Measured in this stage: an old value knows nothing of the target.
        fits = supply is not None and supply.taken_at_s > self._stage_at_s and self.seen.supply_fresh(now)
        if self._deliver and fits and current_demand.matched(self._target, self.seen.present_v(now)):
            self._ramp.rest()
            return self._happen(Event.DELIVER, now)
        return False

    def _nothing_flows(self) -> bool:
        supply = self.seen.supply
        return supply is not None and supply.taken_at_s > self._stage_at_s and abs(supply.current_a) < NO_CURRENT_A

    def _is_dead(self, now: float) -> bool:
        volts = self.seen.touchable_v(now)
        return volts is not None and volts < SAFE_V

    def _give_orders(self, now: float) -> None:
        stage = self.stage
        self._told = supply = self._supply(now)
        check = self.check
        live = stage in _LIVE
        orders = Orders(
            supply=supply,
            close=stage in CLOSED_STAGES and self._wish_holds(),
            unlock=stage is Stage.IDLE and self.seen.open() and self._is_dead(now),
            measure=live,
            self_test=stage is Stage.CHECKING and check is not None and check.wants_self_test,
            emergency_v=self._over_voltage.emergency_v if live else 0.0,
            error_v=self._over_voltage.maximum_v if live and stage is not Stage.CHECKING else 0.0,
        )
        if orders != self.orders:
            self.orders = orders

    def _wish_holds(self) -> bool:
        """An orderly stop keeps the contactor closed without the permission: it must not break the current."""
        return self.seen.charge_state() and (self._permit or self.stage in _ENDING)

    def _supply(self, now: float) -> SupplySetpoint:
        stage = self.stage
        if stage is Stage.CHECKING and self.check is not None:
            return self.check.setpoint
        if stage is Stage.PRE_CHARGE:
            return current_demand.pre_charge(self._target, self.output)
        if stage is Stage.CHARGING:
            amps = self._ramp.follow(self._target.current_a, now)
            voltage_v = min(self._target.voltage_v, self._over_voltage.maximum_v)
            return current_demand.setpoint(voltage_v, amps, self.output, self.max_power_w)
        if stage is Stage.RAMP_DOWN and self._told.mode is not SupplyMode.OFF:
            return SupplySetpoint(self._told.mode, self._told.voltage_v, abs(self._ramp.current_a))
        return OFF
