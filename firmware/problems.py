"""Faults and V2G errors in the operator's words: one table from cause to OCPP NotifyEvent (component, variable)."""

from dataclasses import dataclass

from hal.ports import BoardFault, Fault, Severity
from secc.ports import ContractRefused, EndReason, V2GEnded
from secc.schedules import TariffLeftOut

Cause = BoardFault | ContractRefused | TariffLeftOut | V2GEnded


@dataclass(frozen=True, slots=True)
class Problem:
    """One entry of NotifyEventRequest.eventData. `tech_code` is at most 50 characters, `tech_info` 500."""

    component: str
    variable: str
    active: bool
    tech_code: str
    tech_info: str


_COMPONENTS: dict[Fault, tuple[str, str]] = {
    Fault.CONNECTOR_LOCK_FAILURE: ("ConnectorPlugRetentionLock", "Problem"),
    Fault.GROUND_FAILURE: ("ElectricalFeed", "Problem"),
    Fault.HIGH_TEMPERATURE: ("TemperatureSensor", "Problem"),
    Fault.OVER_CURRENT_FAILURE: ("OverCurrentBreaker", "Tripped"),
    Fault.OVER_VOLTAGE: ("ElectricalFeed", "Problem"),
    Fault.UNDER_VOLTAGE: ("ElectricalFeed", "Problem"),
    Fault.EMERGENCY_STOP: ("EmergencyStopSensor", "Tripped"),
    Fault.INVALID_VEHICLE_MODE: ("ControlPilot", "Problem"),
    Fault.PILOT_FAULT: ("ControlPilot", "Problem"),
    Fault.POWER_LOSS: ("ElectricalFeed", "Problem"),
    Fault.EVSE_CONTACTOR_FAULT: ("PowerContactor", "Problem"),
    Fault.CABLE_OVER_TEMP_DERATE: ("TemperatureSensor", "Problem"),
    Fault.CABLE_OVER_TEMP_STOP: ("TemperatureSensor", "Problem"),
    Fault.PROXIMITY_FAULT: ("Connector", "Problem"),
    Fault.DIODE_FAULT: ("ControlPilot", "Problem"),
    Fault.VENTILATION_NOT_AVAILABLE: ("Ventilation", "Problem"),
    Fault.RESIDUAL_CURRENT: ("RCD", "Tripped"),
    Fault.COMMUNICATION_FAULT: ("EVSE", "Problem"),
    Fault.POWER_METER_FAILURE: ("FiscalMetering", "Problem"),
    Fault.ENCLOSURE_OPEN: ("AccessBarrier", "Problem"),
    Fault.CABLE_CHECK_FAULT: ("IsolationMonitor", "Problem"),
    Fault.RESISTANCE_FAULT: ("IsolationMonitor", "Problem"),
    Fault.CONNECTOR_VOLTAGE_HIGH: ("Connector", "Problem"),
    Fault.VOLTAGE_PLAUSIBILITY: ("ElectricalConverter", "Problem"),
    Fault.POWER_SUPPLY_FAILURE: ("ElectricalConverter", "Problem"),
    Fault.ISOLATION_MONITOR_FAILURE: ("IsolationMonitor", "Problem"),
    Fault.VENDOR_ERROR: ("EVSE", "Problem"),
    Fault.VENDOR_WARNING: ("EVSE", "Problem"),
}

MONITORED = tuple(sorted({*_COMPONENTS.values(), ("ISO15118Ctrlr", "Problem")}))
"""Every component and variable that a problem may name."""

_V2G_CODES: dict[EndReason, str] = {
    EndReason.CONNECTION_LOST: "V2GConnectionLost",
    EndReason.SETUP_TIMEOUT: "V2GSetupTimeout",
    EndReason.SEQUENCE_TIMEOUT: "V2GSequenceTimeout",
    EndReason.PROTOCOL_ERROR: "V2GProtocolError",
    EndReason.REFUSED: "V2GRefused",
    EndReason.TLS_FAILED: "V2GTlsHandshakeFailed",
    EndReason.LINK_DOWN: "V2GLinkDown",
}


def problem(cause: Cause) -> Problem:
    """The NotifyEvent entry for a cause."""
    match cause:
        case BoardFault(fault, active, severity, detail):
            component, variable = _COMPONENTS[fault]
            note = " (warning)" if severity is Severity.WARNING else ""
            return Problem(component, variable, active, fault.value, detail + note)
        case ContractRefused(emaid, fault):
            return Problem("ISO15118Ctrlr", "Problem", True, f"Contract{fault.name.title().replace('_', '')}", emaid)
        case TariffLeftOut(tuple_id, why):
            info = f"schedule {tuple_id}: {why}"
            return Problem("ISO15118Ctrlr", "Problem", True, "TariffLeftOut", info[:500])
        case V2GEnded(session_id, reason, detail):
            info = f"session {session_id}: {reason.value}: {detail}"
            return Problem("ISO15118Ctrlr", "Problem", True, _V2G_CODES.get(reason, "V2GEnded"), info[:500])
