"""TC_D and the TC_C of the local list: the list itself, and authorisation by it."""

from typing import Any

CARD, OTHER = "04AABBCC", "04DDEEFF"


def entry(token: str = CARD, status: str | None = "Accepted", **info: Any) -> dict[str, Any]:
    item: dict[str, Any] = {"idToken": {"idToken": token, "type": "ISO14443"}}
    return item if status is None else item | {"idTokenInfo": {"status": status} | info}


async def send(site: Any, version: int, *entries: dict[str, Any], update: str = "Full") -> str:
    more = {"localAuthorizationList": list(entries)} if entries else {}
    answer = await site.call("SendLocalList", versionNumber=version, updateType=update, **more)
    status: str = answer["status"]
    return status


async def version(site: Any) -> int:
    number: int = (await site.call("GetLocalListVersion"))["versionNumber"]
    return number


async def test_tc_d_01(running: Any) -> None:
    """A full list"""
    assert await send(running, 2, entry()) == "Accepted"
    assert await version(running) == 2
    assert (await running.get("LocalAuthListCtrlr", "Entries"))["attributeValue"] == "1"


async def test_tc_d_02(running: Any) -> None:
    """A difference that adds"""
    await send(running, 2, entry())
    assert await send(running, 3, entry(OTHER), update="Differential") == "Accepted"
    assert await version(running) == 3
    assert (await running.get("LocalAuthListCtrlr", "Entries"))["attributeValue"] == "2"


async def test_tc_d_03(running: Any) -> None:
    """A difference that removes"""
    await send(running, 2, entry(), entry(OTHER))
    assert await send(running, 3, entry(OTHER, None), update="Differential") == "Accepted"
    assert await version(running) == 3
    assert (await running.get("LocalAuthListCtrlr", "Entries"))["attributeValue"] == "1"


async def test_tc_d_04(running: Any) -> None:
    """A full list without tokens removes all"""
    await send(running, 2, entry())
    assert await send(running, 3) == "Accepted"
    assert await version(running) == 3
    assert (await running.get("LocalAuthListCtrlr", "Entries"))["attributeValue"] == "0"


async def test_tc_d_05(running: Any) -> None:
    """A difference without tokens changes the version alone"""
    await send(running, 2, entry())
    assert await send(running, 3, update="Differential") == "Accepted"
    assert await version(running) == 3
    assert (await running.get("LocalAuthListCtrlr", "Entries"))["attributeValue"] == "1"


async def test_tc_d_06(running: Any) -> None:
    """A difference with a lower version: VersionMismatch, nothing changed"""
    await send(running, 3, entry())
    assert await send(running, 2, entry(OTHER), update="Differential") == "VersionMismatch"
    assert await version(running) == 3
    assert (await running.get("LocalAuthListCtrlr", "Entries"))["attributeValue"] == "1"


async def test_tc_d_07(running: Any) -> None:
    """The list outlives a reset"""
    await send(running, 2, entry())
    boots = len(running.csms.received("BootNotification"))
    await running.call("Reset", type="OnIdle")
    await running.csms.until_received("BootNotification", boots + 1)
    await running.until(lambda: running.station.online)
    assert await version(running) == 2
    assert (await running.get("LocalAuthListCtrlr", "Entries"))["attributeValue"] == "1"


async def test_tc_d_08(running: Any) -> None:
    """The version of the list"""
    assert await send(running, 17, entry()) == "Accepted"
    assert await version(running) == 17


async def test_tc_d_09(running: Any) -> None:
    """No list yet: version 0"""
    assert await version(running) == 0


async def test_tc_d_10(running: Any) -> None:
    """The list disabled: version 0"""
    await send(running, 2, entry())
    await running.configure(LocalAuthListCtrlr_Enabled="false")
    assert await version(running) == 0
    assert await send(running, 3, entry()) == "Failed"


async def test_tc_n_46(running: Any) -> None:
    """Customer data cleared: the local list is the CSMS's to update"""
    await send(running, 2, entry(), entry(OTHER))
    await running.call(
        "CustomerInformation", requestId=1, report=True, clear=True, idToken={"idToken": CARD, "type": "ISO14443"}
    )
    told = await running.csms.until_received("NotifyCustomerInformation")
    assert CARD in told["data"]
    assert (await running.get("LocalAuthListCtrlr", "Entries"))["attributeValue"] == "2"
    assert await send(running, 3, entry(CARD, None), update="Differential") == "Accepted"
    assert (await running.get("LocalAuthListCtrlr", "Entries"))["attributeValue"] == "1"


# --- Offline ---


async def offline_with(site: Any, status: str) -> None:
    """The list knows CARD with that status; the CSMS is away; a driver comes with CARD."""
    await send(site, 2, entry(CARD, status))
    await site.configure(AuthCtrlr_LocalAuthorizeOffline="true")
    await site.go_offline()
    site.board.plug()
    site.board.swipe()
    site.board.draw()
    await site.settle()


async def test_tc_c_21(running: Any) -> None:
    """Offline, the list accepts: it charges"""
    await offline_with(running, "Accepted")
    await running.until(lambda: running.board.permitted)
    await running.come_back()
    started = await running.event("Started")
    assert (started["offline"], started["idToken"]["idToken"]) == (True, CARD)


async def test_tc_c_22(running: Any) -> None:
    """Offline, the list calls the token Invalid: it does not charge, though unknown ones might"""
    await running.configure(AuthCtrlr_OfflineTxForUnknownIdEnabled="true")
    await offline_with(running, "Invalid")
    assert not running.board.permitted


async def test_tc_c_23(running: Any) -> None:
    """Offline, the list calls the token Blocked"""
    await offline_with(running, "Blocked")
    assert not running.board.permitted


async def test_tc_c_24(running: Any) -> None:
    """Offline, the list calls the token Expired"""
    await offline_with(running, "Expired")
    assert not running.board.permitted


async def test_tc_c_25(running: Any) -> None:
    """Offline, the list accepts what the cache refuses: the list's word holds"""
    running.csms.answers.policy.statuses[CARD] = "Blocked"
    running.board.swipe()
    await running.csms.until_received("Authorize")
    await running.settle()
    await offline_with(running, "Accepted")
    await running.until(lambda: running.board.permitted)


# --- Online ---


async def online_with(site: Any, listed: str, now: str, **variables: str) -> None:
    """The list knows CARD with one status, the CSMS with another; a driver comes with CARD."""
    await site.configure(**({"AuthCtrlr_LocalPreAuthorize": "true"} | variables))
    await send(site, 2, entry(CARD, listed))
    site.csms.answers.policy.statuses[CARD] = now
    site.board.plug()
    site.board.swipe()
    site.board.draw()


async def test_tc_c_27(running: Any) -> None:
    """The list accepts: the CSMS is not asked"""
    await online_with(running, "Accepted", "Accepted")
    await running.event("Started")
    assert running.csms.received("Authorize") == []


async def asked_and_refused(site: Any, status: str) -> None:
    await online_with(site, status, status)
    await site.csms.until_received("Authorize")
    await site.settle()
    assert site.events == []


async def test_tc_c_28(running: Any) -> None:
    """The list calls the token Invalid: the CSMS is asked, and refuses"""
    await asked_and_refused(running, "Invalid")


async def test_tc_c_29(running: Any) -> None:
    """The list calls the token Blocked: the CSMS is asked, and refuses"""
    await asked_and_refused(running, "Blocked")


async def test_tc_c_30(running: Any) -> None:
    """The list calls the token Expired: the CSMS is asked, and refuses"""
    await asked_and_refused(running, "Expired")


async def test_tc_c_31(running: Any) -> None:
    """The list calls the token Invalid: the CSMS is asked, and accepts by now"""
    await online_with(running, "Invalid", "Accepted")
    await running.csms.until_received("Authorize")
    await running.event("Started")


async def test_tc_c_58(running: Any) -> None:
    """DisablePostAuthorize: the CSMS is not asked about a token the list refuses"""
    await online_with(running, "Invalid", "Accepted", LocalAuthListCtrlr_DisablePostAuthorize="true")
    await running.settle()
    assert running.csms.received("Authorize") == []
    assert running.events == []


async def of_one_group(site: Any, status: str = "Accepted") -> None:
    """It charges by CARD; the list knows both tokens with one group."""
    fleet = {"groupIdToken": {"idToken": "fleet", "type": "Central"}}
    await site.configure(AuthCtrlr_LocalPreAuthorize="true")
    await send(site, 2, entry(CARD, **fleet), entry(OTHER, status, **fleet))
    await site.charge()
    site.board.swipe(OTHER)


async def test_tc_c_40(running: Any) -> None:
    """Another token of the group, known to the list, stops the transaction without a question"""
    await of_one_group(running)
    ended = await running.event("Ended", triggerReason="StopAuthorized", stoppedReason="Local")
    assert ended["idToken"]["idToken"] == OTHER
    assert running.csms.received("Authorize") == []


async def test_tc_c_43(running: Any) -> None:
    """A token of the group that list and CSMS refuse does not stop it"""
    running.csms.answers.policy.statuses[OTHER] = "Invalid"
    await of_one_group(running, "Invalid")
    await running.csms.until_received("Authorize")
    await running.settle()
    assert running.evses[1].in_transaction


async def test_a_token_of_the_list_for_another_evse_starts_nothing_here(site: Any) -> None:
    await site.start(evse_count=2)
    await site.configure(AuthCtrlr_LocalPreAuthorize="true")
    await send(site, 1, entry(CARD, evseId=[2]))
    for evse_id in (1, 2):
        site.boards[evse_id].plug()
        site.boards[evse_id].swipe()
    assert (await site.event("Started"))["evse"]["id"] == 2
    await site.settle()
    assert not site.evses[1].in_transaction
