"""The vendor-specific management messages that host and modem exchange.

Qualcomm (QCA7000, QCA7005, QCA7420): MMV 1.0 without FMI, then the OUI 00:B0:52; VS_NW_INFO is MMV 1.1 with FMI.
Lumissil (CG5317): MMV 1.1 with FMI, then the OUI 00:16:E8 and a header of 19 bytes. All numbers are little endian.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from hal.plc.frame import CNF, IND, MMV_1_0, MMV_1_1, REQ, Header, MmeError, MmeFault, build_frame, parse_header


class Vendor(StrEnum):
    QUALCOMM = "Qualcomm"
    LUMISSIL = "Lumissil"


OUI = {Vendor.QUALCOMM: bytes.fromhex("00b052"), Vendor.LUMISSIL: bytes.fromhex("0016e8")}

VS_SW_VER = 0xA000
VS_RS_DEV = 0xA01C
VS_NW_INFO = 0xA038
VS_OP_ATTRIBUTES = 0xA068
VS_MODULE_OPERATION = 0xA0B0
VS_PL_LINK_STATUS = 0xA0B8
# What a Qualcomm modem tells its host of each sound beside CM_ATTEN_PROFILE.IND.
VS_ATTENUATION_CHARACTERISTICS = 0xA14E
NSCM_GET_VERSION = 0xAC6C
NSCM_RESET_DEVICE = 0xAC70
NSCM_GET_D_LINK_STATUS = 0xAC9C

_LMS_HEADER = bytes(19)
# MODULE_ID of the parameter block (PIB) in VS_MODULE_OPERATION.
_MODULE_PIB = 0x7002
_STATION = struct.Struct("<6sB3x6sHBxHxx")
_NETWORK = struct.Struct("<7s2xBB4xB6sB3xB5x")


class StationRole(StrEnum):
    """A modem's role in its network (VS_NW_INFO)."""

    STATION = "STA"
    PROXY_COORDINATOR = "PCO"
    COORDINATOR = "CCO"


_ROLES = (StationRole.STATION, StationRole.PROXY_COORDINATOR, StationRole.COORDINATOR)


@dataclass(frozen=True, slots=True)
class SwVerReq:
    pass


@dataclass(frozen=True, slots=True)
class SwVerCnf:
    status: int
    device_id: int
    version: str


@dataclass(frozen=True, slots=True)
class OpAttributesReq:
    cookie: int


@dataclass(frozen=True, slots=True)
class OpAttributesCnf:
    status: int
    cookie: int
    hardware: str
    software: str
    version: tuple[int, int, int, int]
    """Major, minor, PIB version, build."""
    build_date: str
    release: str


@dataclass(frozen=True, slots=True)
class NwInfoReq:
    pass


@dataclass(frozen=True, slots=True)
class Station:
    """Another member of the network; `mac` is its modem's address, `bridged` its host's; rates in Mbit/s."""

    mac: bytes
    tei: int
    bridged: bytes
    tx_mbps: int = 0
    rx_mbps: int = 0


@dataclass(frozen=True, slots=True)
class Network:
    nid: bytes
    tei: int
    role: StationRole
    coordinator: bytes
    stations: tuple[Station, ...] = ()


@dataclass(frozen=True, slots=True)
class NwInfoCnf:
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class RsDevReq:
    """Restart the modem."""


@dataclass(frozen=True, slots=True)
class RsDevCnf:
    status: int


@dataclass(frozen=True, slots=True)
class LinkStatusReq:
    pass


@dataclass(frozen=True, slots=True)
class LinkStatusCnf:
    status: int
    linked: bool


@dataclass(frozen=True, slots=True)
class ReadPibReq:
    """VS_MODULE_OPERATION, read of the parameter block in memory."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class ReadPibCnf:
    status: int
    offset: int
    data: bytes = field(repr=False)
    """The parameter block holds keys."""


@dataclass(frozen=True, slots=True)
class AttenuationCharacteristicsInd:
    """Noise to us: the vendor's own form of what CM_ATTEN_PROFILE.IND says."""


@dataclass(frozen=True, slots=True)
class LumissilVersionReq:
    pass


@dataclass(frozen=True, slots=True)
class LumissilVersionCnf:
    version: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class LumissilLinkStatusReq:
    pass


@dataclass(frozen=True, slots=True)
class LumissilLinkStatusCnf:
    linked: bool


@dataclass(frozen=True, slots=True)
class LumissilResetReq:
    """Restart the modem. It does not answer."""


VendorMessage = (
    SwVerReq
    | SwVerCnf
    | OpAttributesReq
    | OpAttributesCnf
    | NwInfoReq
    | NwInfoCnf
    | RsDevReq
    | RsDevCnf
    | LinkStatusReq
    | LinkStatusCnf
    | ReadPibReq
    | ReadPibCnf
    | AttenuationCharacteristicsInd
    | LumissilVersionReq
    | LumissilVersionCnf
    | LumissilLinkStatusReq
    | LumissilLinkStatusCnf
    | LumissilResetReq
)


class VendorMme(NamedTuple):
    destination: bytes
    source: bytes
    vendor: Vendor
    message: VendorMessage


def _text(octets: bytes) -> str:
    return octets.split(b"\0", 1)[0].decode("ascii", "replace")


def _sw_ver_cnf(data: bytes) -> SwVerCnf:
    status, device_id, length = data[:3]
    return SwVerCnf(status, device_id, _text(data[3 : 3 + length]))


def _op_attributes_cnf(data: bytes) -> OpAttributesCnf:
    status, cookie, _rtype, _length, *rest = struct.unpack_from("<HIBH16s16s4I4x8s12s", data)
    hardware, software, major, minor, pib, build, date, release = rest
    version = (major, minor, pib, build)
    return OpAttributesCnf(status, cookie, _text(hardware), _text(software), version, _text(date), _text(release))


def _op_attributes_cnf_data(message: OpAttributesCnf) -> bytes:
    texts = [text.encode("ascii") for text in (message.hardware, message.software, message.build_date, message.release)]
    body = struct.pack("<16s16s4I4x8s12s", *texts[:2], *message.version, *texts[2:]).ljust(118, b"\0")
    return struct.pack("<HIBH", message.status, message.cookie, 0, len(body)) + body


def _nw_info_cnf(data: bytes) -> NwInfoCnf:
    at, networks = 6, []
    for _ in range(data[5]):
        nid, _snid, tei, role, coordinator, _tei, count = _NETWORK.unpack_from(data, at)
        at += _NETWORK.size
        stations = []
        for _ in range(count):
            mac, station_tei, bridged, tx_mbps, _coupling, rx_mbps = _STATION.unpack_from(data, at)
            stations.append(Station(mac, station_tei, bridged, tx_mbps, rx_mbps))
            at += _STATION.size
        networks.append(Network(nid, tei, _ROLES[role], coordinator, tuple(stations)))
    return NwInfoCnf(tuple(networks))


def _nw_info_cnf_data(message: NwInfoCnf) -> bytes:
    body = bytes((0, len(message.networks)))
    for network in message.networks:
        role = _ROLES.index(network.role)
        body += _NETWORK.pack(network.nid, 1, network.tei, role, network.coordinator, 1, len(network.stations))
        for station in network.stations:
            body += _STATION.pack(station.mac, station.tei, station.bridged, station.tx_mbps, 0, station.rx_mbps)
    return b"\0\0" + len(body).to_bytes(2, "little") + body


def _read_pib_spec(offset: int, length: int) -> bytes:
    return struct.pack("<BHHIHHHI", 1, 0, 18, 0, _MODULE_PIB, 0, length, offset)


def _read_pib_req(data: bytes) -> ReadPibReq:
    length, offset = struct.unpack_from("<HI", data, 17)
    return ReadPibReq(offset, length)


def _read_pib_cnf(data: bytes) -> ReadPibCnf:
    length, offset = struct.unpack_from("<HI", data, 21)
    if len(data) < 27 + length:
        raise MmeError(MmeFault.TOO_SHORT)
    return ReadPibCnf(data[0] | data[1] << 8, offset, data[27 : 27 + length])


def _read_pib_cnf_data(message: ReadPibCnf) -> bytes:
    return struct.pack("<HHI", message.status, 0, 0) + _read_pib_spec(message.offset, len(message.data)) + message.data


class _Codec(NamedTuple):
    mmtype: int
    vendor: Vendor
    mmv: int
    decode: Callable[[bytes], VendorMessage]
    """Takes what follows the OUI (Qualcomm) or the header after it (Lumissil)."""
    encode: Callable[..., bytes]


def _nothing(_message: VendorMessage) -> bytes:
    return b""


_QUALCOMM, _LUMISSIL = Vendor.QUALCOMM, Vendor.LUMISSIL
_CODECS: dict[type[VendorMessage], _Codec] = {
    SwVerReq: _Codec(VS_SW_VER | REQ, _QUALCOMM, MMV_1_0, lambda _: SwVerReq(), _nothing),
    SwVerCnf: _Codec(
        VS_SW_VER | CNF,
        _QUALCOMM,
        MMV_1_0,
        _sw_ver_cnf,
        lambda m: bytes((m.status, m.device_id, len(m.version))) + m.version.encode("ascii"),
    ),
    OpAttributesReq: _Codec(
        VS_OP_ATTRIBUTES | REQ,
        _QUALCOMM,
        MMV_1_0,
        lambda d: OpAttributesReq(int.from_bytes(d[:4], "little")),
        lambda m: struct.pack("<IB", m.cookie, 0),
    ),
    OpAttributesCnf: _Codec(VS_OP_ATTRIBUTES | CNF, _QUALCOMM, MMV_1_0, _op_attributes_cnf, _op_attributes_cnf_data),
    NwInfoReq: _Codec(VS_NW_INFO | REQ, _QUALCOMM, MMV_1_1, lambda _: NwInfoReq(), _nothing),
    NwInfoCnf: _Codec(VS_NW_INFO | CNF, _QUALCOMM, MMV_1_1, _nw_info_cnf, _nw_info_cnf_data),
    RsDevReq: _Codec(VS_RS_DEV | REQ, _QUALCOMM, MMV_1_0, lambda _: RsDevReq(), _nothing),
    RsDevCnf: _Codec(VS_RS_DEV | CNF, _QUALCOMM, MMV_1_0, lambda d: RsDevCnf(d[0]), lambda m: bytes((m.status,))),
    LinkStatusReq: _Codec(VS_PL_LINK_STATUS | REQ, _QUALCOMM, MMV_1_0, lambda _: LinkStatusReq(), _nothing),
    LinkStatusCnf: _Codec(
        VS_PL_LINK_STATUS | CNF,
        _QUALCOMM,
        MMV_1_0,
        lambda d: LinkStatusCnf(d[0], d[1] == 1),
        lambda m: bytes((m.status, m.linked)),
    ),
    ReadPibReq: _Codec(
        VS_MODULE_OPERATION | REQ,
        _QUALCOMM,
        MMV_1_0,
        _read_pib_req,
        lambda m: bytes(4) + _read_pib_spec(m.offset, m.length),
    ),
    ReadPibCnf: _Codec(VS_MODULE_OPERATION | CNF, _QUALCOMM, MMV_1_0, _read_pib_cnf, _read_pib_cnf_data),
    AttenuationCharacteristicsInd: _Codec(
        VS_ATTENUATION_CHARACTERISTICS | IND, _QUALCOMM, MMV_1_0, lambda _: AttenuationCharacteristicsInd(), _nothing
    ),
    LumissilVersionReq: _Codec(NSCM_GET_VERSION | REQ, _LUMISSIL, MMV_1_1, lambda _: LumissilVersionReq(), _nothing),
    LumissilVersionCnf: _Codec(
        NSCM_GET_VERSION | CNF,
        _LUMISSIL,
        MMV_1_1,
        lambda d: LumissilVersionCnf(struct.unpack_from("<4H", d)),
        lambda m: struct.pack("<4Hxx", *m.version),
    ),
    LumissilLinkStatusReq: _Codec(
        NSCM_GET_D_LINK_STATUS | REQ, _LUMISSIL, MMV_1_1, lambda _: LumissilLinkStatusReq(), _nothing
    ),
    LumissilLinkStatusCnf: _Codec(
        NSCM_GET_D_LINK_STATUS | CNF,
        _LUMISSIL,
        MMV_1_1,
        lambda d: LumissilLinkStatusCnf(d[0] == 1),
        lambda m: bytes((m.linked,)),
    ),
    LumissilResetReq: _Codec(
        NSCM_RESET_DEVICE | REQ, _LUMISSIL, MMV_1_1, lambda _: LumissilResetReq(), lambda _: b"\0"
    ),
}
_BY_MMTYPE = {codec.mmtype: codec for codec in _CODECS.values()}


def decode(frame: bytes, header: Header | None = None) -> VendorMme:
    """The vendor message in `frame`. Raises MmeError."""
    header = header or parse_header(frame)
    codec = _BY_MMTYPE.get(header.mmtype)
    if codec is None:
        raise MmeError(MmeFault.UNKNOWN_TYPE)
    data_at = header.payload_at + 3
    if frame[header.payload_at : data_at] != OUI[codec.vendor]:
        raise MmeError(MmeFault.UNKNOWN_VENDOR)
    if codec.vendor is Vendor.LUMISSIL:
        data_at += len(_LMS_HEADER)
    try:
        message = codec.decode(frame[data_at:])
    except (IndexError, ValueError, struct.error) as error:
        raise MmeError(MmeFault.TOO_SHORT) from error
    return VendorMme(header.destination, header.source, codec.vendor, message)


def encode(destination: bytes, source: bytes, message: VendorMessage) -> bytes:
    """The whole frame for `message`. Raises MmeError (BAD_FIELD) for a field that does not fit."""
    codec = _CODECS[type(message)]
    lms = _LMS_HEADER if codec.vendor is Vendor.LUMISSIL else b""
    try:
        payload = OUI[codec.vendor] + lms + codec.encode(message)
    except (ValueError, struct.error) as error:
        raise MmeError(MmeFault.BAD_FIELD) from error
    return build_frame(destination, source, codec.mmtype, payload, mmv=codec.mmv)
