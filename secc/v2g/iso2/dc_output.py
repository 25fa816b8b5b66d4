"""DC before and after the charge loop: CableCheck, PreCharge, WeldingDetection (clauses 8.4.5.2, 8.4.5.3, 8.4.5.5)."""

from dataclasses import replace

from iso15118.shared.messages.datatypes import DCEVSEStatusCode
from iso15118.shared.messages.enums import EVSEProcessing
from iso15118.shared.messages.iso15118_2.body import (
    CableCheckReq,
    CableCheckRes,
    PreChargeReq,
    PreChargeRes,
    WeldingDetectionRes,
)
from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode

from secc.ports import CableCheckWanted, DcTarget, DcView, Insulation
from secc.v2g.codes import Refused
from secc.v2g.iso2.status import dc_evse_status, must_stop
from secc.v2g.models import build
from secc.v2g.quantities import physical_value
from secc.v2g.session import Answer, Request, Session, State, Surroundings
from secc.v2g.timing import CABLE_CHECK_PERFORMANCE_TIME_S, ONGOING_PACE_S

# IEC 61851-23 CC.3.3: with more than this much between the two, closing the vehicle's contactors would be an inrush.
PRE_CHARGE_TOLERANCE_V = 20.0  # unverified: IEC 61851-23

# IEC 61851-23 lets no more flow while the output is matched to the battery.
PRE_CHARGE_CURRENT_A = 2.0  # unverified: IEC 61851-23


def check_cable(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    """Ask for one insulation test and report its end. Only a passed one opens the way to PreCharge."""
    assert isinstance(request.message, CableCheckReq)
    if must_stop(around.view):
        raise Refused(ResponseCode.FAILED, detail="the station allows no power")
    if not session.cable_check_id:
        check_id = around.entropy.hex().upper()
        asked = replace(session, cable_check_id=check_id, waiting_since_s=now)
        wanted = CableCheckWanted(check_id, session.ev_max_voltage_v)
        return Answer(None, asked, (wanted,), retry_s=now + ONGOING_PACE_S)
    assert session.waiting_since_s is not None
    verdict = _verdict(session, around.dc)
    if verdict is Insulation.FAULT:
        raise Refused(ResponseCode.FAILED, detail="insulation fault")
    if verdict is Insulation.UNKNOWN:
        if now - session.waiting_since_s >= CABLE_CHECK_PERFORMANCE_TIME_S:
            raise Refused(ResponseCode.FAILED, detail="the cable check took too long")
        if now - request.arrived_s < ONGOING_PACE_S:
            return Answer(None, session, retry_s=request.arrived_s + ONGOING_PACE_S)
        return Answer(_cable_check_res(around, EVSEProcessing.ONGOING), session)
    after = replace(session, state=State.PRE_CHARGE, waiting_since_s=None)
    return Answer(_cable_check_res(around, EVSEProcessing.FINISHED), after)


def pre_charge(request: Request, session: Session, around: Surroundings, _now: float) -> Answer:
    """Follow the vehicle's voltage at little current; it goes on to PowerDelivery when it finds the two equal."""
    message = request.message
    assert isinstance(message, PreChargeReq)
    if must_stop(around.view):
        raise Refused(ResponseCode.FAILED, detail="the station allows no power")
    wanted_v = message.ev_target_voltage.get_decimal_value()
    wanted_a = min(message.ev_target_current.get_decimal_value(), PRE_CHARGE_CURRENT_A)
    target = within_limits(wanted_v, wanted_a, session, around.dc)
    after = replace(session, state=State.PRE_CHARGE, target_v=target.voltage_v, output_wanted=True)
    response = build(
        PreChargeRes,
        ResponseCode=ResponseCode.OK,
        DC_EVSEStatus=dc_evse_status(around.view, around.dc),
        EVSEPresentVoltage=present_voltage(around.dc),
    )
    return Answer(response, after, (target,))


def detect_welding(_request: Request, session: Session, around: Surroundings, _now: float) -> Answer:
    """The vehicle watches the voltage fall after it has opened one contactor."""
    response = build(
        WeldingDetectionRes,
        ResponseCode=ResponseCode.OK,
        DC_EVSEStatus=dc_evse_status(around.view, around.dc, code=DCEVSEStatusCode.EVSE_NOT_READY),
        EVSEPresentVoltage=present_voltage(around.dc),
    )
    return Answer(response, session)


def pre_charged(session: Session, dc: DcView) -> bool:
    """Whether the output stands where the vehicle asked it to."""
    return session.target_v > 0 and abs(dc.present_voltage_v - session.target_v) <= PRE_CHARGE_TOLERANCE_V


def within_limits(voltage_v: float, current_a: float, session: Session, dc: DcView) -> DcTarget:
    """The vehicle's wish, cut to what both sides said they bear."""
    highest_v = min(dc.max_voltage_v, session.ev_max_voltage_v)
    return DcTarget(max(0.0, min(voltage_v, highest_v)), max(0.0, min(current_a, dc.max_current_a)))


def present_voltage(dc: DcView) -> object:
    return physical_value(round(dc.present_voltage_v, 1), "V")


def _verdict(session: Session, dc: DcView) -> Insulation:
    """Of our own test only: an earlier one says nothing about this vehicle."""
    return dc.cable_check if dc.cable_check_id == session.cable_check_id else Insulation.UNKNOWN


def _cable_check_res(around: Surroundings, processing: EVSEProcessing) -> CableCheckRes:
    testing = DCEVSEStatusCode.EVSE_ISOLATION_MONITORING_ACTIVE if processing is EVSEProcessing.ONGOING else None
    return build(
        CableCheckRes,
        ResponseCode=ResponseCode.OK,
        DC_EVSEStatus=dc_evse_status(around.view, around.dc, code=testing),
        EVSEProcessing=processing,
    )
