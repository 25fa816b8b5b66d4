"""ChargingStatus: the AC charge loop (clause 8.4.4.2)."""

from iso15118.shared.messages.iso15118_2.body import ChargingStatusRes
from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode

from secc.v2g.iso2.charge_loop import turn
from secc.v2g.iso2.status import ac_evse_status
from secc.v2g.models import build
from secc.v2g.quantities import physical_value
from secc.v2g.session import Answer, Request, Session, Surroundings


def handle(_request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    """The limit as it is now, the meter, and whether to stop, to renegotiate or to sign a receipt."""
    assert session.offer is not None
    view = around.view
    said = turn(session, view, view.limit_a, "ChargingStatusRes", now)
    response = build(
        ChargingStatusRes,
        ResponseCode=ResponseCode.OK,
        EVSEID=view.evse_id,
        SAScheduleTupleID=session.offer.tuple_id,
        EVSEMaxCurrent=physical_value(view.limit_a, "A"),
        MeterInfo=said.meter,
        ReceiptRequired=said.receipt_required,
        AC_EVSEStatus=ac_evse_status(view, said.notification),
    )
    return Answer(response, said.session, said.facts)
