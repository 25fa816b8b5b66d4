"""ISO 15118-2 as one table: what may be asked in which state, and who answers.

    SessionSetup -> ServiceDiscovery -> ServiceSelection -> [PaymentDetails ->] Authorization
      -> ChargeParameterDiscovery -> [CableCheck -> PreCharge | PowerDelivery] -> [Charging | CurrentDemand]
                      ^                                                                    |
                      +--------------------------- Renegotiate ----------------------------+-> SessionStop -> Ended

AC goes by PowerDelivery and Charging, DC by CableCheck, PreCharge and CurrentDemand; MeteringReceipt interrupts either
loop. AC renegotiates under power; DC without, as its way back leads through CableCheck.

Wider than clause 8.8.4 in four places, each for vehicles on the road:
- SessionStopReq is answered in every state once there is a session: a VW sends it straight after PowerDelivery(Start).
- SessionSetupReq is answered again until power is asked for: an Opel Ampera-E repeats it.
- PreChargeReq is answered while the cable check runs, without a voltage: some vehicles do not wait for its end.
- An empty SessionID is taken for the right one (Subaru Solterra); the connection tells whose it is.
"""

from dataclasses import replace

from iso15118.shared.messages.iso15118_2.datatypes import ResponseCode

from secc.ports import EndReason
from secc.v2g.codes import Refused
from secc.v2g.iso2 import (
    authorization,
    certificate_service,
    charge_parameters,
    charging_status,
    current_demand,
    dc_output,
    metering_receipt,
    payment_details,
    payment_service_selection,
    power_delivery,
    service_detail,
    service_discovery,
    session_setup,
    session_stop,
)
from secc.v2g.iso2.failures import failed
from secc.v2g.session import Answer, Handler, Request, Session, State, Surroundings

HANDLERS: dict[str, Handler] = {
    "SessionSetupReq": session_setup.handle,
    "ServiceDiscoveryReq": service_discovery.handle,
    "ServiceDetailReq": service_detail.handle,
    "PaymentServiceSelectionReq": payment_service_selection.handle,
    "PaymentDetailsReq": payment_details.handle,
    "CertificateInstallationReq": certificate_service.handle,
    "CertificateUpdateReq": certificate_service.handle,
    "AuthorizationReq": authorization.handle,
    "ChargeParameterDiscoveryReq": charge_parameters.handle,
    "PowerDeliveryReq": power_delivery.handle,
    "CableCheckReq": dc_output.check_cable,
    "PreChargeReq": dc_output.pre_charge,
    "ChargingStatusReq": charging_status.handle,
    "CurrentDemandReq": current_demand.handle,
    "WeldingDetectionReq": dc_output.detect_welding,
    "MeteringReceiptReq": metering_receipt.handle,
    "SessionStopReq": session_stop.handle,
}

_DC_REQUESTS = {"CableCheckReq", "PreChargeReq", "CurrentDemandReq", "WeldingDetectionReq"}
_SETTING_UP = {"SessionSetupReq", "SessionStopReq"}

ALLOWED: dict[State, frozenset[str]] = {
    State.SESSION_SETUP: frozenset({"SessionSetupReq"}),
    State.SERVICE_DISCOVERY: frozenset({"ServiceDiscoveryReq", *_SETTING_UP}),
    State.SERVICE_SELECTION: frozenset({"ServiceDetailReq", "PaymentServiceSelectionReq", *_SETTING_UP}),
    State.PAYMENT_DETAILS: frozenset(
        {"PaymentDetailsReq", "CertificateInstallationReq", "CertificateUpdateReq", *_SETTING_UP}
    ),
    State.AUTHORIZATION: frozenset({"AuthorizationReq", *_SETTING_UP}),
    State.CHARGE_PARAMETER_DISCOVERY: frozenset({"ChargeParameterDiscoveryReq", "SessionStopReq"}),
    State.CABLE_CHECK: frozenset({"CableCheckReq", "PreChargeReq", "SessionStopReq"}),
    State.PRE_CHARGE: frozenset({"PreChargeReq", "PowerDeliveryReq", "SessionStopReq"}),
    # A vehicle may ask for the parameters again before it starts, and may give up with PowerDelivery(Stop).
    State.POWER_DELIVERY: frozenset({"PowerDeliveryReq", "ChargeParameterDiscoveryReq", "SessionStopReq"}),
    State.CHARGING: frozenset({"ChargingStatusReq", "PowerDeliveryReq", "SessionStopReq"}),
    State.CURRENT_DEMAND: frozenset({"CurrentDemandReq", "PowerDeliveryReq", "SessionStopReq"}),
    State.METERING_RECEIPT: frozenset({"MeteringReceiptReq", "PowerDeliveryReq", "SessionStopReq"}),
    State.SESSION_STOP: frozenset({"WeldingDetectionReq", "SessionStopReq"}),
    State.ENDED: frozenset(),
}


def respond(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    """The answer to `request`. Every refusal is a FAILED response of the right type, and ends the session."""
    try:
        _admit(request, session, around)
        return HANDLERS[request.name](request, session, around, now)
    except Refused as refusal:
        response = failed(request, session, around, ResponseCode(refusal.code))
        after = replace(session, state=State.ENDED, end=EndReason.REFUSED)
        return Answer(response, after, refusal.facts, detail=refusal.detail)


def _admit(request: Request, session: Session, around: Surroundings) -> None:
    if request.name not in ALLOWED[session.state]:
        raise Refused(ResponseCode.FAILED_SEQUENCE_ERROR, detail=f"not in state {session.state.value}")
    if request.name in _DC_REQUESTS and around.view.dc is None:
        raise Refused(ResponseCode.FAILED_SEQUENCE_ERROR, detail="an AC station")
    if request.name != "SessionSetupReq" and request.session_id.upper() not in ("", session.session_id):
        raise Refused(ResponseCode.FAILED_UNKNOWN_SESSION)
    if request.fault is not None:
        raise Refused(request.fault, detail=request.fault_detail or "content refused")
