"""What runs beside the straight way of ISO 15118-20: standby, side streams, messages of services nobody offers."""

from dataclasses import replace

import pytest

from secc.exi import Namespace
from secc.ports import DcTarget, EndReason, Insulation, ParkingStatus, PowerWanted, StopReason
from secc.schedules import EnergyRequested
from secc.v2g.iso20.failures import REQUESTS
from secc.v2g.session import State
from secc.v2gtp import PayloadType
from tests.secc.support import reading
from tests.secc.v2g.talk20 import (
    AC_LOOP,
    CHECK_ID,
    DC_20_VIEW,
    SCHEDULED,
    Talk20,
    dc_loop,
    number,
    power20,
    pre_charge20,
    select,
)
from tests.secc.v2g.test_secc_20_refusals import GOOD

# --- Standby ---


def test_standby_takes_the_power_and_keeps_the_session() -> None:
    talk = Talk20().standing_by()
    assert talk.state is State.STANDBY
    assert talk.facts_of(PowerWanted) == [PowerWanted(True), PowerWanted(False)]
    talk.station(contactor_closed=False)
    loop = talk.ask("AC_ChargeLoopReq", AC_LOOP).elements
    assert number(loop["Scheduled_AC_CLResControlMode"]["EVSETargetActivePower"]) == 0.0
    assert talk.ask("PowerDeliveryReq", power20("Start")) is None
    assert talk.facts_of(PowerWanted)[-1] == PowerWanted(True)
    talk.station(contactor_closed=True)
    (started,) = talk.tick20()
    assert started.code == "OK"
    assert talk.state is State.AC_CHARGE_LOOP


def test_standby_with_dc_leads_back_through_the_cable_check() -> None:
    talk = Talk20(DC_20_VIEW).charging()
    assert talk.ask("DC_ChargeLoopReq", dc_loop()).code == "OK"
    assert talk.ask("PowerDeliveryReq", power20("Standby")).code == "OK"
    assert talk.facts_of(DcTarget)[-1] == DcTarget(0.0, 0.0)
    idle = len(talk.facts_of(DcTarget))
    assert talk.ask("DC_ChargeLoopReq", dc_loop()).code == "OK"
    assert len(talk.facts_of(DcTarget)) == idle, "in standby nothing is passed to the output"
    talk.station(contactor_closed=False)
    talk.output(cable_check=Insulation.UNKNOWN, present_voltage_v=0.0)
    assert talk.ask("DC_CableCheckReq") is None
    talk.output(cable_check_id=CHECK_ID, cable_check=Insulation.VALID)
    (checked,) = talk.tick20()
    assert checked.elements["EVSEProcessing"] == "Finished"
    assert talk.ask("DC_PreChargeReq", pre_charge20()).code == "OK"
    talk.output(present_voltage_v=398.0)
    assert talk.ask("PowerDeliveryReq", power20("Start")) is None
    talk.station(contactor_closed=True)
    (started,) = talk.tick20()
    assert started.code == "OK"
    assert talk.state is State.DC_CHARGE_LOOP


def test_no_start_out_of_a_dc_standby_without_a_cable_check() -> None:
    talk = Talk20(DC_20_VIEW).charging()
    talk.ask("PowerDeliveryReq", power20("Standby"))
    assert talk.ask("PowerDeliveryReq", power20("Start")).code == "FAILED_SequenceError"
    assert talk.facts_of(PowerWanted)[-1] == PowerWanted(False)


def test_the_station_wakes_a_vehicle_that_stands_by() -> None:
    talk = Talk20().standing_by()
    assert "EVSEStatus" not in talk.ask("AC_ChargeLoopReq", AC_LOOP).elements
    talk.station(renegotiation_id="1")
    assert talk.ask("AC_ChargeLoopReq", AC_LOOP).elements["EVSEStatus"]["EVSENotification"] == "ExitStandby"


@pytest.mark.parametrize("reach", [Talk20.scheduled, Talk20.standing_by], ids=["before power", "already"])
def test_standby_elsewhere_is_not_allowed_and_costs_nothing(reach: object) -> None:
    talk = reach(Talk20())
    state = talk.state
    assert talk.ask("PowerDeliveryReq", power20("Standby")).code == "WARNING_StandbyNotAllowed"
    assert talk.state is state


def test_a_station_that_stops_allows_no_standby() -> None:
    talk = Talk20().charging()
    talk.station(stop=StopReason.OPERATOR)
    assert talk.ask("PowerDeliveryReq", power20("Standby")).code == "WARNING_StandbyNotAllowed"
    assert talk.ask("PowerDeliveryReq", power20("Stop")).code == "OK"


def test_a_vehicle_may_leave_from_standby() -> None:
    talk = Talk20().standing_by()
    assert talk.ask("PowerDeliveryReq", power20("Stop")).code == "OK"
    assert talk.ask("SessionStopReq", {"ChargingSession": "Terminate"}).code == "OK"
    assert talk.end.reason is EndReason.TERMINATED


# --- Side streams ---


def test_a_renegotiation_on_its_own_stream_while_charging_goes_on() -> None:
    talk = Talk20().charging()
    stream = PayloadType.SCHEDULE_RENEGOTIATION
    assert talk.ask("ScheduleExchangeReq", SCHEDULED, stream=stream).code == "OK"
    assert talk.ask("AC_ChargeLoopReq", AC_LOOP).code == "OK"
    assert talk.ask("PowerDeliveryReq", power20("Start"), stream=stream).code == "OK"
    assert talk.state is State.AC_CHARGE_LOOP
    assert talk.ask("AC_ChargeLoopReq", AC_LOOP).code == "OK"
    assert talk.facts_of(PowerWanted) == [PowerWanted(True)]


def test_the_loop_goes_on_after_it_was_told_that_a_renegotiation_comes() -> None:
    talk = Talk20(DC_20_VIEW).charging()
    assert talk.ask("PowerDeliveryReq", power20("ScheduleRenegotiation")).code == "OK"
    assert talk.ask("DC_ChargeLoopReq", dc_loop()).code == "OK"
    assert talk.ask("ScheduleExchangeReq", SCHEDULED).code == "OK"
    assert talk.ask("DC_ChargeLoopReq", dc_loop()).code == "OK"
    assert talk.ask("PowerDeliveryReq", power20("Start")).code == "OK"
    assert talk.state is State.DC_CHARGE_LOOP


def test_on_the_main_stream_a_schedule_is_not_asked_for_within_the_loop() -> None:
    talk = Talk20().charging()
    assert talk.ask("ScheduleExchangeReq", SCHEDULED).code == "FAILED_SequenceError"


def test_a_loop_message_before_power_is_out_of_order_even_while_schedules_are_exchanged() -> None:
    talk = Talk20().scheduled()
    assert talk.ask("AC_ChargeLoopReq", AC_LOOP).code == "FAILED_SequenceError"


def test_the_operator_plans_on_the_side_stream_while_the_loop_is_answered() -> None:
    talk = Talk20().charging()
    talk.station(asks_for_schedules=True)
    stream = PayloadType.SCHEDULE_RENEGOTIATION
    assert talk.ask("ScheduleExchangeReq", SCHEDULED, stream=stream) is None
    ongoing = talk.wait(0.3)
    assert ongoing.elements["EVSEProcessing"] == "Ongoing"
    assert talk.ask("AC_ChargeLoopReq", AC_LOOP).code == "OK"
    assert len(talk.facts_of(EnergyRequested)) == 2


def test_a_side_stream_is_answered_while_the_main_stream_waits() -> None:
    talk = parking().with_parameters_and_schedule()
    assert talk.ask("PowerDeliveryReq", power20("Start")) is None
    comes = {"EVCheckInStatus": "Completed", "ParkingMethod": "Manual"}
    assert talk.ask("VehicleCheckInReq", comes, stream=PayloadType.PARKING_STATUS).code == "OK"
    assert talk.conversation.holding
    talk.station(contactor_closed=True)
    (started,) = talk.tick20()
    assert (started.name, started.code) == ("PowerDeliveryRes", "OK")


class ParkingTalk(Talk20):
    def with_parameters_and_schedule(self) -> "ParkingTalk":
        assert self.ask("AC_ChargeParameterDiscoveryReq", self.parameter_request).code == "OK"
        assert self.ask("ScheduleExchangeReq", SCHEDULED).code == "OK"
        return self


def parking() -> ParkingTalk:
    talk = ParkingTalk()
    talk.station(services=(ParkingStatus(),))
    talk.discovered()
    wish = {**select(1), "SelectedVASList": {"SelectedService": [{"ServiceID": 66, "ParameterSetID": 1}]}}
    assert talk.ask("ServiceSelectionReq", wish).code == "OK"
    return talk


def test_a_request_aside_that_must_wait_comes_after_the_one_that_waits() -> None:
    talk = Talk20().charging()
    talk.ask("PowerDeliveryReq", power20("ScheduleRenegotiation"))
    talk.station(asks_for_schedules=True)
    assert talk.ask("ScheduleExchangeReq", SCHEDULED) is None
    stream = PayloadType.SCHEDULE_RENEGOTIATION
    assert talk.ask("ScheduleExchangeReq", SCHEDULED, stream=stream) is None
    talk.station(asks_for_schedules=False)
    answers = talk.tick20()
    assert [answer.name for answer in answers] == ["ScheduleExchangeRes"] * 2


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("SessionStopReq", PayloadType.SCHEDULE_RENEGOTIATION),
        ("PowerDeliveryReq", PayloadType.METERING_CONFIRMATION),
        ("SessionStopReq", PayloadType.PARKING_STATUS),
        ("ACDP_ConnectReq", PayloadType.ACDP_SYSTEM_STATUS),
    ],
)
def test_what_a_stream_is_not_for_ends_the_connection(name: str, stream: PayloadType) -> None:
    talk = Talk20().charging()
    assert talk.ask(name, GOOD[name], stream=stream) is None
    assert talk.end.reason is EndReason.PROTOCOL_ERROR
    assert talk.facts_of(PowerWanted)[-1] == PowerWanted(False)


def test_a_confirmation_on_its_own_stream() -> None:
    """Refused for its content, in its own type: the stream itself is known."""
    talk = Talk20().charging()
    talk.station(meter=reading(10.0))
    wish = GOOD["MeteringConfirmationReq"]
    response = talk.ask("MeteringConfirmationReq", wish, stream=PayloadType.METERING_CONFIRMATION)
    assert response.code == "FAILED_MeteringSignatureNotValid"


# --- Services that are not offered ---

NOT_OFFERED = sorted(REQUESTS[Namespace.ISO_20_WPT] | REQUESTS[Namespace.ISO_20_ACDP])


@pytest.mark.parametrize("request_name", NOT_OFFERED)
@pytest.mark.parametrize("reach", [Talk20.selected, Talk20.charging], ids=["selected", "charging"])
def test_messages_of_wpt_and_acdp_are_refused_in_their_own_types(request_name: str, reach: object) -> None:
    talk = reach(Talk20())
    response = talk.ask(request_name, GOOD[request_name])
    assert (response.name, response.code) == (request_name.removesuffix("Req") + "Res", "FAILED_SequenceError")
    assert talk.end.reason is EndReason.REFUSED
    wanted = talk.facts_of(PowerWanted)
    assert not wanted or wanted[-1] == PowerWanted(False)


@pytest.mark.parametrize("service", [3, 4, 7], ids=["WPT", "ACDP", "ACDP_BPT"])
def test_services_of_wpt_and_acdp_are_neither_detailed_nor_selected(service: int) -> None:
    talk = Talk20().discovered()
    assert talk.ask("ServiceDetailReq", {"ServiceID": service}).code == "FAILED_ServiceIDInvalid"
    talk = Talk20().discovered()
    code = talk.ask("ServiceSelectionReq", select(service)).code
    assert code == "FAILED_NoEnergyTransferServiceSelected"


@pytest.mark.parametrize("kind", ["WPT", "ACDP"])
def test_wpt_and_acdp_are_not_negotiated(kind: str) -> None:
    talk = Talk20()
    wish = (f"urn:iso:std:iso:15118:-20:{kind}", 1, 0, 1)
    assert talk.negotiate(wish)["ResponseCode"] == "Failed_NoNegotiation"


def test_the_discharge_limits_follow_the_station_in_each_loop() -> None:
    view = replace(DC_20_VIEW, dc=replace(DC_20_VIEW.dc, max_discharge_current_a=50.0, max_discharge_power_w=20_000.0))
    talk = Talk20(view, service=6).charging()
    for amps, watts in ((50.0, 20_000.0), (10.0, 4_000.0), (0.0, 0.0)):
        talk.output(max_discharge_current_a=amps, max_discharge_power_w=watts)
        loop = talk.ask("DC_ChargeLoopReq", dc_loop(400, -40, "BPT_")).elements
        limits = loop["BPT_Scheduled_DC_CLResControlMode"]
        assert number(limits["EVSEMaximumDischargeCurrent"]) == amps
        assert number(limits["EVSEMaximumDischargePower"]) == watts
        assert talk.facts_of(DcTarget)[-1] == DcTarget(400.0, -min(amps, 40.0))
