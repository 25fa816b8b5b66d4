"""SessionSetup: a new session, or the old one joined again after a pause (clause 8.4.3.2)."""

from iso15118.shared.messages.iso15118_2.body import SessionSetupReq, SessionSetupRes
from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode

from secc.ports import SessionSetUp
from secc.v2g.joining import joins, new_session_id
from secc.v2g.models import build
from secc.v2g.session import Answer, Request, Session, State, Surroundings

PROTOCOL = "ISO 15118-2"


def handle(request: Request, session: Session, around: Surroundings, _now: float) -> Answer:
    """Give the vehicle its session id.

    A vehicle that repeats the request on a connection that is up (Opel Ampera-E) starts over: nothing it has agreed so
    far is kept, and power is not yet on.
    """
    assert isinstance(request.message, SessionSetupReq)
    evcc_id = request.message.evcc_id.upper()
    joined = joins(request, session, evcc_id)
    session_id = request.session_id.upper() if joined else new_session_id(around.entropy)
    # A pause is joined once; a new session makes an older pause void.
    fresh = Session(
        state=State.SERVICE_DISCOVERY,
        tls=session.tls,
        vehicle=session.vehicle,
        session_id=session_id,
        evcc_id=evcc_id,
    )
    code = ResponseCode.OK_OLD_SESSION_JOINED if joined else ResponseCode.OK_NEW_SESSION_ESTABLISHED
    response = build(SessionSetupRes, ResponseCode=code, EVSEID=around.view.evse_id, EVSETimeStamp=around.unix_time)
    return Answer(response, fresh, (SessionSetUp(session_id, evcc_id, PROTOCOL),))
