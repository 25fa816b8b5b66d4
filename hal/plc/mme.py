"""The standard management messages of SLAC and key setting (HomePlug Green PHY 1.1, ISO 15118-3 annex A).

This is the only door to pyslac, and only to its codec: its message classes serve where they are right, behind length
checks of ours, for they index past the end of a short frame. Ours stand where pyslac has none (CM_VALIDATE, CM_AMP_MAP,
CM_GET_KEY) or errs: it reads and writes the length of CM_SLAC_MATCH.REQ in the wrong byte order, reads that of the CNF
so, and reads single octets of CM_SET_KEY.CNF as numbers that it cannot write.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from hal.plc.frame import CNF, IND, REQ, RSP, Header, MmeError, MmeFault, build_frame, parse_header

_root = logging.getLogger()
_handlers, _level = list(_root.handlers), _root.level
# pyslac sets the root logger to DEBUG when it is imported; the program's logging stays the program's.
from pyslac.enums import (  # noqa: E402
    CM_ATTEN_CHAR,
    CM_ATTEN_PROFILE,
    CM_MNBC_SOUND,
    CM_SET_KEY,
    CM_SLAC_MATCH,
    CM_SLAC_PARM,
    CM_START_ATTEN_CHAR,
)
from pyslac.messages import AtennChar as AttenChar  # noqa: E402
from pyslac.messages import AtennCharRsp as AttenCharRsp  # noqa: E402
from pyslac.messages import (  # noqa: E402
    AttenProfile,
    MatchCnf,
    MnbcSound,
    SetKeyCnf,
    SetKeyReq,
    SlacParmCnf,
    SlacParmReq,
)
from pyslac.messages import StartAtennChar as StartAttenChar  # noqa: E402
from pyslac.utils import generate_nid  # noqa: E402

_root.handlers[:] = _handlers
_root.setLevel(_level)

__all__ = [
    "CM_AMP_MAP",
    "CM_GET_KEY",
    "CM_SET_KEY",
    "CM_SLAC_MATCH",
    "AmpMap",
    "AmpMapCnf",
    "AttenChar",
    "AttenCharRsp",
    "AttenProfile",
    "GetKeyCnf",
    "GetKeyReq",
    "MatchCnf",
    "MatchReq",
    "MnbcSound",
    "SetKeyCnf",
    "SetKeyReq",
    "SlacParmCnf",
    "SlacParmReq",
    "StartAttenChar",
    "ValidateCnf",
    "ValidateReq",
]

CM_VALIDATE = 0x6078
CM_AMP_MAP = 0x601C
CM_GET_KEY = 0x600C

# ATTEN_PROFILE of [HPGP] table 11-96: 58 groups of carriers.
GROUPS = 58
RUN_ID_LENGTH = 8
NMK_LENGTH = 16
NID_LENGTH = 7
# MVFLength of CM_SLAC_MATCH.REQ and .CNF (ISO 15118-3 table A.7).
MATCH_REQ_MVF_LENGTH = 0x3E
MATCH_CNF_MVF_LENGTH = 0x56
_STATION_ID = bytes(17)
# Where pyslac takes the payload to begin.
_PAYLOAD_AT = 19


@dataclass(slots=True)
class MatchReq:
    """CM_SLAC_MATCH.REQ: the vehicle has chosen this EVSE (ISO 15118-3 table A.7)."""

    pev_mac: bytes
    evse_mac: bytes
    run_id: bytes
    application_type: int = 0
    security_type: int = 0
    mvf_length: int = MATCH_REQ_MVF_LENGTH

    def pack_big(self) -> bytes:
        kind = bytes((self.application_type, self.security_type)) + self.mvf_length.to_bytes(2, "little")
        return kind + _STATION_ID + self.pev_mac + _STATION_ID + self.evse_mac + self.run_id + bytes(8)

    @classmethod
    def from_bytes(cls, frame: bytes) -> "MatchReq":
        length = int.from_bytes(frame[21:23], "little")
        return cls(frame[40:46], frame[63:69], frame[69:77], frame[19], frame[20], length)


@dataclass(slots=True)
class ValidateReq:
    """CM_VALIDATE.REQ: the vehicle wants to prove by BCB toggles which EVSE it is plugged into (table A.5)."""

    signal_type: int
    timer: int
    """How long the toggles are counted: (timer + 1) * 100 ms."""
    result: int

    def pack_big(self) -> bytes:
        return bytes((self.signal_type, self.timer, self.result))

    @classmethod
    def from_bytes(cls, frame: bytes) -> "ValidateReq":
        return cls(frame[19], frame[20], frame[21])


@dataclass(slots=True)
class ValidateCnf:
    signal_type: int
    toggle_num: int
    result: int

    def pack_big(self) -> bytes:
        return bytes((self.signal_type, self.toggle_num, self.result))

    @classmethod
    def from_bytes(cls, frame: bytes) -> "ValidateCnf":
        return cls(frame[19], frame[20], frame[21])


@dataclass(slots=True)
class AmpMap:
    """CM_AMP_MAP.REQ: how far to lower each carrier, in steps of 2 dB, one nibble a carrier (ISO 15118-3 table A.8)."""

    amlen: int
    amdata: bytes

    def pack_big(self) -> bytes:
        return self.amlen.to_bytes(2, "little") + self.amdata

    @classmethod
    def from_bytes(cls, frame: bytes) -> "AmpMap":
        amlen = int.from_bytes(frame[19:21], "little")
        octets = (amlen + 1) // 2
        if not 0 < amlen <= 1155 or len(frame) < 21 + octets:
            raise MmeError(MmeFault.BAD_FIELD)
        return cls(amlen, frame[21 : 21 + octets])


@dataclass(slots=True)
class AmpMapCnf:
    restype: int
    """0 is success."""

    def pack_big(self) -> bytes:
        return bytes((self.restype,))

    @classmethod
    def from_bytes(cls, frame: bytes) -> "AmpMapCnf":
        return cls(frame[19])


@dataclass(slots=True)
class GetKeyReq:
    """CM_GET_KEY.REQ for the network membership key in use, sent by a host to its own modem ([HPGP] 11.5.6)."""

    nid: bytes

    def pack_big(self) -> bytes:
        return b"\x00\x01" + self.nid + b"\xaa\xaa\xaa\xaa\x04\x00\x00\x00"

    @classmethod
    def from_bytes(cls, frame: bytes) -> "GetKeyReq":
        return cls(frame[21:28])


@dataclass(slots=True)
class GetKeyCnf:
    """The modem's word on its network; the key itself is not read here ([HPGP] 11.5.7)."""

    result: int
    nid: bytes

    def pack_big(self) -> bytes:
        return bytes((self.result, 1)) + bytes(4) + self.nid + b"\x01\x04\x00\x00\x00" + bytes(NMK_LENGTH)

    @classmethod
    def from_bytes(cls, frame: bytes) -> "GetKeyCnf":
        return cls(frame[19], frame[25:32])


Message = (
    SlacParmReq
    | SlacParmCnf
    | StartAttenChar
    | MnbcSound
    | AttenProfile
    | AttenChar
    | AttenCharRsp
    | MatchReq
    | MatchCnf
    | ValidateReq
    | ValidateCnf
    | AmpMap
    | AmpMapCnf
    | SetKeyReq
    | SetKeyCnf
    | GetKeyReq
    | GetKeyCnf
)


class Mme(NamedTuple):
    destination: bytes
    source: bytes
    message: Message


class _Packs(Protocol):
    def pack_big(self) -> bytes: ...


def _atten_profile(frame: bytes) -> AttenProfile:
    groups = frame[25]
    if not 0 < groups <= GROUPS or len(frame) < 27 + groups:
        raise MmeError(MmeFault.BAD_GROUPS)
    return AttenProfile.from_bytes(frame)


def _atten_char(frame: bytes) -> AttenChar:
    groups = frame[70]
    if not 0 < groups <= GROUPS or len(frame) < 71 + groups:
        raise MmeError(MmeFault.BAD_GROUPS)
    return AttenChar.from_bytes(frame)


def _match_cnf(frame: bytes) -> MatchCnf:
    message = MatchCnf.from_bytes(frame)
    message.mvf_length = int.from_bytes(frame[21:23], "little")
    return message


def _set_key_cnf(frame: bytes) -> SetKeyCnf:
    fields = (frame[28:29], frame[29:31], frame[31:32], frame[32:33])
    return SetKeyCnf(frame[19], frame[20:24], frame[24:28], *fields)


def _set_key_req(frame: bytes) -> SetKeyReq:
    return SetKeyReq(nid=frame[33:40], new_key=frame[41:57])


# MMTYPE: the class, the fewest bytes that hold every field that is read, and how to read them.
_CODECS: dict[int, tuple[type[Message], int, Callable[[bytes], Message]]] = {
    CM_SLAC_PARM | REQ: (SlacParmReq, 29, SlacParmReq.from_bytes),
    CM_SLAC_PARM | CNF: (SlacParmCnf, 44, SlacParmCnf.from_bytes),
    CM_START_ATTEN_CHAR | IND: (StartAttenChar, 38, StartAttenChar.from_bytes),
    # Debian's pev leaves out part of the random field at the end, so only the RunID must be there.
    CM_MNBC_SOUND | IND: (MnbcSound, 47, MnbcSound.from_bytes),
    CM_ATTEN_PROFILE | IND: (AttenProfile, 28, _atten_profile),
    CM_ATTEN_CHAR | IND: (AttenChar, 72, _atten_char),
    CM_ATTEN_CHAR | RSP: (AttenCharRsp, 70, AttenCharRsp.from_bytes),
    CM_SLAC_MATCH | REQ: (MatchReq, 77, MatchReq.from_bytes),
    CM_SLAC_MATCH | CNF: (MatchCnf, 109, _match_cnf),
    CM_VALIDATE | REQ: (ValidateReq, 22, ValidateReq.from_bytes),
    CM_VALIDATE | CNF: (ValidateCnf, 22, ValidateCnf.from_bytes),
    CM_AMP_MAP | REQ: (AmpMap, 22, AmpMap.from_bytes),
    CM_AMP_MAP | CNF: (AmpMapCnf, 20, AmpMapCnf.from_bytes),
    CM_SET_KEY | REQ: (SetKeyReq, 57, _set_key_req),
    CM_SET_KEY | CNF: (SetKeyCnf, 33, _set_key_cnf),
    CM_GET_KEY | REQ: (GetKeyReq, 28, GetKeyReq.from_bytes),
    CM_GET_KEY | CNF: (GetKeyCnf, 32, GetKeyCnf.from_bytes),
}
_MMTYPES = {kind: mmtype for mmtype, (kind, _, _) in _CODECS.items()}


def decode(frame: bytes, header: Header | None = None) -> Mme:
    """The standard message in `frame`; `header` where it is already parsed. Raises MmeError."""
    header = header or parse_header(frame)
    codec = _CODECS.get(header.mmtype)
    if codec is None:
        raise MmeError(MmeFault.UNKNOWN_TYPE)
    if header.payload_at != _PAYLOAD_AT:
        raise MmeError(MmeFault.UNKNOWN_VERSION)
    if len(frame) < codec[1]:
        raise MmeError(MmeFault.TOO_SHORT)
    return Mme(header.destination, header.source, codec[2](frame))


def encode(destination: bytes, source: bytes, message: Message) -> bytes:
    """The whole frame for `message`. Raises MmeError (BAD_FIELD) for a field that does not fit."""
    mmtype = _MMTYPES[type(message)]
    try:
        payload = _payload(message)
    except (OverflowError, ValueError, IndexError) as error:
        raise MmeError(MmeFault.BAD_FIELD) from error
    if _PAYLOAD_AT + len(payload) < _CODECS[mmtype][1]:
        raise MmeError(MmeFault.BAD_FIELD)
    return build_frame(destination, source, mmtype, payload)


def _payload(message: _Packs) -> bytes:
    return bytes(message.pack_big())


def network_id(nmk: bytes) -> bytes:
    """The NID (7 bytes) that belongs to a network membership key ([HPGP] 4.4.3.1)."""
    nid: bytes = generate_nid(nmk)
    return nid


def format_mac(mac: bytes) -> str:
    return mac.hex(":")
