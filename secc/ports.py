"""What the SECC needs from the rest of the station, and the facts it reports.

A handler asks nothing while it runs: it is given a `StationView`, a value that says how the station stands now, and the
`Certificates` port, which computes and keeps nothing. "Not yet" is a value too (`Authorization.PENDING`), and becomes
EVSEProcessing Ongoing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum, StrEnum
from typing import Protocol

from hal.quantities import MeterReading
from secc.schedules import (
    EnergyRequested,
    LimitPeriod,
    MobilityNeeds,
    Pricing,
    ScheduleAnswer,
    ScheduleSelected,
    TariffLeftOut,
)


class SeccError(Exception):
    """Root of every error of the vehicle side."""


class TlsUnavailable(SeccError):
    """No TLS context can be had now: no key, no certificate, or a TPM that does not answer."""


class Authorization(Enum):
    """The operator's word on the vehicle at the connector."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CERTIFICATE_REVOKED = "certificate_revoked"
    CERTIFICATE_EXPIRED = "certificate_expired"
    NO_ANSWER = "no_answer"


class StopReason(Enum):
    """Why the station asks the vehicle to stop."""

    NONE = "none"
    OPERATOR = "operator"
    FAULT = "fault"
    """Power ends, or has ended, at once."""
    MALFUNCTION = "malfunction"
    """A fault that lets the vehicle stop in order."""
    UTILITY = "utility"
    """The mains are not as they should be."""


class Insulation(Enum):
    """The insulation monitor's word on the output."""

    UNKNOWN = "unknown"
    VALID = "valid"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class DcView:
    """How the DC output of one EVSE stands now. Present values are measured; vehicles check them."""

    present_voltage_v: float
    present_current_a: float
    max_voltage_v: float
    max_current_a: float
    max_power_w: float
    min_voltage_v: float
    min_current_a: float
    peak_ripple_a: float
    cable_check_id: str = ""
    """Of the `CableCheckWanted` that is running or has run."""
    cable_check: Insulation = Insulation.UNKNOWN
    """Its result; UNKNOWN while it runs."""
    max_discharge_current_a: float = 0.0
    """What the output can take back from a vehicle; 0: it can't."""
    max_discharge_power_w: float = 0.0
    discharge_power_w: float = 0.0
    """What a bidirectional vehicle under dynamic control shall feed back now; 0: it charges."""


@dataclass(frozen=True, slots=True)
class InternetWay:
    """A protocol through to the internet, and the parameter set the standards give it."""

    parameter_set_id: int
    name: str
    port: int


HTTP = InternetWay(3, "http", 80)
HTTPS = InternetWay(4, "https", 443)


@dataclass(frozen=True, slots=True)
class InternetAccess:
    """The value-added service 3 of ISO 15118-2 and 65 of ISO 15118-20: the vehicle may reach the internet here."""

    free: bool = True
    ways: tuple[InternetWay, ...] = (HTTP, HTTPS)


class Parking(IntEnum):
    """Who parks, and where it is watched: ParkingStatusType of ISO 15118-20."""

    AUTO_INTERNAL = 1
    AUTO_EXTERNAL = 2
    MANUAL_INTERNAL = 3
    MANUAL_EXTERNAL = 4


@dataclass(frozen=True, slots=True)
class ParkingStatus:
    """The value-added service 66 of ISO 15118-20: the vehicle says when it has parked and when it leaves."""

    free: bool = True
    parking: Parking = Parking.MANUAL_EXTERNAL


@dataclass(frozen=True, slots=True)
class OtherService:
    """A service of the operator's own in ISO 15118-2, category OtherCustom, without parameters."""

    service_id: int
    """60001 to 65535 [V2G2-419]."""  # unverified: number
    name: str
    """32 characters at most."""
    scope: str = ""
    """64 characters at most."""
    free: bool = True


ValueAddedService = InternetAccess | ParkingStatus | OtherService


@dataclass(frozen=True, slots=True)
class CertificateAnswer:
    """The operator's answer to a `CertificateRequested` of the same `request_id`.

    `exi_response` is the whole EXI message as the operator sent it; None if there is none to be had.
    """

    request_id: str
    exi_response: bytes | None


@dataclass(frozen=True, slots=True)
class StationView:
    """How one EVSE stands now. Firmware replaces it whole; the SECC only reads."""

    evse_id: str
    """By ISO 15118-2 Annex H, as in DE*EVS*E0001."""
    accepts_contract: bool
    accepts_external_payment: bool
    phases: int
    nominal_voltage_v: float
    """Phase to neutral."""
    limit_a: float
    """What may be drawn per phase now: the lowest of board, cable, heat and profile."""
    board_limit_a: float
    """What the EVSE could ever give, per phase."""
    authorization: Authorization
    contactor_closed: bool
    rcd_tripped: bool
    stop: StopReason
    meter_id: str
    meter: MeterReading | None
    receipt_required: bool
    offers_certificates: bool = False
    """Whether contract certificates can be installed and updated through the operator."""
    certificate_answer: CertificateAnswer | None = None
    schedule: tuple[LimitPeriod, ...] = ()
    """How `limit_a` will change, ascending; periods that have begun are of no meaning."""
    authorization_of: str = ""
    """The eMAID that `authorization` is about; empty if it is about whoever is plugged in, as after a card swipe."""
    dc: DcView | None = None
    """Of a DC station; None at an AC station."""
    discharge_limit_a: float = 0.0
    """AC: what a vehicle may feed back per phase now; 0: nothing, and bidirectional charging is not offered."""
    discharge_a: float = 0.0
    """AC: what a bidirectional vehicle under dynamic control shall feed back per phase now; 0: it charges."""
    nominal_frequency_hz: float = 50.0
    services: tuple[ValueAddedService, ...] = ()
    """Offered beside charging, each kind once but for others of different ids."""
    asks_for_schedules: bool = False
    """Whether the operator plans: a vehicle that named its needs is held (EVSEProcessing Ongoing) until
    `schedule_answer` is to them, 55 s at most."""
    schedule_answer: ScheduleAnswer | None = None
    renegotiation_id: str = ""
    """Changed, it sends the vehicle back for another schedule."""
    pricing: Pricing = Pricing.NONE
    mobility_needs: MobilityNeeds | None = None
    """None: the station knows of none, and does not offer to go by its own knowledge."""


class ContractFault(StrEnum):
    """Why a contract was refused. Each maps to one response code of ISO 15118-2 table 112 and -20."""

    NO_CHAIN = "no chain"
    MALFORMED = "malformed certificate"
    UNKNOWN_ROOT = "unknown root"
    BAD_SIGNATURE = "chain signature wrong"
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    WRONG_USAGE = "key usage or path length wrong"
    EMAID_MISMATCH = "eMAID differs from the certificate's common name"
    EMAID_SYNTAX = "eMAID malformed"


@dataclass(frozen=True, slots=True)
class OcspHashData:
    """One certificate as OCPP 2.0.1 OCSPRequestDataType names it: SHA256, hex without prefix."""

    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str
    responder_url: str


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract chain that verified up to a root we hold; with `central` the operator is to verify its root."""

    emaid: str
    chain_pem: str
    """Leaf first, sub-CAs after, without the root."""
    ocsp: tuple[OcspHashData, ...]
    central: bool = False


class Certificates(Protocol):
    """The certificate questions of Plug & Charge; `certs/` answers them. Pure but for the roots held in memory."""

    def check_contract(self, chain_der: Sequence[bytes], emaid: str, at: datetime) -> Contract | ContractFault:
        """Verify leaf (first) and sub-CAs against the MO and V2G roots, and the eMAID against the leaf's CN."""
        ...

    def verify_signature(self, leaf_der: bytes, data: bytes, signature: bytes) -> bool:
        """ECDSA over `data` by the leaf's key; `signature` is r followed by s, each as long as the curve's field.

        P-256 goes with SHA-256 and 64 bytes, P-521 with SHA-512 and 132 bytes.
        """
        ...


# --- Facts: what the vehicle side reports upward. `session_id` is upper-case hex. ---


@dataclass(frozen=True, slots=True)
class TlsEstablished:
    version: str
    cipher: str
    took_s: float


@dataclass(frozen=True, slots=True)
class SessionSetUp:
    session_id: str
    evcc_id: str
    protocol: str


@dataclass(frozen=True, slots=True)
class MessageAnswered:
    """One request answered: for traces and phase times."""

    session_id: str
    request: str
    response_code: str
    took_s: float


class PaymentOption(Enum):
    CONTRACT = "Contract"
    EXTERNAL_PAYMENT = "ExternalPayment"


@dataclass(frozen=True, slots=True)
class PaymentSelected:
    option: PaymentOption


@dataclass(frozen=True, slots=True)
class ServicesSelected:
    """The value-added services the vehicle will use: service and parameter set of each."""

    services: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class VehicleParked:
    """Through the parking status service: the vehicle comes (`arriving`) or goes, and how far it is with it."""

    arriving: bool
    status: str


@dataclass(frozen=True, slots=True)
class ContractPresented:
    """The chain holds; the operator has not been asked yet."""

    contract: Contract


@dataclass(frozen=True, slots=True)
class ContractRefused:
    emaid: str
    fault: ContractFault


class CertificateAction(Enum):
    """As OCPP 2.0.1 CertificateActionEnumType names them."""

    INSTALL = "Install"
    UPDATE = "Update"


@dataclass(frozen=True, slots=True)
class CertificateRequested:
    """The vehicle asks for a contract certificate. Its message goes to the operator unread; 4.5 s remain for an answer.

    `schema` is OCPP's iso15118SchemaVersion.
    """

    request_id: str
    action: CertificateAction
    schema: str
    exi_request: bytes


@dataclass(frozen=True, slots=True)
class PowerWanted:
    """PowerDeliveryReq Start (True), Stop (False): close or open the power path."""

    wanted: bool


@dataclass(frozen=True, slots=True)
class CableCheckWanted:
    """CableCheckReq: test the insulation at the highest voltage the vehicle named."""

    check_id: str
    voltage_v: float


@dataclass(frozen=True, slots=True)
class DcTarget:
    """What the vehicle asks the output for, within the station's limits. Both 0: nothing any more.

    A negative current flows out of the vehicle; never seen unless the `DcView` allows it.
    """

    voltage_v: float
    current_a: float


@dataclass(frozen=True, slots=True)
class StateOfCharge:
    """Of the vehicle's battery, in the charge loop, whenever it has changed."""

    percent: int


@dataclass(frozen=True, slots=True)
class LimitSent:
    """A response carried this limit to the vehicle."""

    session_id: str
    limit_a: float
    response: str


@dataclass(frozen=True, slots=True)
class ReceiptVerified:
    """A MeteringReceiptReq whose signature holds."""

    meter_wh: int


@dataclass(frozen=True, slots=True)
class PausedSession:
    """A session the vehicle paused: what must outlive the pause, and a power cut, so that it can join again."""

    session_id: str
    evcc_id: str
    vehicle: str = ""
    """SHA-256 of the vehicle's TLS certificate, hex; empty where it showed none."""


class EndReason(StrEnum):
    TERMINATED = "session stopped by the vehicle"
    PAUSED = "session paused by the vehicle"
    CONNECTION_LOST = "connection lost"
    SETUP_TIMEOUT = "no session in time after the link was ready"
    SEQUENCE_TIMEOUT = "no request in time"
    PROTOCOL_ERROR = "protocol error"
    REFUSED = "refused by the station"
    TLS_FAILED = "TLS handshake failed"
    LINK_DOWN = "link taken down"


@dataclass(frozen=True, slots=True)
class V2GEnded:
    """The V2G connection is over; `detail` names the last error or response code."""

    session_id: str
    reason: EndReason
    detail: str


SeccFact = (
    TlsEstablished
    | SessionSetUp
    | MessageAnswered
    | PaymentSelected
    | ContractPresented
    | ContractRefused
    | CertificateRequested
    | EnergyRequested
    | CableCheckWanted
    | DcTarget
    | PowerWanted
    | StateOfCharge
    | LimitSent
    | ReceiptVerified
    | PausedSession
    | ScheduleSelected
    | ServicesSelected
    | VehicleParked
    | TariffLeftOut
    | V2GEnded
)

Report = Callable[[SeccFact], None]
View = Callable[[], StationView]
