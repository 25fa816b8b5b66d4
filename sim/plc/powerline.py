"""A power line and the Green PHY modems on it, without I/O or a clock.

A modem answers its own host's requests, carries SLAC messages to every modem in range whatever their keys, measures the
sounds it hears, and lets data pass only between modems that have had the same network membership key for a while.
"""

import heapq
import itertools
import random
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from hal.plc import mme, vendor_mme
from hal.plc.frame import BROADCAST, LOCAL_MODEM, Header, MmeError, parse_header
from hal.plc.vendor_mme import Vendor

ETHERTYPE_HPAV = b"\x88\xe1"
# The key modems leave the factory with ("HomePlugAV").
DEFAULT_NMK = bytes.fromhex("50d3e4933f855b7040784df815aa8db7")
CM_MNBC_SOUND_IND = 0x6076
CM_ATTEN_PROFILE_IND = 0x6086
CM_START_ATTEN_CHAR_IND = 0x606A
PIB_SLAC_MODE = 0x1653
_PIB_SIZE = 0x2000


class Role(StrEnum):
    """SLAC_EnableMode of the parameter block."""

    EV = "ev"
    EVSE = "evse"


class TakesMap(StrEnum):
    """How a modem takes CM_AMP_MAP.REQ of its host."""

    NORMAL = "normal"
    REFUSE = "refuse"
    NEVER = "never"


class SetKey(StrEnum):
    """How a modem takes CM_SET_KEY.REQ."""

    NORMAL = "normal"
    OTHER_RESULT = "other"
    """Sets it, but with the result that the other vendor means success by."""
    REFUSE_ONCE = "refuse-once"
    LATE = "late"
    NEVER = "never"


@dataclass
class VirtualModem:
    name: str
    role: Role
    mac: bytes
    vendor: Vendor = Vendor.QUALCOMM
    set_key: SetKey = SetKey.NORMAL
    nmk: bytes = DEFAULT_NMK
    keyed_at: float = float("-inf")
    deaf_until: float = float("-inf")
    host_mac: bytes | None = None
    restart_s: float = 1.0
    late_s: float = 0.5
    takes_map: TakesMap = TakesMap.NORMAL
    amplitude_map: mme.AmpMap | None = None
    tells_attenuation_twice: bool = True
    """Qualcomm firmware sends its vendor's form of each CM_ATTEN_PROFILE.IND too."""

    def is_deaf(self, now: float) -> bool:
        return now < self.deaf_until

    def restart(self, deaf_s: float, now: float) -> None:
        """Forget the key, as a power cut does, and hear nothing for a while."""
        self.deaf_until = now + deaf_s
        self.nmk, self.keyed_at = DEFAULT_NMK, float("-inf")
        self.host_mac = None
        self.amplitude_map = None

    def pib(self) -> bytes:
        block = bytearray(_PIB_SIZE)
        block[PIB_SLAC_MODE] = 2 if self.role is Role.EVSE else 1
        return bytes(block)


@dataclass
class Faults:
    """What goes wrong on the line: `loss` of management messages (0..1), and single ones by MMTYPE."""

    loss: float = 0.0
    drop: dict[int, set[int]] = field(default_factory=dict)
    """MMTYPE -> which of them, counted from 1, never arrive."""
    one_start_only: bool = False
    """Forward only the first of each three CM_START_ATTEN_CHAR.IND."""


Delivery = tuple[VirtualModem, bytes]


class Powerline:
    """`from_host` takes a frame a host gave to its modem and returns what is delivered to which host now; what takes
    time is delivered by `tick` at `deadline`."""

    def __init__(
        self,
        modems: list[VirtualModem],
        *,
        attenuation_db: dict[frozenset[str], int] | None = None,
        default_db: int = 8,
        range_db: int = 60,
        join_delay_s: float = 0.5,
        faults: Faults | None = None,
        seed: int = 0,
    ) -> None:
        self.modems = modems
        self.faults = faults or Faults()
        self.attenuation_db = attenuation_db or {}
        self.default_db = default_db
        self.range_db = range_db
        self.join_delay_s = join_delay_s
        self.seen: Counter[int] = Counter()
        """Management messages that went onto the line or up to a host, by MMTYPE."""
        self._random = random.Random(seed)
        self._later: list[tuple[float, int, VirtualModem, bytes]] = []
        self._order = itertools.count()

    @property
    def deadline(self) -> float | None:
        return self._later[0][0] if self._later else None

    def tick(self, now: float) -> list[Delivery]:
        due = []
        while self._later and self._later[0][0] <= now:
            _, _, modem, frame = heapq.heappop(self._later)
            due += self._own_request(modem, frame, parse_header(frame), now, late=True)
        return due

    def from_host(self, modem: VirtualModem, frame: bytes, now: float) -> list[Delivery]:
        if modem.is_deaf(now):
            return []
        modem.host_mac = frame[6:12]
        if frame[12:14] != ETHERTYPE_HPAV:
            return self._data(modem, frame, now)
        try:
            header = parse_header(frame)
        except MmeError:
            return self._spread(modem, frame, now)
        if header.destination in (LOCAL_MODEM, modem.mac):
            return self._own_request(modem, frame, header, now)
        return self._management(modem, frame, header, now)

    def attenuation(self, a: VirtualModem, b: VirtualModem) -> int:
        return self.attenuation_db.get(frozenset((a.name, b.name)), self.default_db)

    def are_joined(self, a: VirtualModem, b: VirtualModem, now: float) -> bool:
        """In one network: the same key, long enough, and neither deaf."""
        if a.nmk != b.nmk or a.nmk == DEFAULT_NMK or a.is_deaf(now) or b.is_deaf(now):
            return False
        return now >= max(a.keyed_at, b.keyed_at) + self.join_delay_s and self.attenuation(a, b) <= self.range_db

    def members(self, modem: VirtualModem, now: float) -> list[VirtualModem]:
        return [other for other in self.modems if other is not modem and self.are_joined(modem, other, now)]

    # --- data ---

    def _data(self, modem: VirtualModem, frame: bytes, now: float) -> list[Delivery]:
        return [(other, frame) for other in self.members(modem, now) if _is_for(other, frame[:6])]

    # --- management messages between hosts ---

    def _management(self, modem: VirtualModem, frame: bytes, header: Header, now: float) -> list[Delivery]:
        mmtype = header.mmtype
        if self._is_dropped(mmtype):
            return []
        if mmtype == CM_START_ATTEN_CHAR_IND and self.faults.one_start_only and self.seen[mmtype] % 3 != 1:
            return []
        deliveries = self._spread(modem, frame, now)
        if mmtype == CM_MNBC_SOUND_IND:
            for other, _ in list(deliveries):
                if other.role is Role.EVSE:
                    deliveries += self._measured(modem, other, header.source)
        return deliveries

    def _spread(self, modem: VirtualModem, frame: bytes, now: float) -> list[Delivery]:
        return [
            (other, frame)
            for other in self.modems
            if other is not modem
            and not other.is_deaf(now)
            and self.attenuation(modem, other) <= self.range_db
            and _is_for(other, frame[:6])
            and not self._is_lost()
        ]

    def _measured(self, sender: VirtualModem, listener: VirtualModem, ev_mac: bytes) -> list[Delivery]:
        """What a listener's modem tells its host of one sound."""
        host = listener.host_mac or BROADCAST
        level = self.attenuation(sender, listener)
        deliveries: list[Delivery] = []
        if not self._is_dropped(CM_ATTEN_PROFILE_IND) and not self._is_lost():
            deliveries.append((listener, _atten_profile(host, listener.mac, ev_mac, level)))
        if listener.vendor is Vendor.QUALCOMM and listener.tells_attenuation_twice:
            deliveries.append((listener, _noise(host, listener.mac)))
        return deliveries

    def _is_lost(self) -> bool:
        return self.faults.loss > 0 and self._random.random() < self.faults.loss

    def _is_dropped(self, mmtype: int) -> bool:
        self.seen[mmtype] += 1
        return self.seen[mmtype] in self.faults.drop.get(mmtype, ())

    # --- a host and its own modem ---

    def _own_request(
        self, modem: VirtualModem, frame: bytes, header: Header, now: float, *, late: bool = False
    ) -> list[Delivery]:
        try:
            if header.is_vendor_specific:
                request = vendor_mme.decode(frame, header)
                answer = self._answer_vendor(modem, request.vendor, request.message, now)
                return [] if answer is None else [(modem, vendor_mme.encode(header.source, modem.mac, answer))]
            message = mme.decode(frame, header).message
        except MmeError:
            return []
        if isinstance(message, mme.SetKeyReq):
            return self._set_key(modem, frame, message, now, late=late)
        if isinstance(message, mme.AmpMap) and modem.takes_map is not TakesMap.NEVER:
            if modem.takes_map is TakesMap.NORMAL:
                modem.amplitude_map = message
            return [(modem, mme.encode(header.source, modem.mac, mme.AmpMapCnf(modem.takes_map is TakesMap.REFUSE)))]
        if isinstance(message, mme.GetKeyReq):
            cnf = mme.GetKeyCnf(0, mme.network_id(modem.nmk))
            return [(modem, mme.encode(header.source, modem.mac, cnf))]
        return []

    def _set_key(
        self, modem: VirtualModem, frame: bytes, request: mme.SetKeyReq, now: float, *, late: bool
    ) -> list[Delivery]:
        mode = modem.set_key
        success = 1 if modem.vendor is Vendor.QUALCOMM else 0
        if mode is SetKey.NEVER:
            return []
        if mode is SetKey.LATE and not late:
            heapq.heappush(self._later, (now + modem.late_s, next(self._order), modem, frame))
            return []
        if mode is SetKey.REFUSE_ONCE:
            modem.set_key = SetKey.NORMAL
            return [(modem, _set_key_cnf(frame, modem, 1 - success))]
        modem.nmk, modem.keyed_at = request.new_key, now
        return [(modem, _set_key_cnf(frame, modem, success if mode is not SetKey.OTHER_RESULT else 1 - success))]

    def _answer_vendor(
        self, modem: VirtualModem, vendor: Vendor, message: vendor_mme.VendorMessage, now: float
    ) -> vendor_mme.VendorMessage | None:
        if vendor is not modem.vendor:
            return None
        match message:
            case vendor_mme.SwVerReq():
                # 0x22 is a QCA7005.
                return vendor_mme.SwVerCnf(0, 0x22, "MAC-QCA7005-1.2.5.3207-00-20170525-FINAL")
            case vendor_mme.OpAttributesReq(cookie=cookie):
                return vendor_mme.OpAttributesCnf(0, cookie, "QCA7005", "MAC", (1, 2, 5, 3207), "20170525", "FINAL")
            case vendor_mme.NwInfoReq():
                return vendor_mme.NwInfoCnf((self._network(modem, now),))
            case vendor_mme.LinkStatusReq():
                return vendor_mme.LinkStatusCnf(0, bool(self.members(modem, now)))
            case vendor_mme.ReadPibReq(offset=offset, length=length):
                return vendor_mme.ReadPibCnf(0, offset, modem.pib()[offset : offset + length])
            case vendor_mme.RsDevReq():
                modem.restart(modem.restart_s, now)
                return vendor_mme.RsDevCnf(0)
            case vendor_mme.LumissilVersionReq():
                return vendor_mme.LumissilVersionCnf((1, 8, 2, 4))
            case vendor_mme.LumissilLinkStatusReq():
                return vendor_mme.LumissilLinkStatusCnf(bool(self.members(modem, now)))
            case vendor_mme.LumissilResetReq():
                modem.restart(modem.restart_s, now)
        return None

    def _network(self, modem: VirtualModem, now: float) -> vendor_mme.Network:
        stations = tuple(
            vendor_mme.Station(other.mac, 2 + n, other.host_mac or bytes(6), 9, 9)
            for n, other in enumerate(self.members(modem, now))
        )
        is_coordinator = modem.role is Role.EVSE
        role = vendor_mme.StationRole.COORDINATOR if is_coordinator else vendor_mme.StationRole.STATION
        coordinator = modem.mac if is_coordinator or not stations else stations[0].mac
        return vendor_mme.Network(mme.network_id(modem.nmk), 1, role, coordinator, stations)


def _is_for(modem: VirtualModem, destination: bytes) -> bool:
    """Whether a modem hands a frame to its host: group addresses, and the host's own once it is known."""
    return bool(destination[0] & 1) or modem.host_mac is None or destination == modem.host_mac


@lru_cache(maxsize=256)
def _atten_profile(host: bytes, modem: bytes, ev_mac: bytes, level_db: int) -> bytes:
    return mme.encode(host, modem, mme.AttenProfile(pev_mac=ev_mac, aag=[level_db] * mme.GROUPS))


@lru_cache(maxsize=256)
def _noise(host: bytes, modem: bytes) -> bytes:
    return vendor_mme.encode(host, modem, vendor_mme.AttenuationCharacteristicsInd())


def _set_key_cnf(request: bytes, modem: VirtualModem, result: int) -> bytes:
    nonce = request[20:24]
    cnf = mme.SetKeyCnf(result, bytes(4), nonce, b"\x04", bytes(2), b"\0", b"\0")
    return mme.encode(request[6:12], modem.mac, cnf)
