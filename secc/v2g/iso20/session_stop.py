"""SessionStop: for good, to come back, or to choose another service (clause 8.3.4.3.12)."""

from dataclasses import replace

from iso15118.shared.messages.iso15118_20.common_types import ResponseCode

from secc.ports import EndReason, PausedSession
from secc.schedules import Pricing
from secc.v2g.codes import Refused
from secc.v2g.elements import Elements, text
from secc.v2g.iso20.session import ControlMode, Session20
from secc.v2g.session import Answer, Request, State, Surroundings

_OK: Elements = {"ResponseCode": ResponseCode.OK}


def handle(request: Request, session: Session20, _around: Surroundings, _now: float) -> Answer:
    """Leaving is granted in every state, and the engine takes the power back. Renegotiating is not leaving."""
    wish = text(request.elements, "ChargingSession")
    if wish == "ServiceRenegotiation":
        return _renegotiate(session)
    if wish == "Pause":
        paused = PausedSession(session.session_id, session.evcc_id, session.vehicle)
        return Answer(_OK, replace(session, state=State.ENDED, paused=paused, end=EndReason.PAUSED), (paused,))
    return Answer(_OK, replace(session, state=State.ENDED, paused=None, end=EndReason.TERMINATED))


def _renegotiate(session: Session20) -> Answer:
    """Back to ServiceDiscovery, still authorized, once power is off."""
    if session.state is not State.SESSION_STOP:
        raise Refused(ResponseCode.FAILED_SEQUENCE_ERROR, detail="service renegotiation before power was taken back")
    after = replace(
        session,
        state=State.SERVICE_DISCOVERY,
        service=None,
        control_mode=ControlMode.SCHEDULED,
        bidirectional=False,
        needs_by_station=False,
        pricing=Pricing.NONE,
        services=frozenset(),
        offers=(),
        offer=None,
        cable_check_id="",
        target_v=0.0,
        ev_max_voltage_v=0.0,
        sent_meter=None,
        renegotiation_asked_s=None,
    )
    return Answer(_OK, after)
