"""TC_E: transactions, from their start points to what is told after a time offline."""

import asyncio
from typing import Any

import pytest

CARD, OTHER = "04AABBCC", "04DDEEFF"


async def test_tc_e_01(running: Any) -> None:
    """Start point PowerPathClosed: Started once plugged in and authorised."""
    await running.configure(TxCtrlr_TxStartPoint="PowerPathClosed")
    running.board.plug()
    await running.status("Occupied")
    assert running.events == []
    running.board.swipe()
    started = await running.event("Started")
    assert started["triggerReason"] == "Authorized"
    assert started["idToken"] == {"idToken": CARD, "type": "ISO14443"}


async def test_tc_e_02(running: Any) -> None:
    """Start point EnergyTransfer: Started once energy flows."""
    await running.configure(TxCtrlr_TxStartPoint="EnergyTransfer")
    running.board.plug()
    running.board.swipe()
    await running.until(lambda: running.board.permitted)
    await running.settle()
    assert running.events == []
    running.board.draw()
    started = await running.event("Started")
    assert (started["triggerReason"], started["transactionInfo"]["chargingState"]) == (
        "ChargingStateChanged",
        "Charging",
    )
    assert started["idToken"]["idToken"] == CARD


async def test_tc_e_03(running: Any) -> None:
    """Local start, cable first."""
    running.board.plug()
    await running.status("Occupied")
    running.board.swipe()
    await running.csms.until_received("Authorize")
    started = await running.event("Started", triggerReason="Authorized")
    assert started["evse"] == {"id": 1, "connectorId": 1}
    running.board.draw()
    await running.event("Updated", triggerReason="ChargingStateChanged", chargingState="Charging")


async def test_tc_e_04(running: Any) -> None:
    """Local start, token first."""
    running.board.swipe()
    await running.csms.until_received("Authorize")
    await running.settle()
    running.board.plug()
    started = await running.event("Started", triggerReason="CablePluggedIn")
    assert started["idToken"]["idToken"] == CARD
    running.board.draw()
    await running.event("Updated", chargingState="Charging")


async def test_tc_e_05(running: Any) -> None:
    """Local start, token first, and no cable within EVConnectionTimeOut: the token is forgotten."""
    await running.configure(TxCtrlr_TxStartPoint="Authorized", TxCtrlr_EVConnectionTimeOut="1")
    running.board.swipe()
    await running.event("Started", triggerReason="Authorized")
    ended = await running.event("Ended", triggerReason="EVConnectTimeout", stoppedReason="Timeout")
    assert ended["transactionInfo"]["chargingState"] == "Idle"
    await running.configure(TxCtrlr_TxStartPoint="PowerPathClosed")
    running.board.plug()
    await running.status("Occupied")
    await running.settle()
    assert [event["eventType"] for event in running.events] == ["Started", "Ended"]


async def test_tc_e_06(running: Any) -> None:
    """Local stop by the token that started."""
    transaction_id = await running.charge()
    running.board.swipe()
    ended = await running.event("Ended", triggerReason="StopAuthorized", stoppedReason="Local")
    assert ended["idToken"]["idToken"] == CARD
    assert len(running.whole(transaction_id)) >= 3
    assert not running.board.locked


async def test_tc_e_07(running: Any) -> None:
    """Stop point PowerPathClosed: ended by the local stop."""
    await running.configure(TxCtrlr_TxStopPoint="PowerPathClosed")
    await running.charge()
    running.board.swipe()
    await running.event("Ended", triggerReason="StopAuthorized", stoppedReason="Local")


async def test_tc_e_08(running: Any) -> None:
    """Stop point EnergyTransfer: ended by the local stop."""
    await running.configure(TxCtrlr_TxStopPoint="EnergyTransfer")
    await running.charge()
    running.board.swipe()
    await running.event("Ended", triggerReason="StopAuthorized", stoppedReason="Local")


async def test_tc_e_09(running: Any) -> None:
    """Start point EVConnected: Started by the plug, without a token."""
    await running.configure(TxCtrlr_TxStartPoint="EVConnected")
    running.board.plug()
    started = await running.event("Started", triggerReason="CablePluggedIn", chargingState="EVConnected")
    assert "idToken" not in started
    running.board.swipe()
    updated = await running.event("Updated", triggerReason="Authorized")
    assert updated["idToken"]["idToken"] == CARD


async def test_tc_e_10(running: Any) -> None:
    """Start point Authorized: Started by the token, before the plug."""
    await running.configure(TxCtrlr_TxStartPoint="Authorized")
    running.board.swipe()
    started = await running.event("Started", triggerReason="Authorized")
    assert started["idToken"]["idToken"] == CARD
    running.board.plug()
    await running.event("Updated", triggerReason="CablePluggedIn", chargingState="EVConnected")


async def test_tc_e_13(running: Any) -> None:
    """Start point Authorized: Started by a remote start, before the plug."""
    await running.configure(TxCtrlr_TxStartPoint="Authorized")
    answer = await running.call(
        "RequestStartTransaction", evseId=1, remoteStartId=7, idToken={"idToken": CARD, "type": "Central"}
    )
    assert answer["status"] == "Accepted"
    await running.event("Started", triggerReason="RemoteStart", remoteStartId=7)


async def test_tc_e_14(running: Any) -> None:
    """Stop point EVConnected: stopped by the driver, ended by the plug at the station."""
    await running.configure(TxCtrlr_TxStopPoint="EVConnected")
    transaction_id = await running.charge()
    running.board.swipe()
    await running.event("Updated", triggerReason="StopAuthorized", chargingState="EVConnected")
    running.board.unplug()
    await running.event("Ended", triggerReason="EVCommunicationLost", stoppedReason="Local")
    running.whole(transaction_id)


async def test_tc_e_15(running: Any) -> None:
    """Stop point Authorized: ended by the local stop."""
    await running.configure(TxCtrlr_TxStopPoint="Authorized")
    await running.charge()
    running.board.swipe()
    await running.event("Ended", triggerReason="StopAuthorized", stoppedReason="Local")


async def test_tc_e_16(running: Any) -> None:
    """Stop point Authorized: ended because the CSMS refuses the token of the running transaction."""
    await running.configure(TxCtrlr_TxStopPoint="Authorized", AuthCtrlr_LocalPreAuthorize="true")
    await learn_then_refuse(running, "Invalid")
    await running.event("Ended", triggerReason="Deauthorized", stoppedReason="DeAuthorized")


async def learn_then_refuse(site: Any, status: str) -> None:
    """The cache accepts a token that the CSMS refuses by now."""
    await site.charge()
    site.board.unplug()
    await site.event("Ended")
    site.csms.events.clear()
    site.csms.answers.policy.statuses[CARD] = status
    site.board.plug()
    site.board.swipe()
    site.board.draw()
    await site.event("Started")


async def test_tc_e_17(running: Any) -> None:
    """Stop point Authorized: the plug out at the vehicle ends the authorisation and so the transaction."""
    await running.configure(TxCtrlr_TxStopPoint="Authorized")
    await running.charge()
    running.board.unplug()
    await running.event("Ended", triggerReason="EVCommunicationLost", stoppedReason="EVDisconnected")


async def test_tc_e_20(running: Any) -> None:
    """Stop point EVConnected: ended by the plug out at the vehicle while it charges."""
    await running.configure(TxCtrlr_TxStopPoint="EVConnected")
    await running.charge()
    running.board.unplug()
    await running.event("Ended", triggerReason="EVCommunicationLost", stoppedReason="EVDisconnected")


async def test_tc_e_21(running: Any) -> None:
    """Stop point Authorized: ended by a remote stop."""
    await running.configure(TxCtrlr_TxStopPoint="Authorized")
    transaction_id = await running.charge()
    assert (await running.call("RequestStopTransaction", transactionId=transaction_id))["status"] == "Accepted"
    await running.event("Ended", triggerReason="RemoteStop", stoppedReason="Remote")


async def test_tc_e_22(running: Any) -> None:
    """Stop point EnergyTransfer: ended when the vehicle stops drawing."""
    await running.configure(TxCtrlr_TxStopPoint="EnergyTransfer")
    await running.charge()
    running.board.stop_drawing()
    await running.event("Ended", triggerReason="ChargingStateChanged", stoppedReason="StoppedByEV")


async def test_tc_e_24(running: Any) -> None:
    """The plug out at the vehicle deauthorises; the connector is unlocked (UnlockOnEVSideDisconnect true)."""
    await running.charge()
    assert running.board.locked
    running.board.unplug()
    await running.event("Ended", stoppedReason="EVDisconnected")
    await running.until(lambda: not running.board.locked)
    await running.status("Available")


async def test_tc_e_28(running: Any) -> None:
    """Transaction status of an unknown id."""
    assert await running.call("GetTransactionStatus", transactionId="unknown") == {
        "ongoingIndicator": False,
        "messagesInQueue": False,
    }


async def test_tc_e_29(running: Any) -> None:
    """Transaction status, ongoing, with a message in the queue."""
    transaction_id = await running.charge()
    running.csms.behaviour.silent.add("TransactionEvent")
    running.boards[1].stop_drawing()
    await running.event("Updated", chargingState="SuspendedEV")
    answer = await running.call("GetTransactionStatus", transactionId=transaction_id)
    assert answer == {"ongoingIndicator": True, "messagesInQueue": True}


async def test_tc_e_30(running: Any) -> None:
    """Transaction status, ongoing, nothing in the queue."""
    transaction_id = await running.charge()
    await drained(running)
    answer = await running.call("GetTransactionStatus", transactionId=transaction_id)
    assert answer == {"ongoingIndicator": True, "messagesInQueue": False}


async def drained(site: Any) -> None:
    async with asyncio.timeout(5):
        while await site.journal.pending_count():
            await asyncio.sleep(0.002)


async def test_tc_e_31(running: Any) -> None:
    """Transaction status, ended, with a message in the queue."""
    transaction_id = await running.charge()
    running.csms.behaviour.silent.add("TransactionEvent")
    running.board.unplug()
    await running.until(lambda: not running.evses[1].in_transaction)
    await running.settle()
    answer = await running.call("GetTransactionStatus", transactionId=transaction_id)
    assert answer == {"ongoingIndicator": False, "messagesInQueue": True}


async def test_tc_e_32(running: Any) -> None:
    """Transaction status, ended, nothing in the queue."""
    transaction_id = await running.charge()
    running.board.unplug()
    await running.event("Ended")
    await drained(running)
    answer = await running.call("GetTransactionStatus", transactionId=transaction_id)
    assert answer == {"ongoingIndicator": False, "messagesInQueue": False}


async def test_tc_e_33(running: Any) -> None:
    """Transaction status without an id, with a message in the queue."""
    running.csms.behaviour.silent.add("TransactionEvent")
    running.board.plug()
    running.board.swipe()
    await running.event("Started")
    assert await running.call("GetTransactionStatus") == {"messagesInQueue": True}


async def test_tc_e_34(running: Any) -> None:
    """Transaction status without an id, nothing in the queue."""
    assert await running.call("GetTransactionStatus") == {"messagesInQueue": False}


async def test_tc_e_35(running: Any) -> None:
    """Stop point PowerPathClosed: ended by a remote stop."""
    await running.configure(TxCtrlr_TxStopPoint="PowerPathClosed")
    transaction_id = await running.charge()
    await running.call("RequestStopTransaction", transactionId=transaction_id)
    await running.event("Ended", triggerReason="RemoteStop", stoppedReason="Remote")


async def test_tc_e_37(running: Any) -> None:
    """Stop point PowerPathClosed: ended by the plug out at the vehicle."""
    await running.configure(TxCtrlr_TxStopPoint="PowerPathClosed")
    await running.charge()
    running.board.unplug()
    await running.event("Ended", triggerReason="EVCommunicationLost", stoppedReason="EVDisconnected")


async def test_tc_e_38(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vehicle that is not ready: SuspendedEV after a while, and no Charging until it draws."""
    monkeypatch.setattr("firmware.record.NOT_READY_S", 0.1)
    running.board.plug()
    running.board.swipe()
    started = await running.event("Started")
    assert started["transactionInfo"]["chargingState"] == "EVConnected"
    suspended = await running.event("Updated", chargingState="SuspendedEV")
    assert suspended["triggerReason"] == "ChargingStateChanged"
    assert len(running.events) == 2
    running.board.draw()
    await running.event("Updated", chargingState="Charging")


async def test_tc_e_39(running: Any) -> None:
    """Deauthorised because no cable came in time, after a remote start."""
    await running.configure(TxCtrlr_TxStartPoint="Authorized", TxCtrlr_EVConnectionTimeOut="1")
    await running.call(
        "RequestStartTransaction", evseId=1, remoteStartId=8, idToken={"idToken": CARD, "type": "Central"}
    )
    await running.event("Started", remoteStartId=8)
    await running.event("Ended", triggerReason="EVConnectTimeout", stoppedReason="Timeout")


async def test_tc_e_40(running: Any) -> None:
    """The link is lost in mid-transaction: what happened meanwhile comes afterwards, marked offline."""
    transaction_id = await running.charge()
    await running.go_offline()
    running.board.stop_drawing()
    await running.settle()
    running.board.draw()
    await running.settle()
    await running.come_back()
    suspended = await running.event("Updated", chargingState="SuspendedEV")
    assert suspended["offline"] is True
    running.board.unplug()
    ended = await running.event("Ended")
    assert ended["offline"] is False
    kinds = [event["eventType"] for event in running.whole(transaction_id)]
    assert kinds == ["Started", *["Updated"] * (len(kinds) - 2), "Ended"]


async def test_tc_e_41(site: Any) -> None:
    """An event without an answer is sent MessageAttempts times, then given up; the next one follows."""
    await site.start(message_timeout_s=1, message_attempts=2)
    site.csms.behaviour.silent.add("TransactionEvent")
    site.board.plug()
    site.board.swipe()
    await site.csms.until_received("TransactionEvent", 2)
    site.csms.behaviour.silent.clear()
    site.board.draw()
    await site.event("Updated", chargingState="Charging")
    assert [event["seqNo"] for event in site.events] == [0, 0, 1]


async def test_tc_e_42(site: Any) -> None:
    """An event without an answer is repeated and taken before MessageAttempts is reached."""
    await site.start(message_timeout_s=1, message_attempts=3)
    site.csms.behaviour.silent.add("TransactionEvent")
    site.board.plug()
    site.board.swipe()
    await site.csms.until_received("TransactionEvent", 1)
    site.csms.behaviour.silent.clear()
    await site.csms.until_received("TransactionEvent", 2)
    await drained(site)
    first, second = site.events
    assert first == second


async def test_tc_e_43(running: Any) -> None:
    """A whole transaction offline: Started, Updated and Ended come afterwards, in order and marked offline."""
    await running.configure(AuthCtrlr_OfflineTxForUnknownIdEnabled="true")
    await running.go_offline()
    running.board.plug()
    running.board.swipe()
    await running.until(lambda: running.evses[1].in_transaction)
    running.board.draw()
    await running.settle()
    running.board.unplug()
    await running.until(lambda: not running.evses[1].in_transaction)
    await running.come_back()
    ended = await running.event("Ended")
    events = running.whole(ended["transactionInfo"]["transactionId"])
    assert events[0]["eventType"] == "Started"
    assert all(event["offline"] for event in events)


async def test_tc_e_44(running: Any) -> None:
    """A transaction begun online and stopped offline."""
    transaction_id = await running.charge()
    await running.go_offline()
    running.board.swipe()
    await running.until(lambda: not running.evses[1].in_transaction)
    await running.come_back()
    ended = await running.event("Ended", triggerReason="StopAuthorized", stoppedReason="Local")
    assert (ended["offline"], ended["idToken"]["idToken"]) == (True, CARD)
    running.whole(transaction_id)


async def test_tc_e_45(running: Any) -> None:
    """A transaction begun online and stopped offline by another token of the group, known to the cache."""
    running.csms.answers.policy.group_of |= {CARD: "fleet", OTHER: "fleet"}
    await running.charge(OTHER)
    running.board.unplug()
    await running.event("Ended")
    running.csms.events.clear()
    await running.charge()
    await running.go_offline()
    running.board.swipe(OTHER)
    await running.until(lambda: not running.evses[1].in_transaction)
    await running.come_back()
    ended = await running.event("Ended", triggerReason="StopAuthorized")
    assert (ended["offline"], ended["idToken"]["idToken"]) == (True, OTHER)


async def test_tc_e_50(site: Any) -> None:
    """An event answered by CALLERROR is sent MessageAttempts times, then given up."""
    await site.start(message_attempts=3)
    site.csms.behaviour.call_errors["TransactionEvent"] = "InternalError"
    site.board.plug()
    site.board.swipe()
    await site.csms.until_received("TransactionEvent", 3)
    await drained(site)
    await site.settle()
    assert [event["seqNo"] for event in site.events] == [0, 0, 0]


async def test_tc_e_51(site: Any) -> None:
    """An event answered by CALLERROR is repeated and taken before MessageAttempts is reached."""
    await site.start(message_attempts=3)
    site.csms.behaviour.call_errors["TransactionEvent"] = "InternalError"
    site.board.plug()
    site.board.swipe()
    await site.csms.until_received("TransactionEvent", 2)
    site.csms.behaviour.call_errors.clear()
    await drained(site)
    assert {event["seqNo"] for event in site.events} == {0}


async def test_tc_e_52(running: Any) -> None:
    """DisableRemoteAuthorization: the CSMS is not asked; the station's own rules decide."""
    await running.configure(AuthCtrlr_DisableRemoteAuthorization="true", AuthCtrlr_OfflineTxForUnknownIdEnabled="true")
    running.board.swipe()
    await running.settle()
    running.board.plug()
    started = await running.event("Started")
    assert started["idToken"]["idToken"] == CARD
    assert running.csms.received("Authorize") == []


async def test_tc_e_54(running: Any) -> None:
    """Stop point EVConnected: ended by the plug out at the vehicle before it ever charged."""
    await running.configure(TxCtrlr_TxStopPoint="EVConnected")
    running.board.plug()
    running.board.swipe()
    await running.event("Started")
    running.board.unplug()
    await running.event("Ended", triggerReason="EVCommunicationLost", stoppedReason="EVDisconnected")
