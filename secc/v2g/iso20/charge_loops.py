"""AC_ChargeLoop and DC_ChargeLoop (clauses 8.3.4.4.3 and 8.3.4.5.5)."""

from dataclasses import replace

from iso15118.shared.messages.iso15118_20.common_types import ResponseCode

from secc.ports import DcTarget, DcView, StationView
from secc.v2g.codes import Refused
from secc.v2g.dc_target import Demand, demand
from secc.v2g.elements import Elements, child, rational
from secc.v2g.iso20.charge_parameters import per_phase
from secc.v2g.iso20.session import ControlMode, Session20
from secc.v2g.iso20.status import turn
from secc.v2g.progress import must_stop
from secc.v2g.quantities import rational_number
from secc.v2g.session import Answer, Request, State, Surroundings


def of_ac(request: Request, session: Session20, around: Surroundings, now: float) -> Answer:
    """The power that may be drawn now, or under dynamic control shall be fed back."""
    view = around.view
    _said(request, session, "AC")
    said = turn(request, session, around, view.limit_a, now)
    mode = {**per_phase("EVSETargetActivePower", _target_a(session, view) * view.nominal_voltage_v, view)}
    response = {"ResponseCode": ResponseCode.OK, **said.elements, control_mode(session, "AC", "Res"): mode}
    return Answer(response, said.session, said.facts)


def _target_a(session: Session20, view: StationView) -> float:
    if must_stop(view) or session.state is State.STANDBY:
        return 0.0
    discharges = session.bidirectional and session.control_mode is ControlMode.DYNAMIC and view.discharge_a > 0
    return -min(view.discharge_a, view.discharge_limit_a) if discharges else view.limit_a


def of_dc(request: Request, session: Session20, around: Surroundings, now: float) -> Answer:
    """Pass the target on, within the limits; say which limit was met, and what flows."""
    said = _said(request, session, "DC")
    dc = around.dc
    met = _demand(said, session, around)
    shared = turn(request, session, around, dc.max_current_a, now)
    response = {
        "ResponseCode": ResponseCode.OK,
        **shared.elements,
        "EVSEPresentCurrent": rational_number(round(dc.present_current_a, 1)),
        "EVSEPresentVoltage": rational_number(round(dc.present_voltage_v, 1)),
        "EVSEPowerLimitAchieved": met.power_limited,
        "EVSECurrentLimitAchieved": met.current_limited,
        "EVSEVoltageLimitAchieved": met.voltage_limited,
        control_mode(session, "DC", "Res"): _dc_limits(dc, session.bidirectional),
    }
    if session.state is State.STANDBY:
        return Answer(response, shared.session, shared.facts)
    return Answer(response, replace(shared.session, output_wanted=True), (met.target, *shared.facts))


def _demand(said: Elements, session: Session20, around: Surroundings) -> Demand:
    """What the vehicle asks for; under dynamic control, all that both sides bear."""
    if session.control_mode is ControlMode.SCHEDULED:
        volts, amps = rational(said, "EVTargetVoltage"), rational(said, "EVTargetCurrent")
    else:
        volts = rational(said, "EVMaximumVoltage")
        amps = -_feed_a(said, around.dc) if _feeds(session, around.dc) else _most_a(said, around.dc)
    met = demand(volts or 0.0, amps or 0.0, session, around.view, around.dc)
    if met.target.voltage_v <= 0:
        return replace(met, target=DcTarget(0.0, 0.0))
    return met


def _most_a(said: Elements, dc: DcView) -> float:
    """The vehicle's limits of current and of power, the latter at the voltage that is there."""
    most_w, volts = rational(said, "EVMaximumChargePower") or 0.0, max(dc.present_voltage_v, 1.0)
    return min(rational(said, "EVMaximumChargeCurrent") or 0.0, most_w / volts)


def _feeds(session: Session20, dc: DcView) -> bool:
    return session.bidirectional and dc.discharge_power_w > 0


def _feed_a(said: Elements, dc: DcView) -> float:
    """The set-point, within what the vehicle gives, at the voltage that is there."""
    volts = max(dc.present_voltage_v, 1.0)
    most_w = min(rational(said, "EVMaximumDischargePower") or 0.0, dc.discharge_power_w)
    return min(rational(said, "EVMaximumDischargeCurrent") or 0.0, most_w / volts)


def _dc_limits(dc: DcView, bidirectional: bool) -> Elements:
    limits = {
        "EVSEMaximumChargePower": rational_number(dc.max_power_w),
        "EVSEMinimumChargePower": rational_number(dc.min_voltage_v * dc.min_current_a),
        "EVSEMaximumChargeCurrent": rational_number(dc.max_current_a),
        "EVSEMaximumVoltage": rational_number(dc.max_voltage_v),
    }
    if bidirectional:
        limits |= {
            "EVSEMaximumDischargePower": rational_number(dc.max_discharge_power_w),
            "EVSEMinimumDischargePower": rational_number(0.0),
            "EVSEMaximumDischargeCurrent": rational_number(dc.max_discharge_current_a),
            "EVSEMinimumVoltage": rational_number(dc.min_voltage_v),
        }
    return limits


def control_mode(session: Session20, kind: str, direction: str) -> str:
    """The element of a charge loop that goes with what was agreed on, as in BPT_Dynamic_DC_CLReqControlMode."""
    prefix = "BPT_" if session.bidirectional else ""
    return f"{prefix}{session.control_mode.name.capitalize()}_{kind}_CL{direction}ControlMode"


def _said(request: Request, session: Session20, kind: str) -> Elements:
    name = control_mode(session, kind, "Req")
    if name not in request.elements:
        raise Refused(ResponseCode.FAILED, detail=f"no {name}")
    return child(request.elements, name)
