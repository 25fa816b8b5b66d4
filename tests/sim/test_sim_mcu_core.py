"""The simulated MCU's own safety rules, without any daemon: each of them by itself keeps the contactor open."""

from dataclasses import replace

import pytest

from hal.mcu.payloads import Control, ControlFlag, StateFlag, WireContactor, WireCp, WireCpMode
from sim.mcu.core import FAULT_CONTACTOR, FAULT_OVER_CURRENT, WARNINGS, SafetyCore
from sim.mcu.plant import Plant

SAFE = Control(WireCpMode.X2, 2666, ControlFlag(0), 0, 3, 0, 1000, 0)
POWER = replace(SAFE, flags=ControlFlag.ALLOW_POWER)


class Board:
    """Core and plant in virtual time; a host repeats `says` every 100 ms unless it is silent."""

    def __init__(self) -> None:
        self.now = 50.0
        self.core = SafetyCore(self.now)
        self.plant = Plant(230.0, self.now)
        self.says: Control | None = None

    def say(self, control: Control | None) -> None:
        self.says = control
        self.step()

    def cp(self, state: WireCp) -> None:
        self.core.vehicle(state, self.now)
        self.wait(0.005)

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        next_control_s = self.now
        while self.now < end - 1e-9:
            if self.says is not None and self.now >= next_control_s:
                self.core.control(self.says, self.now)
                next_control_s = self.now + 0.1
            self.step()
            # Never further than the core itself asks for: a deadline it forgets shows as a late reaction.
            self.now = min(
                end, next_control_s if self.says else end, self.core.deadline(self.now), self.plant.deadline()
            )
        self.step()

    def step(self) -> None:
        if self.says is not None:
            self.core.control(self.says, self.now)
        for _ in range(2):
            self.plant.tick(self.now)
            self.core.feedback(self.plant.contactor.position, self.now)
            self.core.current(max(self.plant.current_a))
            self.core.tick(self.now)
            self.plant.drive(self.core.coil, self.core.lock, self.now)

    @property
    def closed(self) -> bool:
        return self.plant.contactor.position


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def charging(board: Board) -> Board:
    board.say(SAFE)
    board.cp(WireCp.C)
    board.say(POWER)
    board.wait(0.1)
    assert board.closed
    assert StateFlag.POWER_PERMITTED in board.core.flags
    return board


def test_a_board_without_a_host_shows_f(board: Board) -> None:
    board.cp(WireCp.C)
    board.wait(5)
    assert board.core.cp_mode is WireCpMode.F
    assert not board.core.tripped, "nobody has fallen silent yet"


def test_power_allowed_from_the_start_arms_nothing(board: Board) -> None:
    board.say(POWER)
    board.cp(WireCp.C)
    board.wait(1)
    assert not board.closed


@pytest.mark.parametrize("state", [WireCp.A, WireCp.B, WireCp.E])
def test_no_power_in_other_states(board: Board, state: WireCp) -> None:
    board.say(SAFE)
    board.cp(state)
    board.say(POWER)
    board.wait(1)
    assert not board.closed


@pytest.mark.parametrize(
    ("mode", "duty"), [(WireCpMode.X1, 0), (WireCpMode.X2, 700), (WireCpMode.X2, 9700), (WireCpMode.F, 0)]
)
def test_no_closing_without_a_valid_duty(board: Board, mode: WireCpMode, duty: int) -> None:
    board.say(replace(SAFE, cp_mode=mode, duty_centi=duty))
    board.cp(WireCp.C)
    board.say(replace(POWER, cp_mode=mode, duty_centi=duty))
    board.wait(1)
    assert not board.closed


def test_c_to_b_opens_by_itself_within_100_ms(charging: Board) -> None:
    charging.cp(WireCp.B)
    charging.wait(0.09)
    assert not charging.closed


def test_a_spike_shorter_than_the_filter_changes_nothing(charging: Board) -> None:
    charging.core.vehicle(WireCp.B, charging.now)
    charging.step()
    charging.now += 0.001
    charging.core.vehicle(WireCp.C, charging.now)
    charging.wait(0.1)
    assert charging.closed


def test_silence_opens_shows_f_and_is_latched(charging: Board) -> None:
    charging.say(None)
    charging.wait(0.98)
    assert charging.closed
    charging.wait(0.06)
    assert not charging.closed
    assert charging.core.cp_mode is WireCpMode.F
    assert charging.core.tripped
    charging.say(POWER)
    charging.wait(1)
    assert not charging.closed, "power allowed all along is no re-arming"
    charging.say(SAFE)
    charging.wait(0.2)
    assert not charging.core.tripped
    charging.say(POWER)
    charging.wait(0.2)
    assert charging.closed


def test_a_shorter_timeout_is_obeyed_a_longer_one_is_capped(charging: Board) -> None:
    charging.say(replace(POWER, timeout_ms=200))
    charging.say(None)
    charging.wait(0.25)
    assert not charging.closed
    charging.say(replace(SAFE, timeout_ms=60000))
    charging.say(replace(POWER, timeout_ms=60000))
    charging.wait(0.1)
    charging.say(None)
    charging.wait(1.05)
    assert not charging.closed


def test_a_new_host_disarms(charging: Board) -> None:
    charging.core.hello()
    charging.wait(0.1)
    assert not charging.closed
    charging.say(SAFE)
    charging.say(POWER)
    charging.wait(0.1)
    assert charging.closed


def test_pwm_off_in_c_opens_after_6_s(charging: Board) -> None:
    charging.say(replace(POWER, cp_mode=WireCpMode.X1))
    charging.wait(5.9)
    assert charging.closed
    charging.wait(0.2)
    assert not charging.closed


def test_a_fault_opens_a_warning_does_not(charging: Board) -> None:
    charging.core.injected = WARNINGS
    charging.wait(0.1)
    assert charging.closed
    charging.core.injected = 1 << 16
    charging.wait(0.1)
    assert not charging.closed
    charging.core.injected = 0
    charging.wait(0.1)
    assert charging.closed


def test_too_much_current_for_6_s_is_a_latched_fault(charging: Board) -> None:
    charging.say(replace(POWER, limit_da=160))
    charging.plant.draw((18.0, 18.0, 18.0), charging.now)
    charging.wait(10)
    assert charging.closed, "within (16 + 0.5) A x 1.1"
    charging.plant.draw((18.3, 0.0, 0.0), charging.now)
    charging.wait(5.9)
    assert charging.closed
    charging.wait(0.2)
    assert not charging.closed
    charging.wait(1)
    assert charging.core.faults == FAULT_OVER_CURRENT
    assert charging.core.reset_fault()
    charging.wait(0.2)
    assert charging.closed


def test_a_welded_contactor_is_latched_until_it_has_opened_and_is_reset(charging: Board) -> None:
    charging.plant.contactor.stuck_on = True
    charging.say(SAFE)
    charging.wait(0.1)
    assert charging.core.contactor is WireContactor.CLOSED
    charging.wait(0.1)
    assert charging.core.contactor is WireContactor.WELDED
    assert charging.core.faults == FAULT_CONTACTOR
    assert not charging.core.reset_fault()
    charging.plant.contactor.free(charging.now)
    charging.wait(0.1)
    assert charging.core.contactor is WireContactor.WELDED
    assert charging.core.reset_fault()
    charging.wait(0.1)
    assert charging.core.contactor is WireContactor.OPEN


def test_a_contactor_that_does_not_close_is_given_up_until_power_is_disallowed(board: Board) -> None:
    board.plant.contactor.stuck_off = True
    board.say(SAFE)
    board.cp(WireCp.C)
    board.say(POWER)
    board.wait(0.6)
    assert board.core.contactor is WireContactor.STUCK_OPEN
    assert not board.core.coil
    board.plant.contactor.free(board.now)
    board.wait(1)
    assert not board.closed
    board.say(SAFE)
    board.say(POWER)
    board.wait(0.1)
    assert board.closed


def test_the_lock_never_opens_before_the_contactor(charging: Board) -> None:
    charging.say(replace(POWER, flags=ControlFlag.ALLOW_POWER | ControlFlag.LOCK))
    charging.wait(0.2)
    assert charging.plant.lock.position
    charging.plant.contactor.stuck_on = True
    charging.say(SAFE)
    charging.wait(1)
    assert charging.plant.lock.position
    charging.plant.contactor.free(charging.now)
    charging.core.reset_fault()
    charging.wait(0.2)
    assert charging.core.reset_fault()
    charging.wait(0.2)
    assert not charging.plant.lock.position


def test_unplugging_is_counted_once_it_has_lasted(board: Board) -> None:
    board.say(SAFE)
    board.cp(WireCp.B)
    board.cp(WireCp.A)
    board.wait(0.05)
    board.cp(WireCp.B)
    assert board.core.unplug_count == 0
    board.cp(WireCp.A)
    board.wait(0.15)
    board.cp(WireCp.B)
    board.wait(0.1)
    assert board.core.unplug_count == 1


# --- the plant ---


def test_current_flows_only_through_a_closed_contactor_and_energy_follows() -> None:
    plant = Plant(230.0, now=0.0, energy_wh=1000.0)
    plant.draw((10.0, 10.0, 10.0), 0.0)
    plant.tick(3600.0)
    assert plant.energy_wh == 1000.0
    plant.drive(coil=True, lock=False, now=3600.0)
    plant.tick(3600.02)
    assert plant.power_w == 6900.0
    plant.tick(3600.02 + 1800)
    assert plant.energy_wh == pytest.approx(1000 + 3450)
