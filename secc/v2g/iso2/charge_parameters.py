"""ChargeParameterDiscovery: what the vehicle needs, and the schedule it gets (clause 8.4.3.8)."""

from dataclasses import replace

from iso15118.shared.messages.datatypes import DCEVSEChargeParameter, PhysicalValue
from iso15118.shared.messages.enums import EnergyTransferModeEnum, EVSEProcessing
from iso15118.shared.messages.iso15118_2.body import ChargeParameterDiscoveryReq, ChargeParameterDiscoveryRes
from iso15118.shared.messages.iso15118_2.datatypes import (
    ACEVSEChargeParameter,
    DCEVChargeParameter,
    ResponseCode,
)

from secc.ports import DcView, LimitSent, StationView
from secc.schedules import MAX_SCHEDULES, EnergyRequested, ScheduleAnswer
from secc.v2g import offers
from secc.v2g.codes import Refused
from secc.v2g.iso2 import schedule
from secc.v2g.iso2.service_discovery import energy_transfer_modes
from secc.v2g.iso2.status import ac_evse_status, dc_evse_status
from secc.v2g.models import build
from secc.v2g.planning import plan
from secc.v2g.progress import Processing
from secc.v2g.quantities import physical_value
from secc.v2g.session import Answer, Request, Session, Signed, State, Surroundings


def handle(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    """The operator's schedules, or the limit as it is now and will be. They stand until the vehicle asks again."""
    message = request.message
    assert isinstance(message, ChargeParameterDiscoveryReq)
    view = around.view
    if message.requested_energy_mode not in energy_transfer_modes(view):
        raise Refused(ResponseCode.FAILED_WRONG_ENERGY_TRANSFER_MODE)
    planning = plan(request, session, _needs(message, view), around, now)
    if planning.processing is None:
        return Answer(None, planning.session, planning.facts, retry_s=planning.retry_s)
    after = replace(planning.session, energy_transfer_mode=message.requested_energy_mode.value)
    if planning.processing is Processing.ONGOING:
        return Answer(_response(view, EVSEProcessing.ONGOING), after)
    after = _offered(message, after, planning.answer, view, now)
    written = schedule.sa_schedule_list(after.offers, planning.answer, message.max_entries_sa_schedule_tuple, now)
    assert after.offer is not None
    limit_a = after.offer.limit_a(now)
    after = replace(after, limit_sent_a=limit_a)
    sent = LimitSent(session.session_id, limit_a, request.response_name)
    response = {**_response(view, EVSEProcessing.FINISHED), "SAScheduleList": written.elements}
    whole = Signed(response, written.signature) if written.signature else response
    return Answer(whole, after, (*planning.facts, sent, *written.left_out))


def _response(view: StationView, processing: EVSEProcessing) -> dict[str, object]:
    made = build(
        ChargeParameterDiscoveryRes,
        ResponseCode=ResponseCode.OK,
        EVSEProcessing=processing,
        **evse_charge_parameter(view),
    )
    return dict(made.dict(by_alias=True, exclude_none=True))


def _offered(
    message: ChargeParameterDiscoveryReq, session: Session, answer: ScheduleAnswer, view: StationView, now: float
) -> Session:
    most = message.max_entries_sa_schedule_tuple
    if view.dc is None:
        phases = 3 if message.requested_energy_mode is EnergyTransferModeEnum.AC_THREE_PHASE_CORE else 1
        made = offers.ac_offers(view, answer, phases=phases, most_entries=most, now=now)
        return replace(session, state=State.POWER_DELIVERY, offers=made, offer=made[0])
    parameters = message.dc_ev_charge_parameter
    assert parameters is not None, "the model pairs them with the mode"
    made = offers.dc_offers(view, view.dc, answer, most_entries=most, now=now)
    return replace(
        session,
        state=State.CABLE_CHECK,
        offers=made,
        offer=made[0],
        ev_max_voltage_v=parameters.ev_maximum_voltage_limit.get_decimal_value(),
    )


def evse_charge_parameter(view: StationView) -> dict[str, object]:
    """The parameters of this station's kind, under their name."""
    if view.dc is not None:
        return {"DC_EVSEChargeParameter": dc_evse_charge_parameter(view, view.dc)}
    return {"AC_EVSEChargeParameter": ac_evse_charge_parameter(view)}


def ac_evse_charge_parameter(view: StationView) -> ACEVSEChargeParameter:
    return build(
        ACEVSEChargeParameter,
        AC_EVSEStatus=ac_evse_status(view),
        EVSENominalVoltage=physical_value(view.nominal_voltage_v, "V"),
        EVSEMaxCurrent=physical_value(view.limit_a, "A"),
    )


def dc_evse_charge_parameter(view: StationView, dc: DcView) -> DCEVSEChargeParameter:
    return build(
        DCEVSEChargeParameter,
        DC_EVSEStatus=dc_evse_status(view, dc),
        EVSEMaximumCurrentLimit=physical_value(dc.max_current_a, "A"),
        EVSEMaximumPowerLimit=physical_value(dc.max_power_w, "W"),
        EVSEMaximumVoltageLimit=physical_value(dc.max_voltage_v, "V"),
        EVSEMinimumCurrentLimit=physical_value(dc.min_current_a, "A"),
        EVSEMinimumVoltageLimit=physical_value(dc.min_voltage_v, "V"),
        EVSEPeakCurrentRipple=physical_value(dc.peak_ripple_a, "A"),
    )


def _needs(message: ChargeParameterDiscoveryReq, view: StationView) -> EnergyRequested:
    mode = message.requested_energy_mode.value
    if view.dc is not None:
        return _dc_needs(mode, message.dc_ev_charge_parameter)
    parameters = message.ac_ev_charge_parameter
    assert parameters is not None, "the model pairs them with the mode"
    return EnergyRequested(
        energy_transfer_mode=mode,
        energy_wh=parameters.e_amount.get_decimal_value(),
        departure_s=_seconds(parameters.departure_time),
        max_current_a=parameters.ev_max_current.get_decimal_value(),
        min_current_a=parameters.ev_min_current.get_decimal_value(),
        max_schedules=MAX_SCHEDULES,
        max_voltage_v=parameters.ev_max_voltage.get_decimal_value(),
    )


def _dc_needs(mode: str, parameters: DCEVChargeParameter | None) -> EnergyRequested:
    assert parameters is not None, "the model pairs them with the mode"
    return EnergyRequested(
        energy_transfer_mode=mode,
        energy_wh=_value(parameters.ev_energy_request),
        departure_s=_seconds(parameters.departure_time),
        max_current_a=parameters.ev_maximum_current_limit.get_decimal_value(),
        min_current_a=0.0,
        max_schedules=MAX_SCHEDULES,
        max_voltage_v=parameters.ev_maximum_voltage_limit.get_decimal_value(),
        max_power_w=_value(parameters.ev_maximum_power_limit),
        capacity_wh=_value(parameters.ev_energy_capacity),
        soc_percent=parameters.dc_ev_status.ev_ress_soc,
        full_soc_percent=parameters.full_soc,
        bulk_soc_percent=parameters.bulk_soc,
    )


def _value(quantity: PhysicalValue | None) -> float | None:
    return None if quantity is None else quantity.get_decimal_value()


def _seconds(departure: int | None) -> float | None:
    return None if departure is None else float(departure)
