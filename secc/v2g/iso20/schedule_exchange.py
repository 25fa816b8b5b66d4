"""ScheduleExchange: a schedule to plan within, or the vehicle's needs for the station to plan by (clause 8.3.4.3.9)."""

from dataclasses import replace

from iso15118.shared.messages.iso15118_20.common_types import ResponseCode

from secc.ports import EnergyRequested, LimitSent, StationView
from secc.v2g import offers
from secc.v2g.codes import Refused
from secc.v2g.elements import Elements, child, rational, whole
from secc.v2g.iso20.charge_parameters import per_phase
from secc.v2g.iso20.session import ControlMode, Session20
from secc.v2g.quantities import rational_number
from secc.v2g.session import Answer, Offer, OfferEntry, Request, State, Surroundings

_MODES = {ControlMode.SCHEDULED: "Scheduled_SEReqControlMode", ControlMode.DYNAMIC: "Dynamic_SEReqControlMode"}


def handle(request: Request, session: Session20, around: Surroundings, now: float) -> Answer:
    """The limit as it is and will be. It stands until the vehicle asks again.

    After a renegotiation power is still on, and nothing lies between this and PowerDelivery.
    """
    view = around.view
    name = _MODES[session.control_mode]
    if name not in request.elements:
        raise Refused(ResponseCode.FAILED, detail=f"no {name}")
    if view.dc is not None:
        offer = offers.dc_offer(view.dc, now)
    else:
        most = whole(request.elements, "MaximumSupportingPoints")
        offer = offers.offer(view, phases=view.phases, most_entries=most, now=now)
    limit_a = offer.limit_a(now)
    straight_on = view.dc is None or session.power_wanted
    after = replace(
        session,
        state=State.POWER_DELIVERY if straight_on else State.CABLE_CHECK,
        offer=offer,
        limit_sent_a=limit_a,
        renegotiation_asked_s=None,
    )
    response = {"ResponseCode": ResponseCode.OK, "EVSEProcessing": "Finished", **_plan(after, offer, around)}
    needs = _needs(child(request.elements, name), session, view)
    return Answer(response, after, (needs, LimitSent(session.session_id, limit_a, request.response_name)))


def _needs(said: Elements, session: Session20, view: StationView) -> EnergyRequested:
    departure_s = whole(said, "DepartureTime")
    to_amps = 1 / (view.nominal_voltage_v * view.phases)
    return EnergyRequested(
        energy_transfer_mode=session.energy_transfer_mode,
        energy_wh=rational(said, "EVTargetEnergyRequest"),
        departure_s=None if departure_s is None else float(departure_s),
        max_current_a=session.ev_max_current_a if view.dc else session.ev_max_power_w * to_amps,
        min_current_a=0.0 if view.dc else session.ev_min_power_w * to_amps,
    )


def _plan(session: Session20, offer: Offer, around: Surroundings) -> dict[str, object]:
    if session.control_mode is ControlMode.DYNAMIC:
        return {"Dynamic_SEResControlMode": {}}
    entry: dict[str, object] = {
        "ScheduleTupleID": offer.tuple_id,
        "ChargingSchedule": {"PowerSchedule": _power_schedule(offer, around)},
    }
    return {"Scheduled_SEResControlMode": {"ScheduleTuple": [entry]}}


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
