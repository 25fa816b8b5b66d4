"""ServiceDetail: the parameter sets of a service (clause 8.4.3.4)."""

from iso15118.shared.messages.iso15118_2.body import ServiceDetailReq, ServiceDetailRes
from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode, ServiceID, ServiceParameterList

from secc.ports import CertificateAction, InternetAccess
from secc.v2g.codes import Refused
from secc.v2g.iso2.service_discovery import offers_certificates, value_added
from secc.v2g.models import build
from secc.v2g.session import Answer, Request, Session, Surroundings

# Table 106: the parameter sets of the certificate service, and what each is named there.
CERTIFICATE_PARAMETER_SETS = {1: CertificateAction.INSTALL, 2: CertificateAction.UPDATE}
_NAMES = {CertificateAction.INSTALL: "Installation", CertificateAction.UPDATE: "Update"}


def handle(request: Request, session: Session, around: Surroundings, _now: float) -> Answer:
    """Charging has no parameters; what is not offered is unknown."""
    assert isinstance(request.message, ServiceDetailReq)
    service_id = request.message.service_id
    offered: dict[int, ServiceParameterList | None] = {ServiceID.CHARGING: None}
    if offers_certificates(session, around.view):
        offered[ServiceID.CERTIFICATE] = _certificate_parameters()
    for number, service in value_added(around.view).items():
        offered[number] = _internet_parameters(service) if isinstance(service, InternetAccess) else None
    if service_id not in offered:
        raise Refused(ResponseCode.FAILED_SERVICE_ID_INVALID)
    response = build(
        ServiceDetailRes,
        ResponseCode=ResponseCode.OK,
        ServiceID=service_id,
        ServiceParameterList=offered[service_id],
    )
    return Answer(response, session)


def _certificate_parameters() -> ServiceParameterList:
    sets = [
        {"ParameterSetID": number, "Parameter": [{"Name": "Service", "stringValue": _NAMES[action]}]}
        for number, action in CERTIFICATE_PARAMETER_SETS.items()
    ]
    return build(ServiceParameterList, ParameterSet=sets)


def _internet_parameters(service: InternetAccess) -> ServiceParameterList:
    """Table 107: a protocol and its port in each."""
    sets = [
        {
            "ParameterSetID": way.parameter_set_id,
            "Parameter": [{"Name": "Protocol", "stringValue": way.name}, {"Name": "Port", "intValue": way.port}],
        }
        for way in service.ways
    ]
    return build(ServiceParameterList, ParameterSet=sets)
