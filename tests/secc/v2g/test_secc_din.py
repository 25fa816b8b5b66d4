"""DIN SPEC 70121: whole sessions, each refusal, each message out of order, as bytes in virtual time."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from secc.exi import Namespace, decode, encode
from secc.ports import (
    Authorization,
    CableCheckWanted,
    DcTarget,
    EndReason,
    Insulation,
    LimitSent,
    MessageAnswered,
    PausedSession,
    PaymentOption,
    PaymentSelected,
    PowerWanted,
    SessionSetUp,
    StateOfCharge,
    StopReason,
    V2GEnded,
)
from secc.schedules import EnergyRequested
from secc.v2g.din.failures import REQUESTS
from secc.v2g.din.protocol import ALLOWED, HANDLERS
from secc.v2g.protocols import ALL, DEFAULT
from secc.v2g.session import State
from secc.v2gtp import Frame, PayloadType
from tests.secc.support import (
    DC_STATUS,
    DC_VIEW,
    DIN_WISH,
    ENTROPY,
    EVCC_ID,
    ISO_2_WISH,
    SESSION_ID,
    VIEW,
    Response,
    Talk,
    amount,
)

CHECK_ID = ENTROPY.hex().upper()
CABLE_CHECK = {"DC_EVStatus": DC_STATUS}
PRE_CHARGE = {"DC_EVStatus": DC_STATUS, "EVTargetVoltage": amount(380, "V"), "EVTargetCurrent": amount(2, "A")}
DEMAND = {
    "DC_EVStatus": DC_STATUS,
    "EVTargetCurrent": amount(100, "A"),
    "ChargingComplete": False,
    "EVTargetVoltage": amount(390, "V"),
}
PARAMETERS = {
    "EVRequestedEnergyTransferType": "DC_extended",
    "DC_EVChargeParameter": {
        "DC_EVStatus": DC_STATUS,
        "EVMaximumCurrentLimit": amount(100, "A"),
        "EVMaximumVoltageLimit": amount(400, "V"),
        "EVEnergyRequest": amount(20, "Wh", 3),
    },
}
SELECTION = {
    "SelectedPaymentOption": "ExternalPayment",
    "SelectedServiceList": {"SelectedService": [{"ServiceID": 1}]},
}

ROOTS = {"RootCertificateID": ["CN=Root"]}

# One valid request of each type.
GOOD: dict[str, dict] = {
    "SessionSetupReq": {"EVCCID": EVCC_ID},
    "ServiceDiscoveryReq": {},
    "ServiceDetailReq": {"ServiceID": 1},
    "ServicePaymentSelectionReq": SELECTION,
    "ContractAuthenticationReq": {},
    "ChargeParameterDiscoveryReq": PARAMETERS,
    "CableCheckReq": CABLE_CHECK,
    "PreChargeReq": PRE_CHARGE,
    "PowerDeliveryReq": {"ReadyToChargeState": True},
    "CurrentDemandReq": DEMAND,
    "WeldingDetectionReq": {"DC_EVStatus": DC_STATUS},
    "SessionStopReq": {},
    "PaymentDetailsReq": {"ContractID": "DE1", "ContractSignatureCertChain": {"Certificate": b"1"}},
    "CertificateInstallationReq": {"OEMProvisioningCert": b"1", "ListOfRootCertificateIDs": ROOTS, "DHParams": b"1"},
    "CertificateUpdateReq": {
        "ContractSignatureCertChain": {"Certificate": b"1"},
        "ContractID": "DE1",
        "ListOfRootCertificateIDs": ROOTS,
        "DHParams": b"1",
    },
    "ChargingStatusReq": {},
    "MeteringReceiptReq": {"SessionID": bytes(8), "MeterInfo": {"MeterID": "1"}},
}
UNUSED = {
    "PaymentDetailsReq",
    "CertificateInstallationReq",
    "CertificateUpdateReq",
    "ChargingStatusReq",
    "MeteringReceiptReq",
}


def din_message(name: str, elements: dict, session_id: str) -> bytes:
    header = {"SessionID": bytes.fromhex(session_id)}
    return encode(Namespace.DIN, {"V2G_Message": {"Header": header, "Body": {name: elements}}})


def din_response(payload: bytes) -> Response:
    content = decode(Namespace.DIN, payload)["V2G_Message"]
    ((name, elements),) = content["Body"].items()
    return Response(name, content["Header"]["SessionID"].hex().upper(), elements)


class DinTalk(Talk):
    def __init__(self, **options: object) -> None:
        super().__init__(**{"tls": False, "view": DC_VIEW, "offered": ALL, **options})

    def ask(
        self, name: str, elements: dict | None = None, *, signature: dict | None = None, session_id: str | None = None
    ) -> Response | None:
        said = self.session_id if session_id is None else session_id
        payloads = self.send(din_message(name, elements or {}, said))
        return din_response(payloads[0]) if payloads else None

    def wait(self, seconds: float) -> Response:
        (answer,) = self.pass_time(seconds)
        return din_response(answer)

    def set_up(self) -> "DinTalk":
        self.negotiate(DIN_WISH)
        self.session_id = self.ask("SessionSetupReq", {"EVCCID": EVCC_ID}).session_id
        return self

    def discovered(self) -> "DinTalk":
        self.set_up()
        assert self.ask("ServiceDiscoveryReq").code == "OK"
        return self

    def selected(self) -> "DinTalk":
        self.discovered()
        assert self.ask("ServicePaymentSelectionReq", SELECTION).code == "OK"
        return self

    def accepted(self) -> "DinTalk":
        self.selected()
        self.station(authorization=Authorization.ACCEPTED)
        assert self.ask("ContractAuthenticationReq").elements["EVSEProcessing"] == "Finished"
        return self

    def with_parameters(self) -> "DinTalk":
        self.accepted()
        assert self.ask("ChargeParameterDiscoveryReq", PARAMETERS).code == "OK"
        return self

    def cable_checked(self) -> "DinTalk":
        self.with_parameters()
        assert self.ask("CableCheckReq", CABLE_CHECK) is None
        self.output(cable_check_id=CHECK_ID, cable_check=Insulation.VALID)
        (answer,) = self.tick()
        assert din_response(answer).elements["EVSEProcessing"] == "Finished"
        return self

    def pre_charged(self) -> "DinTalk":
        self.cable_checked()
        assert self.ask("PreChargeReq", PRE_CHARGE).code == "OK"
        self.output(present_voltage_v=379.0)
        return self

    def demanding(self) -> "DinTalk":
        self.pre_charged()
        assert self.ask("PowerDeliveryReq", {"ReadyToChargeState": True}) is None
        self.station(contactor_closed=True)
        (answer,) = self.tick()
        assert din_response(answer).code == "OK"
        return self

    def stopped(self) -> "DinTalk":
        self.demanding()
        assert self.ask("PowerDeliveryReq", {"ReadyToChargeState": False}).code == "OK"
        return self


REACH: dict[State, Callable[[DinTalk], DinTalk]] = {
    State.SERVICE_DISCOVERY: DinTalk.set_up,
    State.SERVICE_SELECTION: DinTalk.discovered,
    State.AUTHORIZATION: DinTalk.selected,
    State.CHARGE_PARAMETER_DISCOVERY: DinTalk.accepted,
    State.CABLE_CHECK: DinTalk.with_parameters,
    State.PRE_CHARGE: DinTalk.cable_checked,
    State.CURRENT_DEMAND: DinTalk.demanding,
    State.SESSION_STOP: DinTalk.stopped,
}


def assert_refused(talk: DinTalk, response: Response | None, request: str, code: str) -> None:
    assert response is not None
    assert (response.name, response.code) == (request.removesuffix("Req") + "Res", code)
    assert talk.end.reason is EndReason.REFUSED
    assert talk.end.detail.startswith(f"{request}: {code}")
    if talk.facts_of(PowerWanted):
        assert talk.facts_of(PowerWanted)[-1] == PowerWanted(False)
    if talk.facts_of(DcTarget):
        assert talk.facts_of(DcTarget)[-1] == DcTarget(0.0, 0.0)


def test_a_session_from_plug_to_stop() -> None:
    talk = DinTalk()
    assert talk.negotiate(DIN_WISH) == {"ResponseCode": "OK_SuccessfulNegotiation", "SchemaID": 1}
    setup = talk.ask("SessionSetupReq", {"EVCCID": EVCC_ID}, session_id="00")
    assert (setup.code, setup.session_id) == ("OK_NewSessionEstablished", SESSION_ID)
    talk.session_id = setup.session_id
    services = talk.ask("ServiceDiscoveryReq").elements
    assert services["PaymentOptions"] == {"PaymentOption": ["ExternalPayment"]}
    assert services["ChargeService"]["EnergyTransferType"] == "DC_extended"
    assert talk.ask("ServiceDetailReq", {"ServiceID": 1}).elements["ServiceID"] == 1
    assert talk.ask("ServicePaymentSelectionReq", SELECTION).code == "OK"
    assert talk.ask("ContractAuthenticationReq") is None
    assert talk.wait(0.3).elements["EVSEProcessing"] == "Ongoing"
    talk.station(authorization=Authorization.ACCEPTED)
    assert talk.ask("ContractAuthenticationReq").elements["EVSEProcessing"] == "Finished"

    offer = talk.ask("ChargeParameterDiscoveryReq", PARAMETERS).elements
    (schedule,) = offer["SAScheduleList"]["SAScheduleTuple"]
    (entry,) = schedule["PMaxSchedule"]["PMaxScheduleEntry"]
    assert entry == {"RelativeTimeInterval": {"start": 0, "duration": 86_400}, "PMax": 32_767}
    assert offer["DC_EVSEChargeParameter"]["EVSEMaximumPowerLimit"] == amount(5000, "W", 1)

    assert talk.ask("CableCheckReq", CABLE_CHECK) is None
    assert talk.facts[-1] == CableCheckWanted(CHECK_ID, 400.0)
    talk.output(cable_check_id=CHECK_ID)
    ongoing = talk.wait(0.3).elements
    assert ongoing["EVSEProcessing"] == "Ongoing"
    assert ongoing["DC_EVSEStatus"]["EVSEStatusCode"] == "EVSE_IsolationMonitoringActive"
    talk.output(cable_check=Insulation.VALID)
    finished = talk.ask("CableCheckReq", CABLE_CHECK).elements
    assert finished["DC_EVSEStatus"]["EVSEIsolationStatus"] == "Valid"

    talk.output(present_voltage_v=120.3)
    assert talk.ask("PreChargeReq", PRE_CHARGE).elements["EVSEPresentVoltage"] == amount(1203, "V", -1)
    talk.output(present_voltage_v=379.0)
    assert talk.ask("PowerDeliveryReq", {"ReadyToChargeState": True}) is None
    talk.station(contactor_closed=True)
    (answer,) = talk.tick()
    assert din_response(answer).code == "OK"

    talk.output(present_voltage_v=388.0, present_current_a=99.9)
    loop = talk.ask("CurrentDemandReq", DEMAND).elements
    assert loop["EVSEPresentCurrent"] == amount(999, "A", -1)
    assert loop["EVSEMaximumCurrentLimit"] == amount(200, "A")
    talk.output(max_current_a=50.0)
    limited = talk.ask("CurrentDemandReq", DEMAND).elements
    assert limited["EVSECurrentLimitAchieved"] is True

    assert talk.ask("PowerDeliveryReq", {"ReadyToChargeState": False}).code == "OK"
    talk.output(present_voltage_v=12.0)
    assert talk.ask("WeldingDetectionReq", CABLE_CHECK).elements["EVSEPresentVoltage"] == amount(12, "V")
    assert talk.ask("SessionStopReq").code == "OK"
    assert [fact for fact in talk.facts if not isinstance(fact, MessageAnswered)] == [
        SessionSetUp(SESSION_ID, EVCC_ID.hex().upper(), "DIN SPEC 70121"),
        PaymentSelected(PaymentOption.EXTERNAL_PAYMENT),
        EnergyRequested("DC_extended", 20_000.0, None, 100.0, 0.0, max_voltage_v=400.0, soc_percent=50),
        LimitSent(SESSION_ID, 200.0, "ChargeParameterDiscoveryRes"),
        CableCheckWanted(CHECK_ID, 400.0),
        DcTarget(380.0, 2.0),
        PowerWanted(True),
        DcTarget(390.0, 100.0),
        StateOfCharge(50),
        DcTarget(390.0, 50.0),
        LimitSent(SESSION_ID, 50.0, "CurrentDemandRes"),
        DcTarget(0.0, 0.0),
        PowerWanted(False),
        V2GEnded(SESSION_ID, EndReason.TERMINATED, "SessionStopReq: OK"),
    ]


def test_an_ac_station_skips_it_whatever_its_priority() -> None:
    """VW offers DIN SPEC 70121 first."""
    wishes = [(*DIN_WISH[:3], 1), (*ISO_2_WISH[:3], 2)]
    assert DinTalk(view=VIEW).negotiate(*wishes)["SchemaID"] == 2
    assert DinTalk().negotiate(*wishes)["SchemaID"] == 1
    assert DinTalk(view=replace(DC_VIEW, accepts_external_payment=False)).negotiate(*wishes)["SchemaID"] == 2
    assert DinTalk(offered=DEFAULT).negotiate(*wishes)["SchemaID"] == 2


def test_an_older_pause_is_void() -> None:
    talk = DinTalk(paused=PausedSession(SESSION_ID, EVCC_ID.hex()))
    talk.negotiate(DIN_WISH)
    assert talk.conversation.session.paused is not None
    talk.ask("SessionSetupReq", {"EVCCID": EVCC_ID}, session_id=SESSION_ID)
    assert talk.conversation.session.paused is None


def test_values_without_a_unit_are_taken() -> None:
    """EVMaximumVoltageLimit of the MG4."""
    limit = {"Multiplier": 0, "Value": 400}
    parameter = {**PARAMETERS["DC_EVChargeParameter"], "EVMaximumVoltageLimit": limit}
    talk = DinTalk().accepted()
    assert talk.ask("ChargeParameterDiscoveryReq", {**PARAMETERS, "DC_EVChargeParameter": parameter}).code == "OK"
    assert talk.conversation.session.ev_max_voltage_v == 400.0


def test_minutes_to_full_are_nobody_s_business() -> None:
    """RemainingTimeToFullSoC in minutes: BYD Atto 3, MG4, XPENG P7."""
    talk = DinTalk().demanding()
    assert talk.ask("CurrentDemandReq", {**DEMAND, "RemainingTimeToFullSoC": amount(20, "m")}).code == "OK"


def test_setup_repeated_on_a_live_connection() -> None:
    """Opel Ampera-E."""
    talk = DinTalk().discovered()
    assert talk.ask("SessionSetupReq", {"EVCCID": EVCC_ID}).code == "OK_NewSessionEstablished"
    assert talk.state is State.SERVICE_DISCOVERY


def test_an_empty_session_id_is_taken_for_the_right_one() -> None:
    assert DinTalk().set_up().ask("ServiceDiscoveryReq", session_id="").code == "OK"


def test_a_message_with_a_stray_octet_behind_it() -> None:
    talk = DinTalk().set_up()
    (answer,) = talk.send(din_message("ServiceDiscoveryReq", {}, SESSION_ID) + b"\0")
    assert din_response(answer).code == "OK"


def test_three_frames_that_wedge_another_stack() -> None:
    talk = DinTalk()
    talk.negotiate(DIN_WISH)
    for _ in range(2):
        assert talk.ask("SessionSetupReq", {"EVCCID": EVCC_ID}, session_id="00" * 8).code == "OK_NewSessionEstablished"
    assert not talk.conversation.ended


def test_the_station_asks_to_stop() -> None:
    talk = DinTalk().demanding()
    talk.station(stop=StopReason.OPERATOR)
    status = talk.ask("CurrentDemandReq", DEMAND).elements["DC_EVSEStatus"]
    assert (status["EVSENotification"], status["EVSEStatusCode"]) == ("StopCharging", "EVSE_Shutdown")
    assert talk.facts_of(DcTarget)[-1] == DcTarget(390.0, 0.0)
    talk.station(stop=StopReason.FAULT)
    status = talk.ask("CurrentDemandReq", DEMAND).elements["DC_EVSEStatus"]
    assert status["EVSEStatusCode"] == "EVSE_EmergencyShutdown"


def test_every_request_is_known_and_every_state_reachable() -> None:
    assert set(GOOD) == REQUESTS == set(HANDLERS) | UNUSED
    assert set(REACH) == set(ALLOWED) - {State.SESSION_SETUP, State.ENDED}


def by_name(value: object) -> object:
    return value.value if isinstance(value, State) else value


@pytest.mark.parametrize("state", [State.CABLE_CHECK, State.PRE_CHARGE], ids=by_name)
def test_a_vehicle_may_give_up_before_power(state: State) -> None:
    talk = REACH[state](DinTalk())
    assert talk.ask("PowerDeliveryReq", {"ReadyToChargeState": False}).code == "OK"
    assert talk.ask("SessionStopReq").code == "OK"


def selection(payment: str, *services: int) -> dict:
    selected = [{"ServiceID": service} for service in services]
    return {"SelectedPaymentOption": payment, "SelectedServiceList": {"SelectedService": selected}}


def plan(power_w: int, tuple_id: int = 1) -> dict:
    entries = [{"ChargingProfileEntryStart": 0, "ChargingProfileEntryMaxPower": power_w}]
    profile = {"SAScheduleTupleID": tuple_id, "ProfileEntry": entries}
    return {"ReadyToChargeState": True, "ChargingProfile": profile}


AC_PARAMETER = {
    "DepartureTime": 0,
    "EAmount": amount(1, "Wh"),
    "EVMaxVoltage": amount(400, "V"),
    "EVMaxCurrent": amount(16, "A"),
    "EVMinCurrent": amount(6, "A"),
}


@pytest.mark.parametrize(
    ("state", "request_name", "elements", "code"),
    [
        (State.SERVICE_SELECTION, "ServiceDetailReq", {"ServiceID": 2}, "FAILED_ServiceIDInvalid"),
        (
            State.SERVICE_SELECTION,
            "ServicePaymentSelectionReq",
            selection("Contract", 1),
            "FAILED_PaymentSelectionInvalid",
        ),
        (
            State.SERVICE_SELECTION,
            "ServicePaymentSelectionReq",
            selection("ExternalPayment", 2),
            "FAILED_ServiceSelectionInvalid",
        ),
        (
            State.CHARGE_PARAMETER_DISCOVERY,
            "ChargeParameterDiscoveryReq",
            {"EVRequestedEnergyTransferType": "AC_three_phase_core", "AC_EVChargeParameter": AC_PARAMETER},
            "FAILED_WrongEnergyTransferType",
        ),
        (
            State.CHARGE_PARAMETER_DISCOVERY,
            "ChargeParameterDiscoveryReq",
            {"EVRequestedEnergyTransferType": "DC_core", "AC_EVChargeParameter": AC_PARAMETER},
            "FAILED_WrongChargeParameter",
        ),
        (State.CABLE_CHECK, "PowerDeliveryReq", {"ReadyToChargeState": True}, "FAILED_SequenceError"),
        (State.CURRENT_DEMAND, "PowerDeliveryReq", {"ReadyToChargeState": True}, "FAILED_SequenceError"),
        (State.PRE_CHARGE, "PowerDeliveryReq", {"ReadyToChargeState": True}, "FAILED_PowerDeliveryNotApplied"),
        (State.PRE_CHARGE, "PowerDeliveryReq", plan(1000, 2), "FAILED_TariffSelectionInvalid"),
    ],
)
def test_content_that_is_refused(state: State, request_name: str, elements: dict, code: str) -> None:
    talk = REACH[state](DinTalk())
    assert_refused(talk, talk.ask(request_name, elements), request_name, code)


def test_a_plan_above_the_offer() -> None:
    talk = DinTalk()
    talk.output(max_power_w=20_000.0)
    talk.pre_charged()
    assert_refused(
        talk, talk.ask("PowerDeliveryReq", plan(20_001)), "PowerDeliveryReq", "FAILED_ChargingProfileInvalid"
    )
    talk = DinTalk()
    talk.output(max_power_w=20_000.0)
    assert talk.pre_charged().ask("PowerDeliveryReq", plan(20_000)) is None


@pytest.mark.parametrize("verdict", [Authorization.REJECTED, Authorization.NO_ANSWER], ids=lambda each: each.value)
def test_the_operator_says_no(verdict: Authorization) -> None:
    talk = DinTalk().selected()
    talk.station(authorization=verdict)
    assert_refused(talk, talk.ask("ContractAuthenticationReq"), "ContractAuthenticationReq", "FAILED")


@pytest.mark.parametrize("changes", [{"stop": StopReason.FAULT}, {"rcd_tripped": True}], ids=["fault", "RCD"])
def test_nothing_is_put_on_the_cable_against_the_station(changes: dict) -> None:
    for reach, name in ((DinTalk.with_parameters, "CableCheckReq"), (DinTalk.cable_checked, "PreChargeReq")):
        talk = reach(DinTalk())
        talk.station(**changes)
        assert_refused(talk, talk.ask(name, GOOD[name]), name, "FAILED")


def test_a_cable_that_is_not_sound() -> None:
    talk = DinTalk().with_parameters()
    assert talk.ask("CableCheckReq", CABLE_CHECK) is None
    talk.output(cable_check_id=CHECK_ID, cable_check=Insulation.FAULT)
    (answer,) = talk.tick()
    assert_refused(talk, din_response(answer), "CableCheckReq", "FAILED")


def test_a_contactor_that_does_not_close() -> None:
    talk = DinTalk().pre_charged()
    assert talk.ask("PowerDeliveryReq", {"ReadyToChargeState": True}) is None
    assert_refused(talk, talk.wait(3.1), "PowerDeliveryReq", "FAILED_PowerDeliveryNotApplied")


def test_a_response_in_place_of_a_request_ends_the_connection() -> None:
    talk = DinTalk().set_up()
    assert talk.send(din_message("SessionStopRes", {"ResponseCode": "OK"}, SESSION_ID)) == []
    assert talk.end.reason is EndReason.PROTOCOL_ERROR


@pytest.mark.parametrize("name", sorted(UNUSED))
def test_what_the_schema_has_and_the_protocol_does_not_use_is_refused_in_its_own_type(name: str) -> None:
    talk = DinTalk().set_up()
    response = talk.ask(name, GOOD[name])
    assert (response.name, response.code) == (name.replace("Req", "Res"), "FAILED_SequenceError")


def test_payload_types_of_iso_15118_20_are_stepped_over() -> None:
    talk = DinTalk().set_up()
    frame = Frame(PayloadType.DC, din_message("ServiceDiscoveryReq", {}, SESSION_ID))
    assert talk.conversation.feed(frame, talk.around(), talk.now).frames == []
    assert talk.ask("ServiceDiscoveryReq").code == "OK"
