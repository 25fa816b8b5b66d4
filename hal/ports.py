"""What a board must offer, and what it reports.

A board driver implements `BoardSupport` for each EVSE it carries. Set-points are levels, not edges: they are
idempotent, kept while the link to the board is down and replayed before the board is reported up again. Facts go up
through the `report` callback given to the driver, in order and without loss. `close()` leaves the pilot at F and the
contactor open.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Protocol

from hal.dc.ports import DcMeasured, DcStaged
from hal.quantities import EvseId, MeterReading, SignedReading


class HalError(Exception):
    """Root of every error of the board floor."""


class BoardUnavailable(HalError):
    """The board, or one part of it, does not answer; the value asked for is not known."""


class CpState(StrEnum):
    """The vehicle's state by the pilot voltage (IEC 61851-1 table A.4), as seen by the board."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"
    E = "E"
    F = "F"


class CpMode(StrEnum):
    """What the EVSE puts on the pilot: X1 is steady +12 V, X2 is PWM, E is 0 V, F is -12 V."""

    X1 = "X1"
    X2 = "X2"
    E = "E"
    F = "F"


class Contactor(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    WELDED = "welded"
    STUCK_OPEN = "stuck_open"


class Severity(Enum):
    """WARNING lets charging go on; STOP ends it in order; EMERGENCY opens the contactor at once."""

    WARNING = "warning"
    STOP = "stop"
    EMERGENCY = "emergency"


class Fault(StrEnum):
    """Faults by their MREC name (ChargeX minimum required error codes), and those MREC has no name for."""

    CONNECTOR_LOCK_FAILURE = "ConnectorLockFailure"
    GROUND_FAILURE = "GroundFailure"
    HIGH_TEMPERATURE = "HighTemperature"
    OVER_CURRENT_FAILURE = "OverCurrentFailure"
    OVER_VOLTAGE = "OverVoltage"
    UNDER_VOLTAGE = "UnderVoltage"
    EMERGENCY_STOP = "EmergencyStop"
    INVALID_VEHICLE_MODE = "InvalidVehicleMode"
    PILOT_FAULT = "PilotFault"
    POWER_LOSS = "PowerLoss"
    EVSE_CONTACTOR_FAULT = "EVSEContactorFault"
    CABLE_OVER_TEMP_DERATE = "CableOverTempDerate"
    CABLE_OVER_TEMP_STOP = "CableOverTempStop"
    PROXIMITY_FAULT = "ProximityFault"
    DIODE_FAULT = "DiodeFault"
    VENTILATION_NOT_AVAILABLE = "VentilationNotAvailable"
    RESIDUAL_CURRENT = "ResidualCurrent"
    COMMUNICATION_FAULT = "CommunicationFault"
    POWER_METER_FAILURE = "PowerMeterFailure"
    ENCLOSURE_OPEN = "EnclosureOpen"
    CABLE_CHECK_FAULT = "CableCheckFault"
    RESISTANCE_FAULT = "ResistanceFault"
    CONNECTOR_VOLTAGE_HIGH = "ConnectorVoltageHigh"
    VOLTAGE_PLAUSIBILITY = "VoltagePlausibilityFault"
    POWER_SUPPLY_FAILURE = "PowerSupplyFailure"
    ISOLATION_MONITOR_FAILURE = "IsolationMonitorFailure"
    VENDOR_ERROR = "VendorError"
    VENDOR_WARNING = "VendorWarning"


# Everything stops charging but what is named here.
WARNINGS = frozenset({Fault.HIGH_TEMPERATURE, Fault.CABLE_OVER_TEMP_DERATE, Fault.VENDOR_WARNING})


@dataclass(frozen=True, slots=True)
class EvseCapabilities:
    """What the board can do: `max_current_a` is the lowest of wiring, contactor and connector."""

    max_current_a: float
    min_current_a: float
    phases: int
    has_lock: bool
    has_ventilation: bool
    nominal_voltage_v: float
    """Phase to neutral."""
    model: str
    firmware: str


@dataclass(frozen=True, slots=True)
class EvseSnapshot:
    """The board's levels at `taken_at_s` (monotonic). Refuse a snapshot older than three reporting periods."""

    cp: CpState
    cp_mode: CpMode
    duty_percent: float
    contactor: Contactor
    locked: bool
    pp_ampacity_a: float | None
    faults: frozenset[Fault]
    power_permitted: bool
    taken_at_s: float


# --- Facts: what the board floor reports upward. `at_s` is monotonic. ---


@dataclass(frozen=True, slots=True)
class PluggedIn:
    """State A to B (or straight to C): a vehicle is at the connector."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Unplugged:
    at_s: float


@dataclass(frozen=True, slots=True)
class VehicleReady:
    """State C or D: the vehicle asks for energy."""

    at_s: float
    ventilation: bool


@dataclass(frozen=True, slots=True)
class VehiclePaused:
    """Back from C or D to B: the vehicle wants no energy now."""

    at_s: float


@dataclass(frozen=True, slots=True)
class BcbToggled:
    """B to C and back within 200 to 400 ms, without power: the vehicle asks for digital communication (ISO 15118-3).

    Comes after the VehicleReady and VehiclePaused of the toggle.
    """

    at_s: float


@dataclass(frozen=True, slots=True)
class ContactorChanged:
    """The contactor's feedback, not the command."""

    contactor: Contactor
    at_s: float


@dataclass(frozen=True, slots=True)
class PilotOffered:
    """The duty now on the pilot, as the board confirms it. 100 stands for X1, 0 for E and F."""

    mode: CpMode
    duty_percent: float
    at_s: float


@dataclass(frozen=True, slots=True)
class BoardFault:
    fault: Fault
    active: bool
    severity: Severity
    detail: str
    at_s: float


@dataclass(frozen=True, slots=True)
class BoardLink:
    """The link to the board is up (set-points replayed) or lost (the board is making itself safe)."""

    up: bool
    detail: str
    at_s: float


@dataclass(frozen=True, slots=True)
class TokenPresented:
    """A token at the reader: `id_token` in upper-case hex, `kind` an OCPP IdTokenEnumType (ISO14443, ISO15693)."""

    id_token: str
    kind: str
    at_s: float


@dataclass(frozen=True, slots=True)
class ContactChanged:
    """A board's dry contact closed or opened: the grid operator's order to dim the station. Few boards have one."""

    active: bool
    at_s: float


@dataclass(frozen=True, slots=True)
class MeterSampled:
    reading: MeterReading


@dataclass(frozen=True, slots=True)
class SlacBegun:
    """A vehicle in reach speaks SLAC: the first CM_SLAC_PARM.CNF since matching was armed. It may be a neighbour's."""

    ev_mac: bytes
    at_s: float


@dataclass(frozen=True, slots=True)
class SlacMatched:
    """CM_SLAC_MATCH.CNF sent: the vehicle has our key. `sounds` is how many of the expected M-sounds came."""

    ev_mac: bytes
    run_id: bytes
    attenuation_db: float
    sounds: int
    took_s: float
    at_s: float


@dataclass(frozen=True, slots=True)
class LinkReady:
    """D-LINK_READY: the vehicle's modem is in our AVLN; IP traffic may flow (ISO 15118-3)."""

    ev_mac: bytes
    at_s: float


@dataclass(frozen=True, slots=True)
class LinkLost:
    reason: str
    at_s: float


@dataclass(frozen=True, slots=True)
class SlacFailed:
    """No match in time (no vehicle with high-level communication, or a failed run): `reason` names which."""

    reason: str
    at_s: float


@dataclass(frozen=True, slots=True)
class ModemFault:
    """The PLC modem does not do its work (`active`), or does it again."""

    reason: str
    active: bool
    at_s: float


@dataclass(frozen=True, slots=True)
class ModemReady:
    """The modem carries a fresh key of ours: SLAC can be answered, 5 % PWM may be offered."""

    at_s: float


BoardFact = (
    PluggedIn
    | Unplugged
    | VehicleReady
    | VehiclePaused
    | BcbToggled
    | ContactorChanged
    | PilotOffered
    | BoardFault
    | BoardLink
    | TokenPresented
    | ContactChanged
    | MeterSampled
)
PlcFact = SlacBegun | SlacMatched | LinkReady | LinkLost | SlacFailed | ModemFault | ModemReady
DcFact = DcStaged | DcMeasured
HalFact = BoardFact | PlcFact | DcFact

Report = Callable[[HalFact], None]


class BoardSupport(Protocol):
    """One EVSE's pilot, power path and reader. All set-points are levels; none blocks; each may be repeated freely.

    The IEC 61851-1 rules (duty table, 5 s change interval, 100 ms open, 6 s for a vehicle that stays in C, no power but
    in C or D) are kept below this line.
    """

    async def open(self) -> EvseCapabilities:
        """Agree with the board on the link's version. Raises BoardUnavailable."""
        ...

    async def close(self) -> None:
        """Pilot F, contactor open, link closed."""
        ...

    def snapshot(self) -> EvseSnapshot:
        """The latest levels. Raises BoardUnavailable when there are none or they are stale."""
        ...

    def meter(self) -> MeterReading:
        """The latest reading. Raises BoardUnavailable rather than repeat an old value."""
        ...

    def offer_nothing(self) -> None:
        """X1: present, no current offered."""
        ...

    def offer_hlc(self) -> None:
        """X2 at 5 %: talk first (ISO 15118-3)."""
        ...

    def offer_current(self, limit_a: float) -> None:
        """X2 with the duty of `limit_a`; under 6 A this is X1."""
        ...

    def limit_current(self, limit_a: float) -> None:
        """The supervised over-current limit, for the board's own protection."""
        ...

    def signal_error(self) -> None:
        """State F, power off: a fault the vehicle must see."""
        ...

    def permit_power(self, permit: bool) -> None:
        """Permit (not command) the contactor to close; it closes only in C or D. False opens it."""
        ...

    def lock_connector(self, lock: bool) -> None:
        """Lock at once; unlock only once the contactor is confirmed open."""
        ...


class Indication(StrEnum):
    """What somebody in front of the station is to see."""

    UNAVAILABLE = "unavailable"
    AVAILABLE = "available"
    AUTHORIZED = "authorized"
    """An accepted token waits for its vehicle."""
    CONNECTED = "connected"
    """A vehicle waits for a token."""
    READY = "ready"
    """Plugged in and authorised; nothing flows now."""
    CHARGING = "charging"
    FAULTED = "faulted"


class UserIndication(Protocol):
    """Lights of one EVSE. Never raises: a dead light is logged, and charging goes on."""

    def show(self, indication: Indication) -> None: ...


class TokenReader(Protocol):
    """A reader of tokens that is a device apart from the board."""

    async def open(self) -> None:
        """Begin reading, and report TokenPresented once a card. Never raises for a silent reader: it goes on asking.

        Meanwhile it reports VENDOR_WARNING, which stops no charge.
        """
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class DisplayMessage:
    """A text for drivers, at most 512 characters. `language` is a tag of RFC 5646, empty where it is not known."""

    text: str
    language: str = ""
    evse: EvseId | None = None
    """Whom it concerns; None for everybody."""


class Display(Protocol):
    """The station's display. Neither method blocks or raises: a display that is broken stops nobody from charging."""

    def show(self, messages: Sequence[DisplayMessage]) -> None:
        """From now on these, one after the other in turns; none for an idle screen. May be repeated freely."""
        ...

    async def close(self) -> None: ...


class PowerMeter(Protocol):
    """One EVSE's energy meter, where it is a device apart from the board."""

    async def open(self) -> None:
        """Begin reading, and report MeterSampled. Never raises for a silent meter: it goes on asking.

        After two missed cycles it reports POWER_METER_FAILURE, and its end with the next reading.
        """
        ...

    async def close(self) -> None: ...

    def reading(self) -> MeterReading:
        """The latest reading. Raises BoardUnavailable rather than repeat an old value."""
        ...


@dataclass(frozen=True, slots=True)
class MeteredTransaction:
    """What a signing meter is to write into its records: whose energy it measures."""

    transaction_id: str
    evse_id: str
    id_token: str


class SigningMeter(PowerMeter, Protocol):
    """A meter that signs what it measures. It has one transaction at a time; its records are passed on unaltered.

    While a transaction runs, `reading` may bring a signed record of its own.
    """

    @property
    def serial(self) -> str:
        """Empty until the meter has answered once."""
        ...

    @property
    def public_key(self) -> str:
        """Hex of the DER SubjectPublicKeyInfo; empty until the meter has answered once."""
        ...

    async def start_transaction(self, transaction: MeteredTransaction) -> SignedReading | None:
        """The record of the beginning, where the meter makes one. Raises BoardUnavailable: nothing is measured."""
        ...

    async def stop_transaction(self, transaction_id: str) -> SignedReading:
        """The record of the whole transaction, again for one that has ended. Raises BoardUnavailable."""
        ...

    async def stop_forgotten(self) -> None:
        """Stop whatever transaction runs that nobody asked for. Raises BoardUnavailable."""
        ...


class PlcLink(Protocol):
    """One EVSE's Green PHY modem and SLAC matching on its own interface."""

    async def open(self) -> None:
        """Find the modem and give it a key. Never raises for a missing modem: reports ModemFault and goes on trying."""
        ...

    async def close(self) -> None: ...

    def vehicle_connected(self, connected: bool) -> None:
        """The pilot's word: True on leaving state A (arms matching), False on state A (leave the AVLN, new key).

        True again after SlacFailed gives the vehicle another TT_EVSE_SLAC_init.
        """
        ...

    def pause(self) -> None:
        """D-LINK_PAUSE: the session sleeps; the vehicle keeps the key. LinkLost follows."""
        ...

    def resume(self) -> None:
        """One side woke the other: LinkReady follows once the vehicle's modem is back."""
        ...

    def pilot_toggled(self) -> None:
        """One BCB toggle seen on the pilot, for CM_VALIDATE."""
        ...

    def terminate(self) -> None:
        """D-LINK_TERMINATE: the session is over; leave the AVLN, take a new key."""
        ...
