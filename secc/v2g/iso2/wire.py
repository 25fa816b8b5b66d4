"""ISO 15118-2 as the engine knows it: octets to requests, responses to octets."""

from collections.abc import Mapping

from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode

from secc.exi import Namespace, decode, encode
from secc.ports import PausedSession, StationView
from secc.v2g.iso2.protocol import respond
from secc.v2g.iso2.reading import read
from secc.v2g.protocol import Protocol, Written
from secc.v2g.session import NO_SESSION_ID, Passed, Request, Response, Session, Signed, Surroundings
from secc.v2g.timing import SEQUENCE_TIMEOUT_S
from secc.v2gtp import Frame, PayloadType


def _begin(tls: bool, paused: PausedSession | None) -> Session:
    return Session(tls=tls, paused=paused)


def _read(frame: Frame, now: float) -> Request | None:
    if frame.payload_type is not PayloadType.EXI:
        return None
    return read(decode(Namespace.ISO_2, frame.payload), frame.payload, now)


def _write(request: Request, response: Response, session: Session, _around: Surroundings) -> Written:
    if isinstance(response, Passed):
        return Frame(PayloadType.EXI, response.octets), response.code
    header: dict[str, object] = {"SessionID": bytes.fromhex(session.session_id or NO_SESSION_ID)}
    if isinstance(response, Signed):
        header["Signature"] = response.signature
        elements = response.elements
    elif isinstance(response, Mapping):
        elements = response
    else:
        elements = response.dict(by_alias=True, exclude_none=True)
    message = {"Header": header, "Body": {request.response_name: elements}}
    octets = encode(Namespace.ISO_2, {"V2G_Message": message})
    return Frame(PayloadType.EXI, octets), ResponseCode(elements["ResponseCode"]).value


def _serves(_view: StationView) -> bool:
    return True


def _sequence_timeout_s(_session: Session) -> float:
    return SEQUENCE_TIMEOUT_S


ISO_15118_2 = Protocol(
    name="ISO 15118-2",
    namespace=Namespace.ISO_2.value,
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
