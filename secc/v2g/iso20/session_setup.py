"""SessionSetup and AuthorizationSetup (clauses 8.3.4.3.2 and 8.3.4.3.3)."""

from dataclasses import replace

from iso15118.shared.messages.iso15118_20.common_types import ResponseCode

from secc.ports import PaymentOption, SessionSetUp, StationView
from secc.v2g.elements import text
from secc.v2g.iso20.session import Session20
from secc.v2g.joining import joins, new_session_id
from secc.v2g.session import SESSION_ID_BYTES, Answer, Request, State, Surroundings

NAME = "ISO 15118-20"

_SERVICE_NAMES = {PaymentOption.CONTRACT: "PnC", PaymentOption.EXTERNAL_PAYMENT: "EIM"}


def set_up(request: Request, session: Session20, around: Surroundings, _now: float) -> Answer:
    """Give the vehicle its session id. A request repeated before power starts over, as in ISO 15118-2."""
    evcc_id = text(request.elements, "EVCCID")
    joined = joins(request, session, evcc_id)
    session_id = request.session_id.upper() if joined else new_session_id(around.entropy)
    fresh = Session20(
        state=State.AUTHORIZATION_SETUP,
        tls=session.tls,
        vehicle=session.vehicle,
        session_id=session_id,
        evcc_id=evcc_id,
    )
    code = ResponseCode.OK_OLD_SESSION_JOINED if joined else ResponseCode.OK_NEW_SESSION_ESTABLISHED
    response = {"ResponseCode": code, "EVSEID": around.view.evse_id}
    return Answer(response, fresh, (SessionSetUp(session_id, evcc_id, NAME),))


def set_up_authorization(_request: Request, session: Session20, around: Surroundings, _now: float) -> Answer:
    """How one may pay here. The challenge is for whoever pays by contract."""
    challenge = around.entropy[SESSION_ID_BYTES:]
    payments = offered_payments(session, around.view)
    if PaymentOption.CONTRACT in payments:
        mode: dict[str, object] = {"PnC_ASResAuthorizationMode": {"GenChallenge": challenge}}
    else:
        mode = {"EIM_ASResAuthorizationMode": {}}
    response = {
        "ResponseCode": ResponseCode.OK,
        "AuthorizationServices": [_SERVICE_NAMES[payment] for payment in payments],
        "CertificateInstallationService": installs_certificates(session, around.view),
        **mode,
    }
    return Answer(response, replace(session, state=State.AUTHORIZATION, challenge=challenge))


def offered_payments(session: Session20, view: StationView) -> list[PaymentOption]:
    """Contracts over TLS only, which may be missing in a laboratory. Who may pay in no way hears it in the attempt."""
    contract = [PaymentOption.CONTRACT] if session.tls and view.accepts_contract else []
    external = [PaymentOption.EXTERNAL_PAYMENT] if view.accepts_external_payment or not contract else []
    return contract + external


def installs_certificates(session: Session20, view: StationView) -> bool:
    return session.tls and view.accepts_contract and view.offers_certificates
