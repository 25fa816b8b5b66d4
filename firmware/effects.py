"""What a session wants done: each effect is carried out by one line of `firmware/evse.py`."""

from dataclasses import dataclass

from firmware.problems import Cause
from ocpp_client.ports import ChargingState, ConnectorStatus, IdToken, StoppedReason, TriggerReason
from secc.ports import CertificateRequested, Contract
from secc.schedules import EnergyRequested, ScheduleSelected


@dataclass(frozen=True, slots=True)
class OfferNothing:
    """Pilot X1."""


@dataclass(frozen=True, slots=True)
class OfferHlc:
    """Pilot X2 at 5 %."""


@dataclass(frozen=True, slots=True)
class OfferCurrent:
    """Pilot X2 at the duty of `limit_a`."""

    limit_a: float


@dataclass(frozen=True, slots=True)
class SignalError:
    """Pilot F."""


@dataclass(frozen=True, slots=True)
class LimitCurrent:
    """The over-current limit the board supervises."""

    limit_a: float


@dataclass(frozen=True, slots=True)
class PermitPower:
    permit: bool


@dataclass(frozen=True, slots=True)
class CheckCable:
    """DC: short circuit and insulation, for a vehicle of this maximum voltage."""

    check_id: str
    vehicle_max_v: float


@dataclass(frozen=True, slots=True)
class SetDcTarget:
    """DC: what the vehicle asks for."""

    voltage_v: float
    current_a: float


@dataclass(frozen=True, slots=True)
class DeliverPower:
    """DC: between PowerDelivery Start and Stop."""

    deliver: bool


@dataclass(frozen=True, slots=True)
class TestRcd:
    """Have the board test its residual current device; RcdTested is the answer."""


@dataclass(frozen=True, slots=True)
class LockConnector:
    lock: bool


@dataclass(frozen=True, slots=True)
class ConnectVehicle:
    """Tell the PLC link that a vehicle is there (arms SLAC) or gone (new key)."""

    connected: bool


@dataclass(frozen=True, slots=True)
class RestartSlac:
    """Give the vehicle another TT_EVSE_SLAC_init."""


@dataclass(frozen=True, slots=True)
class CountToggle:
    """A BCB toggle, by which a vehicle shows SLAC that it is the one at this connector."""


@dataclass(frozen=True, slots=True)
class PauseLink:
    """D-LINK_PAUSE: the V2G session sleeps."""


@dataclass(frozen=True, slots=True)
class ResumeLink:
    """The vehicle woke up."""


@dataclass(frozen=True, slots=True)
class TerminateLink:
    """D-LINK_TERMINATE: the V2G session is over for good."""


@dataclass(frozen=True, slots=True)
class OpenSecc:
    """Answer SDP from now on; the vehicle's modem has `ev_mac`."""

    ev_mac: bytes


@dataclass(frozen=True, slots=True)
class CloseSecc:
    """No SDP answer, no V2G connection."""


@dataclass(frozen=True, slots=True)
class Authorize:
    """Ask the CSMS about a token; with a contract its chain and hash data go along."""

    token: IdToken
    contract: Contract | None


@dataclass(frozen=True, slots=True)
class FetchCertificate:
    """Pass a vehicle's certificate request to the CSMS."""

    request: CertificateRequested


@dataclass(frozen=True, slots=True)
class UseReservation:
    """Its holder was authorised here, by this token."""

    reservation_id: int
    token: IdToken


@dataclass(frozen=True, slots=True)
class Plan:
    """Ask the operator for schedules for a vehicle that waits for them; `anew`: it has planned already, of itself."""

    needs: EnergyRequested
    anew: bool


@dataclass(frozen=True, slots=True)
class TellPlan:
    """Tell the operator which of its schedules the vehicle has chosen, and what it means to draw."""

    chosen: ScheduleSelected


@dataclass(frozen=True, slots=True)
class StartTransaction:
    trigger_reason: TriggerReason
    charging_state: ChargingState
    token: IdToken | None
    remote_start_id: int | None


@dataclass(frozen=True, slots=True)
class UpdateTransaction:
    trigger_reason: TriggerReason
    charging_state: ChargingState
    token: IdToken | None = None
    remote_start_id: int | None = None


@dataclass(frozen=True, slots=True)
class ResumeTransaction:
    """What a power cut had left open goes on."""

    charging_state: ChargingState


@dataclass(frozen=True, slots=True)
class GiveUpTransaction:
    """What a power cut had left open ends by it, with what was known then."""


@dataclass(frozen=True, slots=True)
class EndTransaction:
    trigger_reason: TriggerReason
    stopped_reason: StoppedReason
    token: IdToken | None = None
    """The token that ended it, where one did."""


@dataclass(frozen=True, slots=True)
class ReportStatus:
    status: ConnectorStatus


@dataclass(frozen=True, slots=True)
class ReportProblem:
    """Something the operator should know of: mapped to NotifyEvent by `firmware/problems.py`."""

    cause: Cause


Effect = (
    OfferNothing
    | OfferHlc
    | OfferCurrent
    | SignalError
    | LimitCurrent
    | PermitPower
    | CheckCable
    | SetDcTarget
    | DeliverPower
    | TestRcd
    | LockConnector
    | ConnectVehicle
    | RestartSlac
    | CountToggle
    | PauseLink
    | ResumeLink
    | TerminateLink
    | OpenSecc
    | CloseSecc
    | Authorize
    | FetchCertificate
    | Plan
    | TellPlan
    | UseReservation
    | StartTransaction
    | UpdateTransaction
    | ResumeTransaction
    | GiveUpTransaction
    | EndTransaction
    | ReportStatus
    | ReportProblem
)
