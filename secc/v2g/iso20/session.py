"""What a session of ISO 15118-20 keeps beyond what every protocol's session keeps."""

from dataclasses import dataclass
from enum import IntEnum

from secc.schedules import Pricing
from secc.v2g.session import Session


class Service(IntEnum):
    """Energy transfer services, table 204. The others are never offered here."""

    AC = 1
    DC = 2
    AC_BPT = 5
    DC_BPT = 6


class ControlMode(IntEnum):
    """Who plans: the vehicle within a schedule, or the station from loop to loop."""

    SCHEDULED = 1
    DYNAMIC = 2


@dataclass(frozen=True, slots=True)
class Session20(Session):
    attempts: int = 0
    """How often authorization was refused."""
    service: Service | None = None
    control_mode: ControlMode = ControlMode.SCHEDULED
    needs_by_station: bool = False
    """MobilityNeedsMode 2 was agreed on: the station's word on the driver's needs goes before the vehicle's."""
    pricing: Pricing = Pricing.NONE
    renegotiating: bool = False
    """A new schedule is being agreed on under power; the charge loop may go on meanwhile."""
    services: frozenset[int] = frozenset()
    """The value-added services the vehicle has selected."""
    ev_max_power_w: float = 0.0
    """All phases."""
    ev_min_power_w: float = 0.0
    ev_max_discharge_power_w: float = 0.0
    ev_max_current_a: float = 0.0
    """DC."""


def of_20(session: Session) -> Session20:
    """The engine carries sessions of any protocol; those of this one are always this."""
    assert isinstance(session, Session20)
    return session
