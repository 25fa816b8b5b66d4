"""What somebody who is not there can do to a simulated board: drive up, pull the plug, hold a card to the reader."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from hal.ports import HalError


class SimulationError(HalError):
    """It cannot be done, or not now; the message says why."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A vehicle that drives up. `vehicle` names a kind and how it pays, as in iec or iso2-ac-pnc."""

    vehicle: str
    charge_s: float
    """How long it stays in state C."""
    max_current_a: float
    """Per phase."""
    card: str = ""
    """The driver's RFID card in hex, held to the reader after plugging in."""


@runtime_checkable
class Simulator(Protocol):
    """A board whose far end is simulated offers this beside `BoardSupport`. Every method may raise SimulationError."""

    async def plug_in(self, visit: Visit) -> None:
        """Returns once the plug is in."""
        ...

    async def plug_out(self, *, pull: bool) -> bool:
        """The vehicle ends its charge and leaves as soon as the plug is let go; with `pull` the cable is torn out.

        Returns whether the plug is out.
        """
        ...

    async def swipe(self, id_token: str, kind: str) -> None:
        """Hold a token to the reader: upper-case hex, and an OCPP IdTokenEnumType."""
        ...

    async def set_fault(self, name: str, active: bool) -> None:
        """A fault by its `hal.ports.Fault` value, or one of the plant: weld, stuck_open, lock_jam, silence, reset."""
        ...
