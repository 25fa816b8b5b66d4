"""One EVSE's modem and matching together: which key, when to match, when the link counts. Without I/O or a clock."""

import logging
from collections import Counter
from collections.abc import Callable

from hal.plc.amplitude import AmplitudeRelay
from hal.plc.frame import CNF, Header, MmeError, parse_header
from hal.plc.mme import CM_AMP_MAP, CM_GET_KEY, CM_SET_KEY, AmpMapCnf, decode, format_mac
from hal.plc.modem import NOT_OUR_MODEM, KeyGone, KeySet, LinkChanged, Modem, ModemEvent, ModemState, Trouble
from hal.plc.slac import Matching
from hal.plc.slac_events import Begun, Failed, Joined, Left, MapAsked, Matched, SlacEvent
from hal.plc.timings import Profile, Timings
from hal.ports import LinkLost, LinkReady, ModemFault, ModemReady, PlcFact, SlacBegun, SlacFailed, SlacMatched

log = logging.getLogger(__name__)

_OF_THE_KEY = frozenset({CM_SET_KEY, CM_GET_KEY})
_MODE_MASK = 0x0003


class GreenPhy:
    """The two machines coupled. Feed it frames and the pilot's word, tick it, take frames to send and facts to tell."""

    def __init__(
        self,
        host_mac: bytes,
        make_nmk: Callable[[], bytes],
        *,
        profile: Profile = Profile.FIELD,
        timings: Timings | None = None,
        attenuation_offset_db: int = 0,
        counts_toggles: bool = False,
    ) -> None:
        self.modem = Modem(host_mac, make_nmk)
        self.matching = Matching(
            host_mac,
            profile=profile,
            timings=timings,
            attenuation_offset_db=attenuation_offset_db,
            counts_toggles=counts_toggles,
        )
        self.amplitude = AmplitudeRelay(host_mac)
        self.modem_drops: Counter[str] = Counter()
        self._linked_mac: bytes | None = None
        self._facts: list[PlcFact] = []

    def interface_up(self, now: float) -> None:
        self.modem.interface_up(now)
        self._settle(now)

    def interface_down(self, now: float) -> None:
        self.modem.interface_down()
        self._settle(now)

    def vehicle_connected(self, connected: bool, now: float) -> None:
        """A repeated True after `SlacFailed` gives the vehicle another TT_EVSE_SLAC_init."""
        if connected:
            self.matching.connect(now)
        else:
            self._leave("vehicle unplugged", now)
            self.matching.disconnect(now)
        self._settle(now)

    def terminate(self, now: float) -> None:
        """D-LINK_TERMINATE or D-LINK_ERROR: leave the network. The vehicle, still plugged in, may match anew."""
        self._leave("terminated", now)
        self._settle(now)

    def renew_key(self, now: float) -> None:
        """A fresh key though the present one was not given away."""
        self.modem.renew_key(now)
        self._settle(now)

    def start_over(self, now: float) -> None:
        """Look for the modem anew and give it a fresh key, as after a start."""
        self.modem.start_over(now)
        self._settle(now)

    def pause(self, now: float) -> None:
        """D-LINK_PAUSE: the vehicle sleeps and keeps the key."""
        if self.matching.pause():
            self._lose_link("paused", now)
        self._settle(now)

    def resume(self, now: float) -> None:
        """A wake-up by either side: `LinkReady` follows once the vehicle's modem is back."""
        if self.matching.resume(now):
            self.modem.expect_join(now)
        self._settle(now)

    def pilot_toggled(self) -> None:
        """The vehicle went from B to C and back, as CM_VALIDATE asks of it."""
        self.matching.pilot_toggled()

    def feed(self, frame: bytes, now: float) -> None:
        try:
            header = parse_header(frame)
        except MmeError as error:
            self.matching.drops[error.fault] += 1
            return
        if header.is_vendor_specific or header.mmtype & ~_MODE_MASK in _OF_THE_KEY:
            self._feed_modem(frame, now, header)
        elif header.mmtype == CM_AMP_MAP | CNF:
            self._feed_amplitude(frame, header)
        else:
            self.matching.feed(frame, now, header)
        self._settle(now)

    @property
    def deadline(self) -> float | None:
        deadlines = (self.modem.deadline, self.matching.deadline, self.amplitude.deadline)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def tick(self, now: float) -> None:
        self.modem.tick(now)
        self.matching.tick(now)
        self.amplitude.tick(now)
        self._settle(now)

    def take_frames(self) -> list[bytes]:
        return self.modem.take_frames() + self.matching.take_frames() + self.amplitude.take_frames()

    def take_facts(self) -> list[PlcFact]:
        facts, self._facts = self._facts, []
        return facts

    def _feed_modem(self, frame: bytes, now: float, header: Header) -> None:
        reason = self.modem.feed(frame, now, header)
        if reason is not None:
            self.modem_drops[reason] += 1

    def _feed_amplitude(self, frame: bytes, header: Header) -> None:
        if not self.modem.is_own(header):
            self.modem_drops[NOT_OUR_MODEM] += 1
            return
        try:
            message = decode(frame, header).message
        except MmeError as error:
            self.modem_drops[error.fault] += 1
            return
        assert isinstance(message, AmpMapCnf)
        self.amplitude.answered(message)

    def _leave(self, reason: str, now: float) -> None:
        """Leave the network at once, with a key of our own that no vehicle has had."""
        self._lose_link(reason, now)
        if self.matching.key_given_away:
            self.matching.clear_key(now)
            self.modem.renew_key(now)

    def _lose_link(self, reason: str, now: float) -> None:
        if self._linked_mac is not None:
            self._linked_mac = None
            self._facts.append(LinkLost(reason, now))

    def _settle(self, now: float) -> None:
        """Carry events from one machine to the other until neither has more."""
        while events := [*self.modem.take_events(), *self.matching.take_events()]:
            for event in events:
                if isinstance(event, Begun | Matched | Joined | Left | Failed | MapAsked):
                    self._on_slac(event, now)
                else:
                    self._on_modem(event, now)

    def _on_modem(self, event: ModemEvent, now: float) -> None:
        match event:
            case KeySet(nmk=nmk):
                self.matching.set_key(nmk, now)
                self._facts.append(ModemReady(now))
            case KeyGone():
                self.amplitude.forget()
                self._lose_link("modem lost its key", now)
                self.matching.clear_key(now)
            case LinkChanged(up=up):
                self.matching.link_changed(up, now)
            case Trouble(trouble=trouble, active=active):
                log.warning("modem: %s: %s", trouble, "active" if active else "cleared")
                self._facts.append(ModemFault(trouble, active, now))

    def _on_slac(self, event: SlacEvent, now: float) -> None:
        match event:
            case MapAsked(ev_mac=ev_mac, amp_map=amp_map):
                self.amplitude.ask(ev_mac, amp_map, now)
            case Begun(ev_mac=ev_mac):
                self._facts.append(SlacBegun(ev_mac, now))
            case Matched():
                self._log_match(event)
                fact = SlacMatched(event.ev_mac, event.run_id, event.attenuation_db, event.sounds, event.took_s, now)
                self._facts.append(fact)
                self.modem.expect_join(now)
            case Joined(ev_mac=ev_mac):
                self._linked_mac = ev_mac
                self._facts.append(LinkReady(ev_mac, now))
            case Left():
                self._lose_link("vehicle's modem left the network", now)
                self.modem.renew_key(now)
            case Failed(failure=failure, rekey=rekey):
                self._facts.append(SlacFailed(failure, now))
                if rekey:
                    self.modem.renew_key(now)

    @staticmethod
    def _log_match(event: Matched) -> None:
        log.info(
            "SLAC matched %s, run %s, %d sounds, %.1f dB, %.0f ms",
            format_mac(event.ev_mac),
            event.run_id.hex(),
            event.sounds,
            event.attenuation_db,
            event.took_s * 1000,
        )

    @property
    def is_ready(self) -> bool:
        """The modem carries a key of ours."""
        return self.modem.state is ModemState.READY
