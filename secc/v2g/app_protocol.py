"""SupportedAppProtocol: the first message, which names the protocol of the rest (ISO 15118-2 clause 8.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from iso15118.shared.messages.app_protocol import (
    AppProtocol,
    ResponseCodeSAP,
    SupportedAppProtocolReq,
    SupportedAppProtocolRes,
)
from pydantic import ValidationError

from secc.v2g.models import build
from secc.v2g.protocol import Protocol

REQUEST = "supportedAppProtocolReq"
RESPONSE = "supportedAppProtocolRes"


@dataclass(frozen=True, slots=True)
class Negotiated:
    response: SupportedAppProtocolRes
    protocol: Protocol | None


def negotiate(document: Mapping[str, object], offered: Sequence[Protocol]) -> Negotiated:
    """The vehicle's first choice among what is offered; 1 is its highest priority.

    What the EVSE can't serve is passed over whatever its priority: VW asks an AC station for DIN first.
    """
    try:
        request = SupportedAppProtocolReq.parse_obj(document[REQUEST])
    except (KeyError, ValidationError):
        return _FAILED
    for wish in sorted(request.app_protocol, key=lambda protocol: protocol.priority):
        for protocol in offered:
            if _speaks(protocol, wish):
                return Negotiated(_accept(wish, protocol), protocol)
    return _FAILED


def _speaks(protocol: Protocol, wish: AppProtocol) -> bool:
    return (wish.protocol_ns, wish.major_version) == (protocol.namespace, protocol.major)


def _accept(wish: AppProtocol, protocol: Protocol) -> SupportedAppProtocolRes:
    exact = wish.minor_version == protocol.minor
    code = ResponseCodeSAP.NEGOTIATION_OK if exact else ResponseCodeSAP.MINOR_DEVIATION
    return build(SupportedAppProtocolRes, ResponseCode=code, SchemaID=wish.schema_id)


_FAILED = Negotiated(build(SupportedAppProtocolRes, ResponseCode=ResponseCodeSAP.NEGOTIATION_FAILED), None)
