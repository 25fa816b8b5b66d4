"""What a vehicle is and wants."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto

from cryptography.hazmat.primitives.asymmetric import ec


class Speaks(StrEnum):
    DIN = "DIN SPEC 70121"
    ISO_2 = "ISO 15118-2"
    ISO_20 = "ISO 15118-20"


class Service(StrEnum):
    AC = "AC"
    AC_BPT = "AC_BPT"
    DC = "DC"
    DC_BPT = "DC_BPT"

    @property
    def direct(self) -> bool:
        return self.startswith("DC")

    @property
    def bidirectional(self) -> bool:
        return self.endswith("BPT")


class Extra(Enum):
    """What a vehicle does in a session beyond charging."""

    INSTALL = auto()
    """Ask for a contract certificate first."""
    RENEGOTIATE = auto()
    """Ask for another schedule in the middle."""
    SERVICE_RENEGOTIATION = auto()
    STANDBY = auto()
    PAUSE = auto()
    """Leave to come back."""
    DISCHARGE = auto()
    RECEIPTS = auto()
    """Sign the meter's values when asked to."""
    NEEDS_BY_STATION = auto()


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate chain in DER, leaf first, without the root; and the leaf's key."""

    chain_der: Sequence[bytes]
    key: ec.EllipticCurvePrivateKey
    name: str
    """The leaf's common name: the eMAID of a contract, the PCID of a provisioning certificate."""


@dataclass(frozen=True, slots=True)
class Wishes:
    speaks: Speaks
    service: Service
    contract: Credential | None = None
    """None: somebody else pays."""
    provisioning: Credential | None = None
    dynamic: bool = False
    loops: int = 3
    enough: Callable[[], bool] | None = None
    """Where it is given, it ends the charge loop instead of a number of turns."""
    loop_pace_s: float = 0.0
    ongoing_pace_s: float = 0.0
    extras: frozenset[Extra] = frozenset()
    evcc_id: str = "020000000001"
    paused_session: bytes = b""
    """The session id to join again."""
    battery_v: float = 380.0
    max_voltage_v: float = 420.0
    max_current_a: float = 100.0
    ac_current_a: float = 16.0
    phases: int = 3
    nominal_v: float = 230.0

    def turns(self) -> Iterator[int]:
        """Of the charge loop."""
        turn = 0
        while not self.enough() if self.enough is not None else turn < self.loops:
            yield turn
            turn += 1


@dataclass(slots=True)
class Told:
    """What the vehicle learned; filled as the session goes on."""

    session_id: bytes = bytes(8)
    joined: bool = False
    installed: Credential | None = None
    """The contract that came by certificate installation; the vehicle then pays with it."""
    contract: Credential | None = None
    """What it has paid with."""
    tuples: list[int] = field(default_factory=list)
    notifications: list[str] = field(default_factory=list)
    stopped_by_station: bool = False
    receipts: int = 0
    limits_a: list[float] = field(default_factory=list)
    targets_w: list[float] = field(default_factory=list)
