"""What a board may offer a technician beside `BoardSupport`: what it measures, and tests of its own.

Optional: a board that has it carries an object of this kind as `diagnostics`, and `diagnostics_of` finds it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from hal.ports import BoardSupport


class SelfTest(StrEnum):
    """What only the board itself can try."""

    RCD = "rcd"


class Verdict(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"
    """This board has no such test."""
    REFUSED = "refused"
    """Not now: power is permitted, or a fault stands."""


@dataclass(frozen=True, slots=True)
class Measurements:
    """As the board measures now; None: it has no such sensor."""

    cp_high_v: float | None = None
    """The pilot's upper level; with a steady pilot both are the same."""
    cp_low_v: float | None = None
    pp_ampacity_a: float | None = None
    """The cable's rating by its proximity resistor."""
    board_temp_c: float | None = None
    plug_temp_c: float | None = None
    contactor_ms: float | None = None
    """From coil to feedback, the last time the contactor moved."""
    insulation_kohm: float | None = None


class BoardDiagnostics(Protocol):
    """Every method raises BoardUnavailable for a board that does not answer."""

    def measurements(self) -> Measurements: ...

    async def self_test(self, test: SelfTest) -> Verdict:
        """Takes up to 3 s. The board refuses it while power is permitted."""
        ...

    async def clear_faults(self) -> Verdict:
        """Latched faults, the board's and then the driver's; REFUSED while their cause stands."""
        ...


@runtime_checkable
class Diagnosed(Protocol):
    @property
    def diagnostics(self) -> BoardDiagnostics | None: ...


def diagnostics_of(board: BoardSupport | None) -> BoardDiagnostics | None:
    """None: the board offers nothing of the kind."""
    return board.diagnostics if isinstance(board, Diagnosed) else None
