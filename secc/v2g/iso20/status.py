"""EVSEStatus and MeterInfo: what the responses of the charge loops share (clauses 8.3.5.3.5 and 8.3.5.3.7)."""

from dataclasses import dataclass, replace

from secc.ports import LimitSent, SeccFact, StationView
from secc.v2g.elements import Elements
from secc.v2g.iso20.session import ControlMode, Session20
from secc.v2g.offers import wants_renegotiation
from secc.v2g.progress import must_stop
from secc.v2g.session import Request, SentMeter, State, Surroundings
from secc.v2g.timing import RECEIPT_INTERVAL_S

MAX_METER_ID = 32

# How long the vehicle may take to do as it is asked.
NOTIFICATION_MAX_DELAY_S = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a charge loop: the optional elements of its response, and the session after it."""

    elements: Elements
    session: Session20
    facts: tuple[SeccFact, ...]


def turn(request: Request, session: Session20, around: Surroundings, limit_a: float, now: float) -> Turn:
    view = around.view
    notification, after = _notification(session, view, now)
    elements: dict[str, object] = {}
    if notification:
        elements["EVSEStatus"] = {
            "NotificationMaxDelay": NOTIFICATION_MAX_DELAY_S,
            "EVSENotification": notification,
        }
    meter = meter_info(view)
    confirming = notification == "MeteringConfirmation"
    if meter and (request.elements.get("MeterInfoRequested") or confirming):
        elements["MeterInfo"] = meter
    if confirming:
        assert session.offer is not None
        assert view.meter is not None
        after = replace(after, sent_meter=SentMeter(session.offer.tuple_id, meter, int(view.meter.energy_import_wh)))
    changed = session.limit_sent_a != limit_a
    facts = (LimitSent(session.session_id, limit_a, request.response_name),) if changed else ()
    return Turn(elements, replace(after, limit_sent_a=limit_a), facts)


def meter_info(view: StationView) -> Elements:
    """The latest reading; empty if there is none."""
    if view.meter is None or view.meter.energy_import_wh < 0:
        return {}
    exported_wh = view.meter.energy_export_wh
    fed_back = {} if exported_wh is None else {"BPT_DischargedEnergyReadingWh": int(exported_wh)}
    return {
        "MeterID": view.meter_id[:MAX_METER_ID],
        "ChargedEnergyReadingWh": int(view.meter.energy_import_wh),
        **fed_back,
        "MeterTimestamp": int(view.meter.wall_time.timestamp()),
    }


def _notification(session: Session20, view: StationView, now: float) -> tuple[str, Session20]:
    """The most urgent thing there is to ask of the vehicle; there is room for one."""
    if must_stop(view):
        return "Terminate", session
    if session.state is State.STANDBY:
        return ("ExitStandby" if view.renegotiation_id != session.renegotiation_id else ""), session
    scheduled = session.control_mode is ControlMode.SCHEDULED
    if scheduled and wants_renegotiation(session, view, now):
        return "ScheduleRenegotiation", replace(session, renegotiation_asked_s=now)
    if _confirmation_due(session, view, now):
        return "MeteringConfirmation", replace(session, receipt_asked_s=now)
    return "", session


def _confirmation_due(session: Session20, view: StationView, now: float) -> bool:
    if not view.receipt_required or session.contract is None or not meter_info(view):
        return False
    return session.receipt_asked_s is None or now - session.receipt_asked_s >= RECEIPT_INTERVAL_S
