"""AC_ and DC_ChargeParameterDiscovery: what each side can do (clauses 8.3.4.4.2 and 8.3.4.5.2)."""

from dataclasses import replace

from iso15118.shared.messages.iso15118_20.common_types import ResponseCode

from secc.ports import DcView, StationView
from secc.v2g.codes import Refused
from secc.v2g.elements import Elements, child, rational
from secc.v2g.iso20.session import Session20
from secc.v2g.quantities import RationalNumber, rational_number
from secc.v2g.session import Answer, Request, State, Surroundings

# The least an AC vehicle can draw per phase: IEC 61851-1 table A.8.
MIN_CURRENT_A = 6.0

_PHASES = ("", "_L2", "_L3")


def of_ac(request: Request, session: Session20, around: Surroundings, _now: float) -> Answer:
    name = "BPT_AC_CPDReqEnergyTransferMode" if session.bidirectional else "AC_CPDReqEnergyTransferMode"
    said = _said(request, name)
    after = replace(
        session,
        state=State.SCHEDULE_EXCHANGE,
        ev_max_power_w=all_phases(said, "EVMaximumChargePower"),
        ev_min_power_w=all_phases(said, "EVMinimumChargePower"),
        ev_max_discharge_power_w=all_phases(said, "EVMaximumDischargePower"),
    )
    if after.ev_max_power_w <= 0:
        raise Refused(ResponseCode.FAILED_WRONG_CHARGE_PARAMETER, detail="a vehicle without power")
    return Answer({"ResponseCode": ResponseCode.OK, **ac_parameters(around.view, session.bidirectional)}, after)


def of_dc(request: Request, session: Session20, around: Surroundings, _now: float) -> Answer:
    name = "BPT_DC_CPDReqEnergyTransferMode" if session.bidirectional else "DC_CPDReqEnergyTransferMode"
    said = _said(request, name)
    after = replace(
        session,
        state=State.SCHEDULE_EXCHANGE,
        ev_max_power_w=rational(said, "EVMaximumChargePower") or 0.0,
        ev_min_power_w=rational(said, "EVMinimumChargePower") or 0.0,
        ev_max_discharge_power_w=rational(said, "EVMaximumDischargePower") or 0.0,
        ev_max_current_a=rational(said, "EVMaximumChargeCurrent") or 0.0,
        ev_max_voltage_v=rational(said, "EVMaximumVoltage") or 0.0,
    )
    if after.ev_max_voltage_v <= 0 or (rational(said, "EVMinimumVoltage") or 0.0) > around.dc.max_voltage_v:
        raise Refused(ResponseCode.FAILED_WRONG_CHARGE_PARAMETER, detail="voltages that do not meet")
    return Answer({"ResponseCode": ResponseCode.OK, **dc_parameters(around.dc, session.bidirectional)}, after)


def _said(request: Request, name: str) -> Elements:
    if name not in request.elements:
        raise Refused(ResponseCode.FAILED_WRONG_CHARGE_PARAMETER, detail=f"no {name}")
    return child(request.elements, name)


def all_phases(elements: Elements, name: str) -> float:
    """The sum over the phases that are given."""
    return sum(rational(elements, name + phase) or 0.0 for phase in _PHASES)


def per_phase(name: str, power_w: float, view: StationView) -> dict[str, RationalNumber]:
    """The power of one phase for each phase there is. Phase by phase nobody can take a phase's power for the sum's.

    The element without a suffix is that of L1. # unverified: ISO 15118-20 8.3.5.4.2
    """
    return {name + phase: rational_number(round(power_w, 3)) for phase in _PHASES[: view.phases]}


def ac_parameters(view: StationView, bidirectional: bool) -> dict[str, object]:
    """AC_CPDResEnergyTransferMode, or what replaces it."""
    volts = view.nominal_voltage_v
    mode: dict[str, object] = {
        **per_phase("EVSEMaximumChargePower", view.limit_a * volts, view),
        **per_phase("EVSEMinimumChargePower", min(MIN_CURRENT_A, view.limit_a) * volts, view),
        "EVSENominalFrequency": rational_number(view.nominal_frequency_hz),
    }
    if not bidirectional:
        return {"AC_CPDResEnergyTransferMode": mode}
    mode |= per_phase("EVSEMaximumDischargePower", view.discharge_limit_a * volts, view)
    mode |= per_phase("EVSEMinimumDischargePower", 0.0, view)
    return {"BPT_AC_CPDResEnergyTransferMode": mode}


def dc_parameters(dc: DcView, bidirectional: bool) -> dict[str, object]:
    """DC_CPDResEnergyTransferMode, or what replaces it."""
    mode: dict[str, object] = {
        "EVSEMaximumChargePower": rational_number(dc.max_power_w),
        "EVSEMinimumChargePower": rational_number(dc.min_voltage_v * dc.min_current_a),
        "EVSEMaximumChargeCurrent": rational_number(dc.max_current_a),
        "EVSEMinimumChargeCurrent": rational_number(dc.min_current_a),
        "EVSEMaximumVoltage": rational_number(dc.max_voltage_v),
        "EVSEMinimumVoltage": rational_number(dc.min_voltage_v),
    }
    if not bidirectional:
        return {"DC_CPDResEnergyTransferMode": mode}
    mode |= {
        "EVSEMaximumDischargePower": rational_number(dc.max_discharge_power_w),
        "EVSEMinimumDischargePower": rational_number(0.0),
        "EVSEMaximumDischargeCurrent": rational_number(dc.max_discharge_current_a),
        "EVSEMinimumDischargeCurrent": rational_number(0.0),
    }
    return {"BPT_DC_CPDResEnergyTransferMode": mode}
