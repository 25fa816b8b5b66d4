"""Value-added services: what the station is told to offer, in ISO 15118-2 and -20."""

from dataclasses import replace

import pytest

from secc.ports import InternetAccess, OtherService, Parking, ParkingStatus, ServicesSelected, VehicleParked
from secc.v2g.session import State
from tests.secc.support import VIEW, Talk, selection
from tests.secc.v2g.talk20 import Talk20, select

OTHER = OtherService(60_001, "Car wash", "local", free=False)
OFFERING = replace(VIEW, services=(InternetAccess(), ParkingStatus(parking=Parking.AUTO_INTERNAL), OTHER))


def test_iso_15118_2_lists_internet_and_others() -> None:
    talk = Talk(view=OFFERING).set_up()
    listed = talk.ask("ServiceDiscoveryReq").elements["ServiceList"]["Service"]
    assert listed == [
        {"ServiceID": 3, "ServiceName": "InternetAccess", "ServiceCategory": "Internet", "FreeService": True},
        {
            "ServiceID": 60_001,
            "ServiceName": "Car wash",
            "ServiceCategory": "OtherCustom",
            "ServiceScope": "local",
            "FreeService": False,
        },
    ]
    details = talk.ask("ServiceDetailReq", {"ServiceID": 3}).elements["ServiceParameterList"]["ParameterSet"]
    assert [(one["ParameterSetID"], [list(p.values())[1] for p in one["Parameter"]]) for one in details] == [
        (3, ["http", 80]),
        (4, ["https", 443]),
    ]
    assert "ServiceParameterList" not in talk.ask("ServiceDetailReq", {"ServiceID": 60_001}).elements


@pytest.mark.parametrize("service", [3, 4, 60_001, 65])
def test_what_is_not_offered_is_unknown(service: int) -> None:
    talk = Talk().discover()
    assert talk.ask("ServiceDetailReq", {"ServiceID": service}).code == "FAILED_ServiceIDInvalid"


def chosen(*services: dict) -> dict:
    wish = selection("Contract")
    wish["SelectedServiceList"]["SelectedService"] += services
    return wish


def test_what_the_vehicle_selects_is_told() -> None:
    talk = Talk(view=OFFERING).discover()
    wish = chosen({"ServiceID": 3, "ParameterSetID": 4}, {"ServiceID": 60_001})
    assert talk.ask("PaymentServiceSelectionReq", wish).code == "OK"
    assert talk.facts_of(ServicesSelected) == [ServicesSelected(((3, 4), (60_001, 0)))]


@pytest.mark.parametrize(
    "service",
    [
        {"ServiceID": 3, "ParameterSetID": 1},
        {"ServiceID": 60_001, "ParameterSetID": 1},
        {"ServiceID": 60_002},
        {"ServiceID": 66},
    ],
    ids=str,
)
def test_a_selection_that_is_not_offered(service: dict) -> None:
    talk = Talk(view=OFFERING).discover()
    assert talk.ask("PaymentServiceSelectionReq", chosen(service)).code == "FAILED_ServiceSelectionInvalid"


def test_charging_alone_needs_no_list() -> None:
    talk = Talk(tls=False).set_up()
    assert "ServiceList" not in talk.ask("ServiceDiscoveryReq").elements


# --- ISO 15118-20 ---


def discovering() -> Talk20:
    talk = Talk20(OFFERING).authorized()
    listed = talk.ask("ServiceDiscoveryReq").elements["VASList"]["Service"]
    assert listed == [{"ServiceID": 65, "FreeService": True}, {"ServiceID": 66, "FreeService": True}]
    return talk


def test_iso_15118_20_lists_internet_and_parking_status() -> None:
    talk = discovering()
    internet = talk.ask("ServiceDetailReq", {"ServiceID": 65}).elements["ServiceParameterList"]["ParameterSet"]
    assert internet[0]["Parameter"] == [
        {"Name": "Protocol", "finiteString": "http"},
        {"Name": "Port", "intValue": 80},
    ]
    parking = talk.ask("ServiceDetailReq", {"ServiceID": 66}).elements["ServiceParameterList"]["ParameterSet"]
    assert [one["Parameter"] for one in parking] == [
        [{"Name": "IntendedService", "intValue": intended}, {"Name": "ParkingStatusType", "intValue": 1}]
        for intended in (1, 2)
    ]


def with_services(*services: tuple[int, int], parameter_set: int = 1) -> dict:
    wanted = [{"ServiceID": number, "ParameterSetID": own} for number, own in services]
    return {**select(1, parameter_set), "SelectedVASList": {"SelectedService": wanted}}


def test_selected_services_are_told() -> None:
    talk = discovering()
    assert talk.ask("ServiceSelectionReq", with_services((65, 4), (66, 1))).code == "OK"
    assert talk.facts_of(ServicesSelected) == [ServicesSelected(((65, 4), (66, 1)))]


@pytest.mark.parametrize("service", [(65, 1), (66, 3), (67, 1), (3, 1)])
def test_services_that_are_not_offered(service: tuple[int, int]) -> None:
    talk = discovering()
    assert talk.ask("ServiceSelectionReq", with_services(service)).code == "FAILED_ServiceSelectionInvalid"


def test_a_vehicle_that_parks_and_leaves() -> None:
    talk = discovering()
    talk.ask("ServiceSelectionReq", with_services((66, 1), (66, 2)))
    comes = {"EVCheckInStatus": "CheckIn", "ParkingMethod": "Manual"}
    assert talk.ask("VehicleCheckInReq", comes).code == "OK"
    leaves = talk.ask("VehicleCheckOutReq", {"EVCheckOutStatus": "CheckOut", "CheckOutTime": 0})
    assert leaves.elements["EVSECheckOutStatus"] == "Scheduled"
    gone = talk.ask("VehicleCheckOutReq", {"EVCheckOutStatus": "Completed", "CheckOutTime": 0})
    assert gone.elements["EVSECheckOutStatus"] == "Completed"
    assert talk.facts_of(VehicleParked) == [
        VehicleParked(True, "CheckIn"),
        VehicleParked(False, "CheckOut"),
        VehicleParked(False, "Completed"),
    ]
    assert talk.state is State.CHARGE_PARAMETER_DISCOVERY


@pytest.mark.parametrize("request_name", ["VehicleCheckInReq", "VehicleCheckOutReq"])
def test_parking_status_unselected_is_out_of_order(request_name: str) -> None:
    talk = discovering()
    talk.ask("ServiceSelectionReq", with_services((65, 3)))
    wish = {"EVCheckInStatus": "CheckIn", "ParkingMethod": "Manual"}
    if request_name == "VehicleCheckOutReq":
        wish = {"EVCheckOutStatus": "CheckOut", "CheckOutTime": 0}
    assert talk.ask(request_name, wish).code == "FAILED_SequenceError"
