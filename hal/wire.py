"""The link to a board, whatever it speaks: what a serial board's protocol must offer. Pure.

A wire says everything in the board floor's own words, so that one driver (`hal.serial_board`) does the rest for every
board: the pilot machine, the clock, the serial line that comes and goes.
"""

from dataclasses import dataclass
from typing import Protocol

from hal.levels import BoardLevels, Setpoints
from hal.ports import EvseCapabilities, TokenPresented


@dataclass(frozen=True, slots=True)
class WireUp:
    """The board has answered and has the set-points."""

    board: EvseCapabilities
    same_boot: bool
    """False when the board has restarted since the link was last up, or was never seen before."""


@dataclass(frozen=True, slots=True)
class WireDown:
    """The board does not answer, or has made itself safe: until the next WireUp it is out of reach."""

    reason: str


@dataclass(frozen=True, slots=True)
class WireLog:
    level: int
    """As in `logging`."""
    text: str


@dataclass(frozen=True, slots=True)
class WireSample:
    """What the board's own meter measured `age_s` ago. Phases as in MeterReading."""

    energy_import_wh: float
    power_import_w: float
    current_a: tuple[float, float, float]
    voltage_v: tuple[float, float, float]
    age_s: float


WireEvent = WireUp | WireDown | WireLog | WireSample | BoardLevels | TokenPresented


class Wire(Protocol):
    """`feed` and `tick` return events; after every call `data_to_send()` is what the line is to carry next.

    The heartbeat goes out from `tick` alone, so that whoever calls it is the one whose silence opens the contactor.
    """

    @property
    def is_up(self) -> bool: ...

    @property
    def state_at_s(self) -> float:
        """When the board's levels last came."""
        ...

    @property
    def stale_after_s(self) -> float:
        """Three of the board's reporting periods."""
        ...

    def describe(self) -> str:
        """Why the link is not up: for an error message."""
        ...

    def connected(self, now: float) -> None:
        """The line is open; what came before is void."""
        ...

    def disconnected(self, reason: str) -> list[WireEvent]: ...

    def put(self, setpoints: Setpoints, now: float) -> None:
        """The set-points from now on: repeated with each heartbeat; a change goes out at once."""
        ...

    def feed(self, data: bytes, now: float) -> list[WireEvent]: ...

    def tick(self, now: float) -> list[WireEvent]: ...

    def deadline(self) -> float | None:
        """When to tick next; None while there is no line."""
        ...

    def data_to_send(self) -> bytes: ...
