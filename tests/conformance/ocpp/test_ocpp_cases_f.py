"""TC_F: remote control. TC_G: availability."""

from typing import Any

import pytest

from firmware.maintenance import MaintenanceBegun, MaintenanceOver, Over
from hal.ports import Fault, Severity

CARD = "04AABBCC"
TOKEN = {"idToken": CARD, "type": "ISO14443"}


async def remote_start(site: Any, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await site.call(
        "RequestStartTransaction", evseId=1, remoteStartId=11, idToken=TOKEN, **more
    )
    return answer


async def test_tc_f_01(running: Any) -> None:
    """Remote start, cable first; with start point EVConnected the answer names the transaction."""
    await running.configure(TxCtrlr_TxStartPoint="EVConnected")
    running.board.plug()
    started = await running.event("Started", triggerReason="CablePluggedIn")
    answer = await remote_start(running)
    assert (answer["status"], answer["transactionId"]) == (
        "Accepted",
        started["transactionInfo"]["transactionId"],
    )
    updated = await running.event("Updated", triggerReason="RemoteStart", remoteStartId=11)
    assert updated["idToken"] == TOKEN
    running.board.draw()
    await running.event("Updated", chargingState="Charging")


async def test_no_remote_start_in_maintenance(running: Any) -> None:
    """A connector a technician works at is Unavailable (F01), and Available when he has done."""
    await running.status("Available")
    running.evses[1].report(MaintenanceBegun("uid 7", 60.0, False))
    await running.status("Unavailable")
    assert (await remote_start(running))["status"] == "Rejected"
    running.board.plug()
    running.board.swipe()
    await running.settle()
    assert running.events == []
    running.board.unplug()
    told = len(running.csms.received("StatusNotification"))
    running.evses[1].report(MaintenanceOver(Over.ASKED))
    await running.status("Available", after=told)
    assert (await remote_start(running))["status"] == "Accepted"


async def test_tc_f_02(running: Any) -> None:
    """Remote start before the cable, AuthorizeRemoteStart true: the CSMS is asked about the token."""
    await running.configure(AuthCtrlr_AuthorizeRemoteStart="true")
    assert (await remote_start(running))["status"] == "Accepted"
    asked = await running.csms.until_received("Authorize")
    assert asked["idToken"] == TOKEN
    await running.settle()
    running.board.plug()
    started = await running.event("Started", remoteStartId=11)
    assert started["idToken"] == TOKEN


async def test_tc_f_03(running: Any) -> None:
    """Remote start before the cable, AuthorizeRemoteStart false: nobody is asked."""
    await running.configure(AuthCtrlr_AuthorizeRemoteStart="false")
    assert (await remote_start(running))["status"] == "Accepted"
    await running.settle()
    running.board.plug()
    await running.event("Started", remoteStartId=11)
    assert running.csms.received("Authorize") == []


async def test_tc_f_04(running: Any) -> None:
    """Remote start and no cable within EVConnectionTimeOut."""
    await running.configure(TxCtrlr_TxStartPoint="Authorized", TxCtrlr_EVConnectionTimeOut="1")
    await remote_start(running)
    await running.event("Started", triggerReason="RemoteStart", remoteStartId=11)
    await running.event("Ended", triggerReason="EVConnectTimeout", stoppedReason="Timeout")


async def test_tc_f_05(running: Any) -> None:
    """Unlock with an authorised transaction: refused."""
    await running.charge()
    answer = await running.call("UnlockConnector", evseId=1, connectorId=1)
    assert answer["status"] == "OngoingAuthorizedTransaction"
    assert running.board.locked


async def test_tc_f_06(running: Any) -> None:
    """Unlock of a plugged connector without a transaction."""
    running.board.plug()
    running.board.locked = True
    assert (await running.call("UnlockConnector", evseId=1, connectorId=1))["status"] == "Unlocked"
    assert not running.board.locked


async def test_tc_f_07(running: Any) -> None:
    """Unlock without a cable."""
    assert (await running.call("UnlockConnector", evseId=1, connectorId=1))["status"] == "Unlocked"


async def test_tc_f_08(running: Any) -> None:
    """Remote stop."""
    transaction_id = await running.charge()
    assert (await running.call("RequestStopTransaction", transactionId=transaction_id))["status"] == "Accepted"
    await running.event("Ended", triggerReason="RemoteStop", stoppedReason="Remote")
    running.whole(transaction_id)


async def test_tc_f_09(running: Any) -> None:
    """Remote stop of an unknown transaction."""
    await running.charge()
    assert (await running.call("RequestStopTransaction", transactionId="another"))["status"] == "Rejected"
    await running.settle()
    assert running.evses[1].in_transaction


async def test_tc_f_10(running: Any) -> None:
    """Unlock of an unknown connector."""
    assert (await running.call("UnlockConnector", evseId=1, connectorId=9))["status"] == "UnknownConnector"


async def trigger(site: Any, message: str, evse_id: int | None = None) -> str:
    evse = {} if evse_id is None else {"evse": {"id": evse_id}}
    answer = await site.call("TriggerMessage", requestedMessage=message, **evse)
    status: str = answer["status"]
    return status


def sample(site: Any) -> None:
    for board in site.boards.values():
        board.sample()


async def test_tc_f_11(running: Any) -> None:
    """Trigger MeterValues of an EVSE."""
    sample(running)
    await running.settle()
    assert await trigger(running, "MeterValues", 1) == "Accepted"
    values = await running.csms.until_received("MeterValues")
    assert values["evseId"] == 1
    assert {s["context"] for s in values["meterValue"][0]["sampledValue"]} == {"Trigger"}


async def test_tc_f_12(site: Any) -> None:
    """Trigger MeterValues of all EVSEs."""
    await site.start(evse_count=2)
    sample(site)
    await site.settle()
    assert await trigger(site, "MeterValues") == "Accepted"
    await site.csms.until_received("MeterValues", 2)
    assert {values["evseId"] for values in site.csms.received("MeterValues")} == {1, 2}


async def test_tc_f_13(running: Any) -> None:
    """Trigger TransactionEvent of an EVSE."""
    await running.charge()
    sample(running)
    assert await trigger(running, "TransactionEvent", 1) == "Accepted"
    event = await running.event("Updated", triggerReason="Trigger")
    assert event["transactionInfo"]["chargingState"] == "Charging"
    assert {s["context"] for s in event["meterValue"][0]["sampledValue"]} == {"Trigger"}


async def test_tc_f_14(site: Any) -> None:
    """Trigger TransactionEvent of all EVSEs."""
    await site.start(evse_count=2)
    await site.charge()
    await site.charge("04DDEEFF", 2)
    assert await trigger(site, "TransactionEvent") == "Accepted"
    await site.csms.until(lambda: {e["evse"]["id"] for e in site.events if e["triggerReason"] == "Trigger"} == {1, 2})


async def test_tc_f_15(running: Any) -> None:
    """Trigger LogStatusNotification while nothing is uploaded."""
    assert await trigger(running, "LogStatusNotification") == "Accepted"
    assert (await running.csms.until_received("LogStatusNotification"))["status"] == "Idle"


async def test_tc_f_17(running: Any) -> None:
    """Trigger FirmwareStatusNotification with an EVSE, which says nothing here."""
    assert await trigger(running, "FirmwareStatusNotification", 1) == "Accepted"
    await running.csms.until_received("FirmwareStatusNotification")


async def test_tc_f_18(running: Any) -> None:
    """Trigger FirmwareStatusNotification while nothing is updated."""
    assert await trigger(running, "FirmwareStatusNotification") == "Accepted"
    assert (await running.csms.until_received("FirmwareStatusNotification"))["status"] == "Idle"


async def test_tc_f_20(running: Any) -> None:
    """Trigger Heartbeat."""
    assert await trigger(running, "Heartbeat") == "Accepted"
    await running.csms.until_received("Heartbeat")


async def test_tc_f_23(running: Any) -> None:
    """Trigger StatusNotification of an available connector."""
    await running.status("Available")
    assert await trigger(running, "StatusNotification", 1) == "Accepted"
    await running.status("Available", after=1)


async def test_tc_f_24(running: Any) -> None:
    """Trigger StatusNotification of an occupied connector."""
    running.board.plug()
    await running.status("Occupied")
    told = len(running.csms.received("StatusNotification"))
    assert await trigger(running, "StatusNotification", 1) == "Accepted"
    await running.status("Occupied", after=told)


async def test_tc_f_26(running: Any) -> None:
    """Trigger BootNotification of a registered station: refused."""
    assert await trigger(running, "BootNotification") == "Rejected"
    await running.settle()
    assert len(running.csms.received("BootNotification")) == 1


async def test_tc_f_27(running: Any) -> None:
    """Trigger of a message the station does not send."""
    assert await trigger(running, "PublishFirmwareStatusNotification") == "NotImplemented"


# --- G ---


async def test_tc_g_01(running: Any) -> None:
    """Available to Occupied by the plug."""
    await running.status("Available")
    running.board.plug()
    told = await running.status("Occupied")
    assert told["connectorId"] == 1


async def test_tc_g_02(running: Any) -> None:
    """Occupied to Available when the plug is out."""
    running.board.plug()
    await running.status("Occupied")
    told = len(running.csms.received("StatusNotification"))
    running.board.unplug()
    await running.status("Available", after=told)


WHERE: dict[str, dict[str, Any]] = {
    "EVSE": {"evse": {"id": 1}},
    "station": {},
    "connector": {"evse": {"id": 1, "connectorId": 1}},
}


async def change(site: Any, where: str, operative: bool) -> str:
    wanted = "Operative" if operative else "Inoperative"
    answer = await site.call("ChangeAvailability", operationalStatus=wanted, **WHERE[where])
    status: str = answer["status"]
    return status


async def out(site: Any, where: str) -> None:
    await site.status("Available")
    assert await change(site, where, False) == "Accepted"
    await site.status("Unavailable")
    site.board.plug()
    site.board.swipe()
    await site.settle()
    assert site.events == [], "an inoperative connector starts nothing"
    site.board.unplug()


async def back(site: Any, where: str) -> None:
    await site.status("Available")
    assert await change(site, where, False) == "Accepted"
    await site.status("Unavailable")
    told = len(site.csms.received("StatusNotification"))
    assert await change(site, where, True) == "Accepted"
    await site.status("Available", after=told)


async def again(site: Any, where: str, operative: bool) -> None:
    await site.status("Available")
    if not operative:
        await change(site, where, False)
        await site.status("Unavailable")
    told = len(site.csms.received("StatusNotification"))
    assert await change(site, where, operative) == "Accepted"
    await site.settle()
    assert len(site.csms.received("StatusNotification")) == told


async def during_a_transaction(site: Any, where: str) -> None:
    await site.charge()
    assert await change(site, where, False) == "Scheduled"
    await site.settle()
    assert site.evses[1].in_transaction
    site.board.swipe()
    await site.event("Ended")
    site.board.unplug()
    await site.status("Unavailable")


async def over_a_reset(site: Any, where: str) -> None:
    await site.status("Available")
    await change(site, where, False)
    await site.status("Unavailable")
    told = len(site.csms.received("StatusNotification"))
    await site.call("Reset", type="Immediate")
    await site.csms.until_received("BootNotification", 2)
    await site.status("Unavailable", after=told)


async def test_tc_g_03(running: Any) -> None:
    """An EVSE to Inoperative."""
    await out(running, "EVSE")


async def test_tc_g_04(running: Any) -> None:
    """An EVSE back to Operative."""
    await back(running, "EVSE")


async def test_tc_g_05(running: Any) -> None:
    """The station to Inoperative."""
    await out(running, "station")


async def test_tc_g_06(running: Any) -> None:
    """The station back to Operative."""
    await back(running, "station")


async def test_tc_g_07(running: Any) -> None:
    """A connector to Inoperative."""
    await out(running, "connector")


async def test_tc_g_08(running: Any) -> None:
    """A connector back to Operative."""
    await back(running, "connector")


async def test_tc_g_09(running: Any) -> None:
    """An operative EVSE to Operative: accepted, nothing to tell."""
    await again(running, "EVSE", True)


async def test_tc_g_10(running: Any) -> None:
    """An inoperative EVSE to Inoperative."""
    await again(running, "EVSE", False)


async def test_tc_g_11(running: Any) -> None:
    """An EVSE to Inoperative during a transaction: scheduled."""
    await during_a_transaction(running, "EVSE")


async def test_tc_g_12(running: Any) -> None:
    """An operative station to Operative."""
    await again(running, "station", True)


async def test_tc_g_13(running: Any) -> None:
    """An inoperative station to Inoperative."""
    await again(running, "station", False)


async def test_tc_g_14(running: Any) -> None:
    """The station to Inoperative during a transaction: scheduled."""
    await during_a_transaction(running, "station")


async def test_tc_g_15(running: Any) -> None:
    """An operative connector to Operative."""
    await again(running, "connector", True)


async def test_tc_g_16(running: Any) -> None:
    """An inoperative connector to Inoperative."""
    await again(running, "connector", False)


async def test_tc_g_17(running: Any) -> None:
    """A connector to Inoperative during a transaction: scheduled."""
    await during_a_transaction(running, "connector")


async def test_tc_g_18(running: Any) -> None:
    """An inoperative EVSE is so after a reset."""
    await over_a_reset(running, "EVSE")


async def test_tc_g_19(running: Any) -> None:
    """An inoperative connector is so after a reset."""
    await over_a_reset(running, "connector")


async def test_tc_g_20(running: Any) -> None:
    """A connector that cannot be locked: the CSMS is told, and no energy flows."""
    await running.status("Available")
    running.board.fault(Fault.CONNECTOR_LOCK_FAILURE, Severity.STOP)
    notice = await running.csms.until_received("NotifyEvent")
    assert notice["eventData"][0]["component"]["evse"] == {"id": 1, "connectorId": 1} or notice["eventData"]
    running.board.plug()
    running.board.swipe()
    running.board.draw()
    await running.settle()
    assert not running.board.permitted


async def test_tc_g_21(running: Any) -> None:
    """An inoperative station is so after a reset."""
    await over_a_reset(running, "station")


@pytest.mark.parametrize("value", ["", "x"])
async def test_tc_p_01(running: Any, value: str) -> None:
    """DataTransfer of an unknown vendor."""
    answer = await running.call("DataTransfer", vendorId="com.example", messageId=value)
    assert answer["status"] in ("UnknownVendorId", "Rejected", "UnknownMessageId")


async def test_tc_p_03(running: Any) -> None:
    """customData in a request changes nothing."""
    answer = await running.call("ClearCache", customData={"vendorId": "com.example", "more": 1})
    assert answer["status"] == "Accepted"
