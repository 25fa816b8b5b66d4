"""The ways through each protocol, told by hand: what may be said where, and where it leads.

Purposes after ISO 15118-4 and -21, in our own words. These tables say what the standards want, with what real vehicles
need on top; the engine has tables of its own, and the two must agree.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from secc.exi import Namespace, encode
from secc.ports import Authorization, CertificateAnswer, Insulation
from secc.v2g.iso20.certificate_installation import empty
from secc.v2g.session import State
from tests.secc.support import (
    AUTHORIZATION,
    DC_CHARGE_PARAMETERS,
    DC_VIEW,
    SESSION_ID,
    Response,
    Talk,
    power,
    reading,
    selection,
    signature_of,
)
from tests.secc.v2g import test_secc_20_refusals as iso_20
from tests.secc.v2g import test_secc_din as din
from tests.secc.v2g import test_secc_refusals as iso_2
from tests.secc.v2g.talk20 import DC_20_VIEW, Talk20, power20
from tests.secc.v2g.test_secc_certificates import installed

Wish = tuple[dict, dict | None]
"""Elements and signature."""


@dataclass(frozen=True)
class Way:
    """A protocol at one kind of station."""

    name: str
    begin: Callable[[], Talk]
    negotiate: Callable[[Talk], object]
    reach: Mapping[State, Callable[[Talk], Talk]]
    leads: Mapping[State, Mapping[str, State]]
    """The requests that fit a state, and the state after a good response; SessionStop, which always fits, left out."""
    requests: Mapping[str, dict]
    """A valid request of each type there is."""
    wishes: Mapping[tuple[State, str], Wish] = field(default_factory=dict)
    """Where another content than `requests` is good."""
    silence_s: Mapping[State, float] = field(default_factory=dict)
    """Where it is not 60 s."""

    def reached(self, state: State) -> Talk:
        talk = self.reach[state](self.begin())
        assert talk.state is state, talk.state
        return talk

    def wish(self, state: State, name: str) -> Wish:
        return self.wishes.get((state, name), (self.requests[name], None))

    def ask(self, talk: Talk, state: State, name: str) -> Response:
        """The response to the good request, after the station has done what it must."""
        elements, signature = self.wish(state, name)
        answer = talk.ask(name, elements, signature=signature)
        if answer is None:
            help_along(talk)
            answer = self.tick(talk)
        assert answer is not None, f"{name} was not answered"
        return answer

    def tick(self, talk: Talk) -> Response | None:
        if isinstance(talk, Talk20):
            return next(iter(talk.tick20()), None)
        payload = next(iter(talk.tick()), None)
        if payload is None:
            return None
        return din.din_response(payload) if isinstance(talk, din.DinTalk) else Response.of(payload)


def help_along(talk: Talk) -> None:
    """The operator says yes, the contactor closes, the insulation is sound, a certificate is there."""
    talk.station(authorization=Authorization.ACCEPTED, contactor_closed=True)
    session = talk.conversation.session
    if talk.view.dc is not None:
        talk.output(cable_check_id=session.cable_check_id, cable_check=Insulation.VALID)
    if session.certificate_request_id:
        answer = installed_20() if isinstance(talk, Talk20) else installed(held_request(talk).replace("Req", "Res"))
        talk.station(certificate_answer=CertificateAnswer(session.certificate_request_id, answer))


def held_request(talk: Talk) -> str:
    assert talk.conversation._held is not None
    return talk.conversation._held.name


def installed_20() -> bytes:
    header = {"SessionID": bytes.fromhex(SESSION_ID), "TimeStamp": 0}
    response = {"Header": header, "ResponseCode": "OK", **empty()}
    return encode(Namespace.ISO_20_COMMON, {"CertificateInstallationRes": response})


SETTING_UP = {"SessionSetupReq": State.SERVICE_DISCOVERY}

# --- DIN SPEC 70121 ---

DIN = Way(
    name="DIN",
    begin=din.DinTalk,
    negotiate=lambda talk: talk.negotiate(din.DIN_WISH),
    reach={**din.REACH, State.PRE_CHARGE: din.DinTalk.pre_charged},
    leads={
        State.SERVICE_DISCOVERY: {"ServiceDiscoveryReq": State.SERVICE_SELECTION, **SETTING_UP},
        State.SERVICE_SELECTION: {
            "ServiceDetailReq": State.SERVICE_SELECTION,
            "ServicePaymentSelectionReq": State.AUTHORIZATION,
            **SETTING_UP,
        },
        State.AUTHORIZATION: {"ContractAuthenticationReq": State.CHARGE_PARAMETER_DISCOVERY, **SETTING_UP},
        State.CHARGE_PARAMETER_DISCOVERY: {"ChargeParameterDiscoveryReq": State.CABLE_CHECK},
        State.CABLE_CHECK: {"CableCheckReq": State.PRE_CHARGE, "PowerDeliveryReq": State.SESSION_STOP},
        State.PRE_CHARGE: {"PreChargeReq": State.PRE_CHARGE, "PowerDeliveryReq": State.CURRENT_DEMAND},
        State.CURRENT_DEMAND: {"CurrentDemandReq": State.CURRENT_DEMAND, "PowerDeliveryReq": State.SESSION_STOP},
        State.SESSION_STOP: {"WeldingDetectionReq": State.SESSION_STOP},
    },
    requests=din.GOOD | {"ServiceDetailReq": {"ServiceID": 1}},
    wishes={
        (state, "PowerDeliveryReq"): ({"ReadyToChargeState": False}, None)
        for state in (State.CABLE_CHECK, State.CURRENT_DEMAND)
    },
)

# --- ISO 15118-2 ---

CERTIFICATES = {"CertificateInstallationReq": State.PAYMENT_DETAILS, "CertificateUpdateReq": State.PAYMENT_DETAILS}
SIGNED: Wish = (AUTHORIZATION, signature_of("AuthorizationReq", AUTHORIZATION))
STOP: Wish = (power("Stop"), None)


def paying(talk: Talk) -> Talk:
    talk.station(offers_certificates=True)
    talk.discover()
    talk.ask("PaymentServiceSelectionReq", selection("Contract", 1, 2))
    return talk


def receipt() -> Wish:
    return iso_2.RECEIPT, signature_of("MeteringReceiptReq", iso_2.RECEIPT)


_BEFORE_PARAMETERS = {
    State.SERVICE_DISCOVERY: {"ServiceDiscoveryReq": State.SERVICE_SELECTION, **SETTING_UP},
    State.SERVICE_SELECTION: {
        "ServiceDetailReq": State.SERVICE_SELECTION,
        "PaymentServiceSelectionReq": State.PAYMENT_DETAILS,
        **SETTING_UP,
    },
    State.PAYMENT_DETAILS: {"PaymentDetailsReq": State.AUTHORIZATION, **CERTIFICATES, **SETTING_UP},
    State.AUTHORIZATION: {"AuthorizationReq": State.CHARGE_PARAMETER_DISCOVERY, **SETTING_UP},
}

ISO_2_AC = Way(
    name="-2 AC",
    begin=Talk,
    negotiate=Talk.negotiate,
    reach={**iso_2.REACH, State.PAYMENT_DETAILS: paying},
    leads={
        **_BEFORE_PARAMETERS,
        State.CHARGE_PARAMETER_DISCOVERY: {"ChargeParameterDiscoveryReq": State.POWER_DELIVERY},
        State.POWER_DELIVERY: {
            "PowerDeliveryReq": State.CHARGING,
            "ChargeParameterDiscoveryReq": State.POWER_DELIVERY,
        },
        State.CHARGING: {"ChargingStatusReq": State.CHARGING, "PowerDeliveryReq": State.SESSION_STOP},
        State.METERING_RECEIPT: {"MeteringReceiptReq": State.CHARGING, "PowerDeliveryReq": State.SESSION_STOP},
        State.SESSION_STOP: {},
    },
    requests=iso_2.GOOD,
    wishes={
        (State.AUTHORIZATION, "AuthorizationReq"): SIGNED,
        (State.CHARGING, "PowerDeliveryReq"): STOP,
        (State.METERING_RECEIPT, "PowerDeliveryReq"): STOP,
        (State.METERING_RECEIPT, "MeteringReceiptReq"): receipt(),
    },
)


def dc_parameters(talk: Talk) -> Talk:
    talk.authorized()
    assert talk.ask("ChargeParameterDiscoveryReq", DC_CHARGE_PARAMETERS).code == "OK"
    return talk


def dc_checked(talk: Talk) -> Talk:
    dc_parameters(talk)
    assert talk.ask("CableCheckReq", iso_2.GOOD["CableCheckReq"]) is None
    help_along(talk)
    talk.tick()
    return talk


def dc_demanding(talk: Talk) -> Talk:
    dc_checked(talk)
    assert talk.ask("PreChargeReq", iso_2.GOOD["PreChargeReq"]).code == "OK"
    talk.output(present_voltage_v=400.0)
    assert talk.ask("PowerDeliveryReq", power("Start")) is None
    talk.station(contactor_closed=True)
    talk.tick()
    return talk


def dc_awaiting_receipt(talk: Talk) -> Talk:
    dc_demanding(talk)
    talk.station(meter=reading(10.0), receipt_required=True)
    talk.ask("CurrentDemandReq", iso_2.GOOD["CurrentDemandReq"])
    return talk


def dc_pre_charged(talk: Talk) -> Talk:
    dc_checked(talk)
    talk.ask("PreChargeReq", iso_2.GOOD["PreChargeReq"])
    talk.output(present_voltage_v=400.0)
    return talk


def dc_stopped(talk: Talk) -> Talk:
    dc_demanding(talk)
    talk.ask("PowerDeliveryReq", power("Stop"))
    return talk


_DC_ONLY = (State.CHARGE_PARAMETER_DISCOVERY, State.POWER_DELIVERY, State.CHARGING, State.METERING_RECEIPT)
ISO_2_DC = Way(
    name="-2 DC",
    begin=lambda: Talk(view=DC_VIEW),
    negotiate=Talk.negotiate,
    reach={
        **{state: reach for state, reach in ISO_2_AC.reach.items() if state not in _DC_ONLY},
        State.CHARGE_PARAMETER_DISCOVERY: Talk.authorized,
        State.CABLE_CHECK: dc_parameters,
        State.PRE_CHARGE: dc_pre_charged,
        State.CURRENT_DEMAND: dc_demanding,
        State.METERING_RECEIPT: dc_awaiting_receipt,
        State.SESSION_STOP: dc_stopped,
    },
    leads={
        **_BEFORE_PARAMETERS,
        State.CHARGE_PARAMETER_DISCOVERY: {"ChargeParameterDiscoveryReq": State.CABLE_CHECK},
        State.CABLE_CHECK: {"CableCheckReq": State.PRE_CHARGE},
        State.PRE_CHARGE: {"PreChargeReq": State.PRE_CHARGE, "PowerDeliveryReq": State.CURRENT_DEMAND},
        State.CURRENT_DEMAND: {"CurrentDemandReq": State.CURRENT_DEMAND, "PowerDeliveryReq": State.SESSION_STOP},
        State.METERING_RECEIPT: {"MeteringReceiptReq": State.CURRENT_DEMAND, "PowerDeliveryReq": State.SESSION_STOP},
        State.SESSION_STOP: {"WeldingDetectionReq": State.SESSION_STOP},
    },
    requests=iso_2.GOOD | {"ChargeParameterDiscoveryReq": DC_CHARGE_PARAMETERS},
    wishes={
        (State.AUTHORIZATION, "AuthorizationReq"): SIGNED,
        (State.CURRENT_DEMAND, "PowerDeliveryReq"): STOP,
        (State.METERING_RECEIPT, "PowerDeliveryReq"): STOP,
        (State.METERING_RECEIPT, "MeteringReceiptReq"): receipt(),
    },
)

# --- ISO 15118-20 ---

_STARTED_OVER = {"SessionSetupReq": State.AUTHORIZATION_SETUP}
_BEFORE_PARAMETERS_20 = {
    State.AUTHORIZATION_SETUP: {"AuthorizationSetupReq": State.AUTHORIZATION, **_STARTED_OVER},
    State.AUTHORIZATION: {
        "AuthorizationReq": State.SERVICE_DISCOVERY,
        "CertificateInstallationReq": State.AUTHORIZATION,
        **_STARTED_OVER,
    },
    State.SERVICE_DISCOVERY: {"ServiceDiscoveryReq": State.SERVICE_SELECTION},
    State.SERVICE_SELECTION: {
        "ServiceDetailReq": State.SERVICE_SELECTION,
        "ServiceSelectionReq": State.CHARGE_PARAMETER_DISCOVERY,
    },
}
STOP_20: Wish = (power20("Stop"), None)


def authorizing(talk: Talk20) -> Talk20:
    talk.station(offers_certificates=True)
    return talk.authorizing()


def _stops(*states: State) -> dict[tuple[State, str], Wish]:
    return {(state, "PowerDeliveryReq"): STOP_20 for state in states}


ISO_20_AC = Way(
    name="-20 AC",
    begin=Talk20,
    negotiate=lambda talk: talk.negotiate(iso_20.AC_WISH),
    reach={**iso_20.AC_REACH, State.AUTHORIZATION: authorizing},
    leads={
        **_BEFORE_PARAMETERS_20,
        State.CHARGE_PARAMETER_DISCOVERY: {"AC_ChargeParameterDiscoveryReq": State.SCHEDULE_EXCHANGE},
        State.SCHEDULE_EXCHANGE: {
            "ScheduleExchangeReq": State.POWER_DELIVERY,
            "PowerDeliveryReq": State.SESSION_STOP,
        },
        State.POWER_DELIVERY: {"PowerDeliveryReq": State.AC_CHARGE_LOOP},
        State.AC_CHARGE_LOOP: {"AC_ChargeLoopReq": State.AC_CHARGE_LOOP, "PowerDeliveryReq": State.SESSION_STOP},
        State.STANDBY: {"AC_ChargeLoopReq": State.STANDBY, "PowerDeliveryReq": State.AC_CHARGE_LOOP},
        State.SESSION_STOP: {},
    },
    requests=iso_20.GOOD,
    wishes=_stops(State.SCHEDULE_EXCHANGE, State.AC_CHARGE_LOOP),
    silence_s={State.AC_CHARGE_LOOP: 5.0},
)

ISO_20_DC = Way(
    name="-20 DC",
    begin=lambda: Talk20(DC_20_VIEW),
    negotiate=lambda talk: talk.negotiate(iso_20.DC_WISH),
    reach={**iso_20.DC_REACH, State.AUTHORIZATION: authorizing, State.PRE_CHARGE: Talk20.pre_charged},
    leads={
        **_BEFORE_PARAMETERS_20,
        State.CHARGE_PARAMETER_DISCOVERY: {"DC_ChargeParameterDiscoveryReq": State.SCHEDULE_EXCHANGE},
        State.SCHEDULE_EXCHANGE: {"ScheduleExchangeReq": State.CABLE_CHECK, "PowerDeliveryReq": State.SESSION_STOP},
        State.CABLE_CHECK: {"DC_CableCheckReq": State.PRE_CHARGE, "PowerDeliveryReq": State.SESSION_STOP},
        State.PRE_CHARGE: {"DC_PreChargeReq": State.PRE_CHARGE, "PowerDeliveryReq": State.DC_CHARGE_LOOP},
        State.DC_CHARGE_LOOP: {"DC_ChargeLoopReq": State.DC_CHARGE_LOOP, "PowerDeliveryReq": State.SESSION_STOP},
        State.STANDBY: {
            "DC_ChargeLoopReq": State.STANDBY,
            "DC_CableCheckReq": State.PRE_CHARGE,
            "PowerDeliveryReq": State.SESSION_STOP,
        },
        State.SESSION_STOP: {"DC_WeldingDetectionReq": State.SESSION_STOP},
    },
    requests=iso_20.GOOD | {"ServiceDetailReq": {"ServiceID": 2}, "ServiceSelectionReq": iso_20.select(2)},
    wishes=_stops(State.SCHEDULE_EXCHANGE, State.CABLE_CHECK, State.DC_CHARGE_LOOP, State.STANDBY),
    silence_s={State.DC_CHARGE_LOOP: 5.0},
)

WAYS = (DIN, ISO_2_AC, ISO_2_DC, ISO_20_AC, ISO_20_DC)
STATES = [(way, state) for way in WAYS for state in way.leads]
