"""ServiceDiscovery: which payments and which kinds of charging (clause 8.4.3.3)."""

from dataclasses import replace

from iso15118.shared.messages.enums import AuthEnum, EnergyTransferModeEnum
from iso15118.shared.messages.iso15118_2.body import ServiceDiscoveryReq, ServiceDiscoveryRes
from iso15118.shared.messages.iso15118_2.datatypes import (
    AuthOptionList,
    ChargeService,
    ResponseCode,
    ServiceCategory,
    ServiceID,
    ServiceList,
    ServiceName,
)

from secc.ports import InternetAccess, OtherService, StationView
from secc.v2g.models import build
from secc.v2g.session import Answer, Request, Session, State, Surroundings

MAX_NAME = 32
MAX_SCOPE = 64


def handle(request: Request, session: Session, around: Surroundings, _now: float) -> Answer:
    """Offer what the station can do; filters of the request need no regard, charging is always of interest."""
    assert isinstance(request.message, ServiceDiscoveryReq)
    response = build(
        ServiceDiscoveryRes,
        ResponseCode=ResponseCode.OK,
        PaymentOptionList=payment_options(session, around.view),
        ChargeService=charge_service(around.view),
        ServiceList=_service_list(session, around.view),
    )
    return Answer(response, replace(session, state=State.SERVICE_SELECTION))


def offered_payments(session: Session, view: StationView) -> list[AuthEnum]:
    """Contract over TLS only [V2G2-635]. The list can't be empty: a vehicle that may pay in no way hears it later."""
    contract = [AuthEnum.PNC_V2] if session.tls and view.accepts_contract else []
    external = [AuthEnum.EIM_V2] if view.accepts_external_payment or not contract else []
    return contract + external


def offers_certificates(session: Session, view: StationView) -> bool:
    """Certificates serve contracts, and their private keys travel: TLS only [V2G2-636]."""
    return session.tls and view.accepts_contract and view.offers_certificates


def _service_list(session: Session, view: StationView) -> ServiceList | None:
    listed = [_listed(number, service) for number, service in value_added(view).items()]
    if offers_certificates(session, view):
        certificate = {
            "ServiceID": ServiceID.CERTIFICATE,
            "ServiceName": ServiceName.CERTIFICATE,
            "ServiceCategory": ServiceCategory.CERTIFICATE,
            "FreeService": True,
        }
        listed.insert(0, certificate)
    return build(ServiceList, Service=listed) if listed else None


def value_added(view: StationView) -> dict[int, InternetAccess | OtherService]:
    """By ServiceID; what ISO 15118-2 has no service for is left out."""
    found: dict[int, InternetAccess | OtherService] = {}
    for service in view.services:
        if isinstance(service, InternetAccess):
            found[ServiceID.INTERNET] = service
        elif isinstance(service, OtherService):
            found[service.service_id] = service
    return found


def _listed(number: int, service: InternetAccess | OtherService) -> dict[str, object]:
    if isinstance(service, InternetAccess):
        name, category, scope = ServiceName.INTERNET.value, ServiceCategory.INTERNET, ""
    else:
        name, category, scope = service.name[:MAX_NAME], ServiceCategory.CUSTOM, service.scope[:MAX_SCOPE]
    listed: dict[str, object] = {
        "ServiceID": number,
        "ServiceName": name,
        "ServiceCategory": category,
        "FreeService": service.free,
    }
    return {**listed, "ServiceScope": scope} if scope else listed


def payment_options(session: Session, view: StationView) -> AuthOptionList:
    return build(AuthOptionList, PaymentOption=offered_payments(session, view))


def energy_transfer_modes(view: StationView) -> list[EnergyTransferModeEnum]:
    if view.dc is not None:
        return [EnergyTransferModeEnum.DC_EXTENDED, EnergyTransferModeEnum.DC_CORE]
    single = [EnergyTransferModeEnum.AC_SINGLE_PHASE_CORE]
    return [EnergyTransferModeEnum.AC_THREE_PHASE_CORE, *single] if view.phases == 3 else single


def charge_service(view: StationView) -> ChargeService:
    return build(
        ChargeService,
        ServiceID=ServiceID.CHARGING,
        ServiceName=ServiceName.CHARGING,
        ServiceCategory=ServiceCategory.CHARGING,
        FreeService=False,
        SupportedEnergyTransferMode={"EnergyTransferMode": energy_transfer_modes(view)},
    )
