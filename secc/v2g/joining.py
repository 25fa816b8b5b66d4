"""Session ids: a new one, or that of a paused session."""

from secc.v2g.session import SESSION_ID_BYTES, Request, Session


def joins(request: Request, session: Session, evcc_id: str) -> bool:
    """Only the vehicle that paused may join, and only by the id it was given [V2G2-741]."""
    paused = session.paused
    return paused is not None and paused.session_id == request.session_id.upper() and paused.evcc_id == evcc_id


def new_session_id(entropy: bytes) -> str:
    """Eight random bytes; all zero is the vehicle's way to say "none"."""
    session_id = entropy[:SESSION_ID_BYTES]
    return (session_id if any(session_id) else b"\x01" * SESSION_ID_BYTES).hex().upper()
