"""What the operator side needs from the rest of the station, and the facts it reports.

The journal is firmware's; this package says what it must keep. A TransactionEvent, its sequence number and the
transaction's state are one write, made before the event is sent.
"""

import ssl
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from hal.ports import DisplayMessage
from hal.quantities import EvseId, MeterReading


class OcppError(Exception):
    """Root of every error of the operator side."""


class ConfigurationError(OcppError):
    """The station was started with what it cannot take; the message names it."""


class JournalError(OcppError):
    """The journal could not write or read; what the call would have stored is not durable."""


class CertificateStoreError(OcppError):
    """A key could not be made or used, or a certificate not be stored; the text says why."""


class TransactionError(OcppError):
    """A transaction's event does not fit its state: ours to mend, not the peer's."""


class TriggerReason(StrEnum):
    """OCPP TriggerReasonEnumType."""

    AUTHORIZED = "Authorized"
    CABLE_PLUGGED_IN = "CablePluggedIn"
    CHARGING_RATE_CHANGED = "ChargingRateChanged"
    CHARGING_STATE_CHANGED = "ChargingStateChanged"
    DEAUTHORIZED = "Deauthorized"
    ENERGY_LIMIT_REACHED = "EnergyLimitReached"
    EV_COMMUNICATION_LOST = "EVCommunicationLost"
    EV_CONNECT_TIMEOUT = "EVConnectTimeout"
    METER_VALUE_CLOCK = "MeterValueClock"
    METER_VALUE_PERIODIC = "MeterValuePeriodic"
    TIME_LIMIT_REACHED = "TimeLimitReached"
    TRIGGER = "Trigger"
    UNLOCK_COMMAND = "UnlockCommand"
    STOP_AUTHORIZED = "StopAuthorized"
    EV_DEPARTED = "EVDeparted"
    EV_DETECTED = "EVDetected"
    REMOTE_STOP = "RemoteStop"
    REMOTE_START = "RemoteStart"
    ABNORMAL_CONDITION = "AbnormalCondition"
    SIGNED_DATA_RECEIVED = "SignedDataReceived"
    RESET_COMMAND = "ResetCommand"


class ChargingState(StrEnum):
    """OCPP ChargingStateEnumType."""

    CHARGING = "Charging"
    EV_CONNECTED = "EVConnected"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    IDLE = "Idle"


class StoppedReason(StrEnum):
    """OCPP ReasonEnumType. LOCAL is what its absence means, and is sent all the same."""

    DEAUTHORIZED = "DeAuthorized"
    EMERGENCY_STOP = "EmergencyStop"
    ENERGY_LIMIT_REACHED = "EnergyLimitReached"
    EV_DISCONNECTED = "EVDisconnected"
    GROUND_FAULT = "GroundFault"
    IMMEDIATE_RESET = "ImmediateReset"
    LOCAL = "Local"
    LOCAL_OUT_OF_CREDIT = "LocalOutOfCredit"
    MASTER_PASS = "MasterPass"
    OTHER = "Other"
    OVERCURRENT_FAULT = "OvercurrentFault"
    POWER_LOSS = "PowerLoss"
    POWER_QUALITY = "PowerQuality"
    REBOOT = "Reboot"
    REMOTE = "Remote"
    SOC_LIMIT_REACHED = "SOCLimitReached"
    STOPPED_BY_EV = "StoppedByEV"
    TIME_LIMIT_REACHED = "TimeLimitReached"
    TIMEOUT = "Timeout"


class ConnectorStatus(StrEnum):
    """OCPP ConnectorStatusEnumType."""

    AVAILABLE = "Available"
    OCCUPIED = "Occupied"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


class TxPoint(StrEnum):
    """OCPP TxStartStopPointEnumType, the values of the variables TxStartPoint and TxStopPoint."""

    PARKING_BAY_OCCUPANCY = "ParkingBayOccupancy"
    EV_CONNECTED = "EVConnected"
    AUTHORIZED = "Authorized"
    DATA_SIGNED = "DataSigned"
    POWER_PATH_CLOSED = "PowerPathClosed"
    ENERGY_TRANSFER = "EnergyTransfer"


class SecurityEvent(StrEnum):
    """The standard's list (OCPP 2.0.1 part 2, appendix 1) as far as this station can tell them."""

    FAILED_TO_AUTHENTICATE_AT_CSMS = "FailedToAuthenticateAtCsms"
    SETTING_SYSTEM_TIME = "SettingSystemTime"
    STARTUP_OF_THE_DEVICE = "StartupOfTheDevice"
    RESET_OR_REBOOT = "ResetOrReboot"
    SECURITY_LOG_WAS_CLEARED = "SecurityLogWasCleared"
    RECONFIGURATION_OF_SECURITY_PARAMETERS = "ReconfigurationOfSecurityParameters"
    MEMORY_EXHAUSTION = "MemoryExhaustion"
    INVALID_MESSAGES = "InvalidMessages"
    TAMPER_DETECTION_ACTIVATED = "TamperDetectionActivated"
    INVALID_CSMS_CERTIFICATE = "InvalidCsmsCertificate"
    INVALID_CHARGING_STATION_CERTIFICATE = "InvalidChargingStationCertificate"
    INVALID_TLS_VERSION = "InvalidTLSVersion"
    INVALID_TLS_CIPHER_SUITE = "InvalidTLSCipherSuite"
    MAINTENANCE_LOGIN_ACCEPTED = "MaintenanceLoginAccepted"
    MAINTENANCE_LOGIN_FAILED = "MaintenanceLoginFailed"


@dataclass(frozen=True, slots=True)
class IdToken:
    """An OCPP IdTokenType: `kind` is an IdTokenEnumType (eMAID, ISO14443, Central, NoAuthorization ...)."""

    id_token: str
    kind: str


@dataclass(frozen=True, slots=True)
class OcspRequestData:
    """One certificate by OCPP's OCSPRequestDataType: SHA256, hex without prefix."""

    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str
    responder_url: str


class AuthorizationStatus(StrEnum):
    """OCPP AuthorizationStatusEnumType."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    CONCURRENT_TX = "ConcurrentTx"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    NO_CREDIT = "NoCredit"
    NOT_ALLOWED_TYPE_EVSE = "NotAllowedTypeEVSE"
    NOT_AT_THIS_LOCATION = "NotAtThisLocation"
    NOT_AT_THIS_TIME = "NotAtThisTime"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class AuthorizeAnswer:
    """The CSMS's word: `status` is None when none came in time and the offline rules have none either.

    `certificate_status` is an AuthorizeCertificateStatusEnumType; `offline` says that the station decided alone.
    """

    status: AuthorizationStatus | None
    certificate_status: str | None = None
    group_id: str | None = None
    offline: bool = False
    evse_ids: tuple[int, ...] = ()
    """The EVSEs for which alone the token is valid; empty for all."""


@dataclass(frozen=True, slots=True)
class KeptReading:
    """A reading that the Ended event will tell; `context` is a ReadingContextEnumType."""

    context: str
    reading: MeterReading


@dataclass(frozen=True, slots=True)
class TransactionState:
    """An open transaction as the journal keeps it: enough to end it after a power cut."""

    transaction_id: str
    evse_id: EvseId
    next_seq_no: int
    id_token: IdToken | None
    charging_state: str
    started_at: datetime
    last_event_at: datetime
    """Wall time of the latest event written: an end after a power cut is never dated before it."""
    last_meter: MeterReading | None
    v2g_session_id: str
    remote_start_id: int | None = None
    kept: tuple[KeptReading, ...] = ()
    key_told: bool = False
    """Whether the signing meter's public key went out with an event (PublicKeyWithSignedMeterValue)."""
    group_id: str | None = None
    """The token's group, where one is known."""
    authorization_over: bool = False
    """The token was refused, or the driver's part is over: no energy flows by it any more."""


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A CALL waiting for its answer. `order` is the journal's, ascending."""

    order: int
    action: str
    payload_json: str
    transaction_id: str | None
    attempts: int


class Journal(Protocol):
    """Durable: when a method returns, a power cut does not undo it. Raises JournalError."""

    async def append(
        self, action: str, payload_json: str, transaction: TransactionState | None, *, ended: bool = False
    ) -> int:
        """Store a message and, in the same write, the transaction's new state (or its end). Returns the order."""
        ...

    async def note_transaction(self, transaction: TransactionState) -> None:
        """Store a transaction's state alone (its latest meter value)."""
        ...

    async def pending(self, after: int = 0, limit: int = 100) -> Sequence[QueuedMessage]:
        """Unsent messages with an order above `after`, ascending, at most `limit`."""
        ...

    async def pending_count(self, transaction_id: str | None = None, *, of_transactions: bool = False) -> int:
        """How many messages wait: of one transaction, of all transactions, or all there are."""
        ...

    async def thin(self, after: int) -> int:
        """Leave out every second waiting TransactionEvent Updated with an order above `after`; returns how many.

        Never a Started, an Ended, or anything else.
        """
        ...

    async def attempted(self, order: int) -> None:
        """Count a failed attempt."""
        ...

    async def delivered(self, order: int) -> None:
        """The CSMS answered: forget the message."""
        ...

    async def open_transactions(self) -> Sequence[TransactionState]: ...

    async def get(self, key: str) -> str | None:
        """A station value that outlives a restart (availability, profiles, variables)."""
        ...

    async def put(self, key: str, value: str | None) -> None: ...


@dataclass(frozen=True, slots=True)
class CertificateId:
    """One certificate by OCPP's CertificateHashDataType: hex without prefix."""

    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str
    hash_algorithm: str = "SHA256"


@dataclass(frozen=True, slots=True)
class InstalledCertificate:
    """`kind` is a GetCertificateIdUseEnumType; `children` are a chain's sub-CAs."""

    kind: str
    certificate: CertificateId
    children: tuple[CertificateId, ...] = ()


class CertificateStore(Protocol):
    """The station's certificates as a CSMS may manage them (M03-M05, A02, A03). Quick, or in a thread of its own."""

    @property
    def entries(self) -> int:
        """How many certificates are held: roots, and those of the station's own chains."""
        ...

    async def installed(self, kinds: Collection[str]) -> Sequence[InstalledCertificate]:
        """Those of the given kinds; of all when `kinds` is empty."""
        ...

    async def install(self, kind: str, certificate_pem: str) -> str:
        """An InstallCertificateStatusEnumType: Accepted, Rejected (not valid) or Failed (not stored)."""
        ...

    async def delete(self, certificate: CertificateId) -> str:
        """A DeleteCertificateStatusEnumType: Accepted, Failed or NotFound."""
        ...

    async def ready_for(self, security_profile: int) -> bool:
        """Whether there is what OCPP's security profile needs: a CSMS root for 2, our own certificate besides for 3."""
        ...

    async def signed(self, chain_pem: str, use: str) -> bool:
        """Take a signed chain (`use`: CertificateSigningUseEnumType); False when it does not hold or not fit the key.

        One for vehicles is in use from now on, one for the CSMS becomes the `candidate`.
        """
        ...

    async def signing_request(self, use: str) -> str:
        """A CSR in PEM for a fresh key of that use. Raises CertificateStoreError."""
        ...

    async def candidate(self) -> ssl.SSLContext | None:
        """TLS with the certificate for the CSMS that was accepted and not yet tried. Raises CertificateStoreError."""
        ...

    async def tried(self, works: bool) -> None:
        """Put the candidate in use and destroy the old key, or give the candidate up. Raises CertificateStoreError."""
        ...


class SecretStoreError(OcppError):
    """A secret could not be kept or read; the text says why."""


class SecretStore(Protocol):
    """Where secrets outlive a restart without lying open on the disk."""

    async def get(self, name: str) -> str | None:
        """None for one that was never put. Raises SecretStoreError."""
        ...

    async def put(self, name: str, value: str) -> None:
        """Raises SecretStoreError."""
        ...


class LogSource(Protocol):
    """The station's own diagnostics for GetLog (N01)."""

    async def collect(self, oldest: datetime | None, latest: datetime | None) -> bytes:
        """Everything logged between the two, as text; None for no bound. May take its time, in a thread of its own."""
        ...


class SigningCertificate(StrEnum):
    """What is to be said of the certificate that a firmware was signed with."""

    VALID = "valid"
    INVALID = "InvalidCertificate"
    REVOKED = "RevokedCertificate"


class FirmwareFault(StrEnum):
    """Why an installation ended without new firmware."""

    VERIFICATION = "verification"
    """The image is not for this station, not by its manufacturer, too old, or not whole."""
    INSTALLATION = "installation"
    """The image is good; writing it went wrong."""


class UpdateOutcome(StrEnum):
    """What runs after the restart into new firmware."""

    GOOD = "good"
    FELL_BACK = "fell back"


class FirmwareError(OcppError):
    """A step of an update failed; the text says why."""


class FirmwareUpdater(Protocol):
    """The station's firmware slots (L01, L02). One call at a time; one that is cancelled stops what it does."""

    async def check_certificate(self, certificate_pem: str) -> SigningCertificate:
        """Whether a certificate leads to a manufacturer root and is in time; what cannot be read is INVALID."""
        ...

    async def download(self, location: str) -> None:
        """One attempt, going on where an attempt at the same location stopped. Raises FirmwareError."""
        ...

    async def verify(self, certificate_pem: str, signature: str) -> bool:
        """Whether what was downloaded carries this signature (base64)."""
        ...

    async def install(self) -> FirmwareFault | None:
        """Write what was downloaded where it does not run yet; None once it would be started next."""
        ...

    async def activate(self) -> None:
        """Restart into what was installed, unless it runs already; returns before the restart."""
        ...

    async def outcome(self) -> UpdateOutcome:
        """Returns after the restart, once the new firmware is proven good for ever, or the old one is back."""
        ...

    async def discard(self) -> None:
        """Remove what was downloaded."""
        ...


# --- Facts: what the operator side reports upward. ---


@dataclass(frozen=True, slots=True)
class CsmsOnline:
    """BootNotification accepted on a live link (True), or the link lost (False)."""

    online: bool
    detail: str


@dataclass(frozen=True, slots=True)
class SchedulePeriod:
    """From `from_s` (monotonic) on: `limit_a` per phase, `power_w` in all, None for no limit."""

    from_s: float
    limit_a: float | None
    power_w: float | None


@dataclass(frozen=True, slots=True)
class TariffCost:
    """OCPP CostType: `kind` is a CostKindEnumType, the value `amount` times ten to the power of `multiplier`."""

    kind: str
    amount: int
    multiplier: int = 0


@dataclass(frozen=True, slots=True)
class TariffEntry:
    """From `from_s` (monotonic) on. `consumption` is what it costs from each power (W) on, up to three costs each."""

    from_s: float
    price_level: int | None = None
    consumption: tuple[tuple[float, tuple[TariffCost, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Tariff:
    """OCPP SalesTariffType."""

    number: int
    entries: tuple[TariffEntry, ...]
    description: str = ""
    price_levels: int | None = None


@dataclass(frozen=True, slots=True)
class PlannedSchedule:
    """One of the schedules a vehicle may choose from, with all else that limits it; `number` is OCPP's."""

    number: int
    periods: tuple[SchedulePeriod, ...]
    tariff: Tariff | None = None


@dataclass(frozen=True, slots=True)
class ChargingNeeds:
    """What a vehicle said of its needs, as OCPP's ChargingNeedsType has it. None: it did not say."""

    mode: str
    """OCPP EnergyTransferModeEnumType."""
    max_schedules: int
    max_current_a: float
    min_current_a: float = 0.0
    max_voltage_v: float = 0.0
    energy_wh: float | None = None
    departure_s: float | None = None
    """From now on."""
    max_power_w: float | None = None
    soc_percent: int | None = None
    capacity_wh: float | None = None
    full_soc_percent: int | None = None
    bulk_soc_percent: int | None = None


@dataclass(frozen=True, slots=True)
class PlanChanged:
    """The operator plans anew for the transaction on this EVSE: a vehicle that plans is sent back for a schedule."""

    evse_id: EvseId


@dataclass(frozen=True, slots=True)
class CsmsLimit:
    """The composite limit for an EVSE changed, by a CALL or because a period of a profile began or ended.

    EVSE 0 stands for the station: what all EVSEs together may draw (ChargingStationMaxProfile).
    """

    evse_id: EvseId
    limit_a: float | None
    """Per phase; None: no profile limits the EVSE. Below 0 the vehicle shall feed back so much."""
    received_at_s: float
    """Monotonic, when the CALL that caused it was read, or when the period began."""
    phases: int | None = None
    """On how many phases the vehicle may draw; None for all."""
    least_a: float = 0.0
    """minChargingRate: the least the vehicle charges well with."""
    schedule: tuple[SchedulePeriod, ...] = ()
    """How the limit will change, ascending, as far as is known."""
    power_w: float | None = None
    """The same limit in all."""


@dataclass(frozen=True, slots=True)
class RemoteStop:
    evse_id: EvseId
    transaction_id: str


@dataclass(frozen=True, slots=True)
class RemoteStart:
    evse_id: EvseId | None
    id_token: IdToken
    remote_start_id: int
    group_id: str | None = None


@dataclass(frozen=True, slots=True)
class TokenDeauthorized:
    """The CSMS refused the token in a TransactionEventResponse (offline start, or expiry).

    The transaction ends; with `suspend` it goes on without energy (StopTxOnInvalidId false).
    """

    evse_id: EvseId
    transaction_id: str
    status: str
    suspend: bool = False


@dataclass(frozen=True, slots=True)
class TransactionLeftOpen:
    """A power cut left it open, and it may go on: told at start, before anything of its EVSE."""

    evse_id: EvseId
    transaction_id: str
    id_token: IdToken | None
    group_id: str | None
    remote_start_id: int | None
    charging_state: str
    for_s: float
    """How long it waits for its vehicle."""


@dataclass(frozen=True, slots=True)
class TransactionRules:
    """What the CSMS has set about transactions: told at start and at each change."""

    start_points: frozenset[TxPoint]
    stop_points: frozenset[TxPoint]
    ev_connection_timeout_s: float
    master_pass_group_id: str
    """Tokens of this group end transactions and start none; empty for no such group."""


@dataclass(frozen=True, slots=True)
class ContractRules:
    """What the CSMS has set about Plug & Charge (ISO15118Ctrlr): told at start and at each change."""

    accepted: bool = True
    """PnCEnabled: whether a contract pays."""
    installed: bool = True
    """ContractCertificateInstallationEnabled: whether a vehicle may ask for one."""
    central_validation: bool = False
    """CentralContractValidationAllowed: whether the CSMS verifies contracts of roots the station does not have."""
    receipts: bool = True
    """RequestMeteringReceipt: whether vehicles are asked to sign the meter's values."""


@dataclass(frozen=True, slots=True)
class ResetRequested:
    """The time has come: at once with `immediate` (end what charges), else once no transaction was open."""

    evse_id: EvseId | None
    immediate: bool


@dataclass(frozen=True, slots=True)
class ReservationHolder:
    """Who may use a reservation: its token, or any of its group."""

    reservation_id: int
    token: IdToken
    group_id: str | None
    expires_at: datetime

    def is_for(self, token: IdToken, group_id: str | None) -> bool:
        own = (self.token.id_token.lower(), self.token.kind) == (token.id_token.lower(), token.kind)
        return own or (group_id is not None and group_id == self.group_id)


@dataclass(frozen=True, slots=True)
class ReservationsChanged:
    """Whose reservations this EVSE can serve; with `exclusive` nobody else is served there."""

    evse_id: EvseId
    holders: tuple[ReservationHolder, ...] = ()
    exclusive: bool = False

    def holder(self, token: IdToken, group_id: str | None) -> ReservationHolder | None:
        return next((one for one in self.holders if one.is_for(token, group_id)), None)

    def admits(self, token: IdToken, group_id: str | None) -> bool:
        return not self.exclusive or self.holder(token, group_id) is not None


@dataclass(frozen=True, slots=True)
class DisplayChanged:
    """What the station's display cycles from now on; empty for nothing."""

    messages: tuple[DisplayMessage, ...]


@dataclass(frozen=True, slots=True)
class UnlockRequested:
    """Answer with `OcppStation.unlock_result`; without an answer in time the CSMS hears UnlockFailed."""

    evse_id: EvseId


@dataclass(frozen=True, slots=True)
class AvailabilityChanged:
    evse_id: EvseId | None
    operative: bool


@dataclass(frozen=True, slots=True)
class EventSent:
    """A TransactionEvent reached the CSMS: for traces."""

    transaction_id: str
    event_type: str
    seq_no: int
    trigger_reason: str
    offline: bool


CsmsFact = (
    CsmsOnline
    | CsmsLimit
    | PlanChanged
    | RemoteStop
    | RemoteStart
    | TokenDeauthorized
    | TransactionLeftOpen
    | TransactionRules
    | ContractRules
    | ResetRequested
    | UnlockRequested
    | ReservationsChanged
    | DisplayChanged
    | AvailabilityChanged
    | EventSent
)
Report = Callable[[CsmsFact], None]
