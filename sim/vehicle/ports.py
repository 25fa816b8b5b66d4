"""What the vehicle needs of the cable: the parts of the simulated MCU's cable that a car and its driver can reach."""

from collections.abc import Callable
from typing import Protocol


class Levels(Protocol):
    """What the station shows at the socket."""

    @property
    def cp_mode(self) -> str:
        """X1, X2, E or F."""
        ...

    @property
    def duty_percent(self) -> float: ...

    @property
    def contactor(self) -> str:
        """open or closed (or a fault's name)."""
        ...

    @property
    def locked(self) -> bool: ...

    @property
    def energy_wh(self) -> float: ...


class Cable(Protocol):
    @property
    def levels(self) -> Levels: ...

    async def set_cp(self, state: str) -> None:
        """A, B, C or D."""
        ...

    async def draw(self, *current_a: float) -> None:
        """Per phase."""
        ...

    async def swipe(self, id_token: str, kind: str = ...) -> None: ...

    async def wait_for(self, predicate: Callable[[Levels], bool], timeout_s: float = ...) -> Levels:
        """Raises TimeoutError."""
        ...


def pwm_percent(levels: Levels) -> float:
    """The duty if the pilot oscillates, 100 if it is steady or in fault: neither offers anything."""
    return levels.duty_percent if levels.cp_mode == "X2" else 100.0
