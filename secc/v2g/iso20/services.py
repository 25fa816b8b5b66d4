"""ServiceDiscovery, ServiceDetail and ServiceSelection (clauses 8.3.4.3.6 to 8.3.4.3.8)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from iso15118.shared.messages.iso15118_20.common_types import ResponseCode

from secc.ports import StationView
from secc.v2g.codes import Refused
from secc.v2g.elements import Elements, child, children, whole
from secc.v2g.iso20.session import ControlMode, Service, Session20
from secc.v2g.session import Answer, Request, State, Surroundings

# By ParameterSetID. Vehicles may always choose 1, or support dynamic control alone.
CONTROL_MODES = {1: ControlMode.SCHEDULED, 2: ControlMode.DYNAMIC}

BIDIRECTIONAL = {Service.AC_BPT, Service.DC_BPT}

_AC_SINGLE_PHASE, _AC_THREE_PHASE = 1, 2
_DC_EXTENDED = 2
_NEEDS_BY_VEHICLE = 1
_NO_PRICING = 0
_UNIFIED_CHANNEL = 1
_GRID_FOLLOWING = 1
_PASSIVE_ISLANDING_DETECTION = 1


def discover(request: Request, session: Session20, around: Surroundings, _now: float) -> Answer:
    """What this station can do, within what the vehicle names if that leaves anything."""
    wanted = cast(Sequence[int], child(request.elements, "SupportedServiceIDs").get("ServiceID", ()))
    offered = services(around.view)
    named = [service for service in offered if service in wanted]
    response = {
        "ResponseCode": ResponseCode.OK,
        "ServiceRenegotiationSupported": True,
        "EnergyTransferServiceList": service_list(named or offered),
    }
    return Answer(response, replace(session, state=State.SERVICE_SELECTION))


def services(view: StationView) -> list[Service]:
    if view.dc is not None:
        returns = view.dc.max_discharge_current_a > 0 and view.dc.max_discharge_power_w > 0
        return [Service.DC, Service.DC_BPT] if returns else [Service.DC]
    return [Service.AC, Service.AC_BPT] if view.discharge_limit_a > 0 else [Service.AC]


def service_list(offered: Sequence[Service]) -> Elements:
    return {"Service": [{"ServiceID": int(service), "FreeService": False} for service in offered]}


def detail(request: Request, session: Session20, around: Surroundings, _now: float) -> Answer:
    service_id = whole(request.elements, "ServiceID")
    if service_id not in services(around.view):
        raise Refused(ResponseCode.FAILED_SERVICE_ID_INVALID)
    response = {
        "ResponseCode": ResponseCode.OK,
        "ServiceID": service_id,
        "ServiceParameterList": parameter_list(Service(service_id), around.view),
    }
    return Answer(response, session)


def parameter_list(service: Service, view: StationView) -> Elements:
    """One parameter set for each control mode (tables 205 to 208)."""
    sets = [
        {"ParameterSetID": number, "Parameter": _parameters(service, mode, view)}
        for number, mode in CONTROL_MODES.items()
    ]
    return {"ParameterSet": sets}


def _parameters(service: Service, mode: ControlMode, view: StationView) -> list[Elements]:
    values: dict[str, int] = {"Connector": _connector(view), "ControlMode": int(mode)}
    if view.dc is None:
        values["EVSENominalVoltage"] = round(view.nominal_voltage_v)
    values |= {"MobilityNeedsMode": _NEEDS_BY_VEHICLE, "Pricing": _NO_PRICING}
    if service in BIDIRECTIONAL:
        values |= {"BPTChannel": _UNIFIED_CHANNEL, "GeneratorMode": _GRID_FOLLOWING}
    if service is Service.AC_BPT:
        values["GridCodeIslandingDetectionMethod"] = _PASSIVE_ISLANDING_DETECTION
    return [{"Name": name, "intValue": value} for name, value in values.items()]


def _connector(view: StationView) -> int:
    if view.dc is not None:
        return _DC_EXTENDED
    return _AC_THREE_PHASE if view.phases == 3 else _AC_SINGLE_PHASE


def select(request: Request, session: Session20, around: Surroundings, _now: float) -> Answer:
    selected = cast(Mapping[str, int], child(request.elements, "SelectedEnergyTransferService"))
    if selected["ServiceID"] not in services(around.view):
        raise Refused(ResponseCode.FAILED_NO_ENERGY_TRANSFER_SERVICE_SELECTED)
    mode = CONTROL_MODES.get(selected["ParameterSetID"])
    if mode is None or children(child(request.elements, "SelectedVASList"), "SelectedService"):
        raise Refused(ResponseCode.FAILED_SERVICE_SELECTION_INVALID)
    service = Service(selected["ServiceID"])
    after = replace(
        session,
        state=State.CHARGE_PARAMETER_DISCOVERY,
        service=service,
        control_mode=mode,
        energy_transfer_mode=service.name,
        bidirectional=service in BIDIRECTIONAL,
    )
    return Answer({"ResponseCode": ResponseCode.OK}, after)
