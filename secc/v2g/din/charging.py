"""From ChargeParameterDiscovery to SessionStop: the DC output (clauses 9.4.1.7 to 9.4.2.5)."""

from dataclasses import replace

from secc.ports import DcTarget, DcView, EndReason, LimitSent, PowerWanted
from secc.schedules import EnergyRequested
from secc.v2g import offers
from secc.v2g import progress as progressing
from secc.v2g.codes import Refused
from secc.v2g.dc_target import demand, noted_soc, pre_charge_target
from secc.v2g.din.status import charge_parameter, evse_status, maximum_limits, present_voltage
from secc.v2g.elements import Elements, child, children, physical, text, whole
from secc.v2g.planning import NO_ANSWER
from secc.v2g.progress import Processing, close_contactor, must_stop, until_pre_charge
from secc.v2g.quantities import MAX_VALUE, physical_value
from secc.v2g.session import Answer, Offer, Request, Session, State, Surroundings

_OK: Elements = {"ResponseCode": "OK"}

# PMaxType is a 16 bit number of watts without a power of ten, so no station can offer more; vehicles take the greatest
# value for "no limit" and heed EVSEMaximumPowerLimit.
MAX_P_MAX_W = MAX_VALUE


def discover_parameters(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    view, dc = around.view, around.dc
    mode = text(request.elements, "EVRequestedEnergyTransferType")
    if not mode.startswith("DC_"):
        raise Refused("FAILED_WrongEnergyTransferType")
    said = child(request.elements, "DC_EVChargeParameter")
    max_voltage_v = physical(said, "EVMaximumVoltageLimit") or 0.0
    if max_voltage_v <= 0:
        raise Refused("FAILED_WrongChargeParameter", detail="no DC_EVChargeParameter with a voltage")
    (offer,) = offers.dc_offers(view, dc, NO_ANSWER, most_entries=1, now=now)
    after = replace(
        session,
        state=State.CABLE_CHECK,
        offer=offer,
        energy_transfer_mode=mode,
        ev_max_voltage_v=max_voltage_v,
        limit_sent_a=dc.max_current_a,
    )
    needs = EnergyRequested(
        energy_transfer_mode=mode,
        energy_wh=physical(said, "EVEnergyRequest"),
        departure_s=None,
        max_current_a=physical(said, "EVMaximumCurrentLimit") or 0.0,
        min_current_a=0.0,
        max_voltage_v=max_voltage_v,
        max_power_w=physical(said, "EVMaximumPowerLimit"),
        capacity_wh=physical(said, "EVEnergyCapacity"),
        soc_percent=whole(child(said, "DC_EVStatus"), "EVRESSSOC"),
        full_soc_percent=whole(said, "FullSOC"),
        bulk_soc_percent=whole(said, "BulkSOC"),
    )
    response = {
        **_OK,
        "EVSEProcessing": Processing.FINISHED,
        "SAScheduleList": _schedule(offer),
        "DC_EVSEChargeParameter": charge_parameter(view, dc),
    }
    sent = LimitSent(session.session_id, dc.max_current_a, request.response_name)
    return Answer(response, after, (needs, sent))


def _schedule(offer: Offer) -> Elements:
    p_max_w = min(int(offer.entries[0].p_max_w), MAX_P_MAX_W)
    entry = {"RelativeTimeInterval": {"start": 0, "duration": offers.SCHEDULE_DURATION_S}, "PMax": p_max_w}
    schedule = {"PMaxScheduleID": 1, "PMaxScheduleEntry": [entry]}
    return {"SAScheduleTuple": [{"SAScheduleTupleID": offer.tuple_id, "PMaxSchedule": schedule}]}


def check_cable(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    """Only a passed insulation test opens the way to PreCharge."""
    progress = progressing.check_cable(request, session, around, now)
    if progress.processing is None:
        return Answer(None, progress.session, progress.facts, retry_s=progress.retry_s)
    finished = progress.processing is Processing.FINISHED
    code = "EVSE_Ready" if finished else "EVSE_IsolationMonitoringActive"
    response = {**_OK, **evse_status(around.view, around.dc, code), "EVSEProcessing": progress.processing}
    state = State.PRE_CHARGE if finished else State.CABLE_CHECK
    return Answer(response, replace(progress.session, state=state))


def pre_charge(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    """Follow the vehicle's voltage at little current; it goes on to PowerDelivery when it finds the two equal."""
    if must_stop(around.view):
        raise Refused("FAILED", detail="the station allows no power")
    wanted_v = physical(request.elements, "EVTargetVoltage") or 0.0
    wanted_a = physical(request.elements, "EVTargetCurrent") or 0.0
    ready = until_pre_charge(session, around, now)
    if ready is None:
        status = evse_status(around.view, around.dc, "EVSE_IsolationMonitoringActive")
        return Answer({**_OK, **status, **present_voltage(around.dc)}, session)
    target = pre_charge_target(wanted_v, wanted_a, ready, around.dc)
    after = replace(ready, target_v=target.voltage_v, output_wanted=True)
    return Answer({**_OK, **evse_status(around.view, around.dc), **present_voltage(around.dc)}, after, (target,))


def deliver_power(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    """ReadyToChargeState true asks for power, and is answered once the contactor has closed; false takes it back."""
    if not request.elements["ReadyToChargeState"]:
        return _stop(session, around)
    if session.state is not State.PRE_CHARGE or session.offer is None:
        raise Refused("FAILED_SequenceError")
    _check_plan(child(request.elements, "ChargingProfile"), session.offer, around.dc)
    progress = close_contactor(session, around, now)
    if progress.processing is None:
        return Answer(None, progress.session, progress.facts, retry_s=progress.retry_s)
    after = replace(progress.session, state=State.CURRENT_DEMAND)
    return Answer({**_OK, **evse_status(around.view, around.dc)}, after)


def _stop(session: Session, around: Surroundings) -> Answer:
    after = replace(session, state=State.SESSION_STOP, power_wanted=False, output_wanted=False)
    output_off = (DcTarget(0.0, 0.0),) if session.output_wanted else ()
    response = {**_OK, **evse_status(around.view, around.dc, "EVSE_NotReady")}
    return Answer(response, after, (*output_off, PowerWanted(False)))


def _check_plan(profile: Elements, offer: Offer, dc: DcView) -> None:
    """A plan is watts of 16 bits; where the output gives more than that it can't exceed it."""
    if not profile:
        return
    if whole(profile, "SAScheduleTupleID") != offer.tuple_id:
        raise Refused("FAILED_TariffSelectionInvalid")
    most_w = max(float(offer.entries[0].p_max_w), dc.max_power_w)
    powers_w = [whole(entry, "ChargingProfileEntryMaxPower") or 0 for entry in children(profile, "ProfileEntry")]
    if any(power_w > most_w for power_w in powers_w):
        raise Refused("FAILED_ChargingProfileInvalid")


def demand_current(request: Request, session: Session, around: Surroundings, _now: float) -> Answer:
    """Pass the target on, within the limits; say which limit was met, and what flows."""
    view, dc = around.view, around.dc
    wanted_v = physical(request.elements, "EVTargetVoltage") or 0.0
    wanted_a = physical(request.elements, "EVTargetCurrent") or 0.0
    met = demand(wanted_v, wanted_a, session, view, dc)
    response = {
        **_OK,
        **evse_status(view, dc),
        **present_voltage(dc),
        "EVSEPresentCurrent": physical_value(round(dc.present_current_a, 1), "A"),
        "EVSECurrentLimitAchieved": met.current_limited,
        "EVSEVoltageLimitAchieved": met.voltage_limited,
        "EVSEPowerLimitAchieved": met.power_limited,
        **maximum_limits(dc),
    }
    limit_a = dc.max_current_a
    changed = session.limit_sent_a != limit_a
    sent = (LimitSent(session.session_id, limit_a, request.response_name),) if changed else ()
    after = replace(session, output_wanted=True, limit_sent_a=limit_a)
    after, charged = noted_soc(after, whole(child(request.elements, "DC_EVStatus"), "EVRESSSOC"))
    return Answer(response, after, (met.target, *sent, *charged))


def detect_welding(_request: Request, session: Session, around: Surroundings, _now: float) -> Answer:
    """The vehicle watches the voltage fall after it has opened one contactor."""
    status = evse_status(around.view, around.dc, "EVSE_NotReady")
    return Answer({**_OK, **status, **present_voltage(around.dc)}, session)


def stop_session(_request: Request, session: Session, _around: Surroundings, _now: float) -> Answer:
    """Always granted, whatever the state. The engine takes the power back."""
    return Answer(_OK, replace(session, state=State.ENDED, end=EndReason.TERMINATED))
