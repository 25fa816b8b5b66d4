"""DC_EVSEStatus and the limits of the output, as DIN SPEC 70121 writes them (clause 9.5.2)."""

from secc.ports import DcView, Insulation, StationView, StopReason
from secc.v2g.elements import Elements
from secc.v2g.progress import must_stop
from secc.v2g.quantities import physical_value

_ISOLATION = {
    Insulation.UNKNOWN: "Invalid",
    Insulation.VALID: "Valid",
    Insulation.WARNING: "Warning",
    Insulation.FAULT: "Fault",
}

_STOP_CODES = {
    StopReason.OPERATOR: "EVSE_Shutdown",
    StopReason.FAULT: "EVSE_EmergencyShutdown",
    StopReason.MALFUNCTION: "EVSE_Malfunction",
    StopReason.UTILITY: "EVSE_UtilityInterruptEvent",
}


def evse_status(view: StationView, dc: DcView, code: str = "EVSE_Ready") -> dict[str, object]:
    """DC_EVSEStatus, under its name. What makes the station stop outweighs `code`."""
    if must_stop(view):
        code = _STOP_CODES[StopReason.FAULT if view.rcd_tripped else view.stop]
    status = {
        "EVSEIsolationStatus": _ISOLATION[dc.cable_check],
        "EVSEStatusCode": code,
        "NotificationMaxDelay": 0,
        "EVSENotification": "StopCharging" if must_stop(view) else "None",
    }
    return {"DC_EVSEStatus": status}


def present_voltage(dc: DcView) -> dict[str, object]:
    return {"EVSEPresentVoltage": physical_value(round(dc.present_voltage_v, 1), "V")}


def maximum_limits(dc: DcView) -> dict[str, object]:
    return {
        "EVSEMaximumVoltageLimit": physical_value(dc.max_voltage_v, "V"),
        "EVSEMaximumCurrentLimit": physical_value(dc.max_current_a, "A"),
        "EVSEMaximumPowerLimit": physical_value(dc.max_power_w, "W"),
    }


def charge_parameter(view: StationView, dc: DcView) -> Elements:
    return {
        **evse_status(view, dc),
        **maximum_limits(dc),
        "EVSEMinimumCurrentLimit": physical_value(dc.min_current_a, "A"),
        "EVSEMinimumVoltageLimit": physical_value(dc.min_voltage_v, "V"),
        "EVSEPeakCurrentRipple": physical_value(dc.peak_ripple_a, "A"),
    }
