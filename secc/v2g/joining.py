"""Session ids: a new one, or that of a paused session."""

from secc.ports import PausedSession
from secc.v2g.session import SESSION_ID_BYTES, Request, Session


def joins(request: Request, session: Session, evcc_id: str) -> bool:
    """Only the vehicle that paused may join, by the id it was given [V2G2-741] and the certificate it had shown."""
    return session.paused == PausedSession(request.session_id.upper(), evcc_id, session.vehicle)


def new_session_id(entropy: bytes) -> str:
    """Eight random bytes; all zero is the vehicle's way to say "none"."""
    session_id = entropy[:SESSION_ID_BYTES]
    return (session_id if any(session_id) else b"\x01" * SESSION_ID_BYTES).hex().upper()
