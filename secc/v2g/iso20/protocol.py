"""ISO 15118-20 as one table: what may be asked in which state, and who answers.

    SessionSetup -> AuthorizationSetup -> Authorization -> ServiceDiscovery -> ServiceSelection
                                                                ^                    |
       +--------------- ServiceRenegotiation -------------------+                    v
       |                                                                ChargeParameterDiscovery
       |                                                                             |
       |            +----------------- ScheduleRenegotiation ---------+              v
       |            |                                                 +----> ScheduleExchange
    SessionStop <- [AC_ChargeLoop | DC_ChargeLoop] <- [PowerDelivery | CableCheck -> PreCharge]

Standby leaves the loop without power: AC returns by PowerDelivery, DC by CableCheck.
A refused authorization stays in Authorization, where the vehicle may try another contract, a certificate or a card.
Wider than the standard for the same vehicles as ISO 15118-2: see there.
"""

from collections.abc import Callable
from dataclasses import replace

from iso15118.shared.messages.iso15118_20.common_types import ResponseCode

from secc.ports import EndReason
from secc.v2g.codes import Refused
from secc.v2g.iso20 import (
    authorization,
    certificate_installation,
    charge_loops,
    charge_parameters,
    dc_output,
    metering_confirmation,
    parking,
    power_delivery,
    schedule_exchange,
    services,
    session_setup,
    session_stop,
)
from secc.v2g.iso20.failures import failed
from secc.v2g.iso20.session import Session20, of_20
from secc.v2g.session import Answer, Request, Session, State, Surroundings
from secc.v2gtp import PayloadType

Handler20 = Callable[[Request, Session20, Surroundings, float], Answer]

HANDLERS: dict[str, Handler20] = {
    "SessionSetupReq": session_setup.set_up,
    "AuthorizationSetupReq": session_setup.set_up_authorization,
    "AuthorizationReq": authorization.handle,
    "CertificateInstallationReq": certificate_installation.handle,
    "ServiceDiscoveryReq": services.discover,
    "ServiceDetailReq": services.detail,
    "ServiceSelectionReq": services.select,
    "AC_ChargeParameterDiscoveryReq": charge_parameters.of_ac,
    "DC_ChargeParameterDiscoveryReq": charge_parameters.of_dc,
    "ScheduleExchangeReq": schedule_exchange.handle,
    "DC_CableCheckReq": dc_output.check_cable,
    "DC_PreChargeReq": dc_output.pre_charge,
    "PowerDeliveryReq": power_delivery.handle,
    "AC_ChargeLoopReq": charge_loops.of_ac,
    "DC_ChargeLoopReq": charge_loops.of_dc,
    "MeteringConfirmationReq": metering_confirmation.handle,
    "DC_WeldingDetectionReq": dc_output.detect_welding,
    "VehicleCheckInReq": parking.check_in,
    "VehicleCheckOutReq": parking.check_out,
    "SessionStopReq": session_stop.handle,
}

_STOP = {"SessionStopReq"}
_SETTING_UP = {"SessionSetupReq", "SessionStopReq"}
_LOOP = {"PowerDeliveryReq", "MeteringConfirmationReq", "SessionStopReq"}
_PARKING = {"VehicleCheckInReq", "VehicleCheckOutReq"}
_PARAMETERS = {"AC_ChargeParameterDiscoveryReq", "DC_ChargeParameterDiscoveryReq"}

ALLOWED: dict[State, frozenset[str]] = {
    State.SESSION_SETUP: frozenset({"SessionSetupReq"}),
    State.AUTHORIZATION_SETUP: frozenset({"AuthorizationSetupReq", *_SETTING_UP}),
    State.AUTHORIZATION: frozenset({"AuthorizationReq", "CertificateInstallationReq", *_SETTING_UP}),
    State.SERVICE_DISCOVERY: frozenset({"ServiceDiscoveryReq", *_STOP}),
    State.SERVICE_SELECTION: frozenset({"ServiceDetailReq", "ServiceSelectionReq", *_STOP}),
    State.CHARGE_PARAMETER_DISCOVERY: frozenset({*_PARAMETERS, *_STOP, *_PARKING}),
    State.SCHEDULE_EXCHANGE: frozenset({"ScheduleExchangeReq", "PowerDeliveryReq", *_STOP, *_PARKING}),
    State.CABLE_CHECK: frozenset({"DC_CableCheckReq", "DC_PreChargeReq", "PowerDeliveryReq", *_STOP, *_PARKING}),
    State.PRE_CHARGE: frozenset({"DC_PreChargeReq", "PowerDeliveryReq", *_STOP, *_PARKING}),
    State.POWER_DELIVERY: frozenset({"PowerDeliveryReq", *_STOP, *_PARKING}),
    State.AC_CHARGE_LOOP: frozenset({"AC_ChargeLoopReq", *_LOOP, *_PARKING}),
    State.DC_CHARGE_LOOP: frozenset({"DC_ChargeLoopReq", *_LOOP, *_PARKING}),
    State.STANDBY: frozenset({"AC_ChargeLoopReq", "DC_ChargeLoopReq", "DC_CableCheckReq", *_LOOP, *_PARKING}),
    State.SESSION_STOP: frozenset({"DC_WeldingDetectionReq", *_STOP, *_PARKING}),
    State.ENDED: frozenset(),
}

# Where PowerDelivery may only take back or give up.
_STOP_ONLY = {State.SCHEDULE_EXCHANGE, State.CABLE_CHECK}


def respond(request: Request, session: Session, around: Surroundings, now: float) -> Answer:
    """The answer to `request`. Every FAILED is a response of the right type, and ends the session."""
    ours = of_20(session)
    try:
        _admit(request, ours, around)
        return HANDLERS[request.name](request, ours, around, now)
    except Refused as refusal:
        response = failed(request, ours, around, refusal.code)
        after = replace(ours, state=State.ENDED, end=EndReason.REFUSED)
        return Answer(response, after, refusal.facts, detail=refusal.detail)


def _admit(request: Request, session: Session20, around: Surroundings) -> None:
    if request.name not in ALLOWED[session.state] and not _beside(request, session):
        raise Refused(ResponseCode.FAILED_SEQUENCE_ERROR, detail=f"not in state {session.state.value}")
    kind = request.name[:3]
    if (kind == "AC_" and around.view.dc is not None) or (kind == "DC_" and around.view.dc is None):
        raise Refused(ResponseCode.FAILED_SEQUENCE_ERROR, detail="another kind of station")
    starting = request.name == "PowerDeliveryReq" and request.elements["ChargeProgress"] != "Stop"
    if starting and session.state in _STOP_ONLY:
        raise Refused(ResponseCode.FAILED_SEQUENCE_ERROR, detail=f"no start in state {session.state.value}")
    if request.name != "SessionSetupReq" and request.session_id.upper() != session.session_id:
        raise Refused(ResponseCode.FAILED_UNKNOWN_SESSION)


def _beside(request: Request, session: Session20) -> bool:
    """Renegotiating under power: the loop may go on meanwhile, and it may begin on a stream of its own."""
    if request.name in ("AC_ChargeLoopReq", "DC_ChargeLoopReq"):
        return session.renegotiating and session.state in (State.SCHEDULE_EXCHANGE, State.POWER_DELIVERY)
    of_its_own = request.payload_type is PayloadType.SCHEDULE_RENEGOTIATION
    return request.name == "ScheduleExchangeReq" and of_its_own and session.state in power_delivery.LOOPS
