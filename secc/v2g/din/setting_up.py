"""From SessionSetup to ContractAuthentication: who is there, and may it charge (clauses 9.4.1.2 to 9.4.1.6)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from secc.ports import Authorization, PaymentOption, PaymentSelected, SessionSetUp
from secc.v2g.codes import Refused, refusal_code
from secc.v2g.elements import Elements, child, octets, text, whole
from secc.v2g.joining import new_session_id
from secc.v2g.progress import Processing, await_decision, verdict
from secc.v2g.session import Answer, Request, Session, State, Surroundings

NAME = "DIN SPEC 70121"

CHARGING = 1

# An id by DIN SPEC 91286 is decimal, those of ISO 15118 are not; a station without one says 0.
EVSE_ID = b"\0"  # unverified: [V2G-DC-878]

_OK: Elements = {"ResponseCode": "OK"}


def set_up_session(request: Request, session: Session, around: Surroundings, _now: float) -> Answer:
    """Give the vehicle its session id. There is no pause here, so no session to join again."""
    evcc_id = octets(request.elements, "EVCCID").hex().upper()
    session_id = new_session_id(around.entropy)
    fresh = Session(state=State.SERVICE_DISCOVERY, tls=session.tls, session_id=session_id, evcc_id=evcc_id)
    response = {
        "ResponseCode": "OK_NewSessionEstablished",
        "EVSEID": EVSE_ID,
        "DateTimeNow": around.unix_time,
    }
    return Answer(response, fresh, (SessionSetUp(session_id, evcc_id, NAME),))


def discover_services(_request: Request, session: Session, _around: Surroundings, _now: float) -> Answer:
    return Answer({**_OK, **offered_services()}, replace(session, state=State.SERVICE_SELECTION))


def offered_services() -> Elements:
    """Charging by DC, paid for outside of this conversation: all that DIN SPEC 70121 has."""
    return {
        "PaymentOptions": {"PaymentOption": ["ExternalPayment"]},
        "ChargeService": {
            "ServiceTag": {"ServiceID": CHARGING, "ServiceCategory": "EVCharging"},
            "FreeService": False,
            "EnergyTransferType": "DC_extended",
        },
    }


def detail_service(request: Request, session: Session, _around: Surroundings, _now: float) -> Answer:
    if whole(request.elements, "ServiceID") != CHARGING:
        raise Refused("FAILED_ServiceIDInvalid")
    return Answer({**_OK, "ServiceID": CHARGING}, session)


def select_payment(request: Request, session: Session, around: Surroundings, _now: float) -> Answer:
    services = child(request.elements, "SelectedServiceList")
    selected = cast(Sequence[Mapping[str, int]], services.get("SelectedService", ()))
    if [service["ServiceID"] for service in selected] != [CHARGING]:
        raise Refused("FAILED_ServiceSelectionInvalid")
    external = text(request.elements, "SelectedPaymentOption") == "ExternalPayment"
    if not external or not around.view.accepts_external_payment:
        raise Refused("FAILED_PaymentSelectionInvalid")
    payment = PaymentOption.EXTERNAL_PAYMENT
    return Answer(_OK, replace(session, state=State.AUTHORIZATION, payment=payment), (PaymentSelected(payment),))


def authenticate(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    """ContractAuthentication, which without a contract only waits for the operator."""
    assert session.payment is not None
    said = verdict(session, around.view)
    if said is Authorization.ACCEPTED:
        after = replace(session, state=State.CHARGE_PARAMETER_DISCOVERY, waiting_since_s=None)
        return Answer({**_OK, "EVSEProcessing": Processing.FINISHED}, after)
    if code := refusal_code(said, session.payment):
        raise Refused(code, detail=f"authorization {said.value}")
    progress = await_decision(request, session, now)
    response = {**_OK, "EVSEProcessing": progress.processing} if progress.processing else None
    return Answer(response, progress.session, retry_s=progress.retry_s)
