"""DIN SPEC 70121 as one table: what may be asked in which state, and who answers.

    SessionSetup -> ServiceDiscovery -> ServiceSelection -> Authorization -> ChargeParameterDiscovery
      -> CableCheck -> PreCharge -> CurrentDemand -> SessionStop -> Ended

As wide as ISO 15118-2 here, and for the same vehicles: SessionStopReq in every state, SessionSetupReq again until it
is authorized, an empty SessionID taken for the right one.
"""

from dataclasses import replace

from secc.ports import EndReason
from secc.v2g.codes import Refused
from secc.v2g.din import charging, setting_up
from secc.v2g.din.failures import failed
from secc.v2g.session import Answer, Handler, Request, Session, State, Surroundings

HANDLERS: dict[str, Handler] = {
    "SessionSetupReq": setting_up.set_up_session,
    "ServiceDiscoveryReq": setting_up.discover_services,
    "ServiceDetailReq": setting_up.detail_service,
    "ServicePaymentSelectionReq": setting_up.select_payment,
    "ContractAuthenticationReq": setting_up.authenticate,
    "ChargeParameterDiscoveryReq": charging.discover_parameters,
    "CableCheckReq": charging.check_cable,
    "PreChargeReq": charging.pre_charge,
    "PowerDeliveryReq": charging.deliver_power,
    "CurrentDemandReq": charging.demand_current,
    "WeldingDetectionReq": charging.detect_welding,
    "SessionStopReq": charging.stop_session,
}

_STOP = {"SessionStopReq"}
_SETTING_UP = {"SessionSetupReq", "SessionStopReq"}

ALLOWED: dict[State, frozenset[str]] = {
    State.SESSION_SETUP: frozenset({"SessionSetupReq"}),
    State.SERVICE_DISCOVERY: frozenset({"ServiceDiscoveryReq", *_SETTING_UP}),
    State.SERVICE_SELECTION: frozenset({"ServiceDetailReq", "ServicePaymentSelectionReq", *_SETTING_UP}),
    State.AUTHORIZATION: frozenset({"ContractAuthenticationReq", *_SETTING_UP}),
    State.CHARGE_PARAMETER_DISCOVERY: frozenset({"ChargeParameterDiscoveryReq", *_STOP}),
    State.CABLE_CHECK: frozenset({"CableCheckReq", "PreChargeReq", "PowerDeliveryReq", *_STOP}),
    State.PRE_CHARGE: frozenset({"PreChargeReq", "PowerDeliveryReq", *_STOP}),
    State.CURRENT_DEMAND: frozenset({"CurrentDemandReq", "PowerDeliveryReq", *_STOP}),
    State.SESSION_STOP: frozenset({"WeldingDetectionReq", *_STOP}),
    State.ENDED: frozenset(),
}


def respond(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    """The answer to `request`. Every refusal is a FAILED response of the right type, and ends the session."""
    try:
        _admit(request, session)
        return HANDLERS[request.name](request, session, around, now)
    except Refused as refusal:
        response = failed(request, around, refusal.code)
        after = replace(session, state=State.ENDED, end=EndReason.REFUSED)
        return Answer(response, after, refusal.facts, detail=refusal.detail)


def _admit(request: Request, session: Session) -> None:
    if request.name not in ALLOWED[session.state]:
        raise Refused("FAILED_SequenceError", detail=f"not in state {session.state.value}")
    if request.name != "SessionSetupReq" and request.session_id.upper() not in ("", session.session_id):
        raise Refused("FAILED_UnknownSession")
