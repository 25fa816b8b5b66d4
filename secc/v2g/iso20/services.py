"""ServiceDiscovery, ServiceDetail and ServiceSelection (clauses 8.3.4.3.6 to 8.3.4.3.8)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from iso15118.shared.messages.iso15118_20.common_types import ResponseCode

from secc.ports import InternetAccess, ParkingStatus, ServicesSelected, StationView
from secc.schedules import Pricing
from secc.v2g.codes import Refused
from secc.v2g.elements import Elements, child, children, whole
from secc.v2g.iso20.session import ControlMode, Service, Session20
from secc.v2g.session import Answer, Request, State, Surroundings

INTERNET = 65
PARKING_STATUS = 66

BIDIRECTIONAL = {Service.AC_BPT, Service.DC_BPT}

_AC_SINGLE_PHASE, _AC_THREE_PHASE = 1, 2
_DC_EXTENDED = 2
_NEEDS_BY_VEHICLE, _NEEDS_BY_STATION = 1, 2
_UNIFIED_CHANNEL = 1
_GRID_FOLLOWING = 1
_PASSIVE_ISLANDING_DETECTION = 1


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a parameter set of an energy transfer service stands for."""

    control_mode: ControlMode
    needs_by_station: bool = False
    priced: bool = False


# By ParameterSetID. Vehicles may always choose 1, or support dynamic control alone. Needs by the station go with
# dynamic control only.
_AGREEMENTS = {
    1: Agreement(ControlMode.SCHEDULED),
    2: Agreement(ControlMode.DYNAMIC),
    3: Agreement(ControlMode.DYNAMIC, needs_by_station=True),
    4: Agreement(ControlMode.SCHEDULED, priced=True),
    5: Agreement(ControlMode.DYNAMIC, priced=True),
}


def agreements(view: StationView) -> dict[int, Agreement]:
    """Those this station can hold, by ParameterSetID."""
    return {
        number: agreement
        for number, agreement in _AGREEMENTS.items()
        if (view.mobility_needs is not None or not agreement.needs_by_station)
        and (view.pricing is not Pricing.NONE or not agreement.priced)
    }


def discover(request: Request, session: Session20, around: Surroundings, _now: float) -> Answer:
    """What this station can do, within what the vehicle names if that leaves anything."""
    wanted = cast(Sequence[int], child(request.elements, "SupportedServiceIDs").get("ServiceID", ()))
    offered = services(around.view)
    named = [service for service in offered if service in wanted]
    response: dict[str, object] = {
        "ResponseCode": ResponseCode.OK,
        "ServiceRenegotiationSupported": True,
        "EnergyTransferServiceList": service_list(named or offered),
    }
    if added := value_added(around.view):
        entries = [{"ServiceID": number, "FreeService": free} for number, (free, _) in added.items()]
        response["VASList"] = {"Service": entries}
    return Answer(response, replace(session, state=State.SERVICE_SELECTION))


def services(view: StationView) -> list[Service]:
    if view.dc is not None:
        returns = view.dc.max_discharge_current_a > 0 and view.dc.max_discharge_power_w > 0
        return [Service.DC, Service.DC_BPT] if returns else [Service.DC]
    return [Service.AC, Service.AC_BPT] if view.discharge_limit_a > 0 else [Service.AC]


def service_list(offered: Sequence[Service]) -> Elements:
    return {"Service": [{"ServiceID": int(service), "FreeService": False} for service in offered]}


Sets = Mapping[int, Sequence[Elements]]
"""The parameters of a value-added service, by ParameterSetID."""


def value_added(view: StationView) -> dict[int, tuple[bool, Sets]]:
    """By ServiceID: whether it is free, and its parameter sets (tables 209 and 210)."""  # unverified: tables
    found: dict[int, tuple[bool, Sets]] = {}
    for service in view.services:
        if isinstance(service, InternetAccess):
            found[INTERNET] = (
                service.free,
                {way.parameter_set_id: _internet(way.name, way.port) for way in service.ways},
            )
        elif isinstance(service, ParkingStatus):
            sets = {intended: _parking(intended, int(service.parking)) for intended in (_CHECK_IN, _CHECK_OUT)}
            found[PARKING_STATUS] = (service.free, sets)
    return found


_CHECK_IN, _CHECK_OUT = 1, 2


def _internet(name: str, port: int) -> list[Elements]:
    return [{"Name": "Protocol", "finiteString": name}, {"Name": "Port", "intValue": port}]


def _parking(intended: int, parking: int) -> list[Elements]:
    return [{"Name": "IntendedService", "intValue": intended}, {"Name": "ParkingStatusType", "intValue": parking}]


def detail(request: Request, session: Session20, around: Surroundings, _now: float) -> Answer:
    service_id = whole(request.elements, "ServiceID")
    added = value_added(around.view)
    if service_id in services(around.view):
        parameters = parameter_list(Service(service_id), around.view)
    elif service_id in added:
        _, sets = added[service_id]
        parameters = {"ParameterSet": [{"ParameterSetID": key, "Parameter": list(own)} for key, own in sets.items()]}
    else:
        raise Refused(ResponseCode.FAILED_SERVICE_ID_INVALID)
    response = {"ResponseCode": ResponseCode.OK, "ServiceID": service_id, "ServiceParameterList": parameters}
    return Answer(response, session)


def parameter_list(service: Service, view: StationView) -> Elements:
    """One parameter set for each way to charge (tables 205 to 208)."""
    sets = [
        {"ParameterSetID": number, "Parameter": _parameters(service, agreement, view)}
        for number, agreement in agreements(view).items()
    ]
    return {"ParameterSet": sets}


def _parameters(service: Service, agreement: Agreement, view: StationView) -> list[Elements]:
    values: dict[str, int] = {"Connector": _connector(view), "ControlMode": int(agreement.control_mode)}
    if view.dc is None:
        values["EVSENominalVoltage"] = round(view.nominal_voltage_v)
    values["MobilityNeedsMode"] = _NEEDS_BY_STATION if agreement.needs_by_station else _NEEDS_BY_VEHICLE
    values["Pricing"] = int(view.pricing if agreement.priced else Pricing.NONE)
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
    """WPT, ACDP and whatever else this station does not do is no energy transfer service here."""
    selected = cast(Mapping[str, int], child(request.elements, "SelectedEnergyTransferService"))
    if selected["ServiceID"] not in services(around.view):
        raise Refused(ResponseCode.FAILED_NO_ENERGY_TRANSFER_SERVICE_SELECTED)
    agreement = agreements(around.view).get(selected["ParameterSetID"])
    if agreement is None:
        raise Refused(ResponseCode.FAILED_SERVICE_SELECTION_INVALID)
    more = _selected(children(child(request.elements, "SelectedVASList"), "SelectedService"), around.view)
    service = Service(selected["ServiceID"])
    after = replace(
        session,
        state=State.CHARGE_PARAMETER_DISCOVERY,
        service=service,
        control_mode=agreement.control_mode,
        needs_by_station=agreement.needs_by_station,
        pricing=around.view.pricing if agreement.priced else Pricing.NONE,
        services=frozenset(number for number, _ in more),
        energy_transfer_mode=service.name,
        bidirectional=service in BIDIRECTIONAL,
    )
    return Answer({"ResponseCode": ResponseCode.OK}, after, (ServicesSelected(more),) if more else ())


def _selected(wanted: Sequence[Elements], view: StationView) -> tuple[tuple[int, int], ...]:
    """Service and parameter set of each, after a look at all of them."""
    added = value_added(view)
    chosen = tuple((whole(service, "ServiceID") or 0, whole(service, "ParameterSetID") or 0) for service in wanted)
    if any(number not in added or parameter_set not in added[number][1] for number, parameter_set in chosen):
        raise Refused(ResponseCode.FAILED_SERVICE_SELECTION_INVALID)
    return chosen
