"""DIN SPEC 70121 as the engine knows it: octets to requests, responses to octets."""

from collections.abc import Mapping

from secc.exi import Namespace, decode, encode
from secc.ports import PausedSession, StationView
from secc.v2g.codes import NotARequest
from secc.v2g.din.failures import REQUESTS
from secc.v2g.din.protocol import respond
from secc.v2g.din.setting_up import NAME
from secc.v2g.elements import child, octets
from secc.v2g.protocol import Protocol, Written
from secc.v2g.session import NO_SESSION_ID, Passed, Request, Response, Session, Surroundings
from secc.v2g.timing import SEQUENCE_TIMEOUT_S
from secc.v2gtp import Frame, PayloadType


def _begin(tls: bool, paused: PausedSession | None) -> Session:
    return Session(tls=tls, paused=paused)


def _read(frame: Frame, now: float) -> Request | None:
    if frame.payload_type is not PayloadType.EXI:
        return None
    message = child(decode(Namespace.DIN, frame.payload), "V2G_Message")
    body = child(message, "Body")
    name = next(iter(body), "")
    if name not in REQUESTS:
        raise NotARequest(name or "empty body")
    return Request(
        name=name,
        session_id=octets(child(message, "Header"), "SessionID").hex().upper(),
        message=None,
        elements=child(body, name),
        signature=None,
        octets=frame.payload,
        arrived_s=now,
    )


def _write(request: Request, response: Response, session: Session, _around: Surroundings) -> Written:
    assert isinstance(response, Mapping)
    assert not isinstance(response, Passed)
    header = {"SessionID": bytes.fromhex(session.session_id or NO_SESSION_ID)}
    message = {"Header": header, "Body": {request.response_name: response}}
    octets = encode(Namespace.DIN, {"V2G_Message": message})
    return Frame(PayloadType.EXI, octets), str(response["ResponseCode"])


def _serves(view: StationView) -> bool:
    """DC alone; and paid for by card alone, so where only contracts are taken another protocol is better."""
    return view.dc is not None and view.accepts_external_payment


def _sequence_timeout_s(_session: Session) -> float:
    return SEQUENCE_TIMEOUT_S


DIN_70121 = Protocol(
    name=NAME,
    namespace=Namespace.DIN.value,
    major=2,
    minor=0,
    serves=_serves,
    only_mutual_tls_13=False,
    begin=_begin,
    read=_read,
    respond=respond,
    write=_write,
    sequence_timeout_s=_sequence_timeout_s,
)
