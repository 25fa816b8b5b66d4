"""What may be offered to a vehicle now: the lowest of everything that limits it. Pure."""

from dataclasses import dataclass

MINIMUM_A = 6.0
"""IEC 61851-1 offers no less; under it a vehicle is asked to pause."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Per phase, in ampere. None: this source sets no limit."""

    board_a: float
    cable_a: float | None = None
    profile_a: float | None = None
    """The CSMS's composite schedule."""
    heat_a: float | None = None
    site_a: float | None = None

    @property
    def offer_a(self) -> float:
        """The lowest limit; 0 where it falls under what IEC 61851-1 can offer."""
        known = (self.board_a, self.cable_a, self.profile_a, self.heat_a, self.site_a)
        lowest = min(limit for limit in known if limit is not None)
        return lowest if lowest >= MINIMUM_A else 0.0
