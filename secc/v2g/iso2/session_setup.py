"""SessionSetup: a new session, or the old one joined again after a pause (clause 8.4.3.2)."""

from iso15118.shared.messages.iso15118_2.body import SessionSetupReq, SessionSetupRes
from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode

from secc.ports import SessionSetUp
from secc.v2g.models import build
from secc.v2g.session import SESSION_ID_BYTES, Answer, Request, Session, State, Surroundings

PROTOCOL = "ISO 15118-2"


def handle(request: Request, session: Session, around: Surroundings, _now: float) -> Answer:
    """Give the vehicle its session id.

    A vehicle that repeats the request on a connection that is up (Opel Ampera-E) starts over: nothing it has agreed so
    far is kept, and power is not yet on.
    """
    assert isinstance(request.message, SessionSetupReq)
    evcc_id = request.message.evcc_id.upper()
    joined = _joins(request, session, evcc_id)
    session_id = request.session_id.upper() if joined else _new_session_id(around.entropy)
    # A pause is joined once; a new session makes an older pause void.
    fresh = Session(state=State.SERVICE_DISCOVERY, tls=session.tls, session_id=session_id, evcc_id=evcc_id)
    code = ResponseCode.OK_OLD_SESSION_JOINED if joined else ResponseCode.OK_NEW_SESSION_ESTABLISHED
    response = build(SessionSetupRes, ResponseCode=code, EVSEID=around.view.evse_id, EVSETimeStamp=around.unix_time)
    return Answer(response, fresh, (SessionSetUp(session_id, evcc_id, PROTOCOL),))


def _joins(request: Request, session: Session, evcc_id: str) -> bool:
    """Only the vehicle that paused may join, and only by the id it was given [V2G2-741]."""
    paused = session.paused
    return paused is not None and paused.session_id == request.session_id.upper() and paused.evcc_id == evcc_id


def _new_session_id(entropy: bytes) -> str:
    """Eight random bytes; all zero is the vehicle's way to say "none"."""
    session_id = entropy[:SESSION_ID_BYTES]
    return (session_id if any(session_id) else b"\x01" * SESSION_ID_BYTES).hex().upper()
