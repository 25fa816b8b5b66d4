"""What the AC and the DC charge loop share: the meter, receipts, renegotiation."""

from dataclasses import dataclass, replace

from iso15118.shared.messages.datatypes import EVSENotification
from iso15118.shared.messages.iso15118_2.datatypes import MeterInfo

from secc.ports import LimitSent, SeccFact, StationView
from secc.v2g.models import build
from secc.v2g.offers import wants_renegotiation
from secc.v2g.progress import must_stop
from secc.v2g.session import SentMeter, Session, State
from secc.v2g.timing import RECEIPT_INTERVAL_S

MAX_METER_WH = 999_999_999
MAX_METER_ID = 32


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the loop: what its response says, and the session after it."""

    meter: MeterInfo | None
    receipt_required: bool
    notification: EVSENotification | None
    session: Session
    facts: tuple[SeccFact, ...]


def turn(session: Session, view: StationView, limit_a: float, response: str, now: float) -> Turn:
    assert session.offer is not None
    renegotiate = not must_stop(view) and wants_renegotiation(session, view, now)
    meter = meter_info(view)
    receipt = meter is not None and _receipt_due(session, view, now)
    after = replace(
        session,
        limit_sent_a=limit_a,
        renegotiation_asked_s=now if renegotiate else session.renegotiation_asked_s,
    )
    if receipt and meter is not None:
        after = _awaiting_receipt(after, session.offer.tuple_id, meter, now)
    notification = EVSENotification.RE_NEGOTIATION if renegotiate else None
    facts = () if session.limit_sent_a == limit_a else (LimitSent(session.session_id, limit_a, response),)
    return Turn(meter, receipt, notification, after, facts)


def meter_info(view: StationView) -> MeterInfo | None:
    """MeterInfo of the latest reading, none if there is no reading or it does not fit the type.

    TMeter is left out: the schema gives a Unix time sixteen bits.
    """
    if view.meter is None:
        return None
    reading = int(view.meter.energy_import_wh)
    if not 0 <= reading <= MAX_METER_WH:
        return None
    return build(MeterInfo, MeterID=view.meter_id[:MAX_METER_ID], MeterReading=reading)


def _receipt_due(session: Session, view: StationView, now: float) -> bool:
    """Receipts belong to contracts alone [V2G2-691]."""
    if not view.receipt_required or session.contract is None:
        return False
    return session.receipt_asked_s is None or now - session.receipt_asked_s >= RECEIPT_INTERVAL_S


def _awaiting_receipt(session: Session, tuple_id: int, meter: MeterInfo, now: float) -> Session:
    sent = SentMeter(tuple_id, meter.dict(by_alias=True, exclude_none=True), meter.meter_reading)
    return replace(session, state=State.METERING_RECEIPT, sent_meter=sent, receipt_asked_s=now)
