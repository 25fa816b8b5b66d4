"""AC_EVSEStatus: what every response of the power path tells the vehicle to do."""

from iso15118.shared.messages.datatypes import EVSENotification
from iso15118.shared.messages.iso15118_2.datatypes import ACEVSEStatus

from secc.ports import StationView, StopReason
from secc.v2g.models import build
from secc.v2g.session import Session
from secc.v2g.timing import RENEGOTIATION_INTERVAL_S

# A limit this far above what the schedule allows is worth a renegotiation; below, EVSEMaxCurrent says all.
WORTHWHILE_RISE_A = 1.0


def ac_evse_status(view: StationView, notification: EVSENotification | None = None) -> ACEVSEStatus:
    """The status now. Without a `notification` of the caller's, StopCharging if the station wants it."""
    if notification is None:
        notification = EVSENotification.STOP_CHARGING if must_stop(view) else EVSENotification.NONE
    return build(ACEVSEStatus, NotificationMaxDelay=0, EVSENotification=notification, RCD=view.rcd_tripped)


def must_stop(view: StationView) -> bool:
    return view.stop is not StopReason.NONE or view.rcd_tripped


def wants_renegotiation(session: Session, view: StationView, now: float) -> bool:
    """Whether the vehicle planned with clearly less than it could draw now, and was not told lately."""
    if session.offer is None or view.limit_a < session.offer.limit_a(now) + WORTHWHILE_RISE_A:
        return False
    asked = session.renegotiation_asked_s
    return asked is None or now - asked >= RENEGOTIATION_INTERVAL_S
