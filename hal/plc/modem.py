"""The host's side of a Green PHY modem: found, given a key, watched. Without I/O or a clock.

    state       on                           to          why
    ---------   --------------------------   ---------   ---------------------------------------------------------------
    DOWN        interface up                 DETECTING
    DETECTING   a vendor's answer            KEYING      asked in turn: VS_OP_ATTRIBUTES, VS_SW_VER, NSCM_GET_VERSION
                nobody answers               DETECTING   again after a pause that doubles from 1 s to 30 s, for ever
    KEYING      CM_SET_KEY.CNF               VERIFYING   0 and 1 both mean success on some firmware, so neither is
                                                         believed where the modem can be asked for its NID
                no answer                    KEYING      twice more, as on a refusal
    VERIFYING   our NID                      READY       by VS_NW_INFO, else by CM_GET_KEY
                neither is answered          READY       if the result is the vendor's own success
                another NID, or a refusal    KEYING      a QCA7005 refuses right after a match; a repetition helps
    KEYING      three tries failed           RESETTING   once; the next time it waits as for a silent modem
    RESETTING   time to restart is over      DETECTING
    READY       new key wanted               KEYING
                another NID, twice           KEYING      it restarted by itself and lost our key
                three polls unanswered       DETECTING
    any         interface down               DOWN

There is one request on its way at a time. A key wanted while one is being set is that one: nobody has it yet.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from hal.plc import mme, vendor_mme
from hal.plc.frame import LOCAL_MODEM, Header, MmeError
from hal.plc.mme import GetKeyCnf, GetKeyReq, SetKeyCnf, SetKeyReq, network_id
from hal.plc.timings import JOIN_POLL_S, LINK_POLL_S
from hal.plc.vendor_mme import (
    LinkStatusCnf,
    LinkStatusReq,
    LumissilLinkStatusCnf,
    LumissilLinkStatusReq,
    LumissilResetReq,
    LumissilVersionCnf,
    LumissilVersionReq,
    Network,
    NwInfoCnf,
    NwInfoReq,
    OpAttributesCnf,
    OpAttributesReq,
    ReadPibCnf,
    ReadPibReq,
    RsDevReq,
    SwVerCnf,
    SwVerReq,
    Vendor,
)

log = logging.getLogger(__name__)

DETECT_TIMEOUT_S = 0.1
SET_KEY_TIMEOUT_S = 0.3
VERIFY_TIMEOUT_S = 0.1
POLL_TIMEOUT_S = 0.3
# A modem that has just been told to restart; a CG5317 without EEPROM takes 10 s to be loaded by its host.
RESET_TIME_S = 2.0
IDLE_POLL_S = 2.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
SET_KEY_TRIES = 3
NOT_OUR_MODEM = "not from our modem"
POLL_TRIES = 3
# SLAC_EnableMode in the parameter block of a QCA7000; 2 is EVSE. # unverified: offsets for QCA7005 firmware 3
PIB_SLAC_MODE = 0x1653
PIB_SLAC_MODE_EVSE = 2
_COOKIE = 0x65767365

_SUCCESS = {Vendor.QUALCOMM: 1, Vendor.LUMISSIL: 0}
_NID_BY: dict[type[NwInfoReq] | type[GetKeyReq], str] = {NwInfoReq: "VS_NW_INFO", GetKeyReq: "CM_GET_KEY"}


class ModemState(StrEnum):
    DOWN = "interface down"
    DETECTING = "detecting"
    KEYING = "setting key"
    VERIFYING = "verifying key"
    RESETTING = "resetting"
    READY = "ready"


class ModemTrouble(StrEnum):
    """Why no matching is possible."""

    INTERFACE_DOWN = "interface down"
    SILENT = "modem does not answer"
    KEY_REFUSED = "modem does not take a key"


@dataclass(frozen=True, slots=True)
class KeySet:
    """The modem carries `nmk` now."""

    nmk: bytes

    def __repr__(self) -> str:
        return "KeySet()"


@dataclass(frozen=True, slots=True)
class KeyGone:
    """The key last set is no longer the modem's."""


@dataclass(frozen=True, slots=True)
class LinkChanged:
    up: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    trouble: ModemTrouble
    active: bool


ModemEvent = KeySet | KeyGone | LinkChanged | Trouble


@dataclass(frozen=True, slots=True)
class ModemInfo:
    """What the modem says of itself."""

    vendor: Vendor
    mac: bytes
    firmware: str
    hardware: str = ""
    slac_mode: int | None = None
    """From the parameter block; 2 is EVSE, None where it cannot be read."""

    @property
    def is_evse(self) -> bool | None:
        """Whether the parameter block gives it the EVSE's role; None where it cannot be read."""
        return None if self.slac_mode is None else self.slac_mode == PIB_SLAC_MODE_EVSE


_Step = SwVerReq | OpAttributesReq | LumissilVersionReq
_DETECTION: tuple[_Step, ...] = (OpAttributesReq(_COOKIE), SwVerReq(), LumissilVersionReq())


class Modem:
    """The modem machine. `make_nmk` gives a fresh random key of 16 bytes at each call."""

    def __init__(self, host_mac: bytes, make_nmk: Callable[[], bytes]) -> None:
        self.host_mac = host_mac
        self.state = ModemState.DOWN
        self.info: ModemInfo | None = None
        self.link_up = False
        self.networks: tuple[Network, ...] = ()
        """As a Qualcomm modem last told them: at each idle poll, and when a vehicle has joined."""
        self._make_nmk = make_nmk
        self._deadline: float | None = None
        self._step = 0
        self._pause_s = FIRST_PAUSE_S
        self._nmk = b""
        self._nid = b""
        self._set_key_tries = 0
        self._result: int | None = None
        self._has_been_reset = False
        self._verifies_by: type[NwInfoReq] | type[GetKeyReq] | None = None
        self._polls_unanswered = 0
        self._poll_s = IDLE_POLL_S
        self._awaits_poll = False
        self._doubts_key = False
        self._trouble: ModemTrouble | None = None
        self._frames: list[bytes] = []
        self._events: list[ModemEvent] = []

    # --- what drives it ---

    def interface_up(self, now: float) -> None:
        if self.state is ModemState.DOWN:
            self._pause_s = FIRST_PAUSE_S
            self._detect(now)

    def interface_down(self) -> None:
        self._lose_key()
        self.state, self._deadline, self.networks = ModemState.DOWN, None, ()
        self._report(ModemTrouble.INTERFACE_DOWN)

    def renew_key(self, now: float) -> None:
        """Take a fresh key, unless one that nobody has seen is on its way."""
        if self.state is ModemState.READY:
            self._lose_key()
            self._begin_keying(now)

    def start_over(self, now: float) -> None:
        """Ask who the modem is and give it a fresh key, whatever was known of it."""
        if self.state is not ModemState.DOWN:
            self._lose_key()
            self._detect(now)

    def ask_network(self) -> bool:
        """Have `networks` told anew. Whether the modem is one that tells; nothing waits for its answer."""
        if self.state is not ModemState.READY or self._verifies_by is not NwInfoReq:
            return False
        self._send(NwInfoReq())
        return True

    def is_own(self, header: Header) -> bool:
        """Whether a frame is from our modem to us: others on the line must not speak for it."""
        return header.destination == self.host_mac and (
            self.info is None or header.source in (self.info.mac, LOCAL_MODEM)
        )

    @property
    def verified_by(self) -> str:
        """What told that the modem carries the key: its NID by either message, or but the result."""
        return "CM_SET_KEY.CNF" if self._verifies_by is None else _NID_BY[self._verifies_by]

    def expect_join(self, now: float) -> None:
        """A vehicle has been given the key: watch for it closely."""
        self.link_up = False
        self._poll_at(JOIN_POLL_S, now)

    def feed(self, frame: bytes, now: float, header: Header) -> str | None:
        """A frame of the vendor's or about the key. Returns why it was not acted on, or None."""
        if not self.is_own(header):
            return NOT_OUR_MODEM
        try:
            if header.is_vendor_specific:
                self._on_vendor(header.source, vendor_mme.decode(frame, header).message, now)
            else:
                self._on_standard(mme.decode(frame, header).message, now)
        except MmeError as error:
            return error.fault
        return None

    @property
    def deadline(self) -> float | None:
        return self._deadline

    def tick(self, now: float) -> None:
        if self._deadline is None or now < self._deadline:
            return
        if self.state is ModemState.DETECTING:
            self._detect_next(now)
        elif self.state is ModemState.KEYING:
            self._set_key(now)
        elif self.state is ModemState.VERIFYING:
            self._verify_next(now)
        elif self.state is ModemState.RESETTING:
            self._detect(now)
        elif self.state is ModemState.READY:
            self._poll(now)

    def take_frames(self) -> list[bytes]:
        frames, self._frames = self._frames, []
        return frames

    def take_events(self) -> list[ModemEvent]:
        events, self._events = self._events, []
        return events

    # --- DETECTING ---

    def _detect(self, now: float) -> None:
        self.state = ModemState.DETECTING
        self.info, self.networks = None, ()
        self._step = -1
        self._detect_next(now)

    def _detect_next(self, now: float) -> None:
        self._step += 1
        if self._step == len(_DETECTION):
            self._pause(ModemTrouble.SILENT, now)
            return
        self._request(_DETECTION[self._step], now + DETECT_TIMEOUT_S)

    def _pause(self, trouble: ModemTrouble, now: float) -> None:
        self._report(trouble)
        self.state, self._step = ModemState.DETECTING, -1
        self._deadline = now + self._pause_s
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)

    def _found(self, info: ModemInfo, now: float) -> None:
        self.info = info
        log.info("modem %s, %s %s %s", mme.format_mac(info.mac), info.vendor, info.hardware, info.firmware)
        if info.vendor is Vendor.QUALCOMM:
            # Its answer is taken whenever it comes; matching does not wait for it.
            self._send(ReadPibReq(PIB_SLAC_MODE, 1))
        self._begin_keying(now)

    # --- KEYING and VERIFYING ---

    def _begin_keying(self, now: float) -> None:
        self._nmk = self._make_nmk()
        self._nid = network_id(self._nmk)
        self._set_key_tries = 0
        self._set_key(now)

    def _set_key(self, now: float) -> None:
        if self._set_key_tries == SET_KEY_TRIES:
            self._key_refused(now)
            return
        self._set_key_tries += 1
        self.state = ModemState.KEYING
        self._result = None
        self._frames.append(mme.encode(LOCAL_MODEM, self.host_mac, SetKeyReq(nid=self._nid, new_key=self._nmk)))
        self._deadline = now + SET_KEY_TIMEOUT_S

    def _key_refused(self, now: float) -> None:
        if self._has_been_reset:
            self._has_been_reset = False
            self._pause(ModemTrouble.KEY_REFUSED, now)
            return
        self._report(ModemTrouble.KEY_REFUSED)
        self._has_been_reset = True
        lumissil = self.info is not None and self.info.vendor is Vendor.LUMISSIL
        self._send(LumissilResetReq() if lumissil else RsDevReq())
        self.state = ModemState.RESETTING
        self._deadline = now + RESET_TIME_S

    def _verify(self, now: float) -> None:
        self.state = ModemState.VERIFYING
        by_network = self.info is not None and self.info.vendor is Vendor.QUALCOMM
        self._verifies_by = NwInfoReq if by_network else GetKeyReq
        self._ask_nid(now + VERIFY_TIMEOUT_S)

    def _ask_nid(self, deadline: float) -> None:
        if self._verifies_by is NwInfoReq:
            self._request(NwInfoReq(), deadline)
        else:
            self._frames.append(mme.encode(LOCAL_MODEM, self.host_mac, GetKeyReq(self._nid)))
            self._deadline = deadline

    def _verify_next(self, now: float) -> None:
        """The question for the NID in use was not answered."""
        if self._verifies_by is NwInfoReq:
            self._verifies_by = GetKeyReq
            self._ask_nid(now + VERIFY_TIMEOUT_S)
            return
        self._verifies_by = None
        if self.info is not None and self._result == _SUCCESS[self.info.vendor]:
            self._ready(now)
        else:
            self._retry_key(now)

    def _retry_key(self, now: float) -> None:
        """Not at once: a modem that refuses is busy."""
        self.state = ModemState.KEYING
        self._deadline = now + SET_KEY_TIMEOUT_S

    def _ready(self, now: float) -> None:
        self.state = ModemState.READY
        self.link_up = False
        self._doubts_key = False
        self._has_been_reset = False
        self._pause_s = FIRST_PAUSE_S
        if self._trouble is not None:
            self._events.append(Trouble(self._trouble, active=False))
            self._trouble = None
        self._events.append(KeySet(self._nmk))
        self._poll_at(IDLE_POLL_S, now)

    # --- READY ---

    def _poll_at(self, interval_s: float, now: float) -> None:
        if self.state is ModemState.READY:
            self._poll_s = interval_s
            self._polls_unanswered = 0
            self._awaits_poll = False
            self._deadline = now + interval_s

    def _poll(self, now: float) -> None:
        if self._awaits_poll:
            self._polls_unanswered += 1
        if self._polls_unanswered == POLL_TRIES:
            self._lose_key()
            self._report(ModemTrouble.SILENT)
            self._detect(now)
            return
        self._awaits_poll = True
        if self._poll_s == IDLE_POLL_S and self._verifies_by is not None:
            self._ask_nid(now + POLL_TIMEOUT_S)
        else:
            lumissil = self.info is not None and self.info.vendor is Vendor.LUMISSIL
            self._request(LumissilLinkStatusReq() if lumissil else LinkStatusReq(), now + POLL_TIMEOUT_S)

    def _answered(self, now: float) -> None:
        if self.state is ModemState.READY and self._awaits_poll:
            self._awaits_poll = False
            self._polls_unanswered = 0
            self._deadline = now + self._poll_s

    def _on_link_status(self, up: bool, now: float) -> None:
        if self.state is not ModemState.READY:
            return
        self._answered(now)
        if up == self.link_up:
            return
        self.link_up = up
        self._events.append(LinkChanged(up))
        if up and self._verifies_by is NwInfoReq:
            # For the technician: who is in the network now. Nothing waits for it.
            self._send(NwInfoReq())
        self._poll_at(LINK_POLL_S if up else IDLE_POLL_S, now)

    # --- answers ---

    def _on_vendor(self, source: bytes, message: vendor_mme.VendorMessage, now: float) -> None:
        match message:
            case OpAttributesCnf(status=0, cookie=cookie) if cookie == _COOKIE and self._is_detecting:
                version = ".".join(str(number) for number in message.version)
                self._found(ModemInfo(Vendor.QUALCOMM, source, version, message.hardware), now)
            case SwVerCnf(status=0) if self._is_detecting:
                self._found(ModemInfo(Vendor.QUALCOMM, source, message.version), now)
            case LumissilVersionCnf() if self._is_detecting:
                version = ".".join(str(number) for number in message.version)
                self._found(ModemInfo(Vendor.LUMISSIL, source, version, "CG5317"), now)
            case ReadPibCnf(status=0, offset=offset, data=data) if offset == PIB_SLAC_MODE and data:
                self._on_slac_mode(data[0])
            case NwInfoCnf(networks=networks) if networks:
                self.networks = networks
                self._on_nid(any(network.nid == self._nid for network in networks), now)
            case LinkStatusCnf(status=0) | LumissilLinkStatusCnf():
                self._on_link_status(message.linked, now)

    def _on_standard(self, message: mme.Message, now: float) -> None:
        if isinstance(message, SetKeyCnf) and self.state is ModemState.KEYING:
            self._result = message.result
            self._verify(now)
        elif isinstance(message, GetKeyCnf):
            self._on_nid(message.nid == self._nid, now)

    @property
    def _is_detecting(self) -> bool:
        return self.state is ModemState.DETECTING and self._step >= 0

    def _on_slac_mode(self, mode: int) -> None:
        if self.info is None:
            return
        self.info = replace(self.info, slac_mode=mode)
        if not self.info.is_evse:
            log.warning("modem %s is not in EVSE role: SLAC mode %d in its PIB", mme.format_mac(self.info.mac), mode)

    def _on_nid(self, ours: bool, now: float) -> None:
        if self.state is ModemState.VERIFYING:
            self._ready(now) if ours else self._retry_key(now)
        elif self.state is ModemState.READY and self._awaits_poll:
            self._answered(now)
            if ours:
                self._doubts_key = False
            elif not self._doubts_key:
                self._doubts_key = True
                self._deadline = now
            else:
                log.warning("the modem lost its key")
                self._lose_key()
                self._begin_keying(now)

    # --- all states ---

    def _lose_key(self) -> None:
        if self.state is ModemState.READY:
            self._events.append(KeyGone())
            self.link_up = False

    def _report(self, trouble: ModemTrouble) -> None:
        if trouble is not self._trouble:
            if self._trouble is not None:
                self._events.append(Trouble(self._trouble, active=False))
            self._trouble = trouble
            self._events.append(Trouble(trouble, active=True))

    def _request(self, message: vendor_mme.VendorMessage, deadline: float) -> None:
        self._send(message)
        self._deadline = deadline

    def _send(self, message: vendor_mme.VendorMessage) -> None:
        self._frames.append(vendor_mme.encode(LOCAL_MODEM, self.host_mac, message))
