"""DC before and after the charge loop: CableCheck, PreCharge, WeldingDetection (8.3.4.5.3, 8.3.4.5.4, 8.3.4.5.6)."""

from dataclasses import replace

from iso15118.shared.messages.iso15118_20.common_types import ResponseCode

from secc.ports import DcView
from secc.v2g import progress as progressing
from secc.v2g.codes import Refused
from secc.v2g.dc_target import PRE_CHARGE_CURRENT_A, pre_charge_target
from secc.v2g.elements import Elements, rational
from secc.v2g.iso20.session import Session20
from secc.v2g.progress import Processing, must_stop, until_pre_charge
from secc.v2g.quantities import rational_number
from secc.v2g.session import Answer, Request, State, Surroundings


def check_cable(request: Request, session: Session20, around: Surroundings, now: float) -> Answer:
    """Only a passed insulation test opens the way to PreCharge."""
    progress = progressing.check_cable(request, session, around, now)
    if progress.processing is None:
        return Answer(None, progress.session, progress.facts, retry_s=progress.retry_s)
    state = State.PRE_CHARGE if progress.processing is Processing.FINISHED else State.CABLE_CHECK
    response = {"ResponseCode": ResponseCode.OK, "EVSEProcessing": progress.processing}
    return Answer(response, replace(progress.session, state=state))


def pre_charge(request: Request, session: Session20, around: Surroundings, now: float) -> Answer:
    """Follow the vehicle's voltage at little current; it goes on to PowerDelivery when it finds the two equal."""
    if must_stop(around.view):
        raise Refused(ResponseCode.FAILED, detail="the station allows no power")
    wanted_v = rational(request.elements, "EVTargetVoltage") or 0.0
    ready = until_pre_charge(session, around, now)
    response = {"ResponseCode": ResponseCode.OK, **present_voltage(around.dc)}
    if ready is None:
        return Answer(response, session)
    target = pre_charge_target(wanted_v, PRE_CHARGE_CURRENT_A, ready, around.dc)
    return Answer(response, replace(ready, target_v=target.voltage_v, output_wanted=True), (target,))


def detect_welding(_request: Request, session: Session20, around: Surroundings, _now: float) -> Answer:
    """The vehicle watches the voltage fall after it has opened one contactor."""
    return Answer({"ResponseCode": ResponseCode.OK, **present_voltage(around.dc)}, session)


def present_voltage(dc: DcView) -> Elements:
    return {"EVSEPresentVoltage": rational_number(round(dc.present_voltage_v, 1))}
