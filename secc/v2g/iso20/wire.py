"""ISO 15118-20 as the engine knows it: octets to requests, responses to octets. The payload type names the schema."""

from collections.abc import Mapping
from typing import cast

from iso15118.shared.messages.iso15118_20.common_types import ResponseCode

from secc.exi import Namespace, decode, encode
from secc.ports import PausedSession, StationView
from secc.v2g.codes import NotARequest
from secc.v2g.elements import Elements, child, octets
from secc.v2g.iso20.failures import REQUESTS
from secc.v2g.iso20.protocol import respond
from secc.v2g.iso20.session import Session20
from secc.v2g.iso20.session_setup import NAME
from secc.v2g.iso20.timing import sequence_timeout_s
from secc.v2g.protocol import Protocol, Written
from secc.v2g.session import NO_SESSION_ID, Passed, Request, Response, Session, Surroundings
from secc.v2gtp import Frame, PayloadType

SCHEMAS = {
    PayloadType.COMMON: Namespace.ISO_20_COMMON,
    # Of SupportedAppProtocol alone, but the iso15118 package's EVCC sends CertificateInstallationReq with it.
    PayloadType.EXI: Namespace.ISO_20_COMMON,
    PayloadType.AC: Namespace.ISO_20_AC,
    PayloadType.DC: Namespace.ISO_20_DC,
    PayloadType.WPT: Namespace.ISO_20_WPT,
    PayloadType.ACDP: Namespace.ISO_20_ACDP,
    PayloadType.SCHEDULE_RENEGOTIATION: Namespace.ISO_20_COMMON,
    PayloadType.METERING_CONFIRMATION: Namespace.ISO_20_COMMON,
    PayloadType.ACDP_SYSTEM_STATUS: Namespace.ISO_20_ACDP,
    PayloadType.PARKING_STATUS: Namespace.ISO_20_COMMON,
}

# What runs beside the main stream, and what may be said there.
SIDE_STREAMS = {
    PayloadType.SCHEDULE_RENEGOTIATION: {"ScheduleExchangeReq", "PowerDeliveryReq"},
    PayloadType.METERING_CONFIRMATION: {"MeteringConfirmationReq"},
    PayloadType.ACDP_SYSTEM_STATUS: {"ACDP_SystemStatusReq"},
    PayloadType.PARKING_STATUS: {"VehicleCheckInReq", "VehicleCheckOutReq"},
}


def _begin(tls: bool, paused: PausedSession | None) -> Session:
    return Session20(tls=tls, paused=paused)


def _read(frame: Frame, now: float) -> Request | None:
    schema = SCHEMAS.get(frame.payload_type)
    if schema is None:
        return None
    ((name, content),) = decode(schema, frame.payload).items()
    if name not in SIDE_STREAMS.get(frame.payload_type, REQUESTS[schema]):
        raise NotARequest(name)
    elements = cast(Elements, content)
    header = child(elements, "Header")
    return Request(
        name=name,
        session_id=octets(header, "SessionID").hex().upper(),
        message=None,
        elements={key: value for key, value in elements.items() if key != "Header"},
        signature=cast(Elements | None, header.get("Signature")),
        octets=frame.payload,
        arrived_s=now,
        payload_type=frame.payload_type,
    )


def _write(request: Request, response: Response, session: Session, around: Surroundings) -> Written:
    if isinstance(response, Passed):
        return Frame(request.payload_type, response.octets), response.code
    assert isinstance(response, Mapping)
    header = {"SessionID": bytes.fromhex(session.session_id or NO_SESSION_ID), "TimeStamp": around.unix_time}
    message = {request.response_name: {"Header": header, **response}}
    frame = Frame(request.payload_type, encode(SCHEMAS[request.payload_type], message))
    return frame, ResponseCode(response["ResponseCode"]).value


def _is_ac(view: StationView) -> bool:
    return view.dc is None


def _is_dc(view: StationView) -> bool:
    return view.dc is not None


ISO_15118_20_AC = Protocol(
    name=NAME,
    namespace=Namespace.ISO_20_AC.value,
    major=1,
    minor=0,
    serves=_is_ac,
    only_mutual_tls_13=True,
    begin=_begin,
    read=_read,
    respond=respond,
    write=_write,
    sequence_timeout_s=sequence_timeout_s,
    side_streams=frozenset(SIDE_STREAMS),
)

ISO_15118_20_DC = Protocol(
    name=NAME,
    namespace=Namespace.ISO_20_DC.value,
    major=1,
    minor=0,
    serves=_is_dc,
    only_mutual_tls_13=True,
    begin=_begin,
    read=_read,
    respond=respond,
    write=_write,
    sequence_timeout_s=sequence_timeout_s,
    side_streams=frozenset(SIDE_STREAMS),
)
