"""PowerDelivery: start, stop or renegotiate (clause 8.4.3.9)."""

import math
from dataclasses import replace

from iso15118.shared.messages.iso15118_2.body import PowerDeliveryReq, PowerDeliveryRes
from iso15118.shared.messages.iso15118_2.datatypes import ChargeProgress, ChargingProfile, ResponseCode

from secc.ports import DcTarget, PowerWanted
from secc.schedules import ProfilePeriod, ScheduleSelected
from secc.v2g.codes import Refused
from secc.v2g.iso2.status import evse_status
from secc.v2g.models import build
from secc.v2g.progress import close_contactor
from secc.v2g.quantities import decimal_value
from secc.v2g.session import Answer, Offer, Request, Session, State, Surroundings

# DC comes here from PreCharge, whose requests the vehicle ends by itself.
BEFORE_POWER = (State.POWER_DELIVERY, State.PRE_CHARGE)


def handle(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    message = request.message
    assert isinstance(message, PowerDeliveryReq)
    if message.charge_progress is ChargeProgress.STOP:
        return _stop(session, around)
    if message.charge_progress is ChargeProgress.RENEGOTIATE:
        return _renegotiate(session, around)
    return _start(message, session, around, now)


def _stop(session: Session, around: Surroundings) -> Answer:
    after = replace(session, state=State.SESSION_STOP, power_wanted=False, output_wanted=False)
    output_off = (DcTarget(0.0, 0.0),) if session.output_wanted else ()
    return Answer(_response(around), after, (*output_off, PowerWanted(False)))


def _renegotiate(session: Session, around: Surroundings) -> Answer:
    """Back to ChargeParameterDiscovery; AC goes on charging meanwhile [V2G2-813]."""
    if session.state in BEFORE_POWER:
        raise Refused(ResponseCode.FAILED_SEQUENCE_ERROR)
    after = replace(session, state=State.CHARGE_PARAMETER_DISCOVERY)
    if around.view.dc is None:
        return Answer(_response(around), after)
    # The way back leads through CableCheck, and insulation can't be tested with a battery on it.
    off = replace(after, power_wanted=False, output_wanted=False, cable_check_id="", target_v=0.0)
    return Answer(_response(around), off, (DcTarget(0.0, 0.0), PowerWanted(False)))


def _start(message: PowerDeliveryReq, session: Session, around: Surroundings, now: float) -> Answer:
    """Ask for power, and answer once the contactor has closed."""
    if session.state not in BEFORE_POWER or session.offer is None:
        raise Refused(ResponseCode.FAILED_SEQUENCE_ERROR)
    chosen = _chosen(message, session)
    progress = close_contactor(session, around, now)
    if progress.processing is None:
        return Answer(None, progress.session, progress.facts, retry_s=progress.retry_s)
    loop = State.CHARGING if around.view.dc is None else State.CURRENT_DEMAND
    selected = ScheduleSelected(chosen.tuple_id, _profile(message.charging_profile))
    return Answer(_response(around), replace(progress.session, state=loop, offer=chosen), (selected,))


def _chosen(message: PowerDeliveryReq, session: Session) -> Offer:
    chosen = next((offer for offer in session.offers if offer.tuple_id == message.sa_schedule_tuple_id), None)
    if chosen is None:
        raise Refused(ResponseCode.FAILED_TARIFF_SELECTION_INVALID)
    if message.charging_profile is not None and not _within(message.charging_profile, chosen):
        raise Refused(ResponseCode.FAILED_CHARGING_PROFILE_INVALID)
    return chosen


def _profile(profile: ChargingProfile | None) -> tuple[ProfilePeriod, ...]:
    entries = profile.profile_entries if profile else []
    return tuple(
        ProfilePeriod(
            float(entry.start),
            float(decimal_value(entry.max_power.value, entry.max_power.multiplier)),
            entry.max_phases_in_use,
        )
        for entry in entries
    )


def _within(profile: ChargingProfile, offer: Offer) -> bool:
    entries = profile.profile_entries
    ends = [*(entry.start for entry in entries[1:]), math.inf]
    return all(
        decimal_value(entry.max_power.value, entry.max_power.multiplier) <= offer.lowest_p_max_w(entry.start, end)
        for entry, end in zip(entries, ends, strict=True)
        if entry.start < end
    )


def _response(around: Surroundings) -> PowerDeliveryRes:
    return build(PowerDeliveryRes, ResponseCode=ResponseCode.OK, **evse_status(around.view))
