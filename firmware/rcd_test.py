"""The residual current device's self-test before a vehicle is given power. Pure.

It begins when a vehicle is plugged in, beside everything else: pilot, SLAC and authorisation do not wait for it, power
does (`firmware/levels.py`). One test a vehicle; what comes of it:

- **passed**: power may flow, and an earlier failure is over.
- **failed**: a fault that stays, with vehicles coming and going, until a test passes or a technician resets it. It is a
  stop and no emergency: no power flows yet, and state F would hide the unplugging that makes way for the next test.
- **refused, or no answer**: tried once more. Then charging goes on with a warning, where the board itself reports no
  fault. The device breaks the circuit in hardware with or without the daemon, and a board that will not test it now has
  not said that it is broken; every vehicle turned away would be too much for a test that is tried again with the next.
- **unsupported**: as if there were nothing to test.
"""

from collections.abc import Iterable

from firmware import effects
from firmware.facts import RcdWord
from firmware.reasons import stopped_by
from firmware.record import Record
from firmware.state import RcdStage, State
from hal.diagnostics import Verdict
from hal.ports import BoardFault, Fault, Severity
from ocpp_client.ports import TriggerReason

ANSWER_S = 5.0
"""A board takes 3 s at most; one that says nothing for so long has not tested."""
AGAIN_S = 1.0
"""Before the second try: a contactor that was just told to open is open by then, and a lost frame is forgotten."""
TRIES = 2


class RcdTest:
    """`wanted` False: nothing is tested before a session; what a technician's test says counts all the same."""

    def __init__(self, state: State, record: Record, *, wanted: bool) -> None:
        self._state = state
        self._record = record
        self._wanted = wanted
        self._tries = 0
        self._warned = False

    def begin(self) -> Iterable[effects.Effect]:
        """A vehicle is there."""
        if self._wanted:
            self._tries = 0
            yield self._try()

    def forget(self) -> None:
        """The vehicle has gone. A failure stays."""
        self._state.rcd = RcdStage.IDLE
        self._state.rcd_due_s = None

    def tick(self, now: float) -> Iterable[effects.Effect]:
        state = self._state
        if state.rcd_due_s is None or now < state.rcd_due_s:
            return
        if state.rcd is RcdStage.WAITING:
            yield self._try()
        else:
            yield from self._undone("no answer")

    def told(self, outcome: Verdict | RcdWord) -> Iterable[effects.Effect]:
        """A failure counts whenever it comes, the rest only while it is awaited or a failure stands."""
        if outcome is Verdict.FAILED:
            yield from self._failed()
        elif outcome in (Verdict.PASSED, RcdWord.RESET):
            yield from self._good(outcome is Verdict.PASSED)
        elif self._state.rcd is RcdStage.RUNNING:
            if outcome is Verdict.UNSUPPORTED:
                self.forget()
            else:
                yield from self._undone(outcome.value)

    def standing(self) -> BoardFault:
        return self._fault(active=True)

    def inherit(self, failed: bool) -> None:
        """From a session that was given up."""
        if failed:
            self._state.rcd_failed = True
            self._state.faults[Fault.RESIDUAL_CURRENT] = Severity.STOP

    def _try(self) -> effects.Effect:
        self._tries += 1
        self._state.rcd = RcdStage.RUNNING
        self._state.rcd_due_s = self._record.now + ANSWER_S
        return effects.TestRcd()

    def _failed(self) -> Iterable[effects.Effect]:
        state = self._state
        self.forget()
        if not state.rcd_failed:
            state.rcd_failed = True
            state.faults.setdefault(Fault.RESIDUAL_CURRENT, Severity.STOP)
            self._record.end_with(TriggerReason.ABNORMAL_CONDITION, stopped_by(Fault.RESIDUAL_CURRENT))
            yield effects.ReportProblem(self.standing())

    def _good(self, passed: bool) -> Iterable[effects.Effect]:
        """What the board itself reports of its device stays: it is an emergency, and its own to take back."""
        state = self._state
        if passed:
            self.forget()
        if state.rcd_failed:
            state.rcd_failed = False
            if state.faults.get(Fault.RESIDUAL_CURRENT) is Severity.STOP:
                del state.faults[Fault.RESIDUAL_CURRENT]
                yield effects.ReportProblem(self._fault(active=False))
        if self._warned and passed:
            self._warned = False
            yield effects.ReportProblem(self._warning("done again", active=False))

    def _undone(self, why: str) -> Iterable[effects.Effect]:
        if self._tries < TRIES:
            self._state.rcd = RcdStage.WAITING
            self._state.rcd_due_s = self._record.now + AGAIN_S
            return
        self.forget()
        self._state.rcd = RcdStage.UNTESTED
        if not self._warned:
            self._warned = True
            yield effects.ReportProblem(self._warning(why, active=True))

    def _fault(self, *, active: bool) -> BoardFault:
        detail = "the residual current device failed its self-test" if active else "tested again, or reset"
        return BoardFault(Fault.RESIDUAL_CURRENT, active, Severity.STOP, detail, self._record.now)

    def _warning(self, why: str, *, active: bool) -> BoardFault:
        detail = f"the residual current device's self-test before the session: {why}"
        return BoardFault(Fault.VENDOR_WARNING, active, Severity.WARNING, detail, self._record.now)
