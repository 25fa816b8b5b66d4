"""PowerDelivery: start, stop or renegotiate (clause 8.4.3.9)."""

import math
from dataclasses import replace

from iso15118.shared.messages.iso15118_2.body import PowerDeliveryReq, PowerDeliveryRes
from iso15118.shared.messages.iso15118_2.datatypes import ChargeProgress, ChargingProfile, ResponseCode

from secc.ports import Authorization, PowerWanted
from secc.v2g.codes import Refused
from secc.v2g.iso2.status import ac_evse_status, must_stop
from secc.v2g.models import build
from secc.v2g.quantities import decimal_value
from secc.v2g.session import Answer, Offer, Request, Session, State, Surroundings
from secc.v2g.timing import CONTACTOR_CLOSE_TIMEOUT_S


def handle(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    message = request.message
    assert isinstance(message, PowerDeliveryReq)
    if message.charge_progress is ChargeProgress.STOP:
        return _stop(session, around)
    if message.charge_progress is ChargeProgress.RENEGOTIATE:
        return _renegotiate(session, around)
    return _start(message, session, around, now)


def _stop(session: Session, around: Surroundings) -> Answer:
    after = replace(session, state=State.SESSION_STOP, power_wanted=False)
    return Answer(_response(around), after, (PowerWanted(False),))


def _renegotiate(session: Session, around: Surroundings) -> Answer:
    """Back to ChargeParameterDiscovery while charging goes on [V2G2-813]; there is nothing to renegotiate before."""
    if session.state is State.POWER_DELIVERY:
        raise Refused(ResponseCode.FAILED_SEQUENCE_ERROR)
    return Answer(_response(around), replace(session, state=State.CHARGE_PARAMETER_DISCOVERY))


def _start(message: PowerDeliveryReq, session: Session, around: Surroundings, now: float) -> Answer:
    """Ask for power, and answer once the contactor has closed."""
    if session.state is not State.POWER_DELIVERY or session.offer is None:
        raise Refused(ResponseCode.FAILED_SEQUENCE_ERROR)
    _check_plan(message, session.offer)
    if must_stop(around.view) or around.view.authorization is not Authorization.ACCEPTED:
        raise Refused(ResponseCode.FAILED_POWER_DELIVERY_NOT_APPLIED, detail="the station allows no power")
    since = now if session.waiting_since_s is None else session.waiting_since_s
    asked = () if session.power_wanted else (PowerWanted(True),)
    if around.view.contactor_closed and not asked:
        return Answer(_response(around), replace(session, state=State.CHARGING, waiting_since_s=None))
    deadline = since + CONTACTOR_CLOSE_TIMEOUT_S
    if now >= deadline:
        raise Refused(ResponseCode.FAILED_POWER_DELIVERY_NOT_APPLIED, detail="the contactor did not close")
    return Answer(None, replace(session, power_wanted=True, waiting_since_s=since), asked, retry_s=deadline)


def _check_plan(message: PowerDeliveryReq, offer: Offer) -> None:
    if message.sa_schedule_tuple_id != offer.tuple_id:
        raise Refused(ResponseCode.FAILED_TARIFF_SELECTION_INVALID)
    if message.charging_profile is not None and not _within(message.charging_profile, offer):
        raise Refused(ResponseCode.FAILED_CHARGING_PROFILE_INVALID)


def _within(profile: ChargingProfile, offer: Offer) -> bool:
    entries = profile.profile_entries
    ends = [*(entry.start for entry in entries[1:]), math.inf]
    return all(
        decimal_value(entry.max_power.value, entry.max_power.multiplier) <= offer.lowest_p_max_w(entry.start, end)
        for entry, end in zip(entries, ends, strict=True)
        if entry.start < end
    )


def _response(around: Surroundings) -> PowerDeliveryRes:
    return build(PowerDeliveryRes, ResponseCode=ResponseCode.OK, AC_EVSEStatus=ac_evse_status(around.view))
