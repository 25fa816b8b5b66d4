"""ScheduleExchange: a schedule to plan within, or the vehicle's needs for the station to plan by (clause 8.3.4.3.9)."""

from dataclasses import replace

from iso15118.shared.messages.iso15118_20.common_types import ResponseCode

from secc.ports import LimitSent, StationView
from secc.schedules import MAX_SCHEDULES, EnergyRequested, ScheduleAnswer, TariffLeftOut
from secc.v2g import offers
from secc.v2g.codes import Refused
from secc.v2g.elements import Elements, child, rational, whole
from secc.v2g.iso20.charge_parameters import per_phase
from secc.v2g.iso20.prices import price_schedule
from secc.v2g.iso20.session import ControlMode, Session20, of_20
from secc.v2g.planning import plan
from secc.v2g.progress import Processing
from secc.v2g.quantities import rational_number
from secc.v2g.session import Answer, Offer, OfferEntry, Request, State, Surroundings

_MODES = {ControlMode.SCHEDULED: "Scheduled_SEReqControlMode", ControlMode.DYNAMIC: "Dynamic_SEReqControlMode"}


def handle(request: Request, session: Session20, around: Surroundings, now: float) -> Answer:
    """The operator's schedules, or the limit as it is and will be. They stand until the vehicle asks again.

    After a renegotiation power is still on, and nothing lies between this and PowerDelivery.
    """
    name = _MODES[session.control_mode]
    if name not in request.elements:
        raise Refused(ResponseCode.FAILED, detail=f"no {name}")
    planning = plan(request, session, _needs(child(request.elements, name), session, around.view), around, now)
    if planning.processing is None:
        return Answer(None, planning.session, planning.facts, retry_s=planning.retry_s)
    most = whole(request.elements, "MaximumSupportingPoints")
    after = _offered(of_20(planning.session), planning.answer, around.view, most, now)
    written, left_out = _plan(after, planning.answer, around, most or offers.MAX_ENTRIES, now)
    response = {"ResponseCode": ResponseCode.OK, "EVSEProcessing": planning.processing, **written}
    if planning.processing is Processing.ONGOING:
        return Answer(response, planning.session)
    assert after.offer is not None
    limit_a = after.offer.limit_a(now)
    straight_on = around.view.dc is None or session.power_wanted
    after = replace(
        after,
        state=State.POWER_DELIVERY if straight_on else State.CABLE_CHECK,
        limit_sent_a=limit_a,
        renegotiating=session.power_wanted,
    )
    sent = LimitSent(session.session_id, limit_a, request.response_name)
    return Answer(response, after, (*planning.facts, sent, *left_out))


def _offered(session: Session20, answer: ScheduleAnswer, view: StationView, most: int | None, now: float) -> Session20:
    if view.dc is not None:
        made = offers.dc_offers(view, view.dc, answer, most_entries=most, now=now)
    else:
        made = offers.ac_offers(view, answer, phases=view.phases, most_entries=most, now=now)
    return replace(session, offers=made, offer=made[0])


def _needs(said: Elements, session: Session20, view: StationView) -> EnergyRequested:
    departure_s = whole(said, "DepartureTime")
    to_amps = 1 / (view.nominal_voltage_v * view.phases)
    return EnergyRequested(
        energy_transfer_mode=session.energy_transfer_mode,
        energy_wh=rational(said, "EVTargetEnergyRequest"),
        departure_s=None if departure_s is None else float(departure_s),
        max_current_a=session.ev_max_current_a if view.dc else session.ev_max_power_w * to_amps,
        min_current_a=0.0 if view.dc else session.ev_min_power_w * to_amps,
        dynamic=session.control_mode is ControlMode.DYNAMIC,
        max_schedules=1 if session.control_mode is ControlMode.DYNAMIC else MAX_SCHEDULES,
        max_voltage_v=session.ev_max_voltage_v or None,
        max_power_w=session.ev_max_power_w,
        min_power_w=session.ev_min_power_w,
        max_discharge_power_w=session.ev_max_discharge_power_w if session.bidirectional else None,
        max_energy_wh=rational(said, "EVMaximumEnergyRequest"),
        min_energy_wh=rational(said, "EVMinimumEnergyRequest"),
        target_soc_percent=whole(said, "TargetSOC"),
        minimum_soc_percent=whole(said, "MinimumSOC"),
    )


def _plan(
    session: Session20, answer: ScheduleAnswer, around: Surroundings, most: int, now: float
) -> tuple[Elements, tuple[TariffLeftOut, ...]]:
    schedules = {schedule.tuple_id: schedule for schedule in answer.schedules}
    left_out: list[TariffLeftOut] = []

    def prices(tuple_id: int) -> Elements:
        said = price_schedule(schedules.get(tuple_id), session.pricing, around.unix_time, most, now)
        if isinstance(said, str):
            left_out.append(TariffLeftOut(tuple_id, said))
            return {}
        return said

    if session.control_mode is ControlMode.DYNAMIC:
        dynamic = {**mobility_needs(session, around.view, now), **prices(session.offers[0].tuple_id)}
        return {"Dynamic_SEResControlMode": dynamic}, tuple(left_out)
    tuples = [
        {
            "ScheduleTupleID": offer.tuple_id,
            "ChargingSchedule": {"PowerSchedule": _power_schedule(offer, around), **prices(offer.tuple_id)},
        }
        for offer in session.offers
    ]
    return {"Scheduled_SEResControlMode": {"ScheduleTuple": tuples}}, tuple(left_out)


def mobility_needs(session: Session20, view: StationView, now: float) -> Elements:
    """What the station knows of the driver's needs, where it was agreed that its word counts."""
    needs = view.mobility_needs
    if not session.needs_by_station or needs is None:
        return {}
    departure_s = None if needs.departure_s is None else max(0, round(needs.departure_s - now))
    said = {
        "DepartureTime": departure_s,
        "MinimumSOC": needs.minimum_soc_percent,
        "TargetSOC": needs.target_soc_percent,
    }
    return {name: value for name, value in said.items() if value is not None}


def _power_schedule(offer: Offer, around: Surroundings) -> Elements:
    starts = [entry.start_s for entry in offer.entries]
    ends = [*starts[1:], offers.SCHEDULE_DURATION_S]
    entries = [
        {"Duration": max(1, end - start), **_power(entry, around.view)}
        for entry, start, end in zip(offer.entries, starts, ends, strict=True)
    ]
    return {"TimeAnchor": around.unix_time, "PowerScheduleEntries": {"PowerScheduleEntry": entries}}


def _power(entry: OfferEntry, view: StationView) -> dict[str, object]:
    if view.dc is not None:
        return {"Power": rational_number(entry.p_max_w)}
    return {**per_phase("Power", entry.limit_a * view.nominal_voltage_v, view)}
