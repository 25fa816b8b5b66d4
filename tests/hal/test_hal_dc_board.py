"""A board with a DC output, seen from above: one object whose supply, contactor and lock keep their order."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hal.dc.board import DcBoard
from hal.dc.ports import (
    OFF,
    DcMeasured,
    DcStaged,
    Insulation,
    InsulationReading,
    OverVoltageReading,
    SelfTest,
    SupplyCapabilities,
    SupplyMode,
    SupplyReading,
    SupplySetpoint,
    TakeReading,
)
from hal.diagnostics import Measurements, Verdict, diagnostics_of
from hal.diagnostics import SelfTest as BoardTest
from hal.ports import (
    BoardFault,
    BoardLink,
    BoardUnavailable,
    Contactor,
    ContactorChanged,
    CpMode,
    CpState,
    EvseCapabilities,
    EvseSnapshot,
    Fault,
    HalFact,
    MeterSampled,
    PluggedIn,
    Report,
    Severity,
    Unplugged,
    VehicleReady,
)
from hal.quantities import MeterReading

RATING = SupplyCapabilities(1000, 150, 150, 60_000)
ABLE = SupplyCapabilities(920, 150, 200, 80_000)
BOARD = EvseCapabilities(32, 6, 3, True, False, 230, "stand-in", "1")
READING = MeterReading(0.0, 0.0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.0, datetime(2026, 1, 1, tzinfo=UTC))
BATTERY_V = 380.0


class Below:
    """The board under the output: it closes at once where it may, and writes down what it is told."""

    def __init__(self, report: Report, said: list[str]) -> None:
        self.report = report
        self.said = said
        self.levels = EvseSnapshot(
            CpState.A, CpMode.X1, 100, Contactor.OPEN, False, 32.0, frozenset(), False, taken_at_s=0.0
        )
        self.lost = False
        self.silent = False

    async def open(self) -> EvseCapabilities:
        self.said.append("open")
        return BOARD

    async def close(self) -> None:
        self.said.append("close")

    def snapshot(self) -> EvseSnapshot:
        if self.lost:
            raise BoardUnavailable("lost")
        return self.levels

    def meter(self) -> MeterReading:
        return READING

    def offer_nothing(self) -> None:
        self.said.append("X1")

    def offer_hlc(self) -> None:
        self.said.append("5 %")

    def offer_current(self, limit_a: float) -> None:
        self.said.append(f"{limit_a} A")

    def limit_current(self, limit_a: float) -> None:
        self.said.append(f"limit {limit_a} A")

    def signal_error(self) -> None:
        self.said.append("F")

    def permit_power(self, permit: bool) -> None:
        self.said.append("permit" if permit else "withdraw")
        contactor = Contactor.CLOSED if permit and self.levels.cp is CpState.C else Contactor.OPEN
        if contactor is not self.levels.contactor:
            self.levels = replace(self.levels, contactor=contactor)
            self.report(ContactorChanged(contactor, 0))

    def lock_connector(self, lock: bool) -> None:
        self.said.append("lock" if lock else "unlock")


class Diagnosing(Below):
    """One that offers tests of its own, too."""

    verdict = Verdict.PASSED

    @property
    def diagnostics(self) -> "Diagnosing":
        return self

    def measurements(self) -> Measurements:
        return Measurements(plug_temp_c=31.5)

    async def self_test(self, test: BoardTest) -> Verdict:
        self.said.append(f"test {test}")
        return self.verdict

    async def clear_faults(self) -> Verdict:
        return self.verdict


class Stand:
    """The output with devices that do at once what they are told; implements `Devices`, and each device."""

    def __init__(self, kind: type[Below] = Below) -> None:
        self.kind = kind
        self.now = 0.0
        self.said: list[str] = []
        self.facts: list[HalFact] = []
        self.setpoint = OFF
        self.dead = False
        self.self_test = SelfTest.NONE
        self.board = DcBoard(self._below, self, RATING, self.facts.append, clock=lambda: self.now)

    def _below(self, report: Report) -> Below:
        self.below = self.kind(report, self.said)
        return self.below

    def supply(self, take: TakeReading) -> "Stand":
        self.take = take
        return self

    def isolation_monitor(self, take: TakeReading) -> "Stand":
        return self

    def over_voltage_monitor(self, take: TakeReading) -> "Stand":
        return self

    async def open(self) -> SupplyCapabilities:
        if self.dead:
            raise BoardUnavailable("DC supply: no answer of module 0")
        return ABLE

    async def close(self) -> None:
        self.said.append("device closed")

    def put(self, setpoint: SupplySetpoint) -> None:
        if setpoint.mode is not self.setpoint.mode:
            self.said.append(f"supply {setpoint.mode.value}")
        self.setpoint = setpoint

    def measure(self, on: bool) -> None:
        self.said.append("measure" if on else "rest")

    def start_self_test(self) -> None:
        self.self_test = SelfTest.RUNNING

    def watch(self, emergency_v: float, error_v: float) -> None:
        self.said.append(f"watch {emergency_v:.0f} {error_v:.0f}")

    def reset(self) -> None:
        self.said.append("reset")

    # --- what happens ---

    def plug_in(self) -> None:
        self.below.levels = replace(self.below.levels, cp=CpState.B)
        self.below.report(PluggedIn(self.now))
        self.below.levels = replace(self.below.levels, cp=CpState.C)
        self.below.report(VehicleReady(self.now, False))

    def pass_s(self, seconds: float, volts: float | None = None) -> None:
        for _ in range(round(seconds / 0.1)):
            self.now += 0.05
            on = self.setpoint.mode is SupplyMode.EXPORT
            output_v = volts if volts is not None else self.setpoint.voltage_v if on else 0.0
            self.take(SupplyReading(output_v, self.setpoint.current_a if on and volts else 0.0, self.now))
            told = self.self_test
            self.now += 0.05
            self.take(InsulationReading(2000.0, self.now, output_v, self_test=told))
            if told is SelfTest.RUNNING:
                self.self_test = SelfTest.PASSED

    async def charging(self) -> None:
        await self.board.open()
        self.plug_in()
        self.pass_s(0.3)
        self.board.permit_power(True)
        self.board.lock_connector(True)
        self.board.check_cable("ID", 437.0)
        self.pass_s(3)
        self.board.target(BATTERY_V, 2.0)
        self.pass_s(0.3)
        self.board.deliver(True)
        self.pass_s(0.2, BATTERY_V)
        self.board.target(BATTERY_V + 10, 50.0)
        self.pass_s(3, BATTERY_V)
        assert self.board.levels().charging, self.facts[-5:]
        self.said.clear()

    def stages(self) -> list[str]:
        return [fact.stage for fact in self.facts if isinstance(fact, DcStaged)]

    def faults(self) -> list[tuple[Fault, bool]]:
        return [(fact.fault, fact.active) for fact in self.facts if isinstance(fact, BoardFault)]


@pytest.fixture
def stand() -> Stand:
    return Stand()


async def test_what_it_says_of_itself(stand: Stand) -> None:
    """The lower of modules and rating; its power as the current that feeds it."""
    found = await stand.board.open()
    assert found.max_current_a == pytest.approx(60_000 / 690)
    assert stand.board.levels().capabilities == SupplyCapabilities(920, 150, 150, 60_000)
    assert stand.board.snapshot().pp_ampacity_a is None
    assert stand.board.meter().dc
    await stand.board.close()


async def test_without_a_supply_it_does_not_open(stand: Stand) -> None:
    stand.dead = True
    with pytest.raises(BoardUnavailable, match="module 0"):
        await stand.board.open()
    assert stand.said == ["open", "close"]
    stand.dead = False
    await stand.board.open()
    await stand.board.close()


async def test_a_charge_from_below_and_above(stand: Stand) -> None:
    await stand.charging()
    assert (
        stand.stages()[-5:] == ["cable check", "ready", "pre-charge", "charging"][-5:] or "charging" in stand.stages()
    )
    levels = stand.board.levels()
    assert (levels.check_id, levels.insulation) == ("ID", Insulation.VALID)
    assert (levels.voltage_v, levels.current_a) == (BATTERY_V, 50.0)
    assert any(isinstance(fact, DcMeasured) and fact.current_a == 50 for fact in stand.facts)
    await stand.board.close()


async def test_an_orderly_end(stand: Stand) -> None:
    await stand.charging()
    stand.board.lock_connector(False)
    stand.board.deliver(False)
    stand.pass_s(1)
    order = [word for word in stand.said if word in ("supply off", "withdraw", "unlock")]
    assert order == ["supply off", "withdraw", "unlock"]
    await stand.board.close()


async def test_an_emergency(stand: Stand) -> None:
    """By the board's own fault, and by the session's word."""
    await stand.charging()
    stand.below.report(BoardFault(Fault.EMERGENCY_STOP, True, Severity.EMERGENCY, "pressed", stand.now))
    assert stand.said[:2] == ["supply off", "withdraw"]
    assert isinstance(stand.facts[-1], BoardFault), "the fact comes after the deed"
    other = Stand()
    await other.charging()
    other.board.signal_error()
    assert other.said[0] == "supply off"
    assert other.said.index("withdraw") < other.said.index("F")
    await stand.board.close()
    await other.board.close()


async def test_a_board_out_of_reach(stand: Stand) -> None:
    await stand.charging()
    stand.below.lost = True
    stand.below.report(BoardLink(False, "silent", stand.now))
    assert stand.said[0] == "supply off"
    await stand.board.close()


async def test_the_raw_pilot_is_looked_at_between_facts(stand: Stand) -> None:
    await stand.charging()
    stand.below.levels = replace(stand.below.levels, cp=CpState.A)
    await asyncio.sleep(0.05)
    assert stand.said[0] == "supply off"
    await stand.board.close()


async def test_faults_of_the_output_are_the_boards(stand: Stand) -> None:
    await stand.charging()
    stand.take(InsulationReading(20.0, stand.now + 0.01, BATTERY_V))
    assert stand.faults() == [(Fault.RESISTANCE_FAULT, True)]
    assert Fault.RESISTANCE_FAULT in stand.board.snapshot().faults
    stand.below.levels = replace(stand.below.levels, cp=CpState.A)
    stand.below.report(Unplugged(stand.now))
    assert stand.faults() == [(Fault.RESISTANCE_FAULT, True), (Fault.RESISTANCE_FAULT, False)]
    assert "reset" in stand.said
    await stand.board.close()


async def test_an_over_voltage_that_the_monitor_finds(stand: Stand) -> None:
    await stand.charging()
    stand.take(OverVoltageReading(560.0, stand.now, emergency=True))
    assert stand.said[:2] == ["supply off", "withdraw"]
    assert stand.faults() == [(Fault.OVER_VOLTAGE, True)]
    stand.take(OverVoltageReading(0.0, stand.now))
    stand.board.reset_output()
    assert stand.faults()[-1] == (Fault.OVER_VOLTAGE, False)
    await stand.board.close()


async def test_the_monitor_is_told_its_limits(stand: Stand) -> None:
    await stand.board.open()
    stand.plug_in()
    stand.pass_s(0.3)
    stand.board.permit_power(True)
    stand.board.check_cable("ID", 437.0)
    stand.pass_s(3)
    assert [word for word in stand.said if word.startswith("watch")] == ["watch 550 0", "watch 550 437"]
    await stand.board.close()


async def test_a_limit_per_phase_is_one_of_power(stand: Stand) -> None:
    await stand.charging()
    stand.board.limit_current(10.0)
    assert stand.setpoint.current_a == pytest.approx(6900 / 390)
    assert stand.board.levels().max_power_w == pytest.approx(6900)
    await stand.board.close()


async def test_the_pilot_never_tells_a_current(stand: Stand) -> None:
    await stand.board.open()
    stand.board.offer_hlc()
    stand.board.offer_current(16)
    stand.board.offer_nothing()
    assert stand.said[-3:] == ["5 %", "X1", "X1"]
    await stand.board.close()


async def test_the_meters_samples_are_of_dc(stand: Stand) -> None:
    await stand.board.open()
    stand.below.report(MeterSampled(READING))
    sampled = [fact for fact in stand.facts if isinstance(fact, MeterSampled)]
    assert sampled[-1].reading.dc
    await stand.board.close()


async def test_closing_switches_off_first(stand: Stand) -> None:
    await stand.charging()
    await stand.board.close()
    assert stand.said[:2] == ["supply off", "withdraw"]
    assert stand.said.index("device closed") < stand.said.index("close")


async def test_a_technician_sees_the_insulation_and_clears_the_output(stand: Stand) -> None:
    assert diagnostics_of(stand.board) is None
    other = Stand(Diagnosing)
    tests = diagnostics_of(other.board)
    assert tests is not None
    assert tests.measurements() == Measurements(plug_temp_c=31.5)
    await other.charging()
    assert tests.measurements() == Measurements(plug_temp_c=31.5, insulation_kohm=2000.0)
    assert await tests.self_test(BoardTest.RCD) is Verdict.PASSED
    other.take(InsulationReading(20.0, other.now + 0.01, BATTERY_V))
    other.take(InsulationReading(2000.0, other.now + 0.02, BATTERY_V))
    assert isinstance(other.below, Diagnosing)
    other.below.verdict = Verdict.REFUSED
    await tests.clear_faults()
    assert other.faults() == [(Fault.RESISTANCE_FAULT, True)]
    other.below.verdict = Verdict.PASSED
    await tests.clear_faults()
    assert other.faults()[-1] == (Fault.RESISTANCE_FAULT, False)
    await other.board.close()
