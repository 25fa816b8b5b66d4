"""What facts of the board and the operator mean in the other sides' words: OCPP's reasons, the SECC's answers. Pure."""

from collections.abc import Mapping

from firmware.facts import AuthorizationAnswered, Fact
from hal.ports import Fault, PluggedIn, Severity
from ocpp_client.ports import AuthorizeAnswer, RemoteStart, StoppedReason, TriggerReason
from secc.ports import Authorization, StopReason

_FAULTS = {
    Fault.EMERGENCY_STOP: StoppedReason.EMERGENCY_STOP,
    Fault.GROUND_FAILURE: StoppedReason.GROUND_FAULT,
    Fault.RESIDUAL_CURRENT: StoppedReason.GROUND_FAULT,
    Fault.OVER_CURRENT_FAILURE: StoppedReason.OVERCURRENT_FAULT,
    Fault.POWER_LOSS: StoppedReason.POWER_LOSS,
    Fault.OVER_VOLTAGE: StoppedReason.POWER_QUALITY,
    Fault.UNDER_VOLTAGE: StoppedReason.POWER_QUALITY,
}

_MAINS = {Fault.POWER_LOSS, Fault.UNDER_VOLTAGE}

_CERTIFICATE_ANSWERS = {
    "CertificateRevoked": Authorization.CERTIFICATE_REVOKED,
    "CertificateExpired": Authorization.CERTIFICATE_EXPIRED,
}

_TRIGGERS: dict[type, TriggerReason] = {
    PluggedIn: TriggerReason.CABLE_PLUGGED_IN,
    AuthorizationAnswered: TriggerReason.AUTHORIZED,
    RemoteStart: TriggerReason.REMOTE_START,
}


def stopped_by(fault: Fault) -> StoppedReason:
    """OCPP ReasonEnumType of a transaction that a fault ends."""
    return _FAULTS.get(fault, StoppedReason.OTHER)


def told_of(faults: Mapping[Fault, Severity]) -> StopReason:
    """What a vehicle is told while these faults stand; it becomes EVSEStatusCode. The most urgent counts."""
    if Severity.EMERGENCY in faults.values():
        return StopReason.FAULT
    return StopReason.UTILITY if _MAINS & faults.keys() else StopReason.MALFUNCTION


def trigger_of(fact: Fact) -> TriggerReason:
    """OCPP TriggerReasonEnumType by the fact that starts or moves a transaction."""
    return _TRIGGERS.get(type(fact), TriggerReason.CHARGING_STATE_CHANGED)


def refusal(answer: AuthorizeAnswer) -> Authorization:
    """What a vehicle is told whose contract may not charge."""
    if answer.status is None:
        return Authorization.NO_ANSWER
    return _CERTIFICATE_ANSWERS.get(answer.certificate_status or "", Authorization.REJECTED)
