"""AC_EVSEStatus and DC_EVSEStatus: what every response of the power path tells the vehicle to do."""

from iso15118.shared.messages.datatypes import DCEVSEStatus, DCEVSEStatusCode, EVSENotification
from iso15118.shared.messages.enums import IsolationLevel
from iso15118.shared.messages.iso15118_2.datatypes import ACEVSEStatus

from secc.ports import DcView, Insulation, StationView, StopReason
from secc.v2g.models import build
from secc.v2g.progress import must_stop

_ISOLATION_LEVELS = {
    Insulation.UNKNOWN: IsolationLevel.INVALID,
    Insulation.VALID: IsolationLevel.VALID,
    Insulation.WARNING: IsolationLevel.WARNING,
    Insulation.FAULT: IsolationLevel.FAULT,
}

STOP_CODES = {
    StopReason.OPERATOR: DCEVSEStatusCode.EVSE_SHUTDOWN,
    StopReason.FAULT: DCEVSEStatusCode.EVSE_EMERGENCY_SHUTDOWN,
    StopReason.MALFUNCTION: DCEVSEStatusCode.EVSE_MALFUNCTION,
    StopReason.UTILITY: DCEVSEStatusCode.EVSE_UTILITY_INTERUPT_EVENT,
}


def evse_status(view: StationView, notification: EVSENotification | None = None) -> dict[str, object]:
    """The status element of this station's kind, under its name. See `ac_evse_status` for the notification."""
    if view.dc is not None:
        return {"DC_EVSEStatus": dc_evse_status(view, view.dc, notification)}
    return {"AC_EVSEStatus": ac_evse_status(view, notification)}


def ac_evse_status(view: StationView, notification: EVSENotification | None = None) -> ACEVSEStatus:
    """The status now. Without a `notification` of the caller's, StopCharging if the station wants it."""
    return build(
        ACEVSEStatus,
        NotificationMaxDelay=0,
        EVSENotification=notification or _notification(view),
        RCD=view.rcd_tripped,
    )


def dc_evse_status(
    view: StationView,
    dc: DcView,
    notification: EVSENotification | None = None,
    code: DCEVSEStatusCode | None = None,
) -> DCEVSEStatus:
    return build(
        DCEVSEStatus,
        NotificationMaxDelay=0,
        EVSENotification=notification or _notification(view),
        EVSEIsolationStatus=_ISOLATION_LEVELS[dc.cable_check],
        EVSEStatusCode=_stop_code(view) or code or DCEVSEStatusCode.EVSE_READY,
    )


def _notification(view: StationView) -> EVSENotification:
    return EVSENotification.STOP_CHARGING if must_stop(view) else EVSENotification.NONE


def _stop_code(view: StationView) -> DCEVSEStatusCode | None:
    return STOP_CODES.get(StopReason.FAULT if view.rcd_tripped else view.stop)
