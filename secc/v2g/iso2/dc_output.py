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

from secc.ports import DcView
from secc.v2g import progress as progressing
from secc.v2g.codes import Refused
from secc.v2g.dc_target import pre_charge_target
from secc.v2g.iso2.status import dc_evse_status
from secc.v2g.models import build
from secc.v2g.progress import Processing, must_stop, until_pre_charge
from secc.v2g.quantities import physical_value
from secc.v2g.session import Answer, Request, Session, State, Surroundings


def check_cable(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    """Only a passed insulation test opens the way to PreCharge."""
    assert isinstance(request.message, CableCheckReq)
    progress = progressing.check_cable(request, session, around, now)
    if progress.processing is None:
        return Answer(None, progress.session, progress.facts, retry_s=progress.retry_s)
    if progress.processing is Processing.ONGOING:
        return Answer(_cable_check_res(around, EVSEProcessing.ONGOING), progress.session)
    after = replace(progress.session, state=State.PRE_CHARGE)
    return Answer(_cable_check_res(around, EVSEProcessing.FINISHED), after)


def pre_charge(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    """Follow the vehicle's voltage at little current; it goes on to PowerDelivery when it finds the two equal."""
    message = request.message
    assert isinstance(message, PreChargeReq)
    if must_stop(around.view):
        raise Refused(ResponseCode.FAILED, detail="the station allows no power")
    wanted_v = message.ev_target_voltage.get_decimal_value()
    wanted_a = message.ev_target_current.get_decimal_value()
    ready = until_pre_charge(session, around, now)
    if ready is None:
        return Answer(_pre_charge_res(around, DCEVSEStatusCode.EVSE_ISOLATION_MONITORING_ACTIVE), session)
    target = pre_charge_target(wanted_v, wanted_a, ready, around.dc)
    after = replace(ready, target_v=target.voltage_v, output_wanted=True)
    return Answer(_pre_charge_res(around), after, (target,))


def _pre_charge_res(around: Surroundings, code: DCEVSEStatusCode | None = None) -> PreChargeRes:
    return build(
        PreChargeRes,
        ResponseCode=ResponseCode.OK,
        DC_EVSEStatus=dc_evse_status(around.view, around.dc, code=code),
        EVSEPresentVoltage=present_voltage(around.dc),
    )


def detect_welding(_request: Request, session: Session, around: Surroundings, _now: float) -> Answer:
    """The vehicle watches the voltage fall after it has opened one contactor."""
    response = build(
        WeldingDetectionRes,
        ResponseCode=ResponseCode.OK,
        DC_EVSEStatus=dc_evse_status(around.view, around.dc, code=DCEVSEStatusCode.EVSE_NOT_READY),
        EVSEPresentVoltage=present_voltage(around.dc),
    )
    return Answer(response, session)


def present_voltage(dc: DcView) -> object:
    return physical_value(round(dc.present_voltage_v, 1), "V")


def _cable_check_res(around: Surroundings, processing: EVSEProcessing) -> CableCheckRes:
    testing = DCEVSEStatusCode.EVSE_ISOLATION_MONITORING_ACTIVE if processing is EVSEProcessing.ONGOING else None
    return build(
        CableCheckRes,
        ResponseCode=ResponseCode.OK,
        DC_EVSEStatus=dc_evse_status(around.view, around.dc, code=testing),
        EVSEProcessing=processing,
    )
