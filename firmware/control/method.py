"""What a method of the control socket is made of, and what its handler reads."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from firmware.config import Config
from firmware.control.log_levels import LogLevels
from firmware.control.params import Param
from firmware.control.plc_capture import Captures
from firmware.control.roles import Peer, Role
from firmware.control.rpc import Code, RpcError
from firmware.control.slots import SlotControl
from firmware.control.sources import Certificates, Csms
from firmware.credentials import TpmStatus
from firmware.evse import Evse
from firmware.grid_side import GridSide
from firmware.history import Event, History
from firmware.ledger import Ledger
from firmware.screen import Screen
from firmware.start_side import StartSide
from firmware.visits import Visits
from hal.ports import SigningMeter
from hal.quantities import EvseId


class Caller(Protocol):
    """The connection a request came by."""

    @property
    def peer(self) -> Peer: ...

    @property
    def role(self) -> Role: ...

    def subscribe(self, wanted: Callable[[Event], bool]) -> int:
        """Notifications `Events.Event` from now on; returns the subscription's number. Raises RpcError."""
        ...

    def on_close(self, gone: Callable[[], None]) -> None:
        """`gone` is called once, when the connection closes."""
        ...

    def unsubscribe(self, number: int) -> bool:
        """False if there is no such subscription."""
        ...


@dataclass(frozen=True, slots=True)
class Station:
    """What the methods read."""

    config: Config
    version: str
    started: datetime
    evses: Mapping[EvseId, Evse]
    history: History
    visits: Visits
    csms: Csms
    certificates: Certificates
    tpm: Callable[[], TpmStatus]
    log_levels: LogLevels
    audit_path: Path
    meters: Mapping[EvseId, SigningMeter] = field(default_factory=dict)
    """Those that sign."""
    captures: Captures = field(default_factory=Captures)
    v2g_traces: Captures = field(default_factory=Captures)
    screen: Screen = field(default_factory=lambda: Screen(None))
    grid: GridSide | None = None
    """None where nobody else limits the station."""
    start: StartSide | None = None
    ledger: Ledger | None = None
    slots: SlotControl | None = None
    """None for a station without firmware updates."""


@dataclass(frozen=True, slots=True)
class Call:
    """What every handler gets, before the method's own parameters."""

    station: Station
    caller: Caller


Handler = Callable[..., Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Method:
    role: Role
    handler: Handler
    params: Mapping[str, Param]
    says: str
    audited: Callable[[Mapping[str, object]], Mapping[str, object]] = lambda params: params
    """What of the parameters the audit log gets: no secret."""
    is_audited: bool = True
    """Of a call that needs a technician. One that goes on with an audited call is not told again."""


ONE = Param(int, required=True, low=1, says="the EVSE's number")
ANY = Param(int, low=1, says="the EVSE's number; all without it")


def evse_of(station: Station, number: int) -> Evse:
    evse = station.evses.get(EvseId(number))
    if evse is None:
        raise RpcError(Code.NOT_FOUND, f"there is no EVSE {number}; there are {', '.join(map(str, station.evses))}")
    return evse
