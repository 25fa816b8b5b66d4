"""The vehicle's side of SLAC (ISO 15118-3 annex A), without I/O or a clock.

It asks all EVSEs, sounds, takes the one that hears it best, sets the key it is given in its own modem and waits for the
link. `Habits` are those of real cars, from public captures.
"""

import random
from dataclasses import dataclass, field
from enum import Enum

from hal.plc import mme, vendor_mme
from hal.plc.frame import BROADCAST, LOCAL_MODEM, MmeError, parse_header

TT_MATCH_RESPONSE_S = 0.2
TT_EV_ATTEN_RESULTS_S = 1.2
TT_MATCHING_RATE_S = 0.4
TT_MATCHING_REPETITION_S = 10.0
TT_MATCH_JOIN_S = 12.0
C_EV_MATCH_RETRY = 2
C_EV_MATCH_MNBC = 10
C_EV_START_ATTEN_CHAR_INDS = 3
LINK_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Habits:
    """How a car spends its time; seconds."""

    gathers_s: float = 0.02
    """How long further EVSEs may take to answer after the first has."""
    sound_gap_s: float = 0.02
    waits_window: bool = False
    """Wait out TT_EV_atten_results though every EVSE that was found has answered."""
    choose_s: float = 0.0
    """From the results to CM_SLAC_MATCH.REQ."""
    doubles_parm_req: bool = False


HABITS = {
    "fast": Habits(),
    "ioniq": Habits(sound_gap_s=0.02, waits_window=True, doubles_parm_req=True),
    "tesla_y": Habits(sound_gap_s=0.024, waits_window=True),
    "polestar2": Habits(sound_gap_s=0.04, waits_window=True, choose_s=0.3),
    "audi_q4": Habits(sound_gap_s=0.04, choose_s=0.005),
}


class EvState(Enum):
    IDLE = "idle"
    ASKING = "asking"
    SOUNDING = "sounding"
    COLLECTING = "collecting"
    CHOOSING = "choosing"
    MATCHING = "matching"
    KEYING = "keying"
    JOINING = "joining"
    LINKED = "linked"
    RESTING = "resting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class MatchResult:
    """`took_s` to CM_SLAC_MATCH.CNF, `joined_s` to the link, both from the first CM_SLAC_PARM.REQ."""

    evse_mac: bytes
    run_id: bytes
    nid: bytes
    attenuation_db: float
    attempts: int
    took_s: float
    joined_s: float
    nmk: bytes = field(repr=False)


class EvSlac:
    """Start it, feed it frames, tick it at its deadline, send what it has; `result` stands once it is LINKED."""

    def __init__(self, mac: bytes, *, habits: Habits | None = None, seed: int | None = None) -> None:
        self.mac = mac
        self.state = EvState.IDLE
        self.result: MatchResult | None = None
        self.attempts = 0
        self.stops_after_sounding = False
        """Go silent once sounded, as a vehicle does that is plugged in elsewhere."""
        self._habits = habits or Habits()
        self._random = random.Random(seed)
        self._deadline: float | None = None
        self._frames: list[bytes] = []
        self._began = 0.0
        self._matched_at = 0.0
        self._tries = 0
        self._run_id = b""
        self._found: set[bytes] = set()
        self._heard: dict[bytes, float] = {}
        self._evse_mac = b""
        self._to_sound: list[bytes] = []
        self._results_due = 0.0
        self._cnf: mme.MatchCnf | None = None

    # --- what drives it ---

    def start(self, now: float) -> None:
        self._began = now
        self.attempts = 0
        self._attempt(now)

    @property
    def deadline(self) -> float | None:
        return self._deadline

    def take_frames(self) -> list[bytes]:
        frames, self._frames = self._frames, []
        return frames

    def feed(self, frame: bytes, now: float) -> None:
        try:
            header = parse_header(frame)
            if header.is_vendor_specific:
                self._on_vendor(vendor_mme.decode(frame, header).message, now)
            else:
                _, source, message = mme.decode(frame, header)
                self._on_message(source, message, now)
        except MmeError:
            return

    def tick(self, now: float) -> None:
        if self._deadline is None or now < self._deadline:
            return
        match self.state:
            case EvState.ASKING:
                self._asked(now)
            case EvState.SOUNDING:
                self._sound(now)
            case EvState.COLLECTING:
                self._choose(now) if self._heard else self._fail(now)
            case EvState.CHOOSING:
                self._tries = 0
                self._request_match(now)
            case EvState.MATCHING:
                self._request_match(now)
            case EvState.KEYING:
                self._set_key(now)
            case EvState.JOINING:
                self._poll_link(now)
            case EvState.RESTING:
                self._attempt(now)

    # --- the run ---

    def _attempt(self, now: float) -> None:
        self.attempts += 1
        self._run_id = self._random.randbytes(8)
        self._found, self._heard = set(), {}
        self._tries = 0
        self._ask(now)

    def _ask(self, now: float) -> None:
        self._tries += 1
        self.state = EvState.ASKING
        self._send(BROADCAST, mme.SlacParmReq(run_id=self._run_id))
        if self._habits.doubles_parm_req:
            self._send(BROADCAST, mme.SlacParmReq(run_id=self._run_id))
        self._deadline = now + TT_MATCH_RESPONSE_S

    def _asked(self, now: float) -> None:
        if self._found:
            self._begin_sounding(now)
        elif self._tries <= C_EV_MATCH_RETRY:
            self._ask(now)
        else:
            self._fail(now)

    def _begin_sounding(self, now: float) -> None:
        self.state = EvState.SOUNDING
        self._results_due = now + TT_EV_ATTEN_RESULTS_S
        start = mme.StartAttenChar(num_sounds=C_EV_MATCH_MNBC, time_out=6, forwarding_sta=self.mac, run_id=self._run_id)
        self._to_sound = [mme.encode(BROADCAST, self.mac, start)] * C_EV_START_ATTEN_CHAR_INDS
        self._to_sound += [self._mnbc_sound(left) for left in reversed(range(C_EV_MATCH_MNBC))]
        self._to_sound.reverse()
        self._sound(now)

    def _mnbc_sound(self, left: int) -> bytes:
        sound = mme.MnbcSound(cnt=left, run_id=self._run_id, rnd=self._random.getrandbits(128))
        return mme.encode(BROADCAST, self.mac, sound)

    def _sound(self, now: float) -> None:
        self._frames.append(self._to_sound.pop())
        if self._to_sound:
            self._deadline = now + self._habits.sound_gap_s
        elif self.stops_after_sounding:
            self.state, self._deadline = EvState.FAILED, None
        else:
            self.state = EvState.COLLECTING
            self._deadline = self._results_due
            self._consider(now)

    def _consider(self, now: float) -> None:
        if self.state is EvState.COLLECTING and not self._habits.waits_window and self._found <= set(self._heard):
            self._choose(now)

    def _choose(self, now: float) -> None:
        self._evse_mac = min(self._heard, key=lambda mac: self._heard[mac])
        self.state = EvState.CHOOSING
        self._deadline = now + self._habits.choose_s

    def _request_match(self, now: float) -> None:
        if self._tries > C_EV_MATCH_RETRY:
            self._fail(now)
            return
        self._tries += 1
        self.state = EvState.MATCHING
        self._send(self._evse_mac, mme.MatchReq(pev_mac=self.mac, evse_mac=self._evse_mac, run_id=self._run_id))
        self._deadline = now + TT_MATCH_RESPONSE_S

    def _fail(self, now: float) -> None:
        if now - self._began < TT_MATCHING_REPETITION_S:
            self.state = EvState.RESTING
            self._deadline = now + TT_MATCHING_RATE_S
        else:
            self.state, self._deadline = EvState.FAILED, None

    # --- its own modem ---

    def _set_key(self, now: float) -> None:
        """Until the modem answers, whatever the result: the link status decides."""
        if self._is_too_late(now) or self._cnf is None:
            return
        self.state = EvState.KEYING
        self._send(LOCAL_MODEM, mme.SetKeyReq(nid=self._cnf.nid, new_key=self._cnf.nmk))
        self._deadline = now + TT_MATCH_RESPONSE_S

    def _poll_link(self, now: float) -> None:
        if self._is_too_late(now):
            return
        self.state = EvState.JOINING
        self._frames.append(vendor_mme.encode(LOCAL_MODEM, self.mac, vendor_mme.LinkStatusReq()))
        self._deadline = now + LINK_POLL_S

    def _is_too_late(self, now: float) -> bool:
        late = now - self._matched_at > TT_MATCH_JOIN_S
        if late:
            self._fail(now)
        return late

    # --- what comes in ---

    def _on_message(self, source: bytes, message: mme.Message, now: float) -> None:
        match message:
            case mme.SlacParmCnf(run_id=self._run_id) if self.state is EvState.ASKING:
                self._on_parm_cnf(source, now)
            case mme.AttenChar(run_id=self._run_id) if self.state in (EvState.SOUNDING, EvState.COLLECTING):
                self._on_atten_char(source, message, now)
            case mme.AttenChar(run_id=self._run_id) if source in self._heard:
                self._respond(source)
            case mme.MatchCnf(run_id=self._run_id) if self.state is EvState.MATCHING and source == self._evse_mac:
                self._cnf, self._matched_at = message, now
                self._set_key(now)
            case mme.SetKeyCnf() if self.state is EvState.KEYING:
                self._poll_link(now)

    def _on_parm_cnf(self, source: bytes, now: float) -> None:
        if not self._found and self._deadline is not None:
            self._deadline = min(self._deadline, now + self._habits.gathers_s)
        self._found.add(source)

    def _on_atten_char(self, source: bytes, message: mme.AttenChar, now: float) -> None:
        if message.num_sounds == 0 or self.stops_after_sounding:
            return
        self._heard[source] = sum(message.aag) / len(message.aag)
        self._respond(source)
        self._consider(now)

    def _respond(self, evse_mac: bytes) -> None:
        rsp = mme.AttenCharRsp(source_address=self.mac, run_id=self._run_id, source_id=0, resp_id=0, result=0)
        self._send(evse_mac, rsp)

    def _on_vendor(self, message: vendor_mme.VendorMessage, now: float) -> None:
        if self.state is not EvState.JOINING or not isinstance(message, vendor_mme.LinkStatusCnf):
            return
        if message.linked and self._cnf is not None:
            self.state, self._deadline = EvState.LINKED, None
            self.result = MatchResult(
                self._evse_mac,
                self._run_id,
                self._cnf.nid,
                self._heard[self._evse_mac],
                self.attempts,
                self._matched_at - self._began,
                now - self._began,
                self._cnf.nmk,
            )

    def _send(self, destination: bytes, message: mme.Message) -> None:
        self._frames.append(mme.encode(destination, self.mac, message))
