"""SessionStop: for good, or to come back (clause 8.4.3.12)."""

from dataclasses import replace

from iso15118.shared.messages.iso15118_2.body import SessionStopReq, SessionStopRes
from iso15118.shared.messages.iso15118_2.datatypes import ChargingSession, ResponseCode

from secc.ports import EndReason, PausedSession
from secc.v2g.models import build
from secc.v2g.session import Answer, Request, Session, State, Surroundings


def handle(request: Request, session: Session, _around: Surroundings, _now: float) -> Answer:
    """Always granted, whatever the state: who wants to leave is not held. The engine takes the power back."""
    assert isinstance(request.message, SessionStopReq)
    pausing = request.message.charging_session is ChargingSession.PAUSE
    paused = PausedSession(session.session_id, session.evcc_id, session.vehicle) if pausing else None
    end = EndReason.PAUSED if pausing else EndReason.TERMINATED
    response = build(SessionStopRes, ResponseCode=ResponseCode.OK)
    return Answer(response, replace(session, state=State.ENDED, paused=paused, end=end), (paused,) if paused else ())
