"""PaymentServiceSelection: how the vehicle pays and what for (clause 8.4.3.5)."""

from dataclasses import replace

from iso15118.shared.messages.iso15118_2.body import PaymentServiceSelectionReq, PaymentServiceSelectionRes
from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode, ServiceID

from secc.ports import PaymentOption, PaymentSelected, StationView
from secc.v2g.codes import Refused
from secc.v2g.iso2.service_discovery import offered_payments
from secc.v2g.models import build
from secc.v2g.session import Answer, Request, Session, State, Surroundings


def handle(request: Request, session: Session, around: Surroundings, _now: float) -> Answer:
    message = request.message
    assert isinstance(message, PaymentServiceSelectionReq)
    services = {service.service_id for service in message.selected_service_list.selected_service}
    if ServiceID.CHARGING not in services:
        raise Refused(ResponseCode.FAILED_NO_CHARGE_SERVICE_SELECTED)
    if services != {ServiceID.CHARGING}:
        raise Refused(ResponseCode.FAILED_SERVICE_SELECTION_INVALID)
    payment = PaymentOption(message.selected_auth_option.value)
    if not _may_pay_by(payment, session, around.view):
        raise Refused(ResponseCode.FAILED_PAYMENT_SELECTION_INVALID)
    state = State.PAYMENT_DETAILS if payment is PaymentOption.CONTRACT else State.AUTHORIZATION
    response = build(PaymentServiceSelectionRes, ResponseCode=ResponseCode.OK)
    return Answer(response, replace(session, state=state, payment=payment), (PaymentSelected(payment),))


def _may_pay_by(payment: PaymentOption, session: Session, view: StationView) -> bool:
    if payment is PaymentOption.EXTERNAL_PAYMENT and not view.accepts_external_payment:
        return False
    return payment.value in offered_payments(session, view)
