"""CM_VALIDATE: the vehicle toggles the pilot between B and C, the EVSE says how often it saw that (ISO 15118-3 A.9.3).

    state      on                            to         CM_VALIDATE.CNF
    --------   ---------------------------   --------   ----------------------------------------------------------------
    IDLE       REQ, toggles can be counted   READY      Ready
               REQ, they cannot              IDLE       Failure: the vehicle goes on by its measured attenuation
    READY      REQ of the same run           COUNTING   none yet
               TT_EVSE_vald_toggle           IDLE       none
    COUNTING   (Timer + 1) * 100 ms          IDLE       Success, with the toggles seen
    READY,     REQ of another run            same       Not ready: there is one pilot
    COUNTING

Result codes and steps are from memory. # unverified: ISO 15118-3 table A.5
"""

from enum import Enum, IntEnum

from hal.plc.mme import ValidateCnf
from hal.plc.run import RunKey
from hal.plc.timings import TT_EVSE_VALD_TOGGLE_S


class ValidateResult(IntEnum):
    NOT_READY = 0
    READY = 1
    SUCCESS = 2
    FAILURE = 3
    NOT_REQUIRED = 4


class _State(Enum):
    IDLE = "idle"
    READY = "ready"
    COUNTING = "counting"


class Validation:
    """One EVSE's validation; `can_count` says whether its board reports each toggle."""

    def __init__(self, *, can_count: bool) -> None:
        self._can_count = can_count
        self.reset()

    def reset(self) -> None:
        self._state = _State.IDLE
        self._run: RunKey | None = None
        self._toggles = 0
        self.deadline: float | None = None

    def request(self, run: RunKey, timer: int, now: float) -> ValidateCnf | None:
        """Answer a CM_VALIDATE.REQ, or None when the answer comes with the end of the count."""
        if not self._can_count:
            return ValidateCnf(0, 0, ValidateResult.FAILURE)
        if self._state is _State.IDLE:
            self._state, self._run = _State.READY, run
            self.deadline = now + TT_EVSE_VALD_TOGGLE_S
            return ValidateCnf(0, 0, ValidateResult.READY)
        if run != self._run:
            return ValidateCnf(0, 0, ValidateResult.NOT_READY)
        if self._state is _State.READY:
            self._state = _State.COUNTING
            self.deadline = now + (timer + 1) * 0.1
        return None

    def toggle(self) -> None:
        """The pilot went from B to C and back."""
        if self._state is _State.COUNTING:
            self._toggles = min(self._toggles + 1, 255)

    def tick(self, now: float) -> tuple[RunKey, ValidateCnf] | None:
        """The run to answer, and what, once the count is over."""
        if self.deadline is None or now < self.deadline:
            return None
        run, counted, toggles = self._run, self._state is _State.COUNTING, self._toggles
        self.reset()
        return (run, ValidateCnf(0, toggles, ValidateResult.SUCCESS)) if counted and run is not None else None
