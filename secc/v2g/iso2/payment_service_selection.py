"""PaymentServiceSelection: how the vehicle pays and what for (clause 8.4.3.5)."""

from collections.abc import Sequence
from dataclasses import replace

from iso15118.shared.messages.datatypes import SelectedService
from iso15118.shared.messages.iso15118_2.body import PaymentServiceSelectionReq, PaymentServiceSelectionRes
from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode, ServiceID

from secc.ports import (
    CertificateAction,
    InternetAccess,
    PaymentOption,
    PaymentSelected,
    ServicesSelected,
    StationView,
)
from secc.v2g.codes import Refused
from secc.v2g.iso2.service_detail import CERTIFICATE_PARAMETER_SETS
from secc.v2g.iso2.service_discovery import offered_payments, offers_certificates, value_added
from secc.v2g.models import build
from secc.v2g.session import Answer, Request, Session, State, Surroundings


def handle(request: Request, session: Session, around: Surroundings, _now: float) -> Answer:
    message = request.message
    assert isinstance(message, PaymentServiceSelectionReq)
    services = message.selected_service_list.selected_service
    actions, added = _selected(services, session, around.view)
    payment = PaymentOption(message.selected_auth_option.value)
    if not _may_pay_by(payment, session, around.view):
        raise Refused(ResponseCode.FAILED_PAYMENT_SELECTION_INVALID)
    state = State.PAYMENT_DETAILS if payment is PaymentOption.CONTRACT else State.AUTHORIZATION
    response = build(PaymentServiceSelectionRes, ResponseCode=ResponseCode.OK)
    after = replace(session, state=state, payment=payment, certificate_actions=actions)
    selected = (ServicesSelected(added),) if added else ()
    return Answer(response, after, (PaymentSelected(payment), *selected))


def _selected(
    services: Sequence[SelectedService], session: Session, view: StationView
) -> tuple[frozenset[CertificateAction], tuple[tuple[int, int], ...]]:
    """The certificate actions and the value-added services among them, after a look at all."""
    if all(service.service_id != ServiceID.CHARGING for service in services):
        raise Refused(ResponseCode.FAILED_NO_CHARGE_SERVICE_SELECTED)
    actions: set[CertificateAction] = set()
    added: list[tuple[int, int]] = []
    for service in services:
        if service.service_id == ServiceID.CERTIFICATE and offers_certificates(session, view):
            actions |= _certificate_actions(service.parameter_set_id)
        elif service.service_id != ServiceID.CHARGING:
            added.append(_value_added(service, view))
    return frozenset(actions), tuple(added)


def _value_added(service: SelectedService, view: StationView) -> tuple[int, int]:
    """A service without parameters is selected without a parameter set, which is 0 here."""
    offered = value_added(view).get(service.service_id)
    if offered is None:
        raise Refused(ResponseCode.FAILED_SERVICE_SELECTION_INVALID)
    known = [way.parameter_set_id for way in offered.ways] if isinstance(offered, InternetAccess) else []
    if service.parameter_set_id is not None and service.parameter_set_id not in known:
        raise Refused(ResponseCode.FAILED_SERVICE_SELECTION_INVALID)
    return service.service_id, service.parameter_set_id or 0


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
