"""MeteringReceipt: the vehicle signs the meter value it was sent (clause 8.4.3.13)."""

from dataclasses import replace

from iso15118.shared.messages.iso15118_2.body import MeteringReceiptReq, MeteringReceiptRes
from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode

from secc.ports import ReceiptVerified
from secc.v2g import signature
from secc.v2g.codes import Refused
from secc.v2g.iso2.status import evse_status
from secc.v2g.models import build
from secc.v2g.session import Answer, Request, SentMeter, Session, State, Surroundings


def handle(request: Request, session: Session, around: Surroundings, _now: float) -> Answer:
    message = request.message
    assert isinstance(message, MeteringReceiptReq)
    sent = session.sent_meter
    if sent is None or not _repeats(message, session, sent):
        raise Refused(ResponseCode.FAILED_METERING_SIGNATURE_NOT_VALID, detail="receipt differs from what was sent")
    holds = signature.verify(
        request.signature, "MeteringReceiptReq", request.elements, session.leaf_der, around.certificates
    )
    if not holds:
        raise Refused(ResponseCode.FAILED_METERING_SIGNATURE_NOT_VALID, detail="receipt not signed by the contract")
    response = build(MeteringReceiptRes, ResponseCode=ResponseCode.OK, **evse_status(around.view))
    loop = State.CHARGING if around.view.dc is None else State.CURRENT_DEMAND
    after = replace(session, state=loop, sent_meter=None)
    return Answer(response, after, (ReceiptVerified(sent.meter_wh),))


def _repeats(message: MeteringReceiptReq, session: Session, sent: SentMeter) -> bool:
    meter_info = message.meter_info.dict(by_alias=True, exclude_none=True)
    tuple_id = message.sa_schedule_tuple_id
    return (
        message.session_id.upper() == session.session_id
        and meter_info == sent.meter_info
        and (tuple_id is None or tuple_id == sent.tuple_id)
    )
