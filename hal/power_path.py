"""May the contactor be closed, may the connector be unlocked: our half of the decision. The board's half is its own.

Closing needs all of: permission, state C (or D with ventilation), PWM on the pilot and confirmed by the board, the
connector locked where that was asked, no fault that stops charging. Staying closed needs less, so that an orderly stop
is possible: the vehicle has 6 s in state C1 to open its own contacts (IEC 61851-1 table A.6, sequence 10.2), and a
fault of severity STOP leaves the order to the session.

A contactor whose feedback stays closed without our permission, or without the board driving it, is welded: that is
latched, nothing is tried again. One that does not close, although allowed and nothing is in its way, is tried again
only after the permission was withdrawn; so is a board that keeps its reasons to itself.
Unlocking waits until the board has reported the contactor open, and not driven, for longer than a report takes.
"""

from dataclasses import dataclass, field

from hal.faults import severity_of
from hal.levels import BoardLevels
from hal.pilot_output import Offer
from hal.ports import Contactor, CpMode, CpState, Fault, Severity

C1_LIMIT_S = 6.0
WELD_S = 0.5
"""50 ms for the contactor to open, the rest for a lost STATE or two."""
CLOSE_LIMIT_S = 3.0
"""IEC 61851-1 table A.6, sequence 4."""
LOCK_LIMIT_S = 3.0
OPEN_CONFIRM_S = 0.15
"""A STATE already on its way when the permission ended is at most this old."""


@dataclass(slots=True)
class Stopwatch:
    """Since when a condition holds without a break."""

    since_s: float | None = None

    def run(self, holds: bool, now: float) -> None:
        self.since_s = None if not holds else now if self.since_s is None else self.since_s

    def due(self, limit_s: float, now: float) -> bool:
        return self.since_s is not None and now >= self.since_s + limit_s

    def deadline(self, limit_s: float, now: float) -> float | None:
        """When the limit is reached; None when it is not running or already over."""
        return None if self.since_s is None or self.due(limit_s, now) else self.since_s + limit_s


@dataclass(slots=True)
class PowerPath:
    """`permit` and `lock_wanted` are the wishes; `allow` and `lock` are what the board is told."""

    has_lock: bool = False
    has_ventilation: bool = False
    permit: bool = False
    lock_wanted: bool = False
    allow: bool = False
    lock: bool = False
    welded: bool = False
    stuck_open: bool = False
    _in_c1: Stopwatch = field(default_factory=Stopwatch)
    _closed_unasked: Stopwatch = field(default_factory=Stopwatch)
    _not_closing: Stopwatch = field(default_factory=Stopwatch)
    _confirmed_open: Stopwatch = field(default_factory=Stopwatch)
    _lock_differs: Stopwatch = field(default_factory=Stopwatch)

    def withdraw(self) -> None:
        """Power ends, and needs a new permission: the vehicle is gone, or the board was out of reach."""
        self.permit = False
        self.allow = False

    def forget_levels(self) -> None:
        """The board cannot be seen: nothing that was seen before counts towards a limit or a confirmation."""
        for watch in (self._in_c1, self._closed_unasked, self._not_closing, self._confirmed_open, self._lock_differs):
            watch.since_s = None

    def update(self, levels: BoardLevels, put: Offer, now: float) -> None:
        # Before the judgement, so that it is on these levels; after it, because it changes what may be expected.
        self._watch_contactor(levels, now)
        self._judge_contactor(levels, now)
        self._in_c1.run(self.allow and put.mode is CpMode.X1, now)
        self.allow = self._may_stay(levels, put, now) if self.allow else self._may_close(levels, put)
        self._watch_contactor(levels, now)
        self._watch_lock(levels, now)

    def deadline(self, now: float) -> float | None:
        waiting = (
            self._in_c1.deadline(C1_LIMIT_S, now),
            self._closed_unasked.deadline(WELD_S, now),
            self._not_closing.deadline(CLOSE_LIMIT_S, now),
            self._confirmed_open.deadline(OPEN_CONFIRM_S, now),
            self._lock_differs.deadline(LOCK_LIMIT_S, now),
        )
        return min((at for at in waiting if at is not None), default=None)

    def faults(self, now: float) -> dict[Fault, str]:
        """What is wrong with contactor and lock now."""
        found = {}
        if self.welded:
            found[Fault.EVSE_CONTACTOR_FAULT] = "feedback closed without permission: welded, or the board does not obey"
        elif self.stuck_open:
            found[Fault.EVSE_CONTACTOR_FAULT] = "allowed, feedback open: does not close"
        if self._lock_differs.due(LOCK_LIMIT_S, now):
            found[Fault.CONNECTOR_LOCK_FAILURE] = "does not lock" if self.lock else "does not unlock"
        return found

    def _judge_contactor(self, levels: BoardLevels, now: float) -> None:
        if levels.contactor is Contactor.WELDED or self._closed_unasked.due(WELD_S, now):
            self.welded = True
        if levels.contactor is Contactor.STUCK_OPEN or self._not_closing.due(CLOSE_LIMIT_S, now):
            self.stuck_open = True
        elif not self.permit:
            self.stuck_open = False

    def _may_stay(self, levels: BoardLevels, put: Offer, now: float) -> bool:
        emergency = any(severity_of(fault) is Severity.EMERGENCY for fault in levels.faults)
        in_time = put.mode is CpMode.X2 or (put.mode is CpMode.X1 and not self._in_c1.due(C1_LIMIT_S, now))
        return self._asked_for(levels) and in_time and not emergency

    def _may_close(self, levels: BoardLevels, put: Offer) -> bool:
        lock_ready = not (self.has_lock and self.lock_wanted) or levels.locked
        pwm = put.mode is CpMode.X2 and levels.cp_mode is CpMode.X2
        return self._asked_for(levels) and pwm and lock_ready and not _stops(levels)

    def _asked_for(self, levels: BoardLevels) -> bool:
        vehicle = levels.cp is CpState.C or (levels.cp is CpState.D and self.has_ventilation)
        return self.permit and vehicle and not levels.tripped and not self.welded and not self.stuck_open

    def _watch_contactor(self, levels: BoardLevels, now: float) -> None:
        unasked = levels.contactor is Contactor.CLOSED and not (self.allow and levels.power_permitted)
        self._closed_unasked.run(unasked, now)
        in_vain = self.allow and levels.contactor is Contactor.OPEN and not _stops(levels)
        self._not_closing.run(in_vain, now)

    def _watch_lock(self, levels: BoardLevels, now: float) -> None:
        is_open = levels.contactor in (Contactor.OPEN, Contactor.STUCK_OPEN)
        self._confirmed_open.run(is_open and not levels.power_permitted and not self.allow, now)
        # Kept locked rather than locked anew: a connector nobody asked to lock stays as it is.
        self.lock = self.lock_wanted or (self.lock and not self._confirmed_open.due(OPEN_CONFIRM_S, now))
        self._lock_differs.run(self.has_lock and self.lock != levels.locked, now)


def _stops(levels: BoardLevels) -> bool:
    return any(severity_of(fault) is not Severity.WARNING for fault in levels.faults)
