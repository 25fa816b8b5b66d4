"""ChargeParameterDiscovery: what the vehicle needs, and the schedule it gets (clause 8.4.3.8)."""

from dataclasses import replace
from decimal import Decimal

from iso15118.shared.messages.enums import EnergyTransferModeEnum, EVSEProcessing
from iso15118.shared.messages.iso15118_2.body import ChargeParameterDiscoveryReq, ChargeParameterDiscoveryRes
from iso15118.shared.messages.iso15118_2.datatypes import (
    ACEVChargeParameter,
    ACEVSEChargeParameter,
    ResponseCode,
    SAScheduleList,
)

from secc.ports import EnergyRequested, LimitSent, StationView
from secc.v2g.codes import Refused
from secc.v2g.iso2.service_discovery import energy_transfer_modes
from secc.v2g.iso2.status import ac_evse_status
from secc.v2g.models import build
from secc.v2g.quantities import decimal_value, physical_value
from secc.v2g.session import Answer, Offer, Request, Session, State, Surroundings

TUPLE_ID = 1

# A schedule must reach to the departure or, without one, over 24 hours [V2G2-305]; this is also the type's largest.
SCHEDULE_DURATION_S = 86_400


def handle(request: Request, session: Session, around: Surroundings, _now: float) -> Answer:
    """One tuple with the limit as it is now. It stands until the vehicle asks again, see `Offer`."""
    message = request.message
    assert isinstance(message, ChargeParameterDiscoveryReq)
    if message.requested_energy_mode not in energy_transfer_modes(around.view):
        raise Refused(ResponseCode.FAILED_WRONG_ENERGY_TRANSFER_MODE)
    if message.ac_ev_charge_parameter is None:
        raise Refused(ResponseCode.FAILED_WRONG_CHARGE_PARAMETER)
    mode = message.requested_energy_mode
    p_max = _p_max(around.view, 3 if mode is EnergyTransferModeEnum.AC_THREE_PHASE_CORE else 1)
    offer = Offer(TUPLE_ID, decimal_value(*_digits(p_max)), around.view.limit_a)
    response = build(
        ChargeParameterDiscoveryRes,
        ResponseCode=ResponseCode.OK,
        EVSEProcessing=EVSEProcessing.FINISHED,
        SAScheduleList=_schedules(p_max),
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


def _p_max(view: StationView, phases: int) -> dict[str, object]:
    return physical_value(Decimal(repr(view.limit_a)) * Decimal(repr(view.nominal_voltage_v)) * phases, "W")


def _digits(value: dict[str, object]) -> tuple[int, int]:
    digits, multiplier = value["Value"], value["Multiplier"]
    assert isinstance(digits, int)
    assert isinstance(multiplier, int)
    return digits, multiplier


def _schedules(p_max: dict[str, object]) -> SAScheduleList:
    entry = {"PMax": p_max, "RelativeTimeInterval": {"start": 0, "duration": SCHEDULE_DURATION_S}}
    schedule = {"SAScheduleTupleID": TUPLE_ID, "PMaxSchedule": {"PMaxScheduleEntry": [entry]}}
    return build(SAScheduleList, SAScheduleTuple=[schedule])


def _needs(mode: EnergyTransferModeEnum, parameters: ACEVChargeParameter) -> EnergyRequested:
    departure = parameters.departure_time
    return EnergyRequested(
        energy_transfer_mode=mode.value,
        energy_wh=parameters.e_amount.get_decimal_value(),
        departure_s=None if departure is None else float(departure),
        max_current_a=parameters.ev_max_current.get_decimal_value(),
        min_current_a=parameters.ev_min_current.get_decimal_value(),
    )
