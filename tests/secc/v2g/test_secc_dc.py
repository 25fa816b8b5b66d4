"""ISO 15118-2 DC: the same engine at a station with a DC output."""

import pytest

from secc.ports import (
    CableCheckWanted,
    DcTarget,
    EndReason,
    Insulation,
    LimitSent,
    PowerWanted,
    ReceiptVerified,
    StateOfCharge,
    StopReason,
)
from secc.schedules import EnergyRequested
from secc.v2g.session import State
from tests.secc.support import (
    CHARGE_PARAMETERS,
    DC_CHARGE_PARAMETERS,
    DC_STATUS,
    DC_VIEW,
    ENTROPY,
    SESSION_ID,
    Response,
    Talk,
    amount,
    power,
    reading,
    signature_of,
)

CHECK_ID = ENTROPY.hex().upper()
CABLE_CHECK = {"DC_EVStatus": DC_STATUS}
OFF = DcTarget(0.0, 0.0)


def pre_charge(voltage_v: int = 380, current_a: int = 2) -> dict:
    return {
        "DC_EVStatus": DC_STATUS,
        "EVTargetVoltage": amount(voltage_v, "V"),
        "EVTargetCurrent": amount(current_a, "A"),
    }


def demand(voltage_v: int = 390, current_a: int = 100, **extra: object) -> dict:
    return {
        "DC_EVStatus": DC_STATUS,
        "EVTargetCurrent": amount(current_a, "A"),
        "ChargingComplete": False,
        "EVTargetVoltage": amount(voltage_v, "V"),
        **extra,
    }


def at_cable_check() -> Talk:
    talk = Talk(view=DC_VIEW).authorized()
    assert talk.ask("ChargeParameterDiscoveryReq", DC_CHARGE_PARAMETERS).code == "OK"
    return talk


def at_pre_charge() -> Talk:
    talk = at_cable_check()
    assert talk.ask("CableCheckReq", CABLE_CHECK) is None
    talk.output(cable_check_id=CHECK_ID, cable_check=Insulation.VALID)
    (answer,) = talk.tick()
    assert Response.of(answer).elements["EVSEProcessing"] == "Finished"
    return talk


def at_start() -> Talk:
    talk = at_pre_charge()
    talk.ask("PreChargeReq", pre_charge())
    talk.output(present_voltage_v=379.0)
    return talk


def in_the_loop() -> Talk:
    talk = at_start()
    assert talk.ask("PowerDeliveryReq", power("Start")) is None
    talk.station(contactor_closed=True)
    (answer,) = talk.tick()
    assert Response.of(answer).code == "OK"
    assert talk.state is State.CURRENT_DEMAND
    return talk


def test_a_dc_session_from_parameters_to_stop() -> None:
    talk = Talk(view=DC_VIEW).authorized()
    offer = talk.ask("ChargeParameterDiscoveryReq", DC_CHARGE_PARAMETERS).elements
    assert offer["DC_EVSEChargeParameter"]["EVSEMaximumVoltageLimit"] == amount(920, "V")
    (schedule,) = offer["SAScheduleList"]["SAScheduleTuple"]
    assert schedule["PMaxSchedule"]["PMaxScheduleEntry"][0]["PMax"] == amount(5000, "W", 1)

    assert talk.ask("CableCheckReq", CABLE_CHECK) is None
    assert talk.facts[-1] == CableCheckWanted(CHECK_ID, 400.0)
    talk.output(cable_check_id=CHECK_ID)
    ongoing = talk.wait(0.3).elements
    assert ongoing["EVSEProcessing"] == "Ongoing"
    assert ongoing["DC_EVSEStatus"]["EVSEStatusCode"] == "EVSE_IsolationMonitoringActive"
    talk.output(cable_check=Insulation.VALID)
    finished = talk.ask("CableCheckReq", CABLE_CHECK).elements
    assert finished["EVSEProcessing"] == "Finished"
    assert finished["DC_EVSEStatus"]["EVSEIsolationStatus"] == "Valid"

    talk.output(present_voltage_v=120.3)
    assert talk.ask("PreChargeReq", pre_charge(380, 10)).elements["EVSEPresentVoltage"] == amount(1203, "V", -1)
    assert talk.facts_of(DcTarget) == [DcTarget(380.0, 2.0)]
    talk.output(present_voltage_v=379.0)
    talk.ask("PreChargeReq", pre_charge())
    assert talk.ask("PowerDeliveryReq", power("Start")) is None
    assert talk.facts[-1] == PowerWanted(True)
    talk.station(contactor_closed=True)
    talk.tick()

    talk.output(present_voltage_v=388.0, present_current_a=99.9)
    loop = talk.ask("CurrentDemandReq", demand()).elements
    assert loop["EVSEPresentCurrent"] == amount(999, "A", -1)
    assert (loop["EVSECurrentLimitAchieved"], loop["EVSEPowerLimitAchieved"]) == (False, False)
    assert loop["EVSEMaximumCurrentLimit"] == amount(200, "A")
    assert talk.facts_of(DcTarget)[-1] == DcTarget(390.0, 100.0)

    assert talk.ask("PowerDeliveryReq", power("Stop")).elements["DC_EVSEStatus"]["EVSEStatusCode"] == "EVSE_Ready"
    assert talk.facts_of(DcTarget)[-1] == OFF
    assert talk.facts_of(PowerWanted)[-1] == PowerWanted(False)
    talk.output(present_voltage_v=12.0)
    welding = talk.ask("WeldingDetectionReq", CABLE_CHECK).elements
    assert welding["EVSEPresentVoltage"] == amount(12, "V")
    assert welding["DC_EVSEStatus"]["EVSEStatusCode"] == "EVSE_NotReady"
    assert talk.ask("SessionStopReq", {"ChargingSession": "Terminate"}).code == "OK"
    assert talk.end.reason is EndReason.TERMINATED
    (needs,) = talk.facts_of(EnergyRequested)
    assert needs == EnergyRequested(
        "DC_extended", None, None, 100.0, 0.0, max_schedules=3, max_voltage_v=400.0, soc_percent=50
    )


def test_the_services_of_a_dc_station() -> None:
    talk = Talk(view=DC_VIEW).set_up()
    service = talk.ask("ServiceDiscoveryReq").elements["ChargeService"]
    assert service["SupportedEnergyTransferMode"] == {"EnergyTransferMode": ["DC_extended", "DC_core"]}


@pytest.mark.parametrize(
    ("request_elements", "code"),
    [
        (CHARGE_PARAMETERS, "FAILED_WrongEnergyTransferMode"),
        ({**CHARGE_PARAMETERS, "RequestedEnergyTransferMode": "DC_extended"}, "FAILED_WrongChargeParameter"),
    ],
)
def test_ac_at_a_dc_station(request_elements: dict, code: str) -> None:
    talk = Talk(view=DC_VIEW).authorized()
    response = talk.ask("ChargeParameterDiscoveryReq", request_elements)
    assert response.code == code
    assert "DC_EVSEChargeParameter" in response.elements


# --- interlocks: in no order of messages does power come before its conditions ---


def test_pre_charge_after_an_ongoing_cable_check() -> None:
    talk = at_cable_check()
    talk.ask("CableCheckReq", CABLE_CHECK)
    talk.output(cable_check_id=CHECK_ID)
    talk.wait(0.3)
    early = talk.ask("PreChargeReq", pre_charge())
    assert early.code == "OK"
    assert early.elements["DC_EVSEStatus"]["EVSEStatusCode"] == "EVSE_IsolationMonitoringActive"
    assert not talk.facts_of(DcTarget), "no voltage on a cable that is being tested"
    assert talk.ask("PowerDeliveryReq", power("Start")).code == "FAILED_SequenceError"
    talk = at_cable_check()
    talk.ask("CableCheckReq", CABLE_CHECK)
    talk.wait(0.3)
    talk.output(cable_check_id=CHECK_ID, cable_check=Insulation.VALID)
    assert talk.ask("PreChargeReq", pre_charge()).code == "OK"
    assert talk.facts_of(DcTarget)
    assert talk.state is State.PRE_CHARGE


@pytest.mark.parametrize(("found", "waited_s"), [(Insulation.FAULT, 0.3), (Insulation.UNKNOWN, 39.0)])
def test_an_early_pre_charge_does_not_outlive_the_cable_check(found: Insulation, waited_s: float) -> None:
    talk = at_cable_check()
    talk.ask("CableCheckReq", CABLE_CHECK)
    talk.wait(0.3)
    talk.pass_time(waited_s)
    talk.output(cable_check_id=CHECK_ID, cable_check=found)
    assert talk.ask("PreChargeReq", pre_charge()).code == "FAILED"
    assert not talk.facts_of(DcTarget)


@pytest.mark.parametrize("request_name", ["PowerDeliveryReq", "CurrentDemandReq", "PreChargeReq", "ChargingStatusReq"])
def test_nothing_skips_the_cable_check(request_name: str) -> None:
    talk = at_cable_check()
    elements = {"PowerDeliveryReq": power("Start"), "CurrentDemandReq": demand(), "PreChargeReq": pre_charge()}
    assert talk.ask(request_name, elements.get(request_name, {})).code == "FAILED_SequenceError"
    assert PowerWanted(True) not in talk.facts


def test_an_earlier_vehicle_s_cable_check_does_not_count() -> None:
    talk = at_cable_check()
    talk.output(cable_check_id="EARLIER", cable_check=Insulation.VALID)
    talk.ask("CableCheckReq", CABLE_CHECK)
    assert talk.wait(0.3).elements["EVSEProcessing"] == "Ongoing"


@pytest.mark.parametrize("verdict", [Insulation.VALID, Insulation.WARNING])
def test_insulation_that_will_do(verdict: Insulation) -> None:
    talk = at_cable_check()
    talk.ask("CableCheckReq", CABLE_CHECK)
    talk.output(cable_check_id=CHECK_ID, cable_check=verdict)
    (answer,) = talk.tick()
    assert Response.of(answer).code == "OK"


def test_an_insulation_fault() -> None:
    talk = at_cable_check()
    talk.ask("CableCheckReq", CABLE_CHECK)
    talk.output(cable_check_id=CHECK_ID, cable_check=Insulation.FAULT)
    (answer,) = talk.tick()
    response = Response.of(answer)
    assert (response.name, response.code) == ("CableCheckRes", "FAILED")
    assert talk.end.detail == "CableCheckReq: FAILED (insulation fault)"


def test_a_cable_check_without_end() -> None:
    talk = at_cable_check()
    started = talk.now
    while True:
        assert talk.ask("CableCheckReq", CABLE_CHECK) is None
        response = talk.wait(0.3)
        if response.code != "OK":
            break
    assert 38 <= talk.now - started < 39


def test_power_without_pre_charge() -> None:
    talk = at_pre_charge()
    talk.output(present_voltage_v=380.0)
    assert talk.ask("PowerDeliveryReq", power("Start")).code == "FAILED_PowerDeliveryNotApplied"
    assert PowerWanted(True) not in talk.facts


@pytest.mark.parametrize(("present_v", "applied"), [(359.9, False), (360.0, True), (400.0, True), (400.1, False)])
def test_power_only_at_the_battery_s_voltage(present_v: float, applied: bool) -> None:
    talk = at_pre_charge()
    talk.ask("PreChargeReq", pre_charge(380))
    talk.output(present_voltage_v=present_v)
    response = talk.ask("PowerDeliveryReq", power("Start"))
    assert (response is None) is applied
    if not applied:
        assert response.code == "FAILED_PowerDeliveryNotApplied"
        assert talk.facts_of(DcTarget)[-1] == OFF


@pytest.mark.parametrize("step", [at_cable_check, at_pre_charge])
def test_a_fault_before_power(step: object) -> None:
    talk = step()
    talk.station(stop=StopReason.FAULT)
    name, elements = ("CableCheckReq", CABLE_CHECK) if step is at_cable_check else ("PreChargeReq", pre_charge())
    response = talk.ask(name, elements)
    assert response.code == "FAILED"
    assert talk.end.reason is EndReason.REFUSED


# --- the loop ---


@pytest.mark.parametrize(
    ("request_elements", "target", "limits"),
    [
        (demand(390, 100), DcTarget(390.0, 100.0), (False, False, False)),
        (demand(390, 250), DcTarget(390.0, 50_000 / 390), (True, False, True)),
        (demand(100, 250), DcTarget(100.0, 200.0), (True, False, False)),
        (demand(1000, 10), DcTarget(400.0, 10.0), (False, True, False)),
        (demand(390, -5), DcTarget(390.0, 0.0), (False, False, False)),
    ],
    ids=["within", "current and power", "current", "voltage beyond both", "negative current"],
)
def test_targets_are_cut_to_the_limits(request_elements: dict, target: DcTarget, limits: tuple) -> None:
    talk = in_the_loop()
    elements = talk.ask("CurrentDemandReq", request_elements).elements
    assert talk.facts_of(DcTarget)[-1] == target
    names = ("EVSECurrentLimitAchieved", "EVSEVoltageLimitAchieved", "EVSEPowerLimitAchieved")
    assert tuple(elements[name] for name in names) == limits


def test_a_lower_limit_reaches_output_and_vehicle_in_the_same_turn() -> None:
    talk = in_the_loop()
    talk.output(max_current_a=40.0)
    assert talk.ask("CurrentDemandReq", demand()).elements["EVSEMaximumCurrentLimit"] == amount(40, "A")
    told = [DcTarget(390.0, 40.0), LimitSent(SESSION_ID, 40.0, "CurrentDemandRes"), StateOfCharge(50)]
    assert talk.facts[-4:-1] == told
    talk.ask("CurrentDemandReq", demand())
    assert len(talk.facts_of(StateOfCharge)) == 1, "only what is news"


@pytest.mark.parametrize(
    ("stop", "code"), [(StopReason.OPERATOR, "EVSE_Shutdown"), (StopReason.FAULT, "EVSE_EmergencyShutdown")]
)
def test_a_stop_takes_the_current_down_at_once(stop: StopReason, code: str) -> None:
    talk = in_the_loop()
    talk.station(stop=stop)
    status = talk.ask("CurrentDemandReq", demand()).elements["DC_EVSEStatus"]
    assert (status["EVSENotification"], status["EVSEStatusCode"]) == ("StopCharging", code)
    assert talk.facts_of(DcTarget)[-1] == DcTarget(390.0, 0.0)


def test_a_byd_tells_its_remaining_time_in_minutes() -> None:
    talk = in_the_loop()
    assert talk.ask("CurrentDemandReq", demand(RemainingTimeToFullSoC=amount(40, "m"))).code == "OK"


def test_receipts_in_the_dc_loop() -> None:
    talk = in_the_loop()
    talk.station(meter=reading(77.0), receipt_required=True)
    loop = talk.ask("CurrentDemandReq", demand()).elements
    assert loop["ReceiptRequired"] is True
    receipt = {"Id": "R1", "SessionID": bytes.fromhex(SESSION_ID), "MeterInfo": loop["MeterInfo"]}
    response = talk.ask("MeteringReceiptReq", receipt, signature=signature_of("MeteringReceiptReq", receipt))
    assert "DC_EVSEStatus" in response.elements
    assert talk.facts_of(ReceiptVerified) == [ReceiptVerified(77)]
    assert talk.ask("CurrentDemandReq", demand()).code == "OK"


def test_a_renegotiation_goes_through_a_new_cable_check() -> None:
    talk = in_the_loop()
    talk.ask("CurrentDemandReq", demand())
    assert talk.ask("PowerDeliveryReq", power("Renegotiate")).code == "OK"
    assert talk.facts_of(DcTarget)[-1] == OFF
    assert talk.facts_of(PowerWanted)[-1] == PowerWanted(False)
    assert talk.ask("ChargeParameterDiscoveryReq", DC_CHARGE_PARAMETERS).code == "OK"
    assert talk.ask("CableCheckReq", CABLE_CHECK) is None
    assert len(talk.facts_of(CableCheckWanted)) == 2


@pytest.mark.parametrize("step", [at_start, in_the_loop])
def test_whatever_ends_the_session_turns_the_output_off(step: object) -> None:
    talk = step()
    talk.take(talk.conversation.lose(EndReason.CONNECTION_LOST, "reset", talk.now))
    assert talk.facts_of(DcTarget)[-1] == OFF


def test_an_ac_message_in_the_dc_loop() -> None:
    talk = in_the_loop()
    assert talk.ask("ChargingStatusReq").code == "FAILED_SequenceError"
    assert talk.facts_of(DcTarget)[-1] == OFF
