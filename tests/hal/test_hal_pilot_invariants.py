"""Whatever happens, in whatever order: what must never be told to the board.

`EVSE_PILOT_FACTS` sets how many random facts are fed; the default keeps the suite quick.
"""

import os
import random
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from hal.duty import is_valid_duty
from hal.levels import BoardLevels, Setpoints
from hal.pilot import TRANSITIONS, PilotMachine
from hal.ports import BoardFact, Contactor, CpMode, CpState, Fault, PluggedIn, Unplugged, VehiclePaused, VehicleReady
from tests.hal.pilot_rig import AT_REST

FACTS = int(os.environ.get("EVSE_PILOT_FACTS", "40000"))
REPORT_AGE_S = 0.15


class Witness:
    """Drives one machine at random and judges each set-point by the levels fed so far, not by the machine's insides."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.machine = PilotMachine()
        self.has_ventilation = self.chance.random() < 0.5
        self.machine.fit(self.chance.random() < 0.7, self.has_ventilation)
        self.now = 0.0
        self.levels = AT_REST
        self.told = self.machine.setpoints
        self.linked = False
        self.fed = 0
        self.allow_off_s = float("-inf")
        self.open_seen_s: float | None = None
        self.last_pwm: tuple[float, float] | None = None
        self.present = False

    def run(self, count: int) -> None:
        moves: list[Callable[[], list[BoardFact]]] = [self.feed] * 12 + [self.pass_time] * 4
        moves += [self.wish] * 6 + [self.lose_link, self.find_link, self.find_link]
        while self.fed < count:
            facts = self.chance.choice(moves)()
            self.fed += 1
            self.judge_facts(facts)
            self.judge(self.machine.setpoints)

    # --- moves ---

    def feed(self) -> list[BoardFact]:
        chance = self.chance
        told = self.told
        changes: list[dict[str, object]] = [
            {"cp": chance.choice(list(CpState))},
            {"cp": chance.choice((CpState.B, CpState.C))},
            {"cp": CpState.C, "cp_mode": told.cp_mode, "duty_percent": told.duty_percent},
            {
                "contactor": chance.choice(
                    list(Contactor) if chance.random() < 0.02 else [Contactor.OPEN, Contactor.CLOSED]
                )
            },
            {
                "contactor": Contactor.CLOSED if told.allow_power else Contactor.OPEN,
                "power_permitted": told.allow_power,
            },
            {"locked": chance.random() < 0.5},
            {"locked": told.lock},
            {"power_permitted": chance.random() < 0.5},
            {"tripped": chance.random() < 0.1},
            {"unplug_count": self.levels.unplug_count + (chance.random() < 0.1)},
            {"faults": frozenset(chance.sample(list(Fault), 1)) if chance.random() < 0.1 else frozenset()},
        ]
        self.levels = replace(self.levels, **chance.choice(changes))  # type: ignore[arg-type]
        self.linked = True
        self._see(self.levels)
        return self.machine.feed(self.levels, self.now)

    def pass_time(self) -> list[BoardFact]:
        due = self.machine.deadline()
        if due is not None and self.chance.random() < 0.7:
            assert due > self.now
            self.now = due
        else:
            self.now += self.chance.choice((0.001, 0.02, 0.1, 1.0, 7.0))
        if self.linked:
            self._see(self.levels)
        return self.machine.tick(self.now)

    def wish(self) -> list[BoardFact]:
        machine, chance, now = self.machine, self.chance, self.now
        wishes: list[Callable[[], list[BoardFact]]] = [
            lambda: machine.offer_nothing(now),
            lambda: machine.offer_hlc(now),
            lambda: machine.offer_current(chance.uniform(0, 100), now),
            lambda: machine.offer_current(16, now),
            lambda: machine.limit_current(chance.uniform(0, 80), now),
            lambda: machine.permit_power(True, now),
            lambda: machine.permit_power(True, now),
            lambda: machine.permit_power(False, now),
            lambda: machine.lock_connector(True, now),
            lambda: machine.lock_connector(False, now),
            lambda: machine.signal_error(now) if chance.random() < 0.3 else [],
            lambda: machine.reset_faults(now) if chance.random() < 0.3 else [],
        ]
        return chance.choice(wishes)()

    def lose_link(self) -> list[BoardFact]:
        self.linked = False
        self.open_seen_s = None
        return self.machine.link_lost("lost", self.now)

    def find_link(self) -> list[BoardFact]:
        return [] if self.linked else self.machine.link_up("found", self.chance.random() < 0.8, self.now)

    # --- judgement ---

    def _see(self, levels: BoardLevels) -> None:
        is_open = levels.contactor in (Contactor.OPEN, Contactor.STUCK_OPEN) and not levels.power_permitted
        if not is_open:
            self.open_seen_s = None
        elif self.open_seen_s is None:
            self.open_seen_s = self.now

    def judge(self, told: Setpoints) -> None:
        before, self.told = self.told, told
        if told.allow_power:
            self.judge_power(told, before)
        elif before.allow_power:
            self.allow_off_s = self.now
        if before.lock and not told.lock:
            assert self.linked, "unlocked blindly"
            assert not told.allow_power
            assert self.open_seen_s is not None, "unlocked before the contactor was open"
            assert self.now - max(self.open_seen_s, self.allow_off_s) >= REPORT_AGE_S - 1e-9
        self.judge_pilot(told, before)

    def judge_power(self, told: Setpoints, before: Setpoints) -> None:
        assert self.linked, "power with the board out of sight"
        assert self.levels.cp is CpState.C or (self.levels.cp is CpState.D and self.has_ventilation)
        assert told.cp_mode in (CpMode.X1, CpMode.X2)
        assert not self.levels.tripped
        if not before.allow_power:
            assert told.cp_mode is CpMode.X2, "closing without PWM"
            assert self.levels.cp_mode is CpMode.X2, "closing before the board confirmed the PWM"
            assert self.levels.contactor not in (Contactor.WELDED, Contactor.STUCK_OPEN)

    def judge_pilot(self, told: Setpoints, before: Setpoints) -> None:
        if told.cp_mode is not CpMode.X2:
            assert told.duty_percent == (100.0 if told.cp_mode is CpMode.X1 else 0.0)
            return
        assert is_valid_duty(told.duty_percent)
        assert self.present, "PWM without a vehicle"
        assert before.cp_mode in (CpMode.X1, CpMode.X2), "from E or F straight to PWM"
        if self.last_pwm is not None and self.last_pwm[0] != told.duty_percent:
            assert self.now - self.last_pwm[1] >= 5 - 1e-9
        if (before.cp_mode, before.duty_percent) != (told.cp_mode, told.duty_percent) or self.last_pwm is None:
            self.last_pwm = told.duty_percent, self.now

    def judge_facts(self, facts: list[BoardFact]) -> None:
        for fact in facts:
            match fact:
                case PluggedIn():
                    assert not self.present
                    self.present = True
                case Unplugged():
                    assert self.present
                    self.present = False
                    self.last_pwm = None
                case VehicleReady() | VehiclePaused():
                    assert self.present


@pytest.mark.parametrize("seed", range(4))
def test_random_facts_never_break_an_invariant(seed: int) -> None:
    Witness(seed).run(FACTS // 4)


def test_the_walk_reaches_what_it_judges() -> None:
    """An invariant nobody comes near proves nothing."""
    seen = {"power": 0, "unlock": 0, "pwm": 0, "f": 0}

    class Counting(Witness):
        def judge(self, told: Setpoints) -> None:
            seen["power"] += told.allow_power and not self.told.allow_power
            seen["unlock"] += self.told.lock and not told.lock
            seen["pwm"] += told.cp_mode is CpMode.X2 and told.duty_percent != self.told.duty_percent
            seen["f"] += told.cp_mode is CpMode.F and self.told.cp_mode is not CpMode.F
            super().judge(told)

    for seed in range(100, 110):
        Counting(seed).run(2000)
    assert min(seen.values()) >= 20, seen


def test_every_pair_of_vehicle_states_has_its_meaning() -> None:
    states = (CpState.A, CpState.B, CpState.C, CpState.D)
    assert set(TRANSITIONS) == {(old, new) for old in states for new in states if old is not new}


def test_feeding_is_fast_enough_for_many_evses() -> None:
    machine = PilotMachine()
    alternating = [replace(AT_REST, cp=CpState.B), replace(AT_REST, cp=CpState.C)]
    started = time.process_time()
    for step in range(5000):
        machine.feed(alternating[step & 1], step / 100)
    # Far below what is reached, so that a busy machine does not fail it: it guards against something quadratic.
    assert 5000 / (time.process_time() - started) > 3000
