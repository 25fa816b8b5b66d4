"""The values every handler works on. A session is never changed; a handler returns the next one."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

from iso15118.shared.messages.iso15118_2.body import BodyBase

from secc.ports import (
    CertificateAction,
    Certificates,
    Contract,
    DcView,
    EndReason,
    PausedSession,
    PaymentOption,
    SeccFact,
    StationView,
)
from secc.v2g.elements import Elements
from secc.v2gtp import PayloadType

SESSION_ID_BYTES = 8
NO_SESSION_ID = "00" * SESSION_ID_BYTES
CHALLENGE_BYTES = 16
ENTROPY_BYTES = SESSION_ID_BYTES + CHALLENGE_BYTES


class State(Enum):
    """What the SECC waits for, named for the request it waits for most."""

    SESSION_SETUP = "SessionSetup"
    AUTHORIZATION_SETUP = "AuthorizationSetup"
    SERVICE_DISCOVERY = "ServiceDiscovery"
    SERVICE_SELECTION = "ServiceSelection"
    PAYMENT_DETAILS = "PaymentDetails"
    AUTHORIZATION = "Authorization"
    CHARGE_PARAMETER_DISCOVERY = "ChargeParameterDiscovery"
    SCHEDULE_EXCHANGE = "ScheduleExchange"
    CABLE_CHECK = "CableCheck"
    PRE_CHARGE = "PreCharge"
    POWER_DELIVERY = "PowerDelivery"
    CHARGING = "Charging"
    """AC, in ISO 15118-2."""
    CURRENT_DEMAND = "CurrentDemand"
    """DC, in DIN SPEC 70121 and ISO 15118-2."""
    AC_CHARGE_LOOP = "AC_ChargeLoop"
    DC_CHARGE_LOOP = "DC_ChargeLoop"
    METERING_RECEIPT = "MeteringReceipt"
    STANDBY = "Standby"
    """No power, but the vehicle stays: ISO 15118-20."""
    SESSION_STOP = "SessionStop"
    ENDED = "Ended"


@dataclass(frozen=True, slots=True)
class OfferEntry:
    start_s: int
    """From the offer on."""
    limit_a: float
    p_max_w: Decimal


@dataclass(frozen=True, slots=True)
class Offer:
    """The schedule a vehicle was given. It holds until the next ChargeParameterDiscoveryRes, whatever the limit is."""

    tuple_id: int
    made_s: float
    entries: tuple[OfferEntry, ...]
    """Ascending; the first starts at 0."""
    planned: bool = False
    """The operator's, not just the station's limits."""

    def limit_a(self, now: float) -> float:
        """The current per phase that the vehicle could plan with for this moment."""
        return [entry.limit_a for entry in self.entries if entry.start_s <= max(now - self.made_s, 0.0)][-1]

    def lowest_p_max_w(self, start_s: int, end_s: float) -> Decimal:
        """The lowest PMax of the entries that reach into this interval."""
        ends = [*(entry.start_s for entry in self.entries[1:]), math.inf]
        return min(
            entry.p_max_w
            for entry, end in zip(self.entries, ends, strict=True)
            if entry.start_s < end_s and end > start_s
        )


@dataclass(frozen=True, slots=True)
class SentMeter:
    """MeterInfo and tuple as a ChargingStatusRes carried them, to compare a receipt with."""

    tuple_id: int
    meter_info: Mapping[str, object]
    meter_wh: int


@dataclass(frozen=True, slots=True)
class Session:
    """One V2G communication session. Times are monotonic seconds."""

    state: State = State.SESSION_SETUP
    tls: bool = False
    vehicle: str = ""
    """SHA-256 of the certificate the vehicle has shown in a mutual handshake, hex."""
    paused: PausedSession | None = None
    session_id: str = ""
    evcc_id: str = ""

    payment: PaymentOption | None = None
    contract: Contract | None = None
    leaf_der: bytes = b""
    challenge: bytes = b""
    signature_verified: bool = False

    energy_transfer_mode: str = ""
    offers: tuple[Offer, ...] = ()
    """All the vehicle may choose from."""
    offer: Offer | None = None
    """The one it has chosen; the first until then."""
    needs_id: str = ""
    """Of the `EnergyRequested` that the operator has been told of and not answered."""
    renegotiation_id: str = ""
    """The station's, as it was when the offers were made."""
    limit_sent_a: float | None = None
    power_wanted: bool = False

    ev_max_voltage_v: float = 0.0
    """DC: the highest voltage the vehicle named; no target above it is passed on."""
    target_v: float = 0.0
    """DC: what PreChargeReq asked for last."""
    cable_check_id: str = ""
    """DC: of the insulation test that was asked for."""
    soc_percent: int | None = None
    """DC: as the charge loop told it last."""
    bidirectional: bool = False
    """Discharging was agreed on."""
    output_wanted: bool = False
    """DC: a target other than 0 was passed on, to be taken back at the end."""

    waiting_since_s: float | None = None
    """When the loop the vehicle is in (Authorization) or the wait of its request (PowerDelivery) began."""
    renegotiation_asked_s: float | None = None
    receipt_asked_s: float | None = None
    sent_meter: SentMeter | None = None

    certificate_actions: frozenset[CertificateAction] = frozenset()
    """What the vehicle selected of the certificate service."""
    certificate_request_id: str = ""

    end: EndReason | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived: the model, and the decoded elements it was made of, for its signature."""

    name: str
    session_id: str
    message: BodyBase | None
    """None where nobody here reads it, or where the model refused the content: `fault` then says how to answer."""
    elements: Mapping[str, object]
    signature: Mapping[str, object] | None
    octets: bytes
    """The message as it arrived, for who reads it instead of us."""
    arrived_s: float
    fault: str | None = None
    fault_detail: str = ""
    """What the model did not like, without the value itself."""
    payload_type: PayloadType = PayloadType.EXI

    @property
    def response_name(self) -> str:
        return self.name.removesuffix("Req") + "Res"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All a handler may know of the world beside its session. `entropy` is fresh in each."""

    view: StationView
    certificates: Certificates
    wall_time: datetime
    entropy: bytes

    @property
    def dc(self) -> DcView:
        """At a DC station, where alone it is asked for."""
        assert self.view.dc is not None
        return self.view.dc

    @property
    def unix_time(self) -> int:
        return int(self.wall_time.timestamp())


@dataclass(frozen=True, slots=True)
class Passed:
    """A response somebody else made, to be sent as it is."""

    octets: bytes
    code: str


@dataclass(frozen=True, slots=True)
class Signed:
    """A response with somebody else's signature over elements of it, for its header."""

    elements: Elements
    signature: Elements


Response = BodyBase | Elements | Passed | Signed
"""A model, or decoded elements where the package has none that follows the schema."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler made of a request. A response of None means "not yet": ask again when the station has changed."""

    response: Response | None
    session: Session
    facts: tuple[SeccFact, ...] = ()
    retry_s: float = 0.0
    """With "not yet": when the handler must be asked again at the latest."""
    detail: str = ""
    """Of a refusal: why, beyond its response code."""


Handler = Callable[[Request, Session, Surroundings, float], Answer]
