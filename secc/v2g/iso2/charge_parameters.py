"""ChargeParameterDiscovery: what the vehicle needs, and the schedule it gets (clause 8.4.3.8)."""

from dataclasses import replace

from iso15118.shared.messages.datatypes import DCEVSEChargeParameter
from iso15118.shared.messages.enums import EnergyTransferModeEnum, EVSEProcessing
from iso15118.shared.messages.iso15118_2.body import ChargeParameterDiscoveryReq, ChargeParameterDiscoveryRes
from iso15118.shared.messages.iso15118_2.datatypes import (
    ACEVSEChargeParameter,
    ResponseCode,
)

from secc.ports import DcView, EnergyRequested, LimitSent, StationView
from secc.v2g import offers
from secc.v2g.codes import Refused
from secc.v2g.iso2 import schedule
from secc.v2g.iso2.service_discovery import energy_transfer_modes
from secc.v2g.iso2.status import ac_evse_status, dc_evse_status
from secc.v2g.models import build
from secc.v2g.quantities import physical_value
from secc.v2g.session import Answer, Request, Session, State, Surroundings


def handle(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    """One tuple with the limit as it is now and will be. It stands until the vehicle asks again, see `Offer`."""
    message = request.message
    assert isinstance(message, ChargeParameterDiscoveryReq)
    if message.requested_energy_mode not in energy_transfer_modes(around.view):
        raise Refused(ResponseCode.FAILED_WRONG_ENERGY_TRANSFER_MODE)
    if around.view.dc is not None:
        after, needs = _dc(message, session, around.view.dc, now)
    else:
        after, needs = _ac(message, session, around.view, now)
    assert after.offer is not None
    response = build(
        ChargeParameterDiscoveryRes,
        ResponseCode=ResponseCode.OK,
        EVSEProcessing=EVSEProcessing.FINISHED,
        SAScheduleList=schedule.sa_schedule_list(after.offer),
        **evse_charge_parameter(around.view),
    )
    limit_a = after.offer.limit_a(now)
    mode = message.requested_energy_mode.value
    after = replace(after, energy_transfer_mode=mode, limit_sent_a=limit_a, renegotiation_asked_s=None)
    return Answer(response, after, (needs, LimitSent(session.session_id, limit_a, "ChargeParameterDiscoveryRes")))


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


def _ac(
    message: ChargeParameterDiscoveryReq, session: Session, view: StationView, now: float
) -> tuple[Session, EnergyRequested]:
    parameters = message.ac_ev_charge_parameter
    assert parameters is not None, "the model pairs them with the mode"
    mode = message.requested_energy_mode
    offer = offers.offer(
        view,
        phases=3 if mode is EnergyTransferModeEnum.AC_THREE_PHASE_CORE else 1,
        most_entries=message.max_entries_sa_schedule_tuple,
        now=now,
    )
    needs = EnergyRequested(
        energy_transfer_mode=mode.value,
        energy_wh=parameters.e_amount.get_decimal_value(),
        departure_s=_seconds(parameters.departure_time),
        max_current_a=parameters.ev_max_current.get_decimal_value(),
        min_current_a=parameters.ev_min_current.get_decimal_value(),
    )
    return replace(session, state=State.POWER_DELIVERY, offer=offer), needs


def _dc(
    message: ChargeParameterDiscoveryReq, session: Session, dc: DcView, now: float
) -> tuple[Session, EnergyRequested]:
    parameters = message.dc_ev_charge_parameter
    assert parameters is not None, "the model pairs them with the mode"
    wanted = parameters.ev_energy_request
    needs = EnergyRequested(
        energy_transfer_mode=message.requested_energy_mode.value,
        energy_wh=wanted.get_decimal_value() if wanted else None,
        departure_s=_seconds(parameters.departure_time),
        max_current_a=parameters.ev_maximum_current_limit.get_decimal_value(),
        min_current_a=0.0,
    )
    after = replace(
        session,
        state=State.CABLE_CHECK,
        offer=offers.dc_offer(dc, now),
        ev_max_voltage_v=parameters.ev_maximum_voltage_limit.get_decimal_value(),
    )
    return after, needs


def _seconds(departure: int | None) -> float | None:
    return None if departure is None else float(departure)
