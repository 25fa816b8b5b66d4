"""SECC Discovery Protocol (ISO 15118-2 clause 7.10.1): the codec, and whom to answer what.

Silence is the answer to everything doubtful: a source that is not link-local, more than `MAX_REQUESTS_PER_S`, a request
without TLS where only TLS is allowed, and a request for TLS while TLS can't be had although it is configured. To offer
plain TCP there would be a downgrade.
"""

from collections import Counter, deque
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from ipaddress import IPv6Address

from secc.v2gtp import Frame, PayloadType, V2gtpError

PORT = 15118
MULTICAST_GROUP = "ff02::1"
MAX_REQUESTS_PER_S = 5


class Security(IntEnum):
    TLS = 0x00
    NONE = 0x10


TRANSPORT_TCP = 0x00


class SdpFault(StrEnum):
    NOT_LINK_LOCAL = "source not link-local"
    RATE = "too many requests"
    MALFORMED = "malformed"
    NOT_OFFERED = "security not offered"


@dataclass(frozen=True, slots=True)
class SdpRequest:
    security: Security

    @classmethod
    def from_bytes(cls, data: bytes) -> "SdpRequest":
        """Read one datagram.

        Raises:
            ValueError: anything but an SDP request for TCP.
        """
        try:
            frame = Frame.from_datagram(data)
        except V2gtpError as error:
            raise ValueError(str(error)) from error
        if frame.payload_type is not PayloadType.SDP_REQUEST or len(frame.payload) != 2:
            raise ValueError("not an SDP request")
        security, transport = frame.payload
        if transport != TRANSPORT_TCP:
            raise ValueError("transport is not TCP")
        return cls(Security(security))

    def to_bytes(self) -> bytes:
        return Frame(PayloadType.SDP_REQUEST, bytes((self.security, TRANSPORT_TCP))).to_bytes()


@dataclass(frozen=True, slots=True)
class SdpResponse:
    address: IPv6Address
    port: int
    security: Security

    @classmethod
    def from_bytes(cls, data: bytes) -> "SdpResponse":
        """Read one datagram.

        Raises:
            ValueError: anything but an SDP response for TCP.
        """
        try:
            frame = Frame.from_datagram(data)
        except V2gtpError as error:
            raise ValueError(str(error)) from error
        if frame.payload_type is not PayloadType.SDP_RESPONSE or len(frame.payload) != 20:
            raise ValueError("not an SDP response")
        payload = frame.payload
        if payload[19] != TRANSPORT_TCP:
            raise ValueError("transport is not TCP")
        return cls(IPv6Address(payload[:16]), int.from_bytes(payload[16:18], "big"), Security(payload[18]))

    def to_bytes(self) -> bytes:
        endpoint = self.address.packed + self.port.to_bytes(2, "big")
        return Frame(PayloadType.SDP_RESPONSE, endpoint + bytes((self.security, TRANSPORT_TCP))).to_bytes()


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the SECC listens. A port of None is not offered; with `tls_wanted` its absence is answered by silence."""

    address: IPv6Address
    tls_port: int | None
    plain_port: int | None
    tls_wanted: bool


class SdpPolicy:
    """Answers datagrams; keeps no more than the times of the last few requests a source."""

    # A flood from forged sources must not grow the table.
    MAX_SOURCES = 32

    def __init__(self) -> None:
        self.refused: Counter[SdpFault] = Counter()
        self._recent: dict[IPv6Address, deque[float]] = {}

    def answer(self, data: bytes, source: IPv6Address, endpoints: Endpoints, now: float) -> bytes | None:
        """The response to send back to `source`, or None for silence."""
        fault, response = self._judge(data, source, endpoints, now)
        if fault is not None:
            self.refused[fault] += 1
        return response

    def _judge(
        self, data: bytes, source: IPv6Address, endpoints: Endpoints, now: float
    ) -> tuple[SdpFault | None, bytes | None]:
        if not source.is_link_local:
            return SdpFault.NOT_LINK_LOCAL, None
        if not self._within_rate(source, now):
            return SdpFault.RATE, None
        try:
            request = SdpRequest.from_bytes(data)
        except ValueError:
            return SdpFault.MALFORMED, None
        response = choose(request, endpoints)
        return (None, response.to_bytes()) if response else (SdpFault.NOT_OFFERED, None)

    def _within_rate(self, source: IPv6Address, now: float) -> bool:
        times = self._recent.pop(source, None) or deque(maxlen=MAX_REQUESTS_PER_S)
        self._recent[source] = times
        if len(self._recent) > self.MAX_SOURCES:
            del self._recent[next(iter(self._recent))]
        if len(times) == MAX_REQUESTS_PER_S and now - times[0] < 1.0:
            return False
        times.append(now)
        return True


def choose(request: SdpRequest, endpoints: Endpoints) -> SdpResponse | None:
    """The endpoint for this request, or None.

    A vehicle that asks for TLS from a station configured without it is told of plain TCP, and may decline [V2G2-630].
    """
    if request.security is Security.TLS and endpoints.tls_port is not None:
        return SdpResponse(endpoints.address, endpoints.tls_port, Security.TLS)
    if request.security is Security.TLS and endpoints.tls_wanted:
        return None
    if endpoints.plain_port is not None:
        return SdpResponse(endpoints.address, endpoints.plain_port, Security.NONE)
    return None
