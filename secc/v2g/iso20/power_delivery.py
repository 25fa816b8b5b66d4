"""PowerDelivery: start, stop, stand by or renegotiate (clause 8.3.4.3.10)."""

import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import accumulate

from iso15118.shared.messages.iso15118_20.common_types import ResponseCode

from secc.ports import DcTarget, PowerWanted, StationView
from secc.schedules import ProfilePeriod, ScheduleSelected
from secc.v2g.codes import Refused
from secc.v2g.elements import Elements, child, children, rational, text, whole
from secc.v2g.iso20.charge_parameters import all_phases
from secc.v2g.iso20.session import ControlMode, Session20, of_20
from secc.v2g.progress import close_contactor, must_stop
from secc.v2g.session import Answer, Offer, Request, State, Surroundings

LOOPS = (State.AC_CHARGE_LOOP, State.DC_CHARGE_LOOP)

# Rounding of a plan by its maker is no overrun.
_TOLERANCE_W = Decimal(1)

_OK: Elements = {"ResponseCode": ResponseCode.OK}


def handle(request: Request, session: Session20, around: Surroundings, now: float) -> Answer:
    wish = text(request.elements, "ChargeProgress")
    if wish == "Stop":
        return _stop(session)
    if wish == "Standby":
        return _stand_by(session, around.view)
    if wish == "ScheduleRenegotiation":
        return _renegotiate(session)
    return _start(request, session, around, now)


def _stop(session: Session20) -> Answer:
    after = replace(session, state=State.SESSION_STOP, power_wanted=False, output_wanted=False, renegotiating=False)
    output_off = (DcTarget(0.0, 0.0),) if session.output_wanted else ()
    return Answer(_OK, after, (*output_off, PowerWanted(False)))


def _stand_by(session: Session20, view: StationView) -> Answer:
    """From a charge loop: no power any more, and the vehicle stays until it wants some again or leaves.

    With DC the way back leads through CableCheck, as the contactor has been open. # unverified: 8.3.4.3.10
    """
    if session.state not in LOOPS or must_stop(view):
        return Answer({"ResponseCode": ResponseCode.WARN_STANDBY_NOT_ALLOWED}, session)
    after = replace(
        session, state=State.STANDBY, power_wanted=False, output_wanted=False, cable_check_id="", target_v=0.0
    )
    output_off = (DcTarget(0.0, 0.0),) if session.output_wanted else ()
    return Answer(_OK, after, (*output_off, PowerWanted(False)))


def _renegotiate(session: Session20) -> Answer:
    """Back to ScheduleExchange while power flows."""
    if session.state not in LOOPS:
        raise Refused(ResponseCode.FAILED_SEQUENCE_ERROR)
    return Answer(_OK, replace(session, state=State.SCHEDULE_EXCHANGE, renegotiating=True))


def _start(request: Request, session: Session20, around: Surroundings, now: float) -> Answer:
    """Ask for power once the vehicle has its plan, and answer once the contactor has closed."""
    if session.state in LOOPS or session.offer is None:
        raise Refused(ResponseCode.FAILED_SEQUENCE_ERROR)
    if session.state is State.STANDBY and around.view.dc is not None:
        raise Refused(ResponseCode.FAILED_SEQUENCE_ERROR, detail="no cable check since the standby")
    if text(request.elements, "EVProcessing") != "Finished":
        return Answer(_OK, session)
    profile = child(request.elements, "EVPowerProfile")
    chosen = _chosen(profile, session, session.offer, around.view)
    progress = close_contactor(session, around, now)
    if progress.processing is None:
        return Answer(None, progress.session, progress.facts, retry_s=progress.retry_s)
    loop = State.AC_CHARGE_LOOP if around.view.dc is None else State.DC_CHARGE_LOOP
    selected = ScheduleSelected(chosen.tuple_id, _periods(_entries(profile)))
    return Answer(_OK, replace(of_20(progress.session), state=loop, offer=chosen, renegotiating=False), (selected,))


def _chosen(profile: Elements, session: Session20, first: Offer, view: StationView) -> Offer:
    """The schedule the vehicle plans within; the first if it tells no plan. Under dynamic control it binds nobody."""
    if not profile or session.control_mode is ControlMode.DYNAMIC:
        return first
    tuple_id = whole(child(profile, "Scheduled_EVPPTControlMode"), "SelectedScheduleTupleID")
    chosen = next((offer for offer in session.offers if offer.tuple_id == tuple_id), None)
    if chosen is None:
        raise Refused(ResponseCode.FAILED_SCHEDULE_SELECTION_INVALID)
    phases = 1 if view.dc is not None else view.phases
    if not _within(_entries(profile), chosen, phases):
        raise Refused(ResponseCode.FAILED_EV_POWER_PROFILE_INVALID)
    return chosen


def _entries(profile: Elements) -> list[Elements]:
    return children(child(profile, "EVPowerProfileEntries"), "EVPowerProfileEntry")


def _periods(entries: Sequence[Elements]) -> tuple[ProfilePeriod, ...]:
    starts = accumulate((whole(entry, "Duration") or 0 for entry in entries), initial=0)
    return tuple(
        ProfilePeriod(float(start), all_phases(entry, "Power")) for entry, start in zip(entries, starts, strict=False)
    )


def _within(entries: Sequence[Elements], offer: Offer, phases: int) -> bool:
    """One that gives the first phase alone may mean it or the sum of all; neither exceeds the sum that was offered."""
    start = 0
    for entry in entries:
        duration = whole(entry, "Duration") or 0
        end = start + duration if entry is not entries[-1] else math.inf
        highest = offer.lowest_p_max_w(start, end) if start < end else Decimal("inf")
        if Decimal(repr(all_phases(entry, "Power"))) > highest + _TOLERANCE_W:
            return False
        single = [rational(entry, name) for name in ("Power", "Power_L2", "Power_L3")]
        if sum(power is not None for power in single) > 1:
            most = highest / phases + _TOLERANCE_W
            if any(power is not None and Decimal(repr(power)) > most for power in single):
                return False
        start += duration
    return True
