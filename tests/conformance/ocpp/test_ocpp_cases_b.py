"""TC_B: provisioning, from the first boot to another CSMS."""

import asyncio
from typing import Any

import pytest

from sim.csms.server import CallRefused, Csms


def actions(site: Any) -> list[str]:
    return [event.action for event in site.csms.events if not event.action.startswith("#")]


async def test_tc_b_01(running: Any) -> None:
    """Cold boot, accepted: BootNotification, every connector's status, heartbeats at the interval given."""
    boot = await running.csms.until_received("BootNotification")
    assert boot["reason"] == "PowerUp"
    assert {"model", "vendorName"} <= boot["chargingStation"].keys()
    await running.status("Available")
    assert actions(running)[0] == "BootNotification"
    assert (await running.get("OCPPCommCtrlr", "HeartbeatInterval"))["attributeValue"] == "300"


async def test_tc_b_02(site: Any, monkeypatch: Any) -> None:
    """Cold boot, pending: nothing but what the CSMS asks for, then BootNotification again."""
    monkeypatch.setattr("ocpp_client.registration.MIN_WAIT_S", 0.0)
    site.csms.answers.policy.registration = ["Pending", "Accepted"]
    site.csms.answers.policy.boot_interval_s = 1
    await site.start(wait=False)
    await site.csms.until_received("BootNotification")
    answer = await site.get("OCPPCommCtrlr", "HeartbeatInterval")
    assert answer["attributeStatus"] == "Accepted"
    refused = await site.call(
        "RequestStartTransaction", evseId=1, remoteStartId=1, idToken={"idToken": "AA", "type": "Central"}
    )
    assert refused["status"] == "Rejected", "B02.FR.05: no remote start while pending"
    assert (await site.call("RequestStopTransaction", transactionId="x"))["status"] == "Rejected"
    assert actions(site) == ["BootNotification"]
    await site.csms.until_received("BootNotification", 2)
    await site.status("Available")


async def test_tc_b_03(site: Any) -> None:
    """Cold boot, rejected: silence until the interval is over, then BootNotification again."""
    site.csms.answers.policy.registration = ["Rejected", "Accepted"]
    site.csms.answers.policy.boot_interval_s = 1
    await site.start(wait=False)
    await site.csms.until_received("BootNotification")
    await site.settle(0.3)
    assert actions(site) == ["BootNotification"]
    await site.csms.until_received("BootNotification", 2)
    await site.status("Available")


async def test_tc_b_06(running: Any) -> None:
    """GetVariables, one."""
    result = await running.get("OCPPCommCtrlr", "OfflineThreshold")
    assert (result["attributeStatus"], result["attributeValue"]) == ("Accepted", "60")


async def test_tc_b_07(running: Any) -> None:
    """GetVariables, several, answered in their order."""
    items = [
        {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "OfflineThreshold"}},
        {"component": {"name": "AuthCtrlr"}, "variable": {"name": "AuthorizeRemoteStart"}},
    ]
    results = (await running.call("GetVariables", getVariableData=items))["getVariableResult"]
    assert [result["variable"]["name"] for result in results] == ["OfflineThreshold", "AuthorizeRemoteStart"]
    assert {result["attributeStatus"] for result in results} == {"Accepted"}


async def test_tc_b_09(running: Any) -> None:
    """SetVariables, one; the new value is read back."""
    assert await running.set("OCPPCommCtrlr", "OfflineThreshold", "123") == "Accepted"
    assert (await running.get("OCPPCommCtrlr", "OfflineThreshold"))["attributeValue"] == "123"


async def test_tc_b_10(running: Any) -> None:
    """SetVariables, several."""
    items = [
        {
            "component": {"name": "OCPPCommCtrlr"},
            "variable": {"name": "OfflineThreshold"},
            "attributeValue": "45",
        },
        {
            "component": {"name": "AuthCtrlr"},
            "variable": {"name": "AuthorizeRemoteStart"},
            "attributeValue": "true",
        },
    ]
    results = (await running.call("SetVariables", setVariableData=items))["setVariableResult"]
    assert [result["attributeStatus"] for result in results] == ["Accepted", "Accepted"]


async def test_tc_b_11(running: Any) -> None:
    """SetVariables with values of a wrong form: each refused, nothing changed."""
    for component, variable, value in (
        ("OCPPCommCtrlr", "OfflineThreshold", "soon"),
        ("OCPPCommCtrlr", "OfflineThreshold", "-1"),
        ("AuthCtrlr", "AuthorizeRemoteStart", "perhaps"),
        ("TxCtrlr", "TxStartPoint", "Sometimes"),
    ):
        assert await running.set(component, variable, value) == "Rejected"
    assert (await running.get("OCPPCommCtrlr", "OfflineThreshold"))["attributeValue"] == "60"


async def reported(site: Any, base: str) -> list[dict[str, Any]]:
    assert (await site.call("GetBaseReport", requestId=5, reportBase=base))["status"] == "Accepted"
    await site.csms.until(lambda: any(not part["tbc"] for part in site.csms.received("NotifyReport")))
    parts = site.csms.received("NotifyReport")
    assert [part["seqNo"] for part in parts] == list(range(len(parts)))
    assert {part["requestId"] for part in parts} == {5}
    return [item for part in parts for item in part["reportData"]]


def names(items: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(item["component"]["name"], item["variable"]["name"]) for item in items}


async def test_tc_b_12(running: Any) -> None:
    """ConfigurationInventory: what can be set."""
    items = await reported(running, "ConfigurationInventory")
    assert ("OCPPCommCtrlr", "OfflineThreshold") in names(items)
    assert all(item["variableAttribute"][0]["mutability"] != "ReadOnly" for item in items)


async def test_tc_b_13(running: Any) -> None:
    """FullInventory: what can be set and what cannot."""
    items = await reported(running, "FullInventory")
    assert {item["variableAttribute"][0]["mutability"] for item in items} == {"ReadOnly", "ReadWrite", "WriteOnly"}
    assert all(
        "value" not in item["variableAttribute"][0] for item in items if item["variable"]["name"] == "BasicAuthPassword"
    )


async def test_tc_b_14(running: Any) -> None:
    """SummaryInventory: availability of station, EVSE and connector."""
    items = await reported(running, "SummaryInventory")
    assert {("ChargingStation", "AvailabilityState"), ("EVSE", "AvailabilityState")} <= names(items)


async def test_tc_b_20(running: Any) -> None:
    """Reset of an idle station, OnIdle: it boots anew."""
    await running.status("Available")
    assert (await running.call("Reset", type="OnIdle"))["status"] == "Accepted"
    boot = await running.csms.until_received("BootNotification", 2)
    assert boot["reason"] == "RemoteReset"
    await running.status("Available", after=1)


async def test_tc_b_21(running: Any) -> None:
    """Reset with a transaction, OnIdle: scheduled until it ended."""
    await running.charge()
    assert (await running.call("Reset", type="OnIdle"))["status"] == "Scheduled"
    await running.settle()
    assert len(running.csms.received("BootNotification")) == 1
    running.board.swipe()
    await running.event("Ended", triggerReason="StopAuthorized")
    running.board.unplug()
    boot = await running.csms.until_received("BootNotification", 2)
    assert boot["reason"] == "ScheduledReset"


async def test_tc_b_22(running: Any) -> None:
    """Reset with a transaction, Immediate: it ends first."""
    transaction_id = await running.charge()
    assert (await running.call("Reset", type="Immediate"))["status"] == "Accepted"
    await running.event("Ended", triggerReason="ResetCommand", stoppedReason="ImmediateReset")
    boot = await running.csms.until_received("BootNotification", 2)
    assert boot["reason"] == "RemoteReset"
    running.whole(transaction_id)


async def test_tc_b_23(running: Any) -> None:
    """A station set Inoperative is so after a reset."""
    await running.status("Available")
    await running.call("ChangeAvailability", operationalStatus="Inoperative")
    await running.status("Unavailable")
    told = len(running.csms.received("StatusNotification"))
    await running.call("Reset", type="OnIdle")
    await running.csms.until_received("BootNotification", 2)
    await running.status("Unavailable", after=told)


async def test_tc_b_25(running: Any) -> None:
    """Reset of an EVSE without a transaction."""
    assert (await running.call("Reset", type="OnIdle", evseId=1))["status"] == "Accepted"
    await running.settle()
    assert len(running.csms.received("BootNotification")) == 1
    await running.charge()


async def test_tc_b_26(running: Any) -> None:
    """Reset of an EVSE with a transaction, OnIdle: scheduled, the transaction goes on."""
    await running.charge()
    assert (await running.call("Reset", type="OnIdle", evseId=1))["status"] == "Scheduled"
    await running.settle()
    assert running.evses[1].in_transaction
    running.board.swipe()
    await running.event("Ended", triggerReason="StopAuthorized")


async def test_tc_b_27(running: Any) -> None:
    """Reset of an EVSE with a transaction, Immediate: it ends."""
    await running.charge()
    assert (await running.call("Reset", type="Immediate", evseId=1))["status"] == "Accepted"
    await running.event("Ended", triggerReason="ResetCommand", stoppedReason="ImmediateReset")
    await running.settle()
    assert len(running.csms.received("BootNotification")) == 1


async def test_tc_b_30(site: Any) -> None:
    """Pending or rejected: a message the station may not take is answered SecurityError or refused."""
    site.csms.answers.policy.registration = ["Rejected"]
    site.csms.answers.policy.boot_interval_s = 60
    await site.start(wait=False)
    await site.csms.until_received("BootNotification")
    with pytest.raises(CallRefused, match="SecurityError"):
        await site.call("GetBaseReport", requestId=1, reportBase="FullInventory")
    assert site.csms.received("NotifyReport") == []


async def test_tc_b_32(running: Any) -> None:
    """GetVariables, unknown component."""
    assert (await running.get("NoSuch", "OfflineThreshold"))["attributeStatus"] == "UnknownComponent"


async def test_tc_b_33(running: Any) -> None:
    """GetVariables, unknown variable."""
    assert (await running.get("OCPPCommCtrlr", "NoSuch"))["attributeStatus"] == "UnknownVariable"


async def test_tc_b_34(running: Any) -> None:
    """GetVariables, an attribute that is not there."""
    result = await running.get("OCPPCommCtrlr", "OfflineThreshold", attributeType="Target")
    assert result["attributeStatus"] == "NotSupportedAttributeType"


async def test_tc_b_35(running: Any) -> None:
    """SetVariables, unknown component."""
    assert await running.set("NoSuch", "OfflineThreshold", "1") == "UnknownComponent"


async def test_tc_b_36(running: Any) -> None:
    """SetVariables, unknown variable."""
    assert await running.set("OCPPCommCtrlr", "NoSuch", "1") == "UnknownVariable"


async def test_tc_b_37(running: Any) -> None:
    """SetVariables, an attribute that is not there."""
    item = {
        "component": {"name": "OCPPCommCtrlr"},
        "variable": {"name": "OfflineThreshold"},
        "attributeType": "Target",
        "attributeValue": "1",
    }
    result = (await running.call("SetVariables", setVariableData=[item]))["setVariableResult"][0]
    assert result["attributeStatus"] == "NotSupportedAttributeType"


async def test_tc_b_39(running: Any) -> None:
    """SetVariables, read-only."""
    assert await running.set("OCPPCommCtrlr", "FileTransferProtocols", "FTP") == "Rejected"


async def test_tc_b_41(site: Any) -> None:
    """Reset with several transactions, OnIdle: after the last one."""
    await site.start(evse_count=2)
    await site.charge()
    await site.charge("04DDEEFF", 2)
    assert (await site.call("Reset", type="OnIdle"))["status"] == "Scheduled"
    site.boards[1].unplug()
    await site.settle()
    assert len(site.csms.received("BootNotification")) == 1
    site.boards[2].unplug()
    await site.csms.until_received("BootNotification", 2)


def profile(url: str, **changed: Any) -> dict[str, Any]:
    return {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": url,
        "messageTimeout": 30,
        "securityProfile": 1,
        "ocppInterface": "Wired0",
        **changed,
    }


async def test_tc_b_43(running: Any) -> None:
    """SetNetworkProfile that cannot be: refused."""
    answer = await running.call(
        "SetNetworkProfile", configurationSlot=2, connectionData=profile("http://nowhere", ocppVersion="OCPP16")
    )
    assert answer["status"] == "Rejected"


async def migrate(site: Any, url: str) -> None:
    answer = await site.call("SetNetworkProfile", configurationSlot=2, connectionData=profile(url))
    assert answer["status"] == "Accepted"
    assert await site.set("OCPPCommCtrlr", "NetworkConfigurationPriority", "2,1") == "RebootRequired"
    assert (await site.call("Reset", type="OnIdle"))["status"] == "Accepted"


async def test_tc_b_45(running: Any) -> None:
    """To another CSMS after the reset, and known there by its network profile."""
    async with Csms() as other:
        await migrate(running, other.url)
        await other.until_received("BootNotification")
        asked = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "ActiveNetworkProfile"}}
        answer = await other.call("GetVariables", {"getVariableData": [asked]})
        assert answer["getVariableResult"][0]["attributeValue"] == "2"
        assert other.faults() == []
        await running._restarting
        await running.power_off()


async def test_tc_b_46(running: Any) -> None:
    """To another CSMS that is not there: back to the old one after NetworkProfileConnectionAttempts."""
    async with Csms() as other:
        url = other.url
    await migrate(running, url)
    await running.csms.until_received("BootNotification", 2)


async def test_tc_b_51(site: Any) -> None:
    """Offline for longer than OfflineThreshold: every connector's status is told."""
    await site.start(offline_threshold_s=0)
    await site.status("Available")
    told = len(site.csms.received("StatusNotification"))
    await site.go_offline()
    await site.settle()
    await site.come_back()
    await site.status("Available", after=told)


async def test_tc_b_52(running: Any) -> None:
    """Offline for less than OfflineThreshold: only what changed is told."""
    await running.status("Available")
    told = len(running.csms.received("StatusNotification"))
    await running.go_offline()
    await running.come_back()
    await running.settle()
    assert len(running.csms.received("StatusNotification")) == told
    await running.go_offline()
    running.board.plug()
    await running.come_back()
    await running.status("Occupied", after=told)


MANDATORY = {
    "AlignedDataCtrlr": "Interval Measurands TxEndedInterval TxEndedMeasurands",
    "AuthCtrlr": "AuthorizeRemoteStart LocalAuthorizeOffline LocalPreAuthorize",
    "AuthCacheCtrlr": "Enabled LifeTime",
    "ChargingStation": "AvailabilityState SupplyPhases",
    "ClockCtrlr": "DateTime TimeSource",
    "Connector": "AvailabilityState ConnectorType SupplyPhases",
    "DeviceDataCtrlr": "BytesPerMessage ItemsPerMessage",
    "EVSE": "AvailabilityState Power SupplyPhases",
    "OCPPCommCtrlr": "FileTransferProtocols HeartbeatInterval MessageAttemptInterval MessageAttempts MessageTimeout "
    "NetworkConfigurationPriority NetworkProfileConnectionAttempts OfflineThreshold ResetRetries "
    "RetryBackOffRandomRange RetryBackOffRepeatTimes RetryBackOffWaitMinimum "
    "UnlockOnEVSideDisconnect WebSocketPingInterval",
    "SampledDataCtrlr": "TxEndedInterval TxEndedMeasurands TxStartedMeasurands TxUpdatedInterval TxUpdatedMeasurands",
    "SecurityCtrlr": "BasicAuthPassword CertificateEntries OrganizationName SecurityProfile",
    "SmartChargingCtrlr": "Enabled Entries LimitChangeSignificance PeriodsPerSchedule ProfileStackLevel RateUnit",
    "TxCtrlr": "EVConnectionTimeOut StopTxOnEVSideDisconnect StopTxOnInvalidId TxStartPoint TxStopPoint",
}
"""The variables a station of these profiles must have."""


async def test_tc_b_53(running: Any) -> None:
    """FullInventory holds every mandatory variable."""
    found = names(await reported(running, "FullInventory"))
    wanted = {(component, name) for component, text in MANDATORY.items() for name in text.split()}
    assert wanted - found == set()


async def test_tc_b_57(running: Any) -> None:
    """The link is cut: the station reconnects and needs no new registration."""
    await running.status("Available")
    running.csms.drop()
    await running.csms.until(lambda: sum(event.action == "#connected" for event in running.csms.events) == 2)
    async with asyncio.timeout(5):
        while not running.station.online:
            await asyncio.sleep(0.002)
    await running.settle()
    assert len(running.csms.received("BootNotification")) == 1
