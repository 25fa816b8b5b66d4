"""ServiceDetail: asked for value-added services, of which none is offered (clause 8.4.3.4)."""

from iso15118.shared.messages.iso15118_2.body import ServiceDetailReq, ServiceDetailRes
from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode, ServiceID

from secc.v2g.codes import Refused
from secc.v2g.models import build
from secc.v2g.session import Answer, Request, Session, Surroundings


def handle(request: Request, session: Session, _around: Surroundings, _now: float) -> Answer:
    """Charging has no parameters; every other service id is unknown."""
    assert isinstance(request.message, ServiceDetailReq)
    if request.message.service_id != ServiceID.CHARGING:
        raise Refused(ResponseCode.FAILED_SERVICE_ID_INVALID)
    return Answer(build(ServiceDetailRes, ResponseCode=ResponseCode.OK, ServiceID=ServiceID.CHARGING), session)
