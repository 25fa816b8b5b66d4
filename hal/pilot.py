"""The EVSE's side of the control pilot (IEC 61851-1 annex A): the vehicle's state, what to offer, when to give power.

The board measures the pilot and reports levels; this machine draws the conclusions and says which set-points the board
is to have. It takes every time as an argument and answers with facts.

What a change of the vehicle's state means is `TRANSITIONS`. A vehicle may come straight to C (the simplified circuit,
or one that was plugged in while nobody looked), so a step may tell two things. States E and F are no vehicle states:
with X1 or X2 on the pilot they are a pilot fault, with E or F on it nothing can be measured, and in both cases the last
vehicle state stands.

Facts wait until a state is settled, power does not: it is withdrawn by the first level that is not C or D, and asked
for by the first that is, because the board has filtered the pilot before us. A and B settle for 100 ms so that a
bouncing plug is one vehicle; a BCB toggle of 200 ms passes.

The lowered over-current limit follows the pilot by as long as a vehicle may take: 5 s until the duty may change and 5 s
to adapt (table A.6). A raised limit is passed on at once.
A vehicle that was offered current, and power, and has not come to C within 30 s of it may sleep: it is woken once, by a
step to F. One that has been in C sleeps because it wants to, and one at 5 % is talked to instead.
"""

from hal.bcb import BcbWatch
from hal.faults import ActiveFaults
from hal.levels import BoardLevels, Setpoints
from hal.pilot_output import (
    HLC,
    NOTHING,
    STATE_E,
    STATE_F,
    Offer,
    PilotOutput,
    offer_of_current,
)
from hal.ports import (
    BcbToggled,
    BoardFact,
    BoardLink,
    Contactor,
    ContactorChanged,
    CpMode,
    CpState,
    Fault,
    PilotOffered,
    PluggedIn,
    Unplugged,
    VehiclePaused,
    VehicleReady,
)
from hal.power_path import PowerPath, Stopwatch

_A, _B, _C, _D = CpState.A, CpState.B, CpState.C, CpState.D

PLUGGED, UNPLUGGED, READY, READY_WITH_VENTILATION, PAUSED = range(5)

TRANSITIONS: dict[tuple[CpState, CpState], tuple[int, ...]] = {
    (_A, _B): (PLUGGED,),
    (_A, _C): (PLUGGED, READY),
    (_A, _D): (PLUGGED, READY_WITH_VENTILATION),
    (_B, _A): (UNPLUGGED,),
    (_B, _C): (READY,),
    (_B, _D): (READY_WITH_VENTILATION,),
    (_C, _A): (UNPLUGGED,),
    (_C, _B): (PAUSED,),
    (_C, _D): (READY_WITH_VENTILATION,),
    (_D, _A): (UNPLUGGED,),
    (_D, _B): (PAUSED,),
    (_D, _C): (READY,),
}

SETTLE_S = {_A: 0.1, _B: 0.03, _C: 0.0, _D: 0.0}
"""A plug that bounces going in is told from one that is in; a vehicle that leaves, from one that is only touched."""
BROKEN_S = 0.25
"""After F the pilot needs some periods to be measured again, and the STATE that says so may be lost."""
LIMIT_GRACE_S = 10.0
WAKE_AFTER_S = 30.0


class PilotMachine:
    """One EVSE's pilot. Set-points and levels in, facts out; `setpoints` is what the board is to be told now.

    Every method that takes `now` returns the facts it brought about, in order. `tick` no later than `deadline()`.
    """

    def __init__(self) -> None:
        self.vehicle = CpState.A
        self._power = PowerPath()
        self._output = PilotOutput()
        self._faults = ActiveFaults()
        self._levels: BoardLevels | None = None
        self._levels_seen = Stopwatch()
        self._broken = Stopwatch()
        self._asleep = Stopwatch()
        self._may_sleep = True
        self._bcb = BcbWatch()
        self._unplug_count: int | None = None
        self._contactor = Contactor.OPEN
        self._offered: Offer | None = None
        self._unreachable = ""
        self._limit_a = 0.0
        self._limit_wanted_a = 0.0
        self._limit_lowers_at_s = float("inf")
        self._now = float("-inf")

    @property
    def setpoints(self) -> Setpoints:
        put = self._output.put
        return Setpoints(put.mode, put.duty_percent, self._power.allow, self._power.lock, self._limit_a)

    @property
    def levels(self) -> BoardLevels | None:
        """The last levels fed; None before the first and while the board is out of reach."""
        return self._levels

    @property
    def contactor(self) -> Contactor:
        """The board's feedback, with our own judgement where that is worse."""
        return self._contactor

    @property
    def faults(self) -> frozenset[Fault]:
        return self._faults.active

    def fit(self, has_lock: bool, has_ventilation: bool) -> None:
        """What the board has, known once it has answered."""
        self._power.has_lock = has_lock
        self._power.has_ventilation = has_ventilation

    # --- wishes ---

    def offer_nothing(self, now: float) -> list[BoardFact]:
        return self._offer(NOTHING, now)

    def offer_hlc(self, now: float) -> list[BoardFact]:
        return self._offer(HLC, now)

    def offer_current(self, limit_a: float, now: float) -> list[BoardFact]:
        return self._offer(offer_of_current(limit_a), now)

    def signal_error(self, now: float) -> list[BoardFact]:
        """State F. The permission ends with it: power after a fault needs a new one."""
        self._power.withdraw()
        return self._offer(STATE_F, now)

    def signal_unavailable(self, now: float) -> list[BoardFact]:
        """State E; like F it ends the permission."""
        self._power.withdraw()
        return self._offer(STATE_E, now)

    def limit_current(self, limit_a: float, now: float) -> list[BoardFact]:
        if limit_a != self._limit_wanted_a:
            self._limit_wanted_a = limit_a
            lowered = 0 < limit_a < self._limit_a
            self._limit_lowers_at_s = now + LIMIT_GRACE_S if lowered else now
        return self.tick(now)

    def permit_power(self, permit: bool, now: float) -> list[BoardFact]:
        """A permission counts only for a vehicle that is there, and while the board can be seen."""
        self._power.permit = permit and self._levels is not None and self.vehicle is not _A
        return self.tick(now)

    def lock_connector(self, lock: bool, now: float) -> list[BoardFact]:
        self._power.lock_wanted = lock
        return self.tick(now)

    def reset_faults(self, now: float) -> list[BoardFact]:
        """A technician has seen to a latched fault. The board keeps its own latch."""
        self._power.welded = False
        return self.tick(now)

    # --- the board ---

    def feed(self, levels: BoardLevels, now: float) -> list[BoardFact]:
        """The board's levels, at least at each change."""
        facts: list[BoardFact] = []
        if levels.tripped:
            self._power.withdraw()
        if self._missed_unplug(levels):
            facts += self._enter(_A, now)
        if self._levels is None or levels.cp is not self._levels.cp:
            self._levels_seen.since_s = None
        self._levels_seen.run(True, now)
        self._levels = levels
        return facts + self.tick(now)

    def link_lost(self, detail: str, now: float) -> list[BoardFact]:
        """The board is out of reach and makes itself safe; offers, limit and lock are kept, the permission is not."""
        self._unreachable = detail
        self._levels = None
        self._broken.since_s = None
        self._power.withdraw()
        self._power.forget_levels()
        return [BoardLink(False, detail, now), *self.tick(now)]

    def link_up(self, detail: str, same_boot: bool, now: float) -> list[BoardFact]:
        """The board has taken the set-points. `same_boot` False: it has restarted, its counters started anew."""
        self._unreachable = ""
        if not same_boot:
            self._unplug_count = None
        return [BoardLink(True, detail, now), *self.tick(now)]

    # --- time ---

    def tick(self, now: float) -> list[BoardFact]:
        self._now = max(self._now, now)
        facts = self._settle_vehicle(now)
        if now >= self._limit_lowers_at_s:
            self._limit_a, self._limit_lowers_at_s = self._limit_wanted_a, float("inf")
        self._wake_vehicle(now)
        self._drive(now)
        if self._levels is not None:
            facts += self._told_by(self._levels, now)
        return facts + self._faults.update(self._standing_faults(now), now)

    def deadline(self) -> float | None:
        """When to tick next, None for not before the next call."""
        waiting = [self._output.deadline(self.vehicle is not _A), self._power.deadline(self._now)]
        if self._levels is not None:
            waiting.append(self._levels_seen.deadline(SETTLE_S.get(self._levels.cp, 0.0), self._now))
            waiting.append(self._broken.deadline(BROKEN_S, self._now))
            waiting.append(self._asleep.deadline(WAKE_AFTER_S, self._now))
        if self._limit_lowers_at_s != float("inf"):
            waiting.append(self._limit_lowers_at_s)
        return min((at for at in waiting if at is not None), default=None)

    # --- inside ---

    def _wake_vehicle(self, now: float) -> None:
        put = self._output.put
        offered = put.mode is CpMode.X2 and put != HLC and self._power.permit
        self._asleep.run(offered and self.vehicle is _B and self._may_sleep and self._levels is not None, now)
        if self._asleep.due(WAKE_AFTER_S, now):
            self._may_sleep = False
            self._output.step(now)

    def _drive(self, now: float) -> None:
        self._output.latch_error(self._power.welded)
        self._output.tick(self.vehicle is not _A, now)
        if self._levels is None:
            return
        self._power.update(self._levels, self._output.put, now)
        self._output.latch_error(self._power.welded)
        self._output.tick(self.vehicle is not _A, now)

    def _offer(self, offer: Offer, now: float) -> list[BoardFact]:
        self._output.want(offer)
        return self.tick(now)

    def _missed_unplug(self, levels: BoardLevels) -> bool:
        previous, self._unplug_count = self._unplug_count, levels.unplug_count
        return previous not in (None, levels.unplug_count) and levels.cp is not _A and self.vehicle is not _A

    def _settle_vehicle(self, now: float) -> list[BoardFact]:
        levels = self._levels
        if levels is None or not self._levels_seen.due(SETTLE_S.get(levels.cp, 0.0), now):
            return []
        return self._enter(levels.cp, now)

    def _enter(self, state: CpState, now: float) -> list[BoardFact]:
        meanings = TRANSITIONS.get((self.vehicle, state))
        if meanings is None:
            return []
        self.vehicle = state
        self._may_sleep = state is _A or (self._may_sleep and state is _B)
        if state is _A:
            self._power.withdraw()
            self._output.forget_vehicle()
        facts = [self._fact(meaning, now) for meaning in meanings]
        since_s = self._levels_seen.since_s
        if since_s is not None and self._bcb.entered(state, since_s, self._power.permit):
            facts.append(BcbToggled(now))
        return facts

    def _fact(self, meaning: int, now: float) -> BoardFact:
        if meaning == PLUGGED:
            return PluggedIn(now)
        if meaning == UNPLUGGED:
            return Unplugged(now)
        if meaning == PAUSED:
            return VehiclePaused(now)
        return VehicleReady(now, ventilation=meaning == READY_WITH_VENTILATION)

    def _told_by(self, levels: BoardLevels, now: float) -> list[BoardFact]:
        facts: list[BoardFact] = []
        offered = Offer(levels.cp_mode, levels.duty_percent)
        if offered != self._offered:
            self._offered = offered
            facts.append(PilotOffered(offered.mode, offered.duty_percent, now))
        contactor = Contactor.WELDED if self._power.welded else levels.contactor
        if contactor is not self._contactor:
            self._contactor = contactor
            facts.append(ContactorChanged(contactor, now))
        return facts

    def _standing_faults(self, now: float) -> dict[Fault, str]:
        standing: dict[Fault, str] = {}
        levels = self._levels
        if levels is not None:
            standing |= dict.fromkeys(sorted(levels.faults), "reported by the board")
            standing |= self._pilot_faults(levels, now)
        if self._unreachable:
            standing[Fault.COMMUNICATION_FAULT] = self._unreachable
        return standing | self._power.faults(now)

    def _pilot_faults(self, levels: BoardLevels, now: float) -> dict[Fault, str]:
        measurable = levels.cp_mode in (CpMode.X1, CpMode.X2) and self._output.put.mode in (CpMode.X1, CpMode.X2)
        self._broken.run(measurable and levels.cp in (CpState.E, CpState.F), now)
        if levels.tripped:
            return {Fault.COMMUNICATION_FAULT: "the board's watchdog found us silent"}
        if levels.cp is _D and not self._power.has_ventilation:
            return {Fault.VENTILATION_NOT_AVAILABLE: "the vehicle asks for ventilation"}
        return {Fault.PILOT_FAULT: f"pilot reads {levels.cp}"} if self._broken.due(BROKEN_S, now) else {}
