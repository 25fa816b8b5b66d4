"""ChargeParameterDiscovery: what the vehicle needs, and the schedule it gets (clause 8.4.3.8)."""

from dataclasses import replace

from iso15118.shared.messages.enums import EnergyTransferModeEnum, EVSEProcessing
from iso15118.shared.messages.iso15118_2.body import ChargeParameterDiscoveryReq, ChargeParameterDiscoveryRes
from iso15118.shared.messages.iso15118_2.datatypes import (
    ACEVChargeParameter,
    ACEVSEChargeParameter,
    ResponseCode,
)

from secc.ports import EnergyRequested, LimitSent, StationView
from secc.v2g.codes import Refused
from secc.v2g.iso2 import schedule
from secc.v2g.iso2.service_discovery import energy_transfer_modes
from secc.v2g.iso2.status import ac_evse_status
from secc.v2g.models import build
from secc.v2g.quantities import physical_value
from secc.v2g.session import Answer, Request, Session, State, Surroundings


def handle(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    """One tuple with the limit as it is now and will be. It stands until the vehicle asks again, see `Offer`."""
    message = request.message
    assert isinstance(message, ChargeParameterDiscoveryReq)
    if message.requested_energy_mode not in energy_transfer_modes(around.view):
        raise Refused(ResponseCode.FAILED_WRONG_ENERGY_TRANSFER_MODE)
    if message.ac_ev_charge_parameter is None:
        raise Refused(ResponseCode.FAILED_WRONG_CHARGE_PARAMETER)
    mode = message.requested_energy_mode
    offer = schedule.offer(
        around.view,
        phases=3 if mode is EnergyTransferModeEnum.AC_THREE_PHASE_CORE else 1,
        most_entries=message.max_entries_sa_schedule_tuple,
        now=now,
    )
    response = build(
        ChargeParameterDiscoveryRes,
        ResponseCode=ResponseCode.OK,
        EVSEProcessing=EVSEProcessing.FINISHED,
        SAScheduleList=schedule.sa_schedule_list(offer),
        AC_EVSEChargeParameter=ac_evse_charge_parameter(around.view),
    )
    after = replace(
        session,
        state=State.POWER_DELIVERY,
        energy_transfer_mode=mode.value,
        offer=offer,
        limit_sent_a=around.view.limit_a,
        renegotiation_asked_s=None,
    )
    needs = _needs(mode, message.ac_ev_charge_parameter)
    limit = LimitSent(session.session_id, around.view.limit_a, "ChargeParameterDiscoveryRes")
    return Answer(response, after, (needs, limit))


def ac_evse_charge_parameter(view: StationView) -> ACEVSEChargeParameter:
    return build(
        ACEVSEChargeParameter,
        AC_EVSEStatus=ac_evse_status(view),
        EVSENominalVoltage=physical_value(view.nominal_voltage_v, "V"),
        EVSEMaxCurrent=physical_value(view.limit_a, "A"),
    )


def _needs(mode: EnergyTransferModeEnum, parameters: ACEVChargeParameter) -> EnergyRequested:
    departure = parameters.departure_time
    return EnergyRequested(
        energy_transfer_mode=mode.value,
        energy_wh=parameters.e_amount.get_decimal_value(),
        departure_s=None if departure is None else float(departure),
        max_current_a=parameters.ev_max_current.get_decimal_value(),
        min_current_a=parameters.ev_min_current.get_decimal_value(),
    )
