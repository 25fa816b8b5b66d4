"""ChargingStatus: the AC charge loop (clause 8.4.4.2)."""

from dataclasses import replace

from iso15118.shared.messages.datatypes import EVSENotification
from iso15118.shared.messages.iso15118_2.body import ChargingStatusRes
from iso15118.shared.messages.iso15118_2.datatypes import MeterInfo, ResponseCode

from secc.ports import LimitSent, SeccFact, StationView
from secc.v2g.iso2.status import ac_evse_status, must_stop, wants_renegotiation
from secc.v2g.models import build
from secc.v2g.quantities import physical_value
from secc.v2g.session import Answer, Request, SentMeter, Session, State, Surroundings
from secc.v2g.timing import RECEIPT_INTERVAL_S

MAX_METER_WH = 999_999_999
MAX_METER_ID = 32


def handle(_request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    """The limit as it is now, the meter, and whether to stop, to renegotiate or to sign a receipt."""
    assert session.offer is not None
    view = around.view
    renegotiate = not must_stop(view) and wants_renegotiation(session, view, now)
    meter = meter_info(view)
    receipt = meter is not None and _receipt_due(session, view, now)
    response = build(
        ChargingStatusRes,
        ResponseCode=ResponseCode.OK,
        EVSEID=view.evse_id,
        SAScheduleTupleID=session.offer.tuple_id,
        EVSEMaxCurrent=physical_value(view.limit_a, "A"),
        MeterInfo=meter,
        ReceiptRequired=receipt,
        AC_EVSEStatus=ac_evse_status(view, EVSENotification.RE_NEGOTIATION if renegotiate else None),
    )
    after = replace(
        session,
        limit_sent_a=view.limit_a,
        renegotiation_asked_s=now if renegotiate else session.renegotiation_asked_s,
    )
    if receipt and meter is not None:
        after = _awaiting_receipt(after, session.offer.tuple_id, meter, now)
    return Answer(response, after, _limit_fact(session, view))


def meter_info(view: StationView) -> MeterInfo | None:
    """MeterInfo of the latest reading; the type holds whole watt hours below 10^9, and a short stamp, left out."""
    if view.meter is None:
        return None
    reading = min(int(view.meter.energy_import_wh), MAX_METER_WH)
    return build(MeterInfo, MeterID=view.meter_id[:MAX_METER_ID], MeterReading=reading)


def _receipt_due(session: Session, view: StationView, now: float) -> bool:
    """Receipts belong to contracts alone [V2G2-691]."""
    if not view.receipt_required or session.contract is None:
        return False
    return session.receipt_asked_s is None or now - session.receipt_asked_s >= RECEIPT_INTERVAL_S


def _awaiting_receipt(session: Session, tuple_id: int, meter: MeterInfo, now: float) -> Session:
    sent = SentMeter(tuple_id, meter.dict(by_alias=True, exclude_none=True), meter.meter_reading)
    return replace(session, state=State.METERING_RECEIPT, sent_meter=sent, receipt_asked_s=now)


def _limit_fact(session: Session, view: StationView) -> tuple[SeccFact, ...]:
    if session.limit_sent_a == view.limit_a:
        return ()
    return (LimitSent(session.session_id, view.limit_a, "ChargingStatusRes"),)
