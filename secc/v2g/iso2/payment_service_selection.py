"""PaymentServiceSelection: how the vehicle pays and what for (clause 8.4.3.5)."""

from collections.abc import Sequence
from dataclasses import replace

from iso15118.shared.messages.datatypes import SelectedService
from iso15118.shared.messages.iso15118_2.body import PaymentServiceSelectionReq, PaymentServiceSelectionRes
from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode, ServiceID

from secc.ports import CertificateAction, PaymentOption, PaymentSelected, StationView
from secc.v2g.codes import Refused
from secc.v2g.iso2.service_detail import CERTIFICATE_PARAMETER_SETS
from secc.v2g.iso2.service_discovery import offered_payments, offers_certificates
from secc.v2g.models import build
from secc.v2g.session import Answer, Request, Session, State, Surroundings


def handle(request: Request, session: Session, around: Surroundings, _now: float) -> Answer:
    message = request.message
    assert isinstance(message, PaymentServiceSelectionReq)
    actions = _selected(message.selected_service_list.selected_service, session, around.view)
    payment = PaymentOption(message.selected_auth_option.value)
    if not _may_pay_by(payment, session, around.view):
        raise Refused(ResponseCode.FAILED_PAYMENT_SELECTION_INVALID)
    state = State.PAYMENT_DETAILS if payment is PaymentOption.CONTRACT else State.AUTHORIZATION
    response = build(PaymentServiceSelectionRes, ResponseCode=ResponseCode.OK)
    after = replace(session, state=state, payment=payment, certificate_actions=actions)
    return Answer(response, after, (PaymentSelected(payment),))


def _selected(services: Sequence[SelectedService], session: Session, view: StationView) -> frozenset[CertificateAction]:
    """The certificate actions among the selected services, after a look at all of them."""
    if all(service.service_id != ServiceID.CHARGING for service in services):
        raise Refused(ResponseCode.FAILED_NO_CHARGE_SERVICE_SELECTED)
    actions: set[CertificateAction] = set()
    for service in services:
        if service.service_id == ServiceID.CHARGING:
            continue
        if service.service_id != ServiceID.CERTIFICATE or not offers_certificates(session, view):
            raise Refused(ResponseCode.FAILED_SERVICE_SELECTION_INVALID)
        actions |= _certificate_actions(service.parameter_set_id)
    return frozenset(actions)


def _certificate_actions(parameter_set_id: int | None) -> set[CertificateAction]:
    """A vehicle that names no parameter set, which the schema allows, may do either."""
    if parameter_set_id is None:
        return set(CertificateAction)
    if parameter_set_id not in CERTIFICATE_PARAMETER_SETS:
        raise Refused(ResponseCode.FAILED_SERVICE_SELECTION_INVALID)
    return {CERTIFICATE_PARAMETER_SETS[parameter_set_id]}


def _may_pay_by(payment: PaymentOption, session: Session, view: StationView) -> bool:
    if payment is PaymentOption.EXTERNAL_PAYMENT and not view.accepts_external_payment:
        return False
    return payment.value in offered_payments(session, view)
