"""A DC power path and the simplest devices around it, in virtual time: a conversation is a few words of these."""

from dataclasses import dataclass, field

from hal.dc.ports import InsulationReading, SelfTest, SupplyCapabilities, SupplyMode, SupplyReading
from hal.dc.power_path import DcPowerPath, Stage
from hal.ports import Contactor, CpState

OUTPUT = SupplyCapabilities(max_voltage_v=1000, min_voltage_v=150, max_current_a=200, max_power_w=60_000)
BATTERY_V = 380.0
VEHICLE_MAX_V = 450.0


@dataclass
class Rig:
    """`pass_s` lets time pass in steps of 10 ms: what was ordered happens, the devices report as often as they do.

    The attributes are what is the case; tests change them to break things.
    """

    machine: DcPowerPath = field(default_factory=lambda: DcPowerPath(OUTPUT))
    now: float = 100.0
    cp: CpState = CpState.B
    contactor: Contactor = Contactor.OPEN
    supply_v: float = 0.0
    supply_a: float = 0.0
    supply_fault: str = ""
    supply_silent: bool = False
    monitor_silent: bool = False
    monitor_fault: str = ""
    kohm: float = 2000.0
    to_earth: tuple[float, float] = (0.0, 0.0)
    self_test: SelfTest = SelfTest.NONE
    self_test_good: bool = True
    self_test_s: float = 2.0
    vehicle_closed: bool = False
    battery_v: float = BATTERY_V
    load_ohm: float = 0.0
    """Between DC+ and DC-; 0: nothing."""
    welded: bool = False
    stuck_open: bool = False
    lies_v: float = 0.0
    """What the monitor shows too much."""
    discharges: bool = True
    over_v: float = 0.0
    """What the supply gives too much."""
    log: list[tuple[float, str]] = field(default_factory=list)
    _last: dict[str, str] = field(default_factory=dict)
    _self_test_until_s: float = 0.0
    _closing_at_s: float = float("inf")
    _said_supply_s: float = 0.0
    _said_monitor_s: float = 0.0

    @property
    def stage(self) -> Stage:
        return self.machine.stage

    def pass_s(self, seconds: float) -> "Rig":
        for _ in range(round(seconds / 0.01)):
            self.now = round(self.now + 0.01, 6)
            self._happen()
        return self

    def until(self, stage: Stage, within_s: float) -> "Rig":
        deadline_s = self.now + within_s
        while self.machine.stage is not stage:
            assert self.now < deadline_s, f"{self.machine.stage} instead of {stage}: {self.machine.faults}"
            self.pass_s(0.01)
        return self

    def plugged(self) -> "Rig":
        self.cp = CpState.C
        self.machine.permit(True, self.now)
        return self.pass_s(1.2)

    def checked(self) -> "Rig":
        self.plugged()
        self.machine.check_cable("ID", VEHICLE_MAX_V, self.now)
        return self.until(Stage.READY, 20)

    def charging(self, current_a: float = 100.0) -> "Rig":
        self.checked()
        self.machine.target(self.battery_v, 1.0, self.now)
        self.pass_s(1.5)
        self.vehicle_closed = True
        self.machine.deliver(True, self.now)
        self.until(Stage.CHARGING, 1)
        self.machine.target(self.battery_v + 10, current_a, self.now)
        return self.pass_s(current_a / 25 + 1)

    # --- what happens ---

    def _happen(self) -> None:
        orders, machine = self.machine.orders, self.machine
        self._move_contactor(orders.close)
        self._flow()
        if orders.self_test and self.self_test is not SelfTest.RUNNING:
            self.self_test, self._self_test_until_s = SelfTest.RUNNING, self.now + self.self_test_s
        if self.self_test is SelfTest.RUNNING and self.now >= self._self_test_until_s:
            self.self_test = SelfTest.PASSED if self.self_test_good else SelfTest.FAILED
        if (self.cp, self.contactor) != (machine.seen.cp, machine.seen.contactor):
            machine.board(self.cp, self.contactor, self.now)
        if not self.supply_silent and self.now >= self._said_supply_s + 0.25:
            self._said_supply_s = self.now
            machine.supply(SupplyReading(self.supply_v, self.supply_a, self.now, self.supply_fault), self.now)
        if not self.monitor_silent and self.now >= self._said_monitor_s + 1:
            self._said_monitor_s = self.now
            machine.monitored(self._monitor_word(), self.now)
        machine.tick(self.now)
        self._note()

    def _monitor_word(self) -> InsulationReading:
        kohm = None if self.self_test is SelfTest.RUNNING else self.kohm
        volts = self.outer_v + self.lies_v
        return InsulationReading(kohm, self.now, volts, *self.to_earth, self.self_test, self.monitor_fault)

    @property
    def outer_v(self) -> float:
        if self.contactor in (Contactor.CLOSED, Contactor.WELDED):
            return self.supply_v
        return self.battery_v if self.vehicle_closed else 0.0

    def _move_contactor(self, close: bool) -> None:
        close = close and self.cp in (CpState.C, CpState.D)
        if self.welded:
            return
        if close and self.contactor is Contactor.OPEN and not self.stuck_open:
            self._closing_at_s = min(self._closing_at_s, self.now + 0.02)
            if self.now >= self._closing_at_s:
                self.contactor = Contactor.CLOSED
        elif not close:
            self._closing_at_s = float("inf")
            self.contactor = Contactor.OPEN

    def _flow(self) -> None:
        told = self.machine.orders.supply
        connected = self.contactor is Contactor.CLOSED
        if told.mode is SupplyMode.OFF:
            self.supply_a = 0.0
            if connected and self.vehicle_closed:
                self.supply_v = self.battery_v
            elif self.discharges:
                self.supply_v *= 0.8
            return
        if connected and self.vehicle_closed:
            self.supply_v = self.battery_v + self.over_v
            self.supply_a = told.current_a if told.voltage_v >= self.battery_v else 0.0
        elif connected and self.load_ohm:
            self.supply_v = min(told.voltage_v, told.current_a * self.load_ohm)
            self.supply_a = self.supply_v / self.load_ohm
        else:
            self.supply_v += max(-20.0, min(20.0, told.voltage_v + self.over_v - self.supply_v))
            self.supply_a = 0.0

    def _note(self) -> None:
        said = {
            "stage": self.machine.stage.value,
            "supply": self.machine.orders.supply.mode.value,
            "close": str(self.machine.orders.close),
            "contactor": self.contactor.value,
            "unlock": str(self.machine.orders.unlock),
        }
        for name, value in said.items():
            if self._last.get(name) != value:
                self._last[name] = value
                self.log.append((self.now, f"{name} {value}"))

    def at_s(self, word: str, since_s: float = 0.0) -> float:
        """When this was so for the first time, from `since_s` on."""
        return next(at for at, said in self.log if said == word and at >= since_s)
