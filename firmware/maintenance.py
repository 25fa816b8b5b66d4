"""Maintenance: an EVSE out of service in a technician's hands. Pure.

It begins without a transaction and without a vehicle (`forced` allows one that stands there), and ends when the
technician says so, goes away, or the time is up. Meanwhile nobody is served: no token, no SLAC, no V2G, and the
operator sees the connector Unavailable. What the technician tries on pilot, lock and contactor is a `Trial`: levels
like all others (`firmware/levels.py`), so that leaving maintenance leaves nothing behind but what the session says.

The contactor is tried on a test adapter that shows state C, never on a vehicle that was there before: such a one gets
power by the session's own rules only.
"""

from dataclasses import dataclass, field
from enum import Enum

CONTACTOR_TRIAL_S = 5.0
"""The longest time a trial may keep the contactor permitted."""


class TrialPilot(Enum):
    """What a technician may put on the pilot; X2 with a current of its own."""

    X1 = "X1"
    X2 = "X2"
    F = "F"


class Over(Enum):
    """Why maintenance ended."""

    ASKED = "asked"
    GONE = "gone"
    """The technician's connection closed."""
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True)
class Trial:
    """`limit_a` counts with X2. `lock` None: as without a technician."""

    pilot: TrialPilot = TrialPilot.X1
    limit_a: float = 0.0
    lock: bool | None = None


@dataclass(slots=True)
class Maintenance:
    by: str
    until_s: float
    vehicle_here: bool
    """A vehicle stood at the connector when it began, and has not left since."""
    trial: Trial = field(default_factory=Trial)
    contactor_until_s: float | None = None
    """Power is permitted until then, if pilot and connector allow it."""


# --- Facts ---


@dataclass(frozen=True, slots=True)
class MaintenanceBegun:
    """`by` names the technician. Nothing happens during a transaction, or with a vehicle there but not `forced`."""

    by: str
    for_s: float
    forced: bool


@dataclass(frozen=True, slots=True)
class TrialWanted:
    """Without maintenance nothing happens. `contactor_s` tries the contactor too, for CONTACTOR_TRIAL_S at most."""

    trial: Trial
    contactor_s: float = 0.0


@dataclass(frozen=True, slots=True)
class MaintenanceOver:
    reason: Over
