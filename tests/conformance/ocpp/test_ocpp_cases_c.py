"""TC_C: authorisation at the reader, by the cache, by groups and by the master pass."""

from typing import Any

import pytest

CARD, OTHER, THIRD = "04AABBCC", "04DDEEFF", "04112233"


async def refused(site: Any, status: str) -> None:
    site.csms.answers.policy.statuses[CARD] = status
    site.board.plug()
    site.board.swipe()
    await site.csms.until_received("Authorize")
    site.board.draw()
    await site.settle()
    assert site.events == []
    assert not site.board.permitted


@pytest.mark.parametrize("status", ["Invalid", "Unknown"])
async def test_tc_c_02(running: Any, status: str) -> None:
    """A token the CSMS calls Invalid or Unknown starts nothing."""
    await refused(running, status)


async def test_tc_c_04(running: Any) -> None:
    """Another token cannot stop a transaction."""
    await running.charge()
    running.board.swipe(OTHER)
    await running.csms.until_received("Authorize", 2)
    await running.settle()
    assert running.evses[1].in_transaction
    assert all(event["eventType"] != "Ended" for event in running.events)


async def test_tc_c_05(running: Any) -> None:
    """A refused token locks no connector."""
    await refused(running, "Invalid")
    assert not running.board.locked


async def test_tc_c_06(running: Any) -> None:
    """A blocked token starts nothing."""
    await refused(running, "Blocked")


async def test_tc_c_07(running: Any) -> None:
    """An expired token starts nothing."""
    await refused(running, "Expired")


async def test_tc_c_56(running: Any) -> None:
    """An unknown token starts nothing, and the next one may."""
    await refused(running, "Unknown")
    running.board.swipe(OTHER)
    await running.event("Started")


async def test_tc_c_26(running: Any) -> None:
    """Offline, an unknown token, OfflineTxForUnknownIdEnabled: accepted, judged by the CSMS afterwards."""
    await running.configure(AuthCtrlr_OfflineTxForUnknownIdEnabled="true")
    running.csms.answers.policy.statuses[CARD] = "Invalid"
    await running.go_offline()
    running.board.plug()
    running.board.swipe()
    running.board.draw()
    await running.until(lambda: running.evses[1].in_transaction)
    await running.come_back()
    started = await running.event("Started")
    assert (started["offline"], started["idToken"]["idToken"]) == (True, CARD)
    await running.event("Ended", triggerReason="Deauthorized", stoppedReason="DeAuthorized")


# --- The cache ---


async def known(site: Any, status: str = "Accepted", *, charge: bool = True, **variables: str) -> None:
    """The cache knows CARD with that status; what was said until now is forgotten."""
    await site.configure(**({"AuthCtrlr_LocalPreAuthorize": "true"} | variables))
    site.csms.answers.policy.statuses[CARD] = status
    site.board.plug()
    site.board.swipe()
    await site.csms.until_received("Authorize")
    if status == "Accepted":
        site.board.draw()
        await site.event("Updated", chargingState="Charging")
    site.board.unplug()
    if status == "Accepted":
        await site.event("Ended")
    await site.status("Available", after=2)
    await site.settle()
    site.csms.events.clear()


async def test_tc_c_08(running: Any) -> None:
    """A token the cache accepts starts at once; the CSMS is not asked."""
    await known(running)
    running.board.plug()
    running.board.swipe()
    await running.event("Started")
    assert running.csms.received("Authorize") == []


async def asked_again(site: Any, cached: str, now: str) -> None:
    await known(site, cached)
    site.csms.answers.policy.statuses[CARD] = now
    site.board.plug()
    site.board.swipe()
    await site.csms.until_received("Authorize")
    await site.settle()


async def test_tc_c_09(running: Any) -> None:
    """A token the cache calls Invalid: the CSMS is asked, and refuses again."""
    await asked_again(running, "Invalid", "Invalid")
    assert running.events == []


async def test_tc_c_10(running: Any) -> None:
    """A token the cache calls Blocked: the CSMS is asked, and refuses again."""
    await asked_again(running, "Blocked", "Blocked")
    assert running.events == []


async def test_tc_c_11(running: Any) -> None:
    """A token the cache calls Expired: the CSMS is asked, and refuses again."""
    await asked_again(running, "Expired", "Expired")
    assert running.events == []


async def test_tc_c_12(running: Any) -> None:
    """A token the cache calls Invalid: the CSMS is asked, and accepts by now."""
    await asked_again(running, "Invalid", "Accepted")
    await running.event("Started")


async def test_tc_c_13(running: Any) -> None:
    """A token the cache accepts, before the cable."""
    await known(running)
    running.board.swipe()
    await running.settle()
    running.board.plug()
    await running.event("Started")
    assert running.csms.received("Authorize") == []


async def test_tc_c_14(running: Any) -> None:
    """A master pass of the cache starts nothing."""
    running.csms.answers.policy.group_of[CARD] = "master"
    await known(running)
    assert await running.set("AuthCtrlr", "MasterPassGroupId", "master") == "Accepted"
    running.board.plug()
    running.board.swipe()
    await running.settle()
    assert running.events == []


async def refused_afterwards(site: Any, **variables: str) -> None:
    """The cache accepts; the CSMS refuses in its answer to Started."""
    await known(site, **variables)
    site.csms.answers.policy.statuses[CARD] = "Invalid"
    site.board.plug()
    site.board.swipe()
    site.board.draw()
    await site.event("Started")


async def draw_until_cut(site: Any) -> float:
    """Returns the Wh that flowed until the station ended it."""
    begun_wh = site.board.energy_wh
    while site.board.permitted and site.board.energy_wh < begun_wh + 1000:
        site.board.sample()
        await site.settle(0.005)
    drawn: float = site.board.energy_wh - begun_wh
    return drawn


async def test_tc_c_15(running: Any) -> None:
    """Refused afterwards, StopTxOnInvalidId false, MaxEnergyOnInvalidId: so much, then suspended."""
    await refused_afterwards(running, TxCtrlr_StopTxOnInvalidId="false", TxCtrlr_MaxEnergyOnInvalidId="100")
    await running.event("Updated", chargingState="Charging")
    await running.settle()
    assert running.board.permitted
    assert 50 < await draw_until_cut(running) < 200
    await running.event("Updated", chargingState="SuspendedEVSE")
    assert running.evses[1].in_transaction


async def test_tc_c_16(running: Any) -> None:
    """Refused afterwards, StopTxOnInvalidId true: the transaction ends."""
    await refused_afterwards(running, TxCtrlr_StopTxOnInvalidId="true")
    await running.event("Ended", triggerReason="Deauthorized", stoppedReason="DeAuthorized")


async def test_tc_c_17(running: Any) -> None:
    """Refused afterwards, StopTxOnInvalidId false: no energy, but the transaction goes on."""
    await refused_afterwards(running, TxCtrlr_StopTxOnInvalidId="false")
    await running.until(lambda: not running.board.permitted)
    await running.settle()
    assert running.evses[1].in_transaction
    running.board.unplug()
    await running.event("Ended", stoppedReason="EVDisconnected")


async def test_tc_c_18(running: Any) -> None:
    """Refused afterwards, StopTxOnInvalidId true, MaxEnergyOnInvalidId: so much, then the end."""
    await refused_afterwards(running, TxCtrlr_StopTxOnInvalidId="true", TxCtrlr_MaxEnergyOnInvalidId="100")
    await running.event("Updated", chargingState="Charging")
    assert 50 < await draw_until_cut(running) < 200
    await running.event("Ended", triggerReason="Deauthorized", stoppedReason="DeAuthorized")


async def test_tc_c_32(running: Any) -> None:
    """The cache outlives a reset."""
    await known(running)
    await running.call("Reset", type="OnIdle")
    await running.csms.until_received("BootNotification")
    await running.until(lambda: running.station.online)
    running.board.plug()
    running.board.swipe()
    await running.event("Started")
    assert running.csms.received("Authorize") == []


async def test_tc_c_33(running: Any) -> None:
    """The cache learns from AuthorizeResponse."""
    await known(running, "Blocked")
    running.csms.answers.policy.statuses[CARD] = "Accepted"
    running.board.plug()
    running.board.swipe()
    await running.csms.until_received("Authorize")
    running.board.unplug()
    await running.settle()
    running.board.swipe()
    await running.settle()
    assert len(running.csms.received("Authorize")) == 1


async def test_tc_c_34(running: Any) -> None:
    """The cache learns from TransactionEventResponse."""
    await refused_afterwards(running)
    await running.event("Ended")
    running.board.unplug()
    await running.settle()
    assert running.csms.received("Authorize") == []
    running.board.plug()
    running.board.swipe()
    await running.csms.until_received("Authorize")


async def test_tc_c_36(running: Any) -> None:
    """LocalPreAuthorize false: the CSMS is asked though the cache accepts."""
    await known(running, AuthCtrlr_LocalPreAuthorize="false")
    running.board.plug()
    running.board.swipe()
    await running.csms.until_received("Authorize")
    await running.event("Started")


async def test_tc_c_37(running: Any) -> None:
    """ClearCache: the CSMS is asked again."""
    await known(running)
    assert (await running.call("ClearCache"))["status"] == "Accepted"
    running.board.plug()
    running.board.swipe()
    await running.csms.until_received("Authorize")


async def test_tc_c_38(running: Any) -> None:
    """ClearCache with the cache disabled."""
    await running.configure(AuthCacheCtrlr_Enabled="false")
    assert (await running.call("ClearCache"))["status"] == "Rejected"


async def test_tc_c_46(running: Any) -> None:
    """An entry older than AuthCacheLifeTime is forgotten."""
    await known(running, AuthCacheCtrlr_LifeTime="0")
    running.board.plug()
    running.board.swipe()
    await running.csms.until_received("Authorize")


async def test_tc_c_57(running: Any) -> None:
    """DisablePostAuthorize: the CSMS is not asked about a token the cache refuses."""
    await known(running, "Invalid", AuthCacheCtrlr_DisablePostAuthorize="true")
    running.csms.answers.policy.statuses[CARD] = "Accepted"
    running.board.plug()
    running.board.swipe()
    await running.settle()
    assert running.csms.received("Authorize") == []
    assert running.events == []


# --- Groups and the master pass ---


async def test_tc_c_39(running: Any) -> None:
    """Another token of the group stops the transaction."""
    running.csms.answers.policy.group_of |= {CARD: "fleet", OTHER: "fleet"}
    await running.charge()
    running.board.swipe(OTHER)
    ended = await running.event("Ended", triggerReason="StopAuthorized", stoppedReason="Local")
    assert ended["idToken"]["idToken"] == OTHER


async def test_tc_c_41(running: Any) -> None:
    """Another token of the group, known to the cache, stops the transaction without a question."""
    running.csms.answers.policy.group_of |= {CARD: "fleet", OTHER: "fleet"}
    await running.configure(AuthCtrlr_LocalPreAuthorize="true")
    await running.charge(OTHER)
    running.board.unplug()
    await running.event("Ended")
    running.csms.events.clear()
    await running.charge()
    asked = len(running.csms.received("Authorize"))
    running.board.swipe(OTHER)
    await running.event("Ended", triggerReason="StopAuthorized")
    assert len(running.csms.received("Authorize")) == asked


async def test_tc_c_42(running: Any) -> None:
    """A token of another group does not stop it."""
    running.csms.answers.policy.group_of |= {CARD: "fleet", OTHER: "others"}
    await running.charge()
    running.board.swipe(OTHER)
    await running.csms.until_received("Authorize", 2)
    await running.settle()
    assert running.evses[1].in_transaction


async def test_tc_c_44(running: Any) -> None:
    """A token of the group that the cache and the CSMS refuse does not stop it."""
    running.csms.answers.policy.group_of |= {CARD: "fleet", OTHER: "fleet"}
    running.csms.answers.policy.statuses[OTHER] = "Invalid"
    await running.configure(AuthCtrlr_LocalPreAuthorize="true")
    await running.charge()
    for count in (2, 3):
        running.board.swipe(OTHER)
        await running.csms.until_received("Authorize", count)
        await running.settle()
    assert running.evses[1].in_transaction


async def test_tc_c_45(running: Any) -> None:
    """A master pass starts no transaction."""
    running.csms.answers.policy.group_of[THIRD] = "master"
    await running.configure(AuthCtrlr_MasterPassGroupId="master")
    running.board.plug()
    running.board.swipe(THIRD)
    await running.csms.until_received("Authorize")
    await running.settle()
    assert running.events == []
    assert not running.board.permitted


@pytest.mark.parametrize("reader", [1, 2, 3], ids=["first", "second", "idle"])
async def test_tc_c_49(site: Any, reader: int) -> None:
    """A master pass at any reader of a station without a choice stops all its transactions."""
    site.csms.answers.policy.group_of[THIRD] = "master"
    await site.start(evse_count=3)
    await site.configure(AuthCtrlr_MasterPassGroupId="master")
    running = {await site.charge(CARD, 1), await site.charge(OTHER, 2)}
    site.boards[reader].swipe(THIRD)
    await site.csms.until(lambda: len(ended(site)) == 2)
    assert {event["transactionInfo"]["transactionId"] for event in ended(site)} == running
    assert {event["transactionInfo"]["stoppedReason"] for event in ended(site)} == {"MasterPass"}
    assert {event["idToken"]["idToken"] for event in ended(site)} == {THIRD}


def ended(site: Any) -> list[dict[str, Any]]:
    return [event for event in site.events if event["eventType"] == "Ended"]
