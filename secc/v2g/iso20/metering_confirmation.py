"""MeteringConfirmation: the vehicle signs the meter value it was sent (clause 8.3.4.3.11)."""

from dataclasses import replace

from iso15118.shared.messages.iso15118_20.common_types import ResponseCode

from secc.exi import Namespace
from secc.ports import ReceiptVerified
from secc.v2g import signature
from secc.v2g.codes import Refused
from secc.v2g.elements import Elements, child, octets, whole
from secc.v2g.iso20.session import Session20
from secc.v2g.session import Answer, Request, SentMeter, Surroundings

DATA = "SignedMeteringData"


def handle(request: Request, session: Session20, around: Surroundings, _now: float) -> Answer:
    """At any time in the loop after it was asked for; charging goes on whether it comes or not."""
    data = child(request.elements, DATA)
    sent = session.sent_meter
    if sent is None or not _repeats(data, session, sent):
        raise Refused(ResponseCode.FAILED_METERING_SIGNATURE_NOT_VALID, detail="not what was sent")
    holds = signature.verify(
        request.signature,
        DATA,
        data,
        session.leaf_der,
        around.certificates,
        namespace=Namespace.ISO_20_COMMON,
        suites=(signature.P_521, signature.P_256),
    )
    if not holds:
        raise Refused(ResponseCode.FAILED_METERING_SIGNATURE_NOT_VALID, detail="not signed by the contract")
    return Answer(
        {"ResponseCode": ResponseCode.OK}, replace(session, sent_meter=None), (ReceiptVerified(sent.meter_wh),)
    )


def _repeats(data: Elements, session: Session20, sent: SentMeter) -> bool:
    scheduled = child(data, "Scheduled_SMDTControlMode")
    return (
        octets(data, "SessionID").hex().upper() == session.session_id
        and child(data, "MeterInfo") == sent.meter_info
        and whole(scheduled, "SelectedScheduleTupleID") in (None, sent.tuple_id)
    )
