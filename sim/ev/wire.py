"""Requests to octets and octets to replies, for each protocol."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from secc.exi import Namespace, decode, encode
from secc.v2gtp import Frame, PayloadType
from sim.ev.script import Ask, Elements, Reply
from sim.ev.wishes import Service, Speaks


@dataclass(frozen=True, slots=True)
class Tongue:
    """How a protocol is named, written and read."""

    namespace: str
    major: int
    minor: int
    write: Callable[[Ask, bytes], Frame]
    read: Callable[[Frame], Reply]


def app_protocol_request(tongues: list[Tongue]) -> Frame:
    """In the order of the vehicle's preference."""
    protocols = [
        {
            "ProtocolNamespace": tongue.namespace,
            "VersionNumberMajor": tongue.major,
            "VersionNumberMinor": tongue.minor,
            "SchemaID": number,
            "Priority": number,
        }
        for number, tongue in enumerate(tongues, 1)
    ]
    octets = encode(Namespace.SAP, {"supportedAppProtocolReq": {"AppProtocol": protocols}})
    return Frame(PayloadType.EXI, octets)


def app_protocol_reply(frame: Frame) -> Reply:
    content = cast(Elements, decode(Namespace.SAP, frame.payload)["supportedAppProtocolRes"])
    return Reply("supportedAppProtocolRes", bytes(8), content)


def tongue_of(speaks: Speaks, service: Service) -> Tongue:
    if speaks is Speaks.DIN:
        return _with_body(Namespace.DIN)
    if speaks is Speaks.ISO_2:
        return _with_body(Namespace.ISO_2)
    energy = Namespace.ISO_20_DC if service.direct else Namespace.ISO_20_AC
    return Tongue(energy.value, 1, 0, _write_20, _read_20)


def _with_body(namespace: Namespace) -> Tongue:
    def write(ask: Ask, session_id: bytes) -> Frame:
        header: dict[str, Any] = {"SessionID": session_id}
        if ask.signature is not None:
            header["Signature"] = ask.signature
        message = {"V2G_Message": {"Header": header, "Body": {ask.name: ask.elements}}}
        return Frame(PayloadType.EXI, encode(namespace, message))

    def read(frame: Frame) -> Reply:
        message = cast(Elements, decode(namespace, frame.payload)["V2G_Message"])
        ((name, elements),) = message["Body"].items()
        return Reply(name, message["Header"]["SessionID"], elements)

    return Tongue(namespace.value, 2, 0, write, read)


_SCHEMAS = {
    PayloadType.COMMON: Namespace.ISO_20_COMMON,
    PayloadType.AC: Namespace.ISO_20_AC,
    PayloadType.DC: Namespace.ISO_20_DC,
}
_PREFIXES = {"AC_": PayloadType.AC, "DC_": PayloadType.DC}


def _write_20(ask: Ask, session_id: bytes) -> Frame:
    payload_type = _PREFIXES.get(ask.name[:3], PayloadType.COMMON)
    header: dict[str, Any] = {"SessionID": session_id, "TimeStamp": int(time.time())}
    if ask.signature is not None:
        header["Signature"] = ask.signature
    octets = encode(_SCHEMAS[payload_type], {ask.name: {"Header": header, **ask.elements}})
    return Frame(payload_type, octets)


def _read_20(frame: Frame) -> Reply:
    ((name, decoded),) = decode(_SCHEMAS[frame.payload_type], frame.payload).items()
    content = cast(Elements, decoded)
    return Reply(name, content["Header"]["SessionID"], content)
