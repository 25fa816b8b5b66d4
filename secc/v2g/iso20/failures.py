"""The shortest response of each type: what a refusal carries besides its code. Also the list of requests we know."""

from collections.abc import Callable

from secc.exi import Namespace
from secc.v2g.elements import Elements, service_id
from secc.v2g.iso20 import certificate_installation
from secc.v2g.iso20.charge_loops import control_mode
from secc.v2g.iso20.charge_parameters import ac_parameters, dc_parameters
from secc.v2g.iso20.other_services import ACDP, WPT
from secc.v2g.iso20.services import service_list, services
from secc.v2g.iso20.session import Session20
from secc.v2g.quantities import rational_number
from secc.v2g.session import Request, Surroundings

Filling = Callable[[Request, Session20, Surroundings], Elements]

_ZERO = rational_number(0.0)


def failed(request: Request, session: Session20, around: Surroundings, code: str) -> Elements:
    """The response `request` asks for, with `code` and only what its type demands."""
    return {"ResponseCode": code, **_FILLINGS[request.name](request, session, around)}


def _nothing(_request: Request, _session: Session20, _around: Surroundings) -> Elements:
    return {}


def _evse_id(_request: Request, _session: Session20, around: Surroundings) -> Elements:
    return {"EVSEID": around.view.evse_id}


def _authorization_setup(_request: Request, _session: Session20, _around: Surroundings) -> Elements:
    return {
        "AuthorizationServices": ["EIM"],
        "CertificateInstallationService": False,
        "EIM_ASResAuthorizationMode": {},
    }


def _processing(_request: Request, _session: Session20, _around: Surroundings) -> Elements:
    return {"EVSEProcessing": "Finished"}


def _certificates(_request: Request, _session: Session20, _around: Surroundings) -> Elements:
    return certificate_installation.empty()


def _services(_request: Request, _session: Session20, around: Surroundings) -> Elements:
    return {
        "ServiceRenegotiationSupported": False,
        "EnergyTransferServiceList": service_list(services(around.view)),
    }


def _service_detail(request: Request, _session: Session20, _around: Surroundings) -> Elements:
    nothing = {"ParameterSetID": 0, "Parameter": [{"Name": "ControlMode", "intValue": 0}]}
    return {
        "ServiceID": service_id(request.elements),
        "ServiceParameterList": {"ParameterSet": [nothing]},
    }


def _schedule(_request: Request, _session: Session20, _around: Surroundings) -> Elements:
    return {"EVSEProcessing": "Finished", "Dynamic_SEResControlMode": {}}


def _ac_parameters(_request: Request, session: Session20, around: Surroundings) -> Elements:
    return ac_parameters(around.view, session.bidirectional)


def _ac_loop(_request: Request, _session: Session20, _around: Surroundings) -> Elements:
    return {control_mode(Session20(), "AC", "Res"): {}}


def _dc_parameters(_request: Request, session: Session20, around: Surroundings) -> Elements:
    """An AC station has nothing to say of its output; that it refuses is enough."""
    if around.view.dc is not None:
        return dc_parameters(around.view.dc, session.bidirectional)
    names = ("ChargePower", "ChargeCurrent", "Voltage")
    nothing = {f"EVSE{end}{name}": _ZERO for name in names for end in ("Maximum", "Minimum")}
    return {"DC_CPDResEnergyTransferMode": nothing}


def _dc_voltage(_request: Request, _session: Session20, _around: Surroundings) -> Elements:
    return {"EVSEPresentVoltage": _ZERO}


def _dc_loop(_request: Request, _session: Session20, _around: Surroundings) -> Elements:
    limits = ("EVSEPowerLimitAchieved", "EVSECurrentLimitAchieved", "EVSEVoltageLimitAchieved")
    return {
        "EVSEPresentCurrent": _ZERO,
        "EVSEPresentVoltage": _ZERO,
        **dict.fromkeys(limits, False),
        control_mode(Session20(), "DC", "Res"): {},
    }


def _checked_out(_request: Request, _session: Session20, _around: Surroundings) -> Elements:
    return {"EVSECheckOutStatus": "Completed"}


_COMMON: dict[str, Filling] = {
    "SessionSetupReq": _evse_id,
    "AuthorizationSetupReq": _authorization_setup,
    "AuthorizationReq": _processing,
    "CertificateInstallationReq": _certificates,
    "ServiceDiscoveryReq": _services,
    "ServiceDetailReq": _service_detail,
    "ServiceSelectionReq": _nothing,
    "ScheduleExchangeReq": _schedule,
    "PowerDeliveryReq": _nothing,
    "MeteringConfirmationReq": _nothing,
    "SessionStopReq": _nothing,
    "VehicleCheckInReq": _nothing,
    "VehicleCheckOutReq": _checked_out,
}
_AC: dict[str, Filling] = {
    "AC_ChargeParameterDiscoveryReq": _ac_parameters,
    "AC_ChargeLoopReq": _ac_loop,
}
_DC: dict[str, Filling] = {
    "DC_ChargeParameterDiscoveryReq": _dc_parameters,
    "DC_CableCheckReq": _processing,
    "DC_PreChargeReq": _dc_voltage,
    "DC_ChargeLoopReq": _dc_loop,
    "DC_WeldingDetectionReq": _dc_voltage,
}


def _always(elements: Elements) -> Filling:
    return lambda _request, _session, _around: elements


_OTHERS = {name: _always(elements) for name, elements in (WPT | ACDP).items()}
_FILLINGS = {**_COMMON, **_AC, **_DC, **_OTHERS}

REQUESTS: dict[Namespace, frozenset[str]] = {
    Namespace.ISO_20_COMMON: frozenset(_COMMON),
    Namespace.ISO_20_AC: frozenset(_AC),
    Namespace.ISO_20_DC: frozenset(_DC),
    Namespace.ISO_20_WPT: frozenset(WPT),
    Namespace.ISO_20_ACDP: frozenset(ACDP),
}
