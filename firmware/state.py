"""Where the session of one EVSE stands: plain data, changed by `firmware/session.py` alone."""

from dataclasses import dataclass, field
from enum import Enum
from math import inf

from firmware.discharge import NO_FEEDING, Feeding
from firmware.limits import MINIMUM_A, Limits
from firmware.maintenance import Maintenance
from firmware.start_rules import Hold
from hal.ports import Contactor, Fault, Severity
from ocpp_client.ports import (
    ChargingState,
    ContractRules,
    IdToken,
    ReservationsChanged,
    SchedulePeriod,
    StoppedReason,
    TransactionLeftOpen,
    TransactionRules,
    TriggerReason,
    TxPoint,
)
from secc.ports import Authorization, CertificateAnswer, PaymentOption
from secc.schedules import ScheduleAnswer


class Hlc(Enum):
    """High-level communication.

    NONE by wiring or after SLAC failed; SOUGHT at 5 % PWM; LINKED once IP may flow; PAUSED while both sides sleep.
    """

    NONE = "none"
    SOUGHT = "sought"
    LINKED = "linked"
    PAUSED = "paused"


class Step(Enum):
    """What the pilot shows between 5 % and the next try or nominal PWM."""

    ERROR = "F"
    REST = "X1"


class RcdStage(Enum):
    """The residual current device's self-test for the vehicle that is there."""

    IDLE = "idle"
    """Over, or there is nothing to test."""
    RUNNING = "running"
    WAITING = "waiting"
    """To be tried again."""
    UNTESTED = "untested"
    """The board would not, and reports no fault: charging goes on."""


@dataclass(frozen=True, slots=True)
class PilotStep:
    step: Step
    until_s: float
    retry: bool
    """Whether SLAC is tried again afterwards, or given up."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the transaction is to end, in OCPP's words, and when patience with the vehicle is over (monotonic)."""

    trigger_reason: TriggerReason
    stopped_reason: StoppedReason
    deadline_s: float
    token: IdToken | None = None
    """The token that ended it, where one did."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A transaction from before a power cut waits for its vehicle, until then (monotonic)."""

    left: TransactionLeftOpen
    until_s: float
    came: bool = False
    """A vehicle was plugged in, and has yet to show the contract."""


DEFAULT_RULES = TransactionRules(
    frozenset({TxPoint.POWER_PATH_CLOSED}), frozenset({TxPoint.EV_CONNECTED, TxPoint.AUTHORIZED}), 60.0, ""
)
"""Until the operator's side has told its own."""


@dataclass(slots=True)
class State:
    limits: Limits
    has_plc: bool
    nominal_under_hlc: bool
    signed_metering: bool = False
    """Whether the EVSE's meter signs: a transaction has its id only once the meter has begun."""
    dc: bool = False
    """A DC output: the contactor is closed for the cable check already, and without talk there is no charging."""

    schedule: tuple[SchedulePeriod, ...] = ()
    """How the operator's limit will change."""
    site_ceiling_a: float | None = None
    """What its share of the site could become."""
    least_a: float = MINIMUM_A
    """Under it the vehicle charges badly, the operator says (minChargingRate): its share of the site is no less."""

    csms_online: bool = False

    feeding: Feeding = NO_FEEDING
    bidirectional: bool = False
    """Feeding back was agreed on with this vehicle (ISO 15118-20, BPT)."""
    ev_feeds_a: float = inf
    """What the vehicle can feed back, per phase."""
    may_feed: bool = False
    """Whether grid and battery allow it now."""

    plugged: bool = False
    contactor: Contactor = Contactor.OPEN
    faults: dict[Fault, Severity] = field(default_factory=dict)
    operative: bool = True
    operative_wanted: bool = True
    """What the CSMS asked for; a running transaction may end first."""

    maintenance: Maintenance | None = None
    held: Hold | None = None
    """Why a start is held back, and until when (monotonic)."""
    held_until_s: float = 0.0

    rcd: RcdStage = RcdStage.IDLE
    rcd_due_s: float | None = None
    """Until when the test's answer, or the next try, is awaited (monotonic)."""
    rcd_failed: bool = False
    """The device failed its test, and neither a good test nor a technician has said otherwise since."""

    modem_ready: bool = False
    hlc: Hlc = Hlc.NONE
    slac_begun: bool = False
    """Whether somebody answered 5 % PWM with SLAC since plug-in."""
    slac_tries: int = 0
    pilot_step: PilotStep | None = None
    ev_mac: bytes | None = None
    v2g_session_id: str = ""
    payment: PaymentOption | None = None
    certificate_answer: CertificateAnswer | None = None
    schedule_answer: ScheduleAnswer | None = None
    """The operator's, to the needs the vehicle named last."""
    planned: bool = False
    """Whether the vehicle has chosen a schedule."""
    plan_anew: bool = False
    """The operator has planned anew of itself, and the vehicle has not come for it yet."""
    plans: int = 0
    """How often it did."""
    power_wanted: bool = False
    """Between PowerDelivery Start and Stop."""
    dc_charging: bool = False
    """The DC output gives what the vehicle asks for."""
    soc_percent: float | None = None
    """The vehicle's state of charge, where it has told."""

    token: IdToken | None = None
    """The token asked about last."""
    group_id: str | None = None
    """The accepted token's group: any token of it may end the transaction."""
    rival: IdToken | None = None
    """Another token, presented while this one is accepted: the CSMS is asked for its group."""
    authorization: Authorization = Authorization.PENDING
    token_deadline_s: float | None = None
    """Until when an accepted token waits for its vehicle."""
    remote_start_id: int | None = None

    reserved: ReservationsChanged | None = None
    """Whose reservations this EVSE can serve; None until the operator's side has spoken of any."""
    turned_away: bool = False
    """The CSMS accepted the token presented last, and the EVSE is reserved for others."""
    rules: TransactionRules = DEFAULT_RULES
    contract_rules: ContractRules = field(default_factory=ContractRules)
    transaction_id: str = ""
    transaction_open: bool = False
    left_open: Waiting | None = None
    """The open transaction is one from before a power cut, and nothing moves it yet."""
    charging_state: ChargingState = ChargingState.IDLE
    has_charged: bool = False
    not_ready_at_s: float | None = None
    """When a vehicle that is offered current and draws none is told as suspending."""
    suspended: bool = False
    """The CSMS refused the token afterwards: the transaction goes on without energy."""
    parted: StoppedReason | None = None
    """Why the driver's part is over, while the transaction goes on until the plug is out (TxStopPoint EVConnected)."""
    ending: Ending | None = None
    cut: bool = False
    """The vehicle had its time to stop drawing: no more power in this session."""
    contactor_overdue: bool = False
    """The contactor's feedback did not come in time: the record must not wait for it."""
    spent: bool = False
    """The session is over but the vehicle is still there."""

    def admits(self, token: IdToken, group_id: str | None) -> bool:
        """Whether no reservation keeps the EVSE from this driver."""
        return self.reserved is None or self.reserved.admits(token, group_id)

    @property
    def offer_a(self) -> float:
        """What the vehicle may draw. With DC, or where it feeds back too, the pilot's 6 A are no floor."""
        return self.limits.lowest_a if self.bidirectional or self.dc else self.limits.offer_a

    @property
    def discharge_a(self) -> float:
        """What the vehicle shall feed back now, by the operator's limit below 0."""
        wanted_a = -(self.limits.profile_a or 0.0)
        if not (self.bidirectional and self.may_feed) or wanted_a <= 0 or self.suspended or self.ending:
            return 0.0
        return min(wanted_a, self.feeding.limit_a, self.ev_feeds_a)

    @property
    def transferring(self) -> bool:
        """Whether energy may flow to the vehicle."""
        return self.contactor is Contactor.CLOSED and (self.dc_charging or not self.dc)

    @property
    def authorized(self) -> bool:
        return self.authorization is Authorization.ACCEPTED

    @property
    def rcd_proven(self) -> bool:
        """Whether the self-test leaves the way free for power."""
        return not self.rcd_failed and self.rcd in (RcdStage.IDLE, RcdStage.UNTESTED)

    @property
    def serves(self) -> bool:
        """Whether a driver may begin a session here."""
        return self.operative and self.maintenance is None

    @property
    def stopped(self) -> bool:
        """Whether a fault forbids power. Everything does but the named warnings."""
        return any(severity is not Severity.WARNING for severity in self.faults.values())
