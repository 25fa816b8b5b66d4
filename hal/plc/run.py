"""One matching run: what one vehicle, by its MAC and RunID, has got done with this EVSE.

state       on                          to          why
---------   -------------------------   ---------   ----------------------------------------------------------------
REQUESTED   CM_START_ATTEN_CHAR.IND     SOUNDING    the window of TT_EVSE_match_MNBC opens at the first of the three
            CM_MNBC_SOUND.IND (field)   SOUNDING    all three may be lost; a sound says as much
            TT_match_sequence           gone        the vehicle went to another EVSE or gave up
SOUNDING    the last awaited profile    REPORTED    nothing more to learn; every ms here is the vehicle's to wait
            end of the window           REPORTED    sounds are lost on a real line; some are enough
            end of the window, none     gone        nothing to report
REPORTED    CM_ATTEN_CHAR.RSP           CHOOSING
            TT_match_response           REPORTED    CM_ATTEN_CHAR.IND again, C_EV_match_retry times
            retries used up             CHOOSING    (field) the answers may be lost, the result not
            retries used up             gone        (strict)
            CM_SLAC_MATCH.REQ           MATCHED     the vehicle has our result, whatever became of its answer
CHOOSING    CM_SLAC_MATCH.REQ           MATCHED
            TT_EVSE_match_session       gone        it chose another EVSE
MATCHED     CM_SLAC_MATCH.REQ           MATCHED     the CNF was lost: the same one again
any         CM_SLAC_PARM.REQ            REQUESTED   the vehicle starts over; so does the run
"""

from collections.abc import Sequence
from enum import Enum, StrEnum

from hal.plc.frame import BROADCAST
from hal.plc.mme import GROUPS, AttenChar, MatchCnf, SlacParmCnf, encode
from hal.plc.timings import (
    C_EV_MATCH_MNBC,
    C_EV_MATCH_RETRY,
    FIELD_MATCH_SEQUENCE_S,
    TIME_OUT_100MS,
    TT_EVSE_MATCH_MNBC_S,
    TT_EVSE_MATCH_SESSION_S,
    TT_MATCH_RESPONSE_S,
    TT_MATCH_SEQUENCE_S,
    Profile,
)

RunKey = tuple[bytes, bytes]


class RunState(Enum):
    REQUESTED = "requested"
    SOUNDING = "sounding"
    REPORTED = "reported"
    CHOOSING = "choosing"
    MATCHED = "matched"


class Verdict(StrEnum):
    """How a run ended."""

    MATCHED = "matched"
    NOT_STARTED = "no CM_START_ATTEN_CHAR.IND within TT_match_sequence"
    NO_SOUNDS = "no sounds within TT_EVSE_match_MNBC"
    NO_RESPONSE = "no CM_ATTEN_CHAR.RSP after C_EV_match_retry"
    NOT_CHOSEN = "no CM_SLAC_MATCH.REQ within TT_EVSE_match_session"
    OTHER_MATCHED = "another run was matched"
    ABANDONED = "vehicle unplugged or key changed"


class Run:
    """A run in progress. Times are monotonic seconds; `deadline` is absolute."""

    __slots__ = (
        "_indication",
        "_retries",
        "_session_ends",
        "_sums",
        "deadline",
        "ev_mac",
        "evse_mac",
        "expected",
        "first_parm_at",
        "match_cnf",
        "parm_at",
        "profile",
        "reported_at",
        "run_id",
        "sounds",
        "start_at",
        "state",
    )

    def __init__(self, ev_mac: bytes, run_id: bytes, evse_mac: bytes, profile: Profile, now: float) -> None:
        self.ev_mac = ev_mac
        self.run_id = run_id
        self.evse_mac = evse_mac
        self.profile = profile
        self.first_parm_at = now
        self.match_cnf: bytes | None = None
        self._sums = [0] * GROUPS
        self.restart(now)

    @property
    def key(self) -> RunKey:
        return self.ev_mac, self.run_id

    def restart(self, now: float) -> None:
        """CM_SLAC_PARM.REQ came (again)."""
        self.state = RunState.REQUESTED
        self.parm_at = now
        self.deadline = now + (TT_MATCH_SEQUENCE_S if self.profile is Profile.STRICT else FIELD_MATCH_SEQUENCE_S)
        self.sounds = 0
        self.expected = C_EV_MATCH_MNBC
        self.start_at = self.reported_at = now
        self._sums = [0] * GROUPS
        self._indication = b""
        self._retries = 0
        self._session_ends = now

    def parm_cnf(self) -> bytes:
        cnf = SlacParmCnf(
            forwarding_sta=self.ev_mac,
            run_id=self.run_id,
            msound_target=BROADCAST,
            num_sounds=C_EV_MATCH_MNBC,
            time_out=TIME_OUT_100MS,
        )
        return encode(self.ev_mac, self.evse_mac, cnf)

    def start_sounding(self, expected: int, now: float) -> None:
        self.state = RunState.SOUNDING
        self.start_at = now
        self.deadline = now + TT_EVSE_MATCH_MNBC_S
        if 0 < expected < C_EV_MATCH_MNBC:
            self.expected = expected

    def hear(self, aag: Sequence[int]) -> bool:
        """Take one CM_ATTEN_PROFILE.IND, dB per group. True once no more is awaited."""
        sums = self._sums
        for group, value in enumerate(aag):
            sums[group] += value
        self.sounds += 1
        return self.sounds >= self.expected

    def report(self, offset_db: int, now: float) -> bytes:
        """End the sounding: the CM_ATTEN_CHAR.IND with the mean of each group over the sounds that came."""
        self.state = RunState.REPORTED
        self.reported_at = now
        self.deadline = now + TT_MATCH_RESPONSE_S
        self._session_ends = now + TT_EVSE_MATCH_SESSION_S
        half, sounds = self.sounds // 2, self.sounds
        aag = [min(max((total + half) // sounds + offset_db, 0), 255) for total in self._sums]
        ind = AttenChar(source_address=self.ev_mac, run_id=self.run_id, num_sounds=sounds, num_groups=GROUPS, aag=aag)
        self._indication = encode(self.ev_mac, self.evse_mac, ind)
        return self._indication

    def acknowledge(self, now: float) -> None:
        """CM_ATTEN_CHAR.RSP came."""
        self.state = RunState.CHOOSING
        self._session_ends = now + TT_EVSE_MATCH_SESSION_S
        self.deadline = self._session_ends

    def expire(self, now: float) -> bytes | Verdict | None:
        """The deadline has passed: a frame to repeat, or why the run is over, or None to wait on.

        SOUNDING with sounds is the caller's to report.
        """
        if self.state is RunState.REQUESTED:
            return Verdict.NOT_STARTED
        if self.state is RunState.SOUNDING:
            return Verdict.NO_SOUNDS
        if self.state is RunState.REPORTED:
            return self._unanswered(now)
        return Verdict.NOT_CHOSEN

    def _unanswered(self, now: float) -> bytes | Verdict | None:
        if self._retries < C_EV_MATCH_RETRY:
            self._retries += 1
            self.deadline = now + TT_MATCH_RESPONSE_S
            return self._indication
        if self.profile is Profile.STRICT:
            return Verdict.NO_RESPONSE
        self.state = RunState.CHOOSING
        self.deadline = self._session_ends
        return None

    def match(self, nmk: bytes, nid: bytes) -> bytes:
        """The CM_SLAC_MATCH.CNF, the same at every repetition."""
        if self.match_cnf is None:
            cnf = MatchCnf(pev_mac=self.ev_mac, evse_mac=self.evse_mac, run_id=self.run_id, nid=nid, nmk=nmk)
            self.match_cnf = encode(self.ev_mac, self.evse_mac, cnf)
        self.state = RunState.MATCHED
        return self.match_cnf

    def mean_db(self) -> float:
        """Mean attenuation over all groups, as the modem measured it."""
        return sum(self._sums) / (GROUPS * self.sounds) if self.sounds else 0.0

    def worst_db(self) -> float:
        return max(self._sums) / self.sounds if self.sounds else 0.0
