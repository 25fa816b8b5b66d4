"""What may be offered to a vehicle now: the lowest of everything that limits it. Pure."""

from dataclasses import dataclass

MINIMUM_A = 6.0
"""IEC 61851-1 offers no less; under it a vehicle is asked to pause."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Per phase, in ampere. None: this source sets no limit."""

    board_a: float | None
    """None: the board has not said yet what it can; nothing is offered."""
    cable_a: float | None = None
    profile_a: float | None = None
    """The CSMS's composite schedule."""
    heat_a: float | None = None
    site_a: float | None = None
    technician_a: float | None = None
    """Of a technician's `evse ramp`, while it runs."""
    start_a: float | None = None
    """0 while a start is held back: peak hours, or the random delay."""

    @property
    def offer_a(self) -> float:
        """The lowest limit; 0 where it falls under what IEC 61851-1 can offer."""
        return self.lowest_a if self.lowest_a >= MINIMUM_A else 0.0

    @property
    def lowest_a(self) -> float:
        """The lowest limit, no less than 0."""
        if self.board_a is None:
            return 0.0
        others = (self.cable_a, self.profile_a, self.heat_a, self.site_a, self.technician_a, self.start_a)
        return max(min([self.board_a, *(limit for limit in others if limit is not None)]), 0.0)
