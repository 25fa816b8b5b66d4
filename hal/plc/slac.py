"""SLAC matching for one EVSE (ISO 15118-3 annex A), without I/O or a clock.

    state      on                               to         why
    --------   ------------------------------   --------   -------------------------------------------------------------
    UNARMED    vehicle connected and key set    WAITING    before that no vehicle is ours and no answer could be kept
    WAITING    CM_SLAC_PARM.REQ                 MATCHING   a run begins; foreign vehicles too are answered, they choose
               TT_EVSE_SLAC_init                EXPIRED    no high-level communication: the session decides on
    MATCHING   CM_SLAC_MATCH.REQ                JOINING    of all runs only one is for the vehicle at our connector
               the last run is gone             MATCHING   the vehicle may try again
               TT_matching_repetition           EXPIRED    not before TT_EVSE_SLAC_init, for the runs may be foreign; a
                                                           run in progress may end, but it cannot put this off for ever
    EXPIRED    CM_SLAC_PARM.REQ                 MATCHING   cars wake late; refusing them serves nobody
               vehicle connected (again)        WAITING    the session put the pilot through E or F for another try
    JOINING    link up                          LINKED
               CM_SLAC_PARM.REQ, the same EV    MATCHING   it did not get our key; TT_match_join would be lost time
               TT_match_join                    UNARMED    the key it was given is not used again
    LINKED     link down                        UNARMED    a new key first
               D-LINK_PAUSE                     PAUSED     the vehicle's modem may sleep; the key stays
    PAUSED     woken up                         JOINING    with T_conn_resume in place of TT_match_join
               CM_SLAC_PARM.REQ, the same EV    MATCHING   it forgot the key
    any        vehicle gone, key gone           UNARMED

Runs (see run.py) are kept by the vehicle's MAC and RunID. In JOINING and LINKED other vehicles get no answer. A flood
of CM_SLAC_PARM.REQ evicts only runs that have not begun to sound.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from hal.plc.frame import BROADCAST, Header, MmeError
from hal.plc.mme import (
    GROUPS,
    MATCH_REQ_MVF_LENGTH,
    AmpMap,
    AttenCharRsp,
    AttenProfile,
    MatchReq,
    Message,
    MnbcSound,
    SlacParmReq,
    StartAttenChar,
    ValidateReq,
    decode,
    encode,
    network_id,
)
from hal.plc.run import Run, RunState, Verdict
from hal.plc.runs import RunRecord, Runs
from hal.plc.slac_events import Begun, Drop, Failed, Joined, Left, MapAsked, Matched, SlacEvent, SlacFailure, SlacState
from hal.plc.timings import (
    C_EV_MATCH_MNBC,
    T_CONN_RESUME_S,
    TIME_OUT_100MS,
    TT_EVSE_MATCH_SESSION_S,
    TT_MATCHING_REPETITION_S,
    Profile,
    Timings,
)
from hal.plc.validation import Validation


class Matching:
    """The matching machine. Feed it frames, tick it at its deadline, then take what it has to send and to say."""

    def __init__(
        self,
        evse_mac: bytes,
        *,
        profile: Profile = Profile.FIELD,
        timings: Timings | None = None,
        attenuation_offset_db: int = 0,
        counts_toggles: bool = False,
    ) -> None:
        self.evse_mac = evse_mac
        self.profile = profile
        self.state = SlacState.UNARMED
        self.drops: Counter[str] = Counter()
        self.key_given_away = False
        self._timings = timings or Timings()
        self.offset_db = attenuation_offset_db
        self._validation = Validation(can_count=counts_toggles)
        self._connected = False
        self._extended = False
        self._nmk: bytes | None = None
        self._nid = b""
        self._runs = Runs()
        self._matched: Run | None = None
        self._state_deadline: float | None = None
        self._frames: list[bytes] = []
        self._events: list[SlacEvent] = []
        self._handlers: dict[type[Message], Callable[..., Drop | None]] = {
            SlacParmReq: self._on_parm_req,
            StartAttenChar: self._on_start_atten_char,
            MnbcSound: self._on_sound,
            AttenProfile: self._on_atten_profile,
            AttenCharRsp: self._on_atten_char_rsp,
            ValidateReq: self._on_validate_req,
            MatchReq: self._on_match_req,
            AmpMap: self._on_amp_map,
        }

    # --- what drives it ---

    def connect(self, now: float) -> None:
        """A vehicle is at the connector, or the session tries anew after `Failed`."""
        self._connected = True
        if self.state in (SlacState.UNARMED, SlacState.EXPIRED):
            self._arm(now)

    def disconnect(self, now: float) -> None:
        self._connected = False
        self._disarm(now)

    def set_key(self, nmk: bytes, now: float) -> None:
        """The modem carries this key now."""
        self._disarm(now)
        self._nmk, self._nid = nmk, network_id(nmk)
        self.key_given_away = False
        self._arm(now)

    def clear_key(self, now: float) -> None:
        """The modem's key is gone or about to change."""
        self._nmk = None
        self._disarm(now)

    def link_changed(self, up: bool, now: float) -> None:
        """The modem sees another station in our network, or no more."""
        if up and self.state is SlacState.JOINING and self._matched is not None:
            self._enter(SlacState.LINKED, None)
            self._events.append(Joined(self._matched.ev_mac))
        elif not up and self.state is SlacState.LINKED:
            self.clear_key(now)
            self._events.append(Left())

    def pause(self) -> bool:
        """D-LINK_PAUSE. Whether there was a link to pause."""
        if self.state is not SlacState.LINKED:
            return False
        self._enter(SlacState.PAUSED, None)
        return True

    def resume(self, now: float) -> bool:
        """Either side woke the other. Whether there was a pause to end."""
        if self.state is not SlacState.PAUSED:
            return False
        self._enter(SlacState.JOINING, now + T_CONN_RESUME_S)
        return True

    def pilot_toggled(self) -> None:
        """The vehicle went from B to C and back (a BCB toggle)."""
        self._validation.toggle()

    def feed(self, frame: bytes, now: float, header: Header | None = None) -> None:
        """One frame from the line. Whatever it is, it raises nothing: what is not acted on is counted in `drops`."""
        try:
            destination, source, message = decode(frame, header)
        except MmeError as error:
            self.drops[error.fault] += 1
            return
        handler = self._handlers.get(type(message))
        if handler is None:
            reason: Drop | None = Drop.NOT_FOR_EVSE
        elif destination not in (self.evse_mac, BROADCAST):
            reason = Drop.NOT_FOR_US
        elif self.state is SlacState.UNARMED:
            reason = Drop.NOT_ARMED
        else:
            reason = handler(source, message, now)
        if reason is not None:
            self.drops[reason] += 1

    @property
    def deadline(self) -> float | None:
        """When to tick next."""
        deadlines = [run.deadline for run in self._runs]
        others = (self._state_deadline, self._validation.deadline)
        deadlines.extend(deadline for deadline in others if deadline is not None)
        return min(deadlines, default=None)

    def tick(self, now: float) -> None:
        for run in [run for run in self._runs if run.deadline <= now]:
            self._expire(run, now)
        validated = self._validation.tick(now)
        if validated is not None:
            (ev_mac, _), cnf = validated
            self._frames.append(encode(ev_mac, self.evse_mac, cnf))
        if self._state_deadline is not None and self._state_deadline <= now:
            self._expire_state(now)

    def take_frames(self) -> list[bytes]:
        frames, self._frames = self._frames, []
        return frames

    def take_events(self) -> list[SlacEvent]:
        events, self._events = self._events, []
        return events

    @property
    def records(self) -> Sequence[RunRecord]:
        """The last runs, oldest first."""
        return tuple(self._runs.records)

    @property
    def matched_mac(self) -> bytes | None:
        return self._matched.ev_mac if self._matched else None

    # --- states ---

    def _enter(self, state: SlacState, deadline: float | None) -> None:
        self.state = state
        self._state_deadline = deadline

    def _arm(self, now: float) -> None:
        if self._connected and self._nmk is not None:
            self._extended = False
            self._enter(SlacState.WAITING, now + self._timings.slac_init_s)

    def _disarm(self, now: float) -> None:
        for run in list(self._runs):
            self._runs.end(run, Verdict.ABANDONED, now)
        self._matched = None
        self._validation.reset()
        self._enter(SlacState.UNARMED, None)

    def _expire_state(self, now: float) -> None:
        if self.state is SlacState.JOINING:
            self.clear_key(now)
            self._events.append(Failed(SlacFailure.NOT_JOINED, rekey=True))
        elif self.state is SlacState.MATCHING and self._runs and not self._extended:
            self._extended = True
            self._state_deadline = now + TT_EVSE_MATCH_SESSION_S
        else:
            waiting = self.state is SlacState.WAITING
            self._enter(SlacState.EXPIRED, None)
            failure = SlacFailure.NO_PARM_REQ if waiting else SlacFailure.NOT_MATCHED
            self._events.append(Failed(failure, rekey=False))

    # --- runs ---

    def _expire(self, run: Run, now: float) -> None:
        if run.state is RunState.SOUNDING and run.sounds:
            self._frames.append(run.report(self.offset_db, now))
            return
        outcome = run.expire(now)
        if isinstance(outcome, Verdict):
            self._runs.end(run, outcome, now)
        elif outcome is not None:
            self._frames.append(outcome)

    # --- messages: each handler acts, or says why it does not ---

    def _on_parm_req(self, source: bytes, message: SlacParmReq, now: float) -> Drop | None:
        if message.application_type or message.security_type:
            return Drop.BAD_TYPE
        if self.state is SlacState.LINKED or (self._matched and source != self._matched.ev_mac):
            return Drop.LINKED
        run = self._runs.get((source, message.run_id))
        if run is not None:
            run.restart(now)
        elif self._runs.make_room():
            run = Run(source, message.run_id, self.evse_mac, self.profile, now)
            self._runs.add(run)
        else:
            return Drop.TOO_MANY_RUNS
        self._frames.append(run.parm_cnf())
        self._matched = None
        if self.state is not SlacState.MATCHING:
            until = self._state_deadline if self.state is SlacState.WAITING else None
            self._events.append(Begun(source))
            self._enter(SlacState.MATCHING, max(until or now, now + TT_MATCHING_REPETITION_S))
        return None

    def _on_start_atten_char(self, source: bytes, message: StartAttenChar, now: float) -> Drop | None:
        if message.application_type or message.security_type:
            return Drop.BAD_TYPE
        run = self._runs.get((source, message.run_id))
        if run is None:
            return Drop.FOREIGN_RUN
        if self.profile is Profile.STRICT and not _is_as_confirmed(message, source):
            return Drop.BAD_FIELD
        if run.state is RunState.REQUESTED:
            run.start_sounding(message.num_sounds, now)
        # Else it is one of the two repetitions.
        return None

    def _on_sound(self, source: bytes, message: MnbcSound, now: float) -> Drop | None:
        if message.application_type or message.security_type:
            return Drop.BAD_TYPE
        run = self._runs.get((source, message.run_id))
        if run is None:
            return Drop.FOREIGN_RUN
        if run.state is RunState.REQUESTED:
            if self.profile is Profile.STRICT:
                return Drop.WRONG_STATE
            run.start_sounding(C_EV_MATCH_MNBC, now)
        return None

    def _on_atten_profile(self, _source: bytes, message: AttenProfile, now: float) -> Drop | None:
        if len(message.aag) != GROUPS:
            return Drop.BAD_FIELD
        run = self._runs.sounding_of(message.pev_mac)
        if run is None:
            return Drop.FOREIGN_RUN
        if run.hear(message.aag):
            self._frames.append(run.report(self.offset_db, now))
        return None

    def _on_atten_char_rsp(self, source: bytes, message: AttenCharRsp, now: float) -> Drop | None:
        if message.application_type or message.security_type:
            return Drop.BAD_TYPE
        run = self._runs.get((source, message.run_id))
        if run is None:
            return Drop.FOREIGN_RUN
        if self.profile is Profile.STRICT and message.source_address != source:
            return Drop.BAD_FIELD
        if message.result:
            return Drop.BAD_RESULT
        if run.state is not RunState.REPORTED:
            return Drop.WRONG_STATE
        run.acknowledge(now)
        return None

    def _on_validate_req(self, source: bytes, message: ValidateReq, now: float) -> Drop | None:
        if message.signal_type:
            return Drop.BAD_FIELD
        runs = [run for run in self._runs if run.ev_mac == source]
        if not runs:
            return Drop.FOREIGN_RUN
        run = next((run for run in runs if run.state in (RunState.REPORTED, RunState.CHOOSING)), None)
        if run is None:
            return Drop.WRONG_STATE
        cnf = self._validation.request(run.key, message.timer, now)
        if cnf is not None:
            self._frames.append(encode(source, self.evse_mac, cnf))
        return None

    def _on_match_req(self, source: bytes, message: MatchReq, now: float) -> Drop | None:
        if message.application_type or message.security_type:
            return Drop.BAD_TYPE
        run = self._runs.get((source, message.run_id)) or self._matched
        if run is None or run.key != (source, message.run_id):
            return Drop.FOREIGN_RUN
        if message.evse_mac != self.evse_mac or message.pev_mac != source:
            return Drop.BAD_FIELD
        if self.profile is Profile.STRICT and message.mvf_length != MATCH_REQ_MVF_LENGTH:
            return Drop.BAD_FIELD
        if run.state not in (RunState.REPORTED, RunState.CHOOSING, RunState.MATCHED):
            return Drop.WRONG_STATE
        assert self._nmk is not None
        first = run.state is not RunState.MATCHED
        self._frames.append(run.match(self._nmk, self._nid))
        if first:
            self._match(run, now)
        return None

    def _match(self, run: Run, now: float) -> None:
        self._runs.end(run, Verdict.MATCHED, now)
        for other in list(self._runs):
            self._runs.end(other, Verdict.OTHER_MATCHED, now)
        self._matched = run
        self.key_given_away = True
        self._enter(SlacState.JOINING, now + self._timings.match_join_s)
        took_s = now - run.first_parm_at
        self._events.append(Matched(run.ev_mac, run.run_id, run.mean_db() + self.offset_db, run.sounds, took_s))

    def _on_amp_map(self, source: bytes, message: AmpMap, _now: float) -> Drop | None:
        if self._matched is None or self._matched.ev_mac != source:
            return Drop.WRONG_STATE
        self._events.append(MapAsked(source, message))
        return None


def _is_as_confirmed(message: StartAttenChar, source: bytes) -> bool:
    """Whether the vehicle repeats what CM_SLAC_PARM.CNF asked of it (ISO 15118-3 table A.4)."""
    asked = (message.num_sounds, message.time_out, message.resp_type)
    return asked == (C_EV_MATCH_MNBC, TIME_OUT_100MS, 1) and message.forwarding_sta == source
