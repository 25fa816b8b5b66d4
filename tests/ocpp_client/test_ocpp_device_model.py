import json
from typing import Any

import pytest

from ocpp_client.config import OcppConfig
from ocpp_client.device_model import DataType, DeviceModel, Mutability, Variable
from ocpp_client.variables import station_variables
from ocpp_client.wire import encode_request

CONFIG = OcppConfig("CS-1", "ws://csms", "Vendor", "Model", evse_count=2, password="0123456789abcdef")


@pytest.fixture
def model() -> DeviceModel:
    return DeviceModel(station_variables(CONFIG, lambda: "2026-05-01T12:00:00.000Z", lambda: "1", lambda _value: None))


def name(component: str, variable: str, instance: str | None = None, **evse: int) -> dict[str, Any]:
    names: dict[str, Any] = {"component": {"name": component}, "variable": {"name": variable}}
    if instance is not None:
        names["variable"]["instance"] = instance
    if evse:
        names["component"]["evse"] = evse
    return names


def set_to(model: DeviceModel, value: str, *names: str, **more: Any) -> dict[str, Any]:
    return model.set(name(*names) | {"attributeValue": value} | more)


def test_values_are_read_by_any_case_of_their_names(model: DeviceModel) -> None:
    result = model.get(name("ocppCOMMctrlr", "heartbeatinterval"))
    assert (result["attributeStatus"], result["attributeValue"]) == ("Accepted", "300")
    assert result["component"] == {"name": "ocppCOMMctrlr"}, "names come back as they were asked"
    assert model.get(name("OCPPCommCtrlr", "MessageTimeout", "Default"))["attributeValue"] == "30"
    assert model.get(name("EVSE", "AvailabilityState", id=2))["attributeValue"] == "Available"
    assert model.get(name("ClockCtrlr", "DateTime"))["attributeValue"] == "2026-05-01T12:00:00.000Z"


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (name("Toaster", "Slots"), "UnknownComponent"),
        (name("OCPPCommCtrlr", "Slots"), "UnknownVariable"),
        (name("OCPPCommCtrlr", "MessageTimeout", "Other"), "UnknownVariable"),
        (name("EVSE", "AvailabilityState", id=3), "UnknownVariable"),
        (name("SecurityCtrlr", "BasicAuthPassword"), "Rejected"),
        (name("OCPPCommCtrlr", "HeartbeatInterval") | {"attributeType": "MinSet"}, "NotSupportedAttributeType"),
    ],
)
def test_what_cannot_be_read_says_why(model: DeviceModel, names: dict[str, Any], status: str) -> None:
    result = model.get(names)
    assert result["attributeStatus"] == status
    assert "attributeValue" not in result


@pytest.mark.parametrize(
    ("value", "names", "status"),
    [
        ("60", ("OCPPCommCtrlr", "HeartbeatInterval"), "Accepted"),
        ("0", ("OCPPCommCtrlr", "HeartbeatInterval"), "Rejected"),
        ("86401", ("OCPPCommCtrlr", "HeartbeatInterval"), "Rejected"),
        ("-5", ("OCPPCommCtrlr", "HeartbeatInterval"), "Rejected"),
        ("1.5", ("OCPPCommCtrlr", "HeartbeatInterval"), "Rejected"),
        ("٣", ("OCPPCommCtrlr", "HeartbeatInterval"), "Rejected"),
        ("9" * 999, ("OCPPCommCtrlr", "HeartbeatInterval"), "Rejected"),
        ("", ("OCPPCommCtrlr", "HeartbeatInterval"), "Rejected"),
        ("True", ("AuthCtrlr", "AuthorizeRemoteStart"), "Accepted"),
        ("yes", ("AuthCtrlr", "AuthorizeRemoteStart"), "Rejected"),
        ("Voltage,Current.Import", ("SampledDataCtrlr", "TxUpdatedMeasurands"), "Accepted"),
        ("", ("SampledDataCtrlr", "TxUpdatedMeasurands"), "Accepted"),
        ("Voltage,Frequency", ("SampledDataCtrlr", "TxUpdatedMeasurands"), "Rejected"),
        ("Voltage,Voltage", ("SampledDataCtrlr", "TxUpdatedMeasurands"), "Rejected"),
        ("EVConnected,Authorized", ("TxCtrlr", "TxStartPoint"), "Accepted"),
        ("ParkingBayOccupancy", ("TxCtrlr", "TxStartPoint"), "Rejected"),
        ("0.5", ("SmartChargingCtrlr", "LimitChangeSignificance"), "Accepted"),
        ("1e3", ("SmartChargingCtrlr", "LimitChangeSignificance"), "Rejected"),
        ("101", ("SmartChargingCtrlr", "LimitChangeSignificance"), "Rejected"),
        ("short", ("SecurityCtrlr", "BasicAuthPassword"), "Rejected"),
        ("with blanks in it !", ("SecurityCtrlr", "BasicAuthPassword"), "Rejected"),
        ("a-good_Password=0123", ("SecurityCtrlr", "BasicAuthPassword"), "Accepted"),
        ("x" * 65, ("SecurityCtrlr", "OrganizationName"), "Rejected"),
        ("Other", ("ChargingStation", "Model"), "Rejected"),
        ("1", ("Toaster", "Slots"), "UnknownComponent"),
        ("1", ("OCPPCommCtrlr", "Slots"), "UnknownVariable"),
    ],
)
def test_setting(model: DeviceModel, value: str, names: tuple[str, str], status: str) -> None:
    result = set_to(model, value, *names)
    assert result["attributeStatus"] == status
    assert ("attributeStatusInfo" in result) == (status == "Rejected")
    if status == "Accepted" and names[1] != "BasicAuthPassword":
        assert model.get(name(*names))["attributeValue"] == value


def test_other_attributes_than_actual_cannot_be_set(model: DeviceModel) -> None:
    result = set_to(model, "5", "OCPPCommCtrlr", "HeartbeatInterval", attributeType="Target")
    assert (result["attributeStatus"], result["attributeType"]) == ("NotSupportedAttributeType", "Target")


def test_some_values_wait_for_a_restart() -> None:
    slots = Variable("C", "V", DataType.INTEGER, "1", mutability=Mutability.READ_WRITE, reboot=True)
    model = DeviceModel([slots])
    assert set_to(model, "2", "C", "V")["attributeStatus"] == "RebootRequired"
    assert model.text("C", "V") == "1", "still in force"
    assert model.get(name("C", "V"))["attributeValue"] == "2", "but what was set is told"
    again = DeviceModel([slots])
    assert again.restore(model.dump()) == 0
    assert again.text("C", "V") == "2"


def test_a_change_is_told_to_who_listens(model: DeviceModel) -> None:
    heard: list[str] = []
    model.on_change("OCPPCommCtrlr", "HeartbeatInterval", heard.append)
    set_to(model, "60", "OCPPCommCtrlr", "HeartbeatInterval")
    set_to(model, "0", "OCPPCommCtrlr", "HeartbeatInterval")
    assert heard == [], "not before the CSMS has its answer"
    for _ in range(2):
        model.tell_changes()
    assert heard == ["60"]


def test_typed_reading(model: DeviceModel) -> None:
    assert model.number("OCPPCommCtrlr", "MessageTimeout", "Default") == 30.0
    assert model.flag("AuthCtrlr", "LocalAuthorizeOffline") is True
    assert model.members("TxCtrlr", "TxStopPoint") == ("EVConnected", "Authorized")
    model.assign("EVSE", "AvailabilityState", "Faulted", 1)
    assert model.get(name("EVSE", "AvailabilityState", id=1))["attributeValue"] == "Faulted"


def test_every_report_line_is_valid_and_unique(model: DeviceModel) -> None:
    lines = list(model.report())
    for line in lines:
        payload = {
            "requestId": 1,
            "generatedAt": "2026-05-01T12:00:00.000Z",
            "seqNo": 0,
            "reportData": [line],
        }
        encode_request("NotifyReport", payload)
    keys = [json.dumps([line["component"], line["variable"]]) for line in lines]
    assert len(keys) == len(set(keys)) == len(model.table())
    assert len(lines) > 90


def test_what_a_csms_can_set_has_a_default_it_could_set_itself(model: DeviceModel) -> None:
    for key, variable in model.table().items():
        if variable.mutability is Mutability.READ_WRITE:
            component, evse_id, _, variable_name, instance = key
            assert evse_id is None
            names = name(component, variable_name, instance or None)
            assert model.set(names | {"attributeValue": variable.value})["attributeStatus"] == "Accepted", key


def test_a_filter_by_component_variable_and_evse(model: DeviceModel) -> None:
    def count(criteria: dict[str, Any]) -> int:
        return len(list(model.report(model.matches(criteria))))

    assert count({"component": {"name": "evse"}}) == 8
    assert count({"component": {"name": "EVSE", "evse": {"id": 2}}}) == 4
    assert count({"component": {"name": "Connector", "evse": {"id": 2, "connectorId": 2}}}) == 0
    assert count(name("DeviceDataCtrlr", "ItemsPerMessage")) == 3
    assert count(name("DeviceDataCtrlr", "ItemsPerMessage", "GetReport")) == 1


def test_what_was_set_outlives_a_restart_as_far_as_it_fits(model: DeviceModel) -> None:
    set_to(model, "60", "OCPPCommCtrlr", "HeartbeatInterval")
    stored = json.loads(model.dump())
    stored += [
        ["toaster", None, None, "slots", "", "1"],
        ["chargingstation", None, None, "model", "", "Other"],
        ["ocppcommctrlr", None, None, "resetretries", "", "many"],
    ]
    again = DeviceModel(station_variables(CONFIG, str, lambda: "1", lambda _value: None))
    assert again.restore(json.dumps(stored)) == 3
    assert again.number("OCPPCommCtrlr", "HeartbeatInterval") == 60
    assert again.text("ChargingStation", "Model") == "Model"
