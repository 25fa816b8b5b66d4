"""A conversation with the pilot machine in virtual time: levels in, facts out."""

from dataclasses import replace

from hal.levels import BoardLevels, Setpoints
from hal.pilot import PilotMachine
from hal.ports import BoardFact, Contactor, CpMode, CpState, Fault

AT_REST = BoardLevels(
    cp=CpState.A,
    cp_mode=CpMode.X1,
    duty_percent=100.0,
    contactor=Contactor.OPEN,
    locked=False,
    power_permitted=False,
    tripped=False,
    unplug_count=0,
    pp_ampacity_a=32.0,
    faults=frozenset(),
)


class Rig:
    """A machine with a board that follows it at once, unless told to be slow or broken."""

    def __init__(self, has_lock: bool = True, has_ventilation: bool = False) -> None:
        self.machine = PilotMachine()
        self.machine.fit(has_lock, has_ventilation)
        self.now = 100.0
        self.levels = AT_REST
        self.follow_contactor = True
        self.follow_lock = True
        self.follow_coil = True
        self.facts: list[BoardFact] = []

    @property
    def told(self) -> Setpoints:
        return self.machine.setpoints

    def start(self) -> None:
        self._note(self.machine.link_up("rig", False, self.now))
        self.board()

    def board(self, **changes: object) -> None:
        """The board reports; what it does by itself follows the set-points."""
        self.levels = replace(self.levels, **changes)  # type: ignore[arg-type]
        self._note(self.machine.feed(self.levels, self.now))
        for _ in range(4):
            followed = self._followed()
            if followed == self.levels:
                return
            self.levels = followed
            self._note(self.machine.feed(self.levels, self.now))

    def cp(self, state: str) -> None:
        self.board(cp=CpState(state))

    def wait(self, seconds: float, period_s: float = 0.1) -> None:
        """Time passes, with STATE every 100 ms and each deadline kept."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            step = min(self.now + period_s, end)
            while (due := self.machine.deadline()) is not None and due < step:
                assert due > self.now, "a deadline in the past would spin"
                self.now = due
                self._note(self.machine.tick(self.now))
            self.now = step
            self.board()

    def do(self, facts: list[BoardFact]) -> None:
        self._note(facts)
        self.board()

    def heard(self) -> list[str]:
        """Names of the facts since the last call."""
        names = [type(fact).__name__ for fact in self.facts]
        self.facts.clear()
        return names

    def plug_in_and_offer(self, limit_a: float = 16.0) -> None:
        self.start()
        self.cp("B")
        self.wait(0.2)
        self.do(self.machine.offer_current(limit_a, self.now))

    def charge(self, limit_a: float = 16.0) -> None:
        """Up to the closed contactor."""
        self.plug_in_and_offer(limit_a)
        self.do(self.machine.permit_power(True, self.now))
        self.cp("C")
        assert self.levels.contactor is Contactor.CLOSED
        self.facts.clear()

    def fault(self, *faults: Fault) -> None:
        self.board(faults=frozenset(faults))

    def _note(self, facts: list[BoardFact]) -> None:
        self.facts += facts

    def _followed(self) -> BoardLevels:
        told, levels = self.told, self.levels
        if levels.tripped and not told.allow_power:
            levels = replace(levels, tripped=False)
        levels = replace(levels, cp_mode=told.cp_mode, duty_percent=told.duty_percent)
        if told.cp_mode is CpMode.F:
            levels = replace(levels, cp=CpState.F)
        permitted = told.allow_power and levels.cp in (CpState.C, CpState.D)
        if self.follow_coil:
            levels = replace(levels, power_permitted=permitted)
        if self.follow_contactor:
            levels = replace(levels, contactor=Contactor.CLOSED if permitted else Contactor.OPEN)
        return replace(levels, locked=told.lock) if self.follow_lock else levels
