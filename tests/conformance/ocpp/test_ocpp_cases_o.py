"""TC_O: the CSMS's messages on the station's display."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hal import ports as hal
from ocpp_client.wire import format_time
from sim.csms.server import CallRefused

Payload = dict[str, Any]


def message(number: int = 1, text: str = "Hello", priority: str = "NormalCycle", **more: Any) -> Payload:
    return {"id": number, "priority": priority, "message": {"format": "UTF8", "content": text, "language": "en"}} | more


def after(seconds: float) -> str:
    return format_time(datetime.now(UTC) + timedelta(seconds=seconds))


async def put(site: Any, number: int = 1, text: str = "Hello", priority: str = "NormalCycle", **more: Any) -> str:
    answer = await site.call("SetDisplayMessage", message=message(number, text, priority, **more))
    status: str = answer["status"]
    return status


async def get(site: Any, request_id: int = 7, **criteria: Any) -> list[Payload] | None:
    """None for Unknown."""
    told = len(site.csms.received("NotifyDisplayMessages"))
    answer = await site.call("GetDisplayMessages", requestId=request_id, **criteria)
    if answer["status"] != "Accepted":
        assert answer["status"] == "Unknown"
        return None
    notice = await site.csms.until_received("NotifyDisplayMessages", told + 1)
    assert (notice["requestId"], notice["tbc"]) == (request_id, False)
    info: list[Payload] = notice["messageInfo"]
    return info


async def clear(site: Any, number: int) -> str:
    status: str = (await site.call("ClearDisplayMessage", id=number))["status"]
    return status


async def test_tc_o_01(running: Any) -> None:
    """A message is shown and told back"""
    assert await put(running) == "Accepted"
    await running.until(lambda: running.told() == ["Hello"])
    assert await get(running) == [message()]
    assert (await running.get("DisplayMessageCtrlr", "DisplayMessages"))["attributeValue"] == "1"


async def test_tc_o_02(running: Any) -> None:
    """All messages told, over several notices"""
    for number in range(1, 13):
        await put(running, number, f"Text {number}")
    assert (await running.call("GetDisplayMessages", requestId=3))["status"] == "Accepted"
    await running.csms.until_received("NotifyDisplayMessages", 2)
    notices = running.csms.received("NotifyDisplayMessages")
    assert [notice["tbc"] for notice in notices] == [True, False]
    assert [info["id"] for notice in notices for info in notice["messageInfo"]] == list(range(1, 13))


async def test_tc_o_03(running: Any) -> None:
    """All messages, and there are none: Unknown"""
    assert await get(running) is None


async def test_tc_o_04(running: Any) -> None:
    """A message cleared is no longer shown"""
    await put(running)
    assert await clear(running, 1) == "Accepted"
    await running.until(lambda: running.told() == [])
    assert await get(running) is None


async def test_tc_o_05(running: Any) -> None:
    """An unknown message cleared: Unknown"""
    await put(running)
    assert await clear(running, 2) == "Unknown"
    assert running.told() == ["Hello"]


async def test_tc_o_06(running: Any) -> None:
    """A message for a transaction goes with it"""
    transaction_id = await running.charge()
    assert await put(running, transactionId=transaction_id) == "Accepted"
    await running.until(lambda: running.told() == ["Hello"])
    running.board.unplug()
    await running.event("Ended")
    await running.until(lambda: running.told() == [])
    assert await get(running) is None


async def three(site: Any) -> None:
    await put(site, 1, "One", state="Idle")
    await put(site, 2, "Two", "InFront", state="Charging")
    await put(site, 3, "Three", "InFront")


async def test_tc_o_07(running: Any) -> None:
    """Messages by their ids"""
    await three(running)
    assert [info["id"] for info in await get(running, id=[3, 1]) or ()] == [1, 3]


async def test_tc_o_08(running: Any) -> None:
    """Messages by their priority"""
    await three(running)
    assert [info["id"] for info in await get(running, priority="InFront") or ()] == [2, 3]


async def test_tc_o_09(running: Any) -> None:
    """Messages by their state"""
    await three(running)
    assert [info["id"] for info in await get(running, state="Charging") or ()] == [2]


async def test_tc_o_10(running: Any) -> None:
    """A message for a transaction that is not running: UnknownTransaction"""
    assert await put(running, transactionId="no-such-transaction") == "UnknownTransaction"
    assert await get(running) is None


async def test_tc_o_11(running: Any) -> None:
    """Messages by an id that is not there: Unknown"""
    await put(running)
    assert await get(running, id=[9]) is None


async def test_tc_o_12(running: Any) -> None:
    """A message of the same id takes the place of the first"""
    await put(running)
    assert await put(running, text="Good evening", priority="InFront") == "Accepted"
    await running.until(lambda: running.told() == ["Good evening"])
    assert await get(running) == [message(text="Good evening", priority="InFront")]


async def test_tc_o_13(running: Any) -> None:
    """A message is shown from its start on"""
    assert await put(running, startDateTime=after(0.3)) == "Accepted"
    assert running.told() == []
    assert len(await get(running) or ()) == 1
    await running.until(lambda: running.told() == ["Hello"])


async def test_tc_o_14(running: Any) -> None:
    """A message is gone after its end"""
    assert await put(running, endDateTime=after(0.4)) == "Accepted"
    await running.until(lambda: running.told() == ["Hello"])
    await running.until(lambda: running.told() == [])
    assert await get(running) is None


@pytest.mark.parametrize("form", ["HTML", "URI"])
async def test_tc_o_19(running: Any, form: str) -> None:
    """A format the display does not know: NotSupportedMessageFormat"""
    told = {"format": form, "content": "<b>Hello</b>"}
    assert await put(running, message=told) == "NotSupportedMessageFormat"
    assert form not in (await running.get("DisplayMessageCtrlr", "SupportedFormats"))["attributeValue"]


async def test_tc_o_20(running: Any) -> None:
    """Messages outlive a reset, but for those of a transaction"""
    transaction_id = await running.charge()
    await put(running, 1)
    await put(running, 2, "Yours", transactionId=transaction_id)
    boots = len(running.csms.received("BootNotification"))
    await running.call("Reset", type="Immediate")
    await running.csms.until_received("BootNotification", boots + 1)
    await running.until(lambda: running.station.online)
    assert await get(running) == [message()]
    await running.until(lambda: running.told() == ["Hello"])


async def test_tc_o_22(running: Any) -> None:
    """Several InFront messages are shown in turns, before those of the normal cycle"""
    await put(running, 1)
    await put(running, 2, "First", "InFront")
    assert await put(running, 3, "Second", "InFront") == "Accepted"
    await running.until(lambda: running.told() == ["First", "Second"])
    await clear(running, 2)
    await clear(running, 3)
    await running.until(lambda: running.told() == ["Hello"])


async def test_tc_o_24(running: Any) -> None:
    """A second AlwaysFront message takes the place of the first"""
    await put(running, 1, "First", "AlwaysFront")
    await put(running, 2, "Beside", "InFront")
    assert running.told() == ["First"]
    assert await put(running, 3, "Second", "AlwaysFront") == "Accepted"
    await running.until(lambda: running.told() == ["Second"])
    assert [info["id"] for info in await get(running, priority="AlwaysFront") or ()] == [3]


async def test_tc_o_26(running: Any) -> None:
    """A message that can never be shown, or for another display: Rejected"""
    assert await put(running, endDateTime=after(-1)) == "Rejected"
    assert await put(running, startDateTime=after(9), endDateTime=after(8)) == "Rejected"
    assert await put(running, display={"name": "NoSuchDisplay"}) == "Rejected"
    assert await get(running) is None


async def test_tc_o_27(running: Any) -> None:
    """A message for a transaction is shown from its start on"""
    transaction_id = await running.charge()
    assert await put(running, transactionId=transaction_id, startDateTime=after(0.3)) == "Accepted"
    assert running.told() == []
    await running.until(lambda: running.told() == ["Hello"])


async def test_tc_o_28(running: Any) -> None:
    """A message for a transaction is gone after its end"""
    transaction_id = await running.charge()
    assert await put(running, transactionId=transaction_id, endDateTime=after(0.4)) == "Accepted"
    await running.until(lambda: running.told() == ["Hello"])
    await running.until(lambda: running.told() == [])
    assert running.evses[1].in_transaction


async def test_tc_o_30(running: Any) -> None:
    """Several InFront messages for a transaction"""
    transaction_id = await running.charge()
    for number, text in ((1, "First"), (2, "Second")):
        assert await put(running, number, text, "InFront", transactionId=transaction_id) == "Accepted"
    await running.until(lambda: running.told() == ["First", "Second"])


async def test_tc_o_32(running: Any) -> None:
    """A second AlwaysFront message for a transaction takes the place of the first"""
    transaction_id = await running.charge()
    for number, text in ((1, "First"), (2, "Second")):
        assert await put(running, number, text, "AlwaysFront", transactionId=transaction_id) == "Accepted"
    await running.until(lambda: running.told() == ["Second"])
    assert [info["id"] for info in await get(running) or ()] == [2]


async def test_tc_o_33(running: Any) -> None:
    """A message by its id, and there are none: Unknown"""
    assert await get(running, id=[1]) is None


async def test_tc_o_34(running: Any) -> None:
    """A known id with another state: Unknown"""
    await three(running)
    assert await get(running, id=[1], state="Charging") is None


async def test_tc_o_35(running: Any) -> None:
    """A known id with another priority: Unknown"""
    await three(running)
    assert await get(running, id=[1], priority="InFront") is None


async def test_tc_o_36(running: Any) -> None:
    """A message for the state Charging is shown while it charges"""
    await put(running, state="Charging")
    assert running.told() == []
    await running.charge()
    await running.until(lambda: running.told() == ["Hello"])
    running.board.unplug()
    await running.until(lambda: running.told() == [])


async def test_tc_o_37(running: Any) -> None:
    """A message for the state Idle is shown while nothing charges"""
    await put(running, state="Idle")
    await running.until(lambda: running.told() == ["Hello"])
    await running.charge()
    await running.until(lambda: running.told() == [])


async def test_tc_o_38(running: Any) -> None:
    """A message for the state Unavailable is shown while the station is inoperative"""
    await put(running, state="Unavailable")
    assert running.told() == []
    await running.call("ChangeAvailability", operationalStatus="Inoperative")
    await running.until(lambda: running.told() == ["Hello"])
    await running.call("ChangeAvailability", operationalStatus="Operative")
    await running.until(lambda: running.told() == [])


async def test_a_message_for_the_state_faulted(running: Any) -> None:
    await put(running, state="Faulted")
    running.board.fault(hal.Fault.GROUND_FAILURE, hal.Severity.STOP)
    await running.until(lambda: running.told() == ["Hello"])


async def test_a_station_without_a_display_says_so(site: Any) -> None:
    await site.start(has_display=False)
    with pytest.raises(CallRefused, match="NotSupported"):
        await put(site)
    assert (await site.get("DisplayMessageCtrlr", "Available"))["attributeValue"] == "false"


async def test_there_is_room_for_so_many(running: Any) -> None:
    for number in range(1, 51):
        assert await put(running, number) == "Accepted"
    assert await put(running, 51) == "Rejected"
    assert await put(running, 50, "Another") == "Accepted"
