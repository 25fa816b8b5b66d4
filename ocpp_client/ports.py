"""What the operator side needs from the rest of the station, and the facts it reports.

The journal is firmware's; this package says what it must keep. A TransactionEvent, its sequence number and the
transaction's state are one write, made before the event is sent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from hal.quantities import EvseId, MeterReading


class OcppError(Exception):
    """Root of every error of the operator side."""


class JournalError(OcppError):
    """The journal could not write or read; nothing was sent."""


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
    """The CSMS's word: `status` is None when none came in time.

    `certificate_status` is an AuthorizeCertificateStatusEnumType.
    """

    status: AuthorizationStatus | None
    certificate_status: str | None = None


@dataclass(frozen=True, slots=True)
class TransactionState:
    """An open transaction as the journal keeps it: enough to end it after a power cut."""

    transaction_id: str
    evse_id: EvseId
    next_seq_no: int
    id_token: IdToken | None
    charging_state: str
    started_at: datetime
    last_meter: MeterReading | None
    v2g_session_id: str
    remote_start_id: int | None = None


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

    async def pending(self) -> Sequence[QueuedMessage]:
        """All unsent messages, ascending by order."""
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


# --- Facts: what the operator side reports upward. ---


@dataclass(frozen=True, slots=True)
class CsmsOnline:
    """BootNotification accepted on a live link (True), or the link lost (False)."""

    online: bool
    detail: str


@dataclass(frozen=True, slots=True)
class SchedulePeriod:
    """From `start_s` (seconds after the schedule's start) on: `limit_a` per phase."""

    start_s: float
    limit_a: float
    phases: int | None = None


@dataclass(frozen=True, slots=True)
class CsmsLimit:
    """The composite limit for an EVSE changed: what holds now, and when to ask again (wall time), None for never."""

    evse_id: EvseId
    limit_a: float | None
    """None: no profile limits the EVSE."""
    received_at_s: float
    """Monotonic, when the CALL that caused it was read."""


@dataclass(frozen=True, slots=True)
class RemoteStop:
    evse_id: EvseId
    transaction_id: str


@dataclass(frozen=True, slots=True)
class RemoteStart:
    evse_id: EvseId | None
    id_token: IdToken
    remote_start_id: int


@dataclass(frozen=True, slots=True)
class TokenDeauthorized:
    """The CSMS refused the token in a TransactionEventResponse (offline start, or expiry)."""

    evse_id: EvseId
    transaction_id: str
    status: str


@dataclass(frozen=True, slots=True)
class ResetRequested:
    evse_id: EvseId | None
    immediate: bool


@dataclass(frozen=True, slots=True)
class UnlockRequested:
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
    | RemoteStop
    | RemoteStart
    | TokenDeauthorized
    | ResetRequested
    | UnlockRequested
    | AvailabilityChanged
    | EventSent
)
Report = Callable[[CsmsFact], None]
