"""V2GTP framing (ISO 15118-2 clause 7.8.3): an eight byte header, then the payload, over TCP or UDP.

One TCP read is neither one message nor one whole message: `V2gtpReader` takes the bytes as they come. A header whose
version is wrong leaves no way to find the next one, so it ends the stream; so does a length above `MAX_PAYLOAD`.
A payload type nobody handles is stepped over and counted, as 7.8.3 asks.
"""

from collections import Counter
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from struct import Struct

from secc.ports import SeccError

VERSION = 0x01
INVERSE_VERSION = 0xFE
HEADER = Struct("!BBHI")

# The largest message seen on a wire is 4.6 KB (CertificateInstallationRes); the length field would allow 4 GB.
MAX_PAYLOAD = 64 * 1024


class PayloadType(IntEnum):
    """Table 10 of ISO 15118-2 and table 12 of ISO 15118-20."""

    EXI = 0x8001
    """SupportedAppProtocol, and all of DIN SPEC 70121 and ISO 15118-2."""
    COMMON = 0x8002
    AC = 0x8003
    DC = 0x8004
    ACDP = 0x8005
    WPT = 0x8006
    SCHEDULE_RENEGOTIATION = 0x8101
    METERING_CONFIRMATION = 0x8102
    ACDP_SYSTEM_STATUS = 0x8103
    PARKING_STATUS = 0x8104
    SDP_REQUEST = 0x9000
    SDP_RESPONSE = 0x9001


class V2gtpFault(StrEnum):
    BAD_VERSION = "protocol version wrong"
    TOO_LONG = "payload too long"
    UNKNOWN_TYPE = "payload type unknown"
    TRUNCATED = "datagram shorter or longer than its header says"


class V2gtpError(SeccError):
    def __init__(self, fault: V2gtpFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


_ON_TCP = frozenset(PayloadType) - {PayloadType.SDP_REQUEST, PayloadType.SDP_RESPONSE}


@dataclass(frozen=True, slots=True)
class Frame:
    payload_type: PayloadType
    payload: bytes

    def to_bytes(self) -> bytes:
        return HEADER.pack(VERSION, INVERSE_VERSION, self.payload_type, len(self.payload)) + self.payload

    @classmethod
    def from_datagram(cls, data: bytes) -> "Frame":
        """One whole frame, as UDP carries it.

        Raises:
            V2gtpError: anything but exactly one frame of a known type.
        """
        if len(data) < HEADER.size:
            raise V2gtpError(V2gtpFault.TRUNCATED)
        payload_type, length = _header(data)
        if len(data) != HEADER.size + length:
            raise V2gtpError(V2gtpFault.TRUNCATED)
        if payload_type not in PayloadType.__members__.values():
            raise V2gtpError(V2gtpFault.UNKNOWN_TYPE)
        return cls(PayloadType(payload_type), data[HEADER.size :])


class V2gtpReader:
    """Cuts a TCP stream into frames, however its bytes arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.dropped: Counter[V2gtpFault] = Counter()
        self.fault: V2gtpFault | None = None
        """Set once the stream can't be followed any more; nothing is read after that."""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now. Frames before a fault are still returned; then look at `fault`."""
        self._buffer += data
        frames: list[Frame] = []
        while self.fault is None and len(self._buffer) >= HEADER.size:
            try:
                payload_type, length = _header(self._buffer)
            except V2gtpError as error:
                self._fail(error.fault)
                break
            end = HEADER.size + length
            if len(self._buffer) < end:
                break
            payload = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            if payload_type in _ON_TCP:
                frames.append(Frame(PayloadType(payload_type), payload))
            else:
                self.dropped[V2gtpFault.UNKNOWN_TYPE] += 1
        return frames

    def _fail(self, fault: V2gtpFault) -> None:
        self.fault = fault
        self.dropped[fault] += 1
        self._buffer.clear()


def _header(data: bytes | bytearray) -> tuple[int, int]:
    """Payload type and length."""
    version, inverse, payload_type, length = HEADER.unpack_from(data)
    if version != VERSION or inverse != INVERSE_VERSION:
        raise V2gtpError(V2gtpFault.BAD_VERSION)
    if length > MAX_PAYLOAD:
        raise V2gtpError(V2gtpFault.TOO_LONG)
    return payload_type, length
