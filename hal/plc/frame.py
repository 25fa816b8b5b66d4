"""The Ethernet and HomePlug AV headers around every management message (MME).

| ODA 6 | OSA 6 | 88 E1 | MMV 1 | MMTYPE 2, little endian | FMI 2, from MMV 1 on | payload, padded to 60 |
"""

from enum import StrEnum
from typing import NamedTuple

from hal.ports import HalError

ETH_P_HPAV = 0x88E1
BROADCAST = b"\xff" * 6
# Every modem of a host answers to it, whatever its own address (the "local management address").
LOCAL_MODEM = bytes.fromhex("00b052000001")

MMV_1_0 = 0
MMV_1_1 = 1
MMV_2_0 = 2

REQ, CNF, IND, RSP = 0, 1, 2, 3
VENDOR_SPECIFIC = 0xA000
_CATEGORY_MASK = 0xE000

_ETHERNET = 14
_MINIMUM = 60
_MAXIMUM = 1514


class MmeFault(StrEnum):
    """What is wrong with a frame that is no MME of ours."""

    TOO_SHORT = "frame too short"
    TOO_LONG = "frame too long"
    NOT_HOMEPLUG = "not HomePlug AV"
    UNKNOWN_VERSION = "MMV unknown"
    UNKNOWN_TYPE = "MMTYPE unknown"
    UNKNOWN_VENDOR = "OUI unknown"
    BAD_GROUPS = "NumGroups out of range"
    BAD_FIELD = "field out of range"


class MmeError(HalError):
    """A frame that cannot be taken apart, or a message that cannot be put together; `fault` says why."""

    def __init__(self, fault: MmeFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


class Header(NamedTuple):
    destination: bytes
    source: bytes
    mmv: int
    mmtype: int
    payload_at: int
    """Where in the frame the payload begins."""

    @property
    def is_vendor_specific(self) -> bool:
        return self.mmtype & _CATEGORY_MASK == VENDOR_SPECIFIC


def parse_header(frame: bytes) -> Header:
    """The headers of `frame`. Raises MmeError."""
    if len(frame) < _ETHERNET + 3:
        raise MmeError(MmeFault.TOO_SHORT)
    if len(frame) > _MAXIMUM:
        raise MmeError(MmeFault.TOO_LONG)
    if frame[12] != 0x88 or frame[13] != 0xE1:
        raise MmeError(MmeFault.NOT_HOMEPLUG)
    mmv = frame[14]
    if mmv > MMV_2_0:
        raise MmeError(MmeFault.UNKNOWN_VERSION)
    payload_at = 17 if mmv == MMV_1_0 else 19
    return Header(frame[:6], frame[6:12], mmv, frame[15] | frame[16] << 8, payload_at)


def build_frame(destination: bytes, source: bytes, mmtype: int, payload: bytes, *, mmv: int = MMV_1_1) -> bytes:
    """A whole frame, padded to the shortest that Ethernet allows. Raises MmeError (TOO_LONG, BAD_FIELD)."""
    if len(destination) != 6 or len(source) != 6:
        raise MmeError(MmeFault.BAD_FIELD)
    fmi = b"" if mmv == MMV_1_0 else b"\0\0"
    head = destination + source + b"\x88\xe1" + bytes((mmv,)) + mmtype.to_bytes(2, "little") + fmi
    if len(head) + len(payload) > _MAXIMUM:
        raise MmeError(MmeFault.TOO_LONG)
    return (head + payload).ljust(_MINIMUM, b"\0")
