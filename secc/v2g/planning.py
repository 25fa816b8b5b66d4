"""A vehicle has named its needs: the operator's schedules for it, or the limits alone. The same in -2 and -20."""

from dataclasses import dataclass, replace

from secc.ports import SeccFact, StationView
from secc.schedules import EnergyRequested, ScheduleAnswer
from secc.v2g.progress import Processing
from secc.v2g.session import Request, Session, Surroundings
from secc.v2g.timing import ONGOING_PACE_S, ONGOING_PERFORMANCE_TIME_S

NO_ANSWER = ScheduleAnswer("")


@dataclass(frozen=True, slots=True)
class Planning:
    """`processing` None: say nothing yet, and ask again at `retry_s` or when the station has changed."""

    processing: Processing | None
    session: Session
    answer: ScheduleAnswer = NO_ANSWER
    facts: tuple[SeccFact, ...] = ()
    retry_s: float = 0.0


def plan(request: Request, session: Session, needs: EnergyRequested, around: Surroundings, now: float) -> Planning:
    """FINISHED with the operator's answer, or with none where nobody plans or the vehicle would not wait longer."""
    view = around.view
    if not view.asks_for_schedules:
        return _finished(session, NO_ANSWER, view, (needs,))
    if not session.needs_id:
        request_id = around.entropy.hex().upper()
        asked = replace(session, needs_id=request_id, waiting_since_s=now)
        retry_s = now + ONGOING_PACE_S
        return Planning(None, asked, facts=(replace(needs, request_id=request_id),), retry_s=retry_s)
    answer = view.schedule_answer
    if answer is not None and answer.request_id == session.needs_id:
        return _finished(session, answer, view)
    assert session.waiting_since_s is not None
    if now - session.waiting_since_s >= ONGOING_PERFORMANCE_TIME_S:
        return _finished(session, NO_ANSWER, view)
    if now - request.arrived_s < ONGOING_PACE_S:
        return Planning(None, session, retry_s=request.arrived_s + ONGOING_PACE_S)
    return Planning(Processing.ONGOING, session)


def _finished(
    session: Session, answer: ScheduleAnswer, view: StationView, facts: tuple[SeccFact, ...] = ()
) -> Planning:
    after = replace(
        session,
        needs_id="",
        waiting_since_s=None,
        renegotiation_asked_s=None,
        renegotiation_id=view.renegotiation_id,
    )
    return Planning(Processing.FINISHED, after, answer, facts)
