"""Whatever comes, in whatever order: what must never be ordered of a DC output.

`EVSE_DC_FACTS` sets how many random facts are fed; the default keeps the suite quick. The judge knows the facts and the
orders, not the machine's insides.
"""

import os
import random
from collections import Counter, deque
from collections.abc import Callable

import pytest

from hal.dc.ports import InsulationReading, OverVoltageReading, SelfTest, SupplyMode, SupplyReading
from hal.dc.power_path import DcPowerPath, Stage
from hal.dc.thresholds import (
    CABLE_CHECK_CURRENT_A,
    INSULATION_FAULT_KOHM,
    MEASUREMENTS,
    PRE_CHARGE_TOLERANCE_V,
    SAFE_V,
)
from hal.ports import Contactor, CpState
from tests.hal.dc_rig import OUTPUT

FACTS = int(os.environ.get("EVSE_DC_FACTS", "40000"))


class Witness:
    """Drives one machine at random, with a bias towards what leads somewhere, and judges each of its orders."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.machine = DcPowerPath(OUTPUT)
        self.now = 10.0
        self.fed = 0
        self.reached: Counter[str] = Counter()
        self.calls: deque[tuple[str, tuple[object, ...], float]] = deque(maxlen=100_000)
        self.cp: CpState | None = None
        self.contactor: Contactor | None = None
        self.supply_v = self.outer_v = 0.0
        self.permit = False
        self.target_v = 0.0
        self.good_readings = 0
        self.self_tested = False
        self.checking = False
        self.checked = self.matched = self.was_charging = self.ran = False
        self.emergency = False
        self.self_test = SelfTest.NONE
        self.before = self.machine.orders

    def run(self, count: int) -> None:
        moves: list[Callable[[], None]] = [self.see_board] * 3 + [self.see_supply] * 6 + [self.see_monitor] * 4
        moves += [self.pass_time] * 4 + [self.wish] * 2 + [self.follow] * 6 + [self.disturb]
        while self.fed < count:
            self.emergency = False
            self.chance.choice(moves)()
            self.fed += 1
            self.judge()

    def feed(self, call: Callable[..., None], *words: object) -> None:
        self.calls.append((call.__name__, words, self.now))
        call(*words, self.now)

    # --- moves ---

    def see_board(self) -> None:
        """What was ordered, mostly."""
        if self.chance.random() < 0.995:
            self.cp = CpState.C
            self.contactor = Contactor.CLOSED if self.machine.orders.close else Contactor.OPEN
        self.emergency = self.cp not in (CpState.C, CpState.D) or self.contactor is not Contactor.CLOSED
        self.feed(self.machine.board, self.cp, self.contactor)

    def disturb(self) -> None:
        if self.chance.random() < 0.9:
            return
        self.cp = self.chance.choice([*CpState, None])
        self.contactor = self.chance.choice([*Contactor, None])
        self.emergency = True
        if self.cp is CpState.A:
            self.permit = self.checked = False
        self.feed(self.machine.board, self.cp, self.contactor)

    def see_supply(self) -> None:
        told = self.machine.orders.supply
        goal_v = told.voltage_v if told.mode is not SupplyMode.OFF else 0.0
        self.supply_v = (
            goal_v + self.chance.uniform(-8, 8) if self.chance.random() < 0.97 else self.chance.uniform(0, 1200)
        )
        self.supply_v = max(0.0, self.supply_v)
        amps = told.current_a * self.chance.choice((0, 0, 1)) if self.chance.random() < 0.98 else 300.0
        fault = "dead" if self.chance.random() < 0.002 else ""
        self.emergency = True  # A voltage too high is one.
        self.feed(self.machine.supply, SupplyReading(self.supply_v, amps, self.now, fault))

    def see_monitor(self) -> None:
        if self.machine.orders.self_test:
            self.self_test = SelfTest.RUNNING
        elif self.self_test is SelfTest.RUNNING:
            self.self_test = SelfTest.PASSED if self.chance.random() < 0.95 else SelfTest.FAILED
        kohm = self.chance.uniform(101, 5000) if self.chance.random() < 0.995 else self.chance.uniform(0, 100)
        shown = None if self.self_test is SelfTest.RUNNING else kohm
        self.outer_v = (
            self.supply_v if self.contactor is Contactor.CLOSED else self.chance.choice((0.0, 0.0, 30.0, 380.0))
        )
        if self.checking and self.self_tested and shown is not None:
            self.good_readings = self.good_readings + 1 if shown >= INSULATION_FAULT_KOHM else -10
        if self.checking and self.self_test is SelfTest.RUNNING:
            self.ran = True
        if self.ran and self.self_test is SelfTest.PASSED:
            self.self_tested = True
        self.emergency = True
        self.feed(self.machine.monitored, InsulationReading(shown, self.now, self.outer_v, self_test=self.self_test))

    def pass_time(self) -> None:
        self.now += self.chance.choice((0.001, 0.01, 0.02, 0.1, 0.1, 0.3))
        if self.chance.random() < 0.01:
            self.now += self.chance.uniform(1, 40)
        self.emergency = True  # A device may have been silent for too long.
        self.feed(self.machine.tick)

    def follow(self) -> None:
        """What a session does next."""
        machine = self.machine
        if not self.permit:
            self.permit = True
            self.feed(machine.permit, True)
        elif machine.stage is Stage.IDLE:
            self.new_check(machine)
        elif machine.stage in (Stage.READY, Stage.PRE_CHARGE):
            self.target_v = 380.0
            self.feed(machine.target, self.target_v, 2.0)
            self.feed(machine.deliver, True)
        elif machine.stage is Stage.CHARGING:
            self.target_v = self.chance.uniform(370, 400)
            self.feed(machine.target, self.target_v, self.chance.uniform(0, 250))

    def new_check(self, machine: DcPowerPath) -> None:
        self.checked = False
        self.feed(machine.deliver, False)
        if self.chance.random() < 0.3:
            machine.reset_faults(self.now)
        self.feed(machine.check_cable, "ID", self.chance.choice((400.0, 450.0, 800.0)))

    def wish(self) -> None:
        machine, chance = self.machine, self.chance
        if chance.random() < 0.6:
            return
        wishes: list[Callable[[], None]] = [
            self.any_target,
            lambda: self.feed(machine.deliver, chance.random() < 0.7),
            lambda: self.feed(machine.limit_power, chance.uniform(0, 80_000)),
            lambda: self.feed(
                machine.over_voltage, OverVoltageReading(self.supply_v, self.now, chance.random() < 0.05)
            ),
            lambda: self.feed(machine.metered, self.outer_v, self.now),
            self.withdraw,
            self.trip,
        ]
        chance.choice(wishes)()
        self.emergency = True

    def any_target(self) -> None:
        self.target_v = self.chance.uniform(0, 1100)
        self.feed(self.machine.target, self.target_v, self.chance.uniform(-50, 400))

    def withdraw(self) -> None:
        self.permit = False
        self.feed(self.machine.permit, False)

    def trip(self) -> None:
        self.permit = False
        self.feed(self.machine.emergency)

    # --- judgement ---

    def judge(self) -> None:
        before, told = self.before, self.machine.orders
        self.before = told
        in_charge_state = self.cp in (CpState.C, CpState.D)
        if told.close:
            assert in_charge_state, "closed outside C and D"
        if told.close and not before.close:
            assert self.permit
            assert self.contactor is Contactor.OPEN
            assert before.supply.mode is SupplyMode.OFF, "closed onto a supply that is on"
            assert self.supply_v < SAFE_V
            self.reached["close"] += 1
        if before.close and not told.close:
            self.reached["open"] += 1
            if not self.emergency:
                assert before.supply.mode is SupplyMode.OFF, "opened before the supply was off"
        if told.unlock:
            assert self.contactor in (Contactor.OPEN, Contactor.STUCK_OPEN), "unlocked before open is confirmed"
            assert told.supply.mode is SupplyMode.OFF
            assert not told.close
            self.reached["unlock"] += not before.unlock
        self.judge_energy()

    def judge_energy(self) -> None:
        before, told, machine = self.before, self.machine.orders, self.machine
        self.follow_check()
        if told.supply.mode is SupplyMode.OFF:
            return
        assert told.close, "on with the contactor told to open"
        assert told.supply.voltage_v <= OUTPUT.max_voltage_v
        assert told.supply.current_a <= OUTPUT.max_current_a
        if told.supply.current_a > CABLE_CHECK_CURRENT_A + 1e-9:
            assert self.checked, "energised without a completed cable check"
            assert self.matched, "energised without a pre-charge"
            self.reached["energised"] += 1
        assert before is told
        assert machine.stage not in (Stage.IDLE, Stage.CLOSING, Stage.READY, Stage.OPENING, Stage.DISCHARGING)

    def follow_check(self) -> None:
        stage = self.machine.stage
        if stage is Stage.CHECKING and not self.checking:
            self.checking, self.good_readings = True, 0
            self.checked = self.ran = self.self_tested = False
        elif stage is not Stage.CHECKING and self.checking:
            self.checking = False
            if stage in (Stage.READY, Stage.PRE_CHARGE):
                assert self.self_tested, "passed without a self-test"
                assert self.good_readings >= MEASUREMENTS, "passed without good values"
                self.checked = True
                self.reached["checked"] += 1
        if stage is Stage.CHARGING and not self.was_charging:
            assert self.checked
            assert abs(self.supply_v - self.target_v) <= PRE_CHARGE_TOLERANCE_V, "power between voltages that differ"
            self.matched = True
            self.reached["match"] += 1
        self.was_charging = stage is Stage.CHARGING
        if stage is Stage.IDLE:
            self.checked = self.matched = False


@pytest.mark.parametrize("seed", range(4))
def test_random_facts_never_break_an_invariant(seed: int) -> None:
    witness = Witness(seed)
    witness.run(FACTS // 4)
    print(f"seed {seed}: {witness.fed} random facts, reached {dict(witness.reached)}")


def test_the_walk_reaches_what_it_judges() -> None:
    """An invariant nobody comes near proves nothing."""
    reached: Counter[str] = Counter()
    for seed in range(100, 104):
        witness = Witness(seed)
        witness.run(4000)
        reached += witness.reached
    assert all(reached[name] >= 8 for name in ("close", "open", "unlock", "checked", "match", "energised")), reached
