"""TC_H and TC_B_24: reservations of an EVSE, of any EVSE, of a connector type."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hal import ports as hal
from ocpp_client.wire import format_time

CARD, OTHER = "04AABBCC", "04DDEEFF"


async def reserve(site: Any, number: int = 1, *, seconds: float = 60.0, token: str = CARD, **more: Any) -> str:
    """By default EVSE 1 where there is one EVSE; `evseId=None` names none."""
    payload = {"evseId": 1} | more
    if payload["evseId"] is None:
        del payload["evseId"]
    expires = format_time(datetime.now(UTC) + timedelta(seconds=seconds))
    id_token = {"idToken": token, "type": "ISO14443"}
    answer = await site.call("ReserveNow", id=number, expiryDateTime=expires, idToken=id_token, **payload)
    status: str = answer["status"]
    return status


async def available(site: Any, evses: int = 1) -> None:
    for evse_id in range(1, evses + 1):
        await site.status("Available", evse_id)


async def reserved(site: Any, **options: Any) -> None:
    await available(site)
    assert await reserve(site, **options) == "Accepted"
    await site.status("Reserved")


async def test_tc_h_01(running: Any) -> None:
    """EVSE reserved until its holder starts: the transaction names the reservation"""
    await reserved(running)
    told = len(running.csms.received("StatusNotification"))
    running.board.swipe()
    await running.status("Available", after=told)
    running.board.plug()
    running.board.draw()
    started = await running.event("Started")
    assert started["reservationId"] == 1
    await running.status("Occupied", after=told)
    assert [event for event in running.events[1:] if "reservationId" in event] == []


async def test_tc_h_02(running: Any) -> None:
    """EVSE reserved: another token starts nothing, remotely or at the reader"""
    await reserved(running)
    answer = await running.call(
        "RequestStartTransaction", remoteStartId=1, evseId=1, idToken={"idToken": OTHER, "type": "ISO14443"}
    )
    assert answer["status"] == "Rejected"
    running.board.plug()
    running.board.swipe(OTHER)
    running.board.draw()
    await running.csms.until_received("Authorize")
    await running.settle()
    assert running.events == []
    assert not running.board.permitted
    running.board.swipe(CARD)
    await running.event("Started", reservationId=1)


async def test_tc_h_03(running: Any) -> None:
    """EVSE reserved already: Occupied"""
    await reserved(running)
    assert await reserve(running, 2, token=OTHER) == "Occupied"


async def test_tc_h_04(running: Any) -> None:
    """EVSE in use: Occupied"""
    await running.charge()
    assert await reserve(running, token=OTHER) == "Occupied"


async def test_tc_h_06(running: Any) -> None:
    """EVSE inoperative: Unavailable"""
    await running.call("ChangeAvailability", operationalStatus="Inoperative", evse={"id": 1})
    await running.status("Unavailable")
    assert await reserve(running) == "Unavailable"


async def test_tc_h_07(running: Any) -> None:
    """EVSE reserved and not used in time: free again, and the CSMS is told"""
    await available(running)
    told = len(running.csms.received("StatusNotification"))
    assert await reserve(running, seconds=0.6) == "Accepted"
    await running.status("Reserved", after=told)
    await running.status("Available", after=told + 1)
    ended = await running.csms.until_received("ReservationStatusUpdate")
    assert ended == {"reservationId": 1, "reservationUpdateStatus": "Expired"}
    running.board.plug()
    running.board.swipe(OTHER)
    assert "reservationId" not in await running.event("Started")


async def test_tc_h_08(running: Any) -> None:
    """Any EVSE reserved: its holder may start"""
    await available(running)
    assert await reserve(running, evseId=None) == "Accepted"
    running.board.plug()
    running.board.swipe()
    assert (await running.event("Started"))["reservationId"] == 1


async def test_tc_h_09(running: Any) -> None:
    """Any EVSE, all reserved: Occupied"""
    await reserved(running)
    assert await reserve(running, 2, evseId=None) == "Occupied"


async def test_tc_h_10(running: Any) -> None:
    """Any EVSE, all in use: Occupied"""
    await running.charge()
    assert await reserve(running, evseId=None) == "Occupied"


async def test_tc_h_12(running: Any) -> None:
    """Any EVSE, all inoperative: Unavailable"""
    await running.call("ChangeAvailability", operationalStatus="Inoperative")
    await running.status("Unavailable")
    assert await reserve(running, evseId=None) == "Unavailable"


async def test_tc_h_13(running: Any) -> None:
    """Any EVSE, and the station is set not to: Rejected"""
    await available(running)
    await running.configure(ReservationCtrlr_NonEvseSpecific="false")
    assert await reserve(running, evseId=None) == "Rejected"


async def test_tc_h_14(site: Any) -> None:
    """As many reservations of any EVSE as there are: all are Reserved"""
    await site.start(evse_count=2)
    await available(site, 2)
    assert await reserve(site, 1, evseId=None) == "Accepted"
    await site.settle()
    assert all(told["connectorStatus"] != "Reserved" for told in site.csms.received("StatusNotification"))
    assert await reserve(site, 2, evseId=None, token=OTHER) == "Accepted"
    await site.status("Reserved", 1)
    await site.status("Reserved", 2)
    assert await reserve(site, 3, evseId=None) == "Occupied"


async def test_tc_h_15(running: Any) -> None:
    """A connector type reserved"""
    await available(running)
    assert await reserve(running, evseId=None, connectorType="cType2") == "Accepted"
    await running.status("Reserved")
    assert await reserve(running, 2, evseId=None, connectorType="cG105") == "Rejected"


async def test_tc_h_16(site: Any) -> None:
    """As many reservations of a connector type as there are: all are Reserved"""
    await site.start(evse_count=2)
    await available(site, 2)
    for number in (1, 2):
        assert await reserve(site, number, evseId=None, connectorType="cType2") == "Accepted"
    await site.status("Reserved", 1)
    await site.status("Reserved", 2)
    assert await reserve(site, 3, evseId=None, connectorType="cType2") == "Occupied"


async def test_tc_h_17(running: Any) -> None:
    """A reservation cancelled"""
    await reserved(running)
    told = len(running.csms.received("StatusNotification"))
    assert (await running.call("CancelReservation", reservationId=1))["status"] == "Accepted"
    await running.status("Available", after=told)
    running.board.plug()
    running.board.swipe(OTHER)
    await running.event("Started")


async def test_tc_h_18(running: Any) -> None:
    """An unknown reservation cancelled: Rejected"""
    await reserved(running)
    assert (await running.call("CancelReservation", reservationId=5))["status"] == "Rejected"


async def test_tc_h_19(running: Any) -> None:
    """A token of the reservation's group may start"""
    running.csms.answers.policy.group_of[OTHER] = "fleet"
    await reserved(running, groupIdToken={"idToken": "fleet", "type": "Central"})
    running.board.plug()
    running.board.swipe(OTHER)
    started = await running.event("Started")
    assert (started["reservationId"], started["idToken"]["idToken"]) == (1, OTHER)


async def test_tc_h_20(running: Any) -> None:
    """The reserved EVSE becomes faulted: the reservation is gone, and the CSMS is told"""
    await reserved(running)
    running.board.fault(hal.Fault.GROUND_FAILURE, hal.Severity.STOP)
    ended = await running.csms.until_received("ReservationStatusUpdate")
    assert ended == {"reservationId": 1, "reservationUpdateStatus": "Removed"}
    await running.status("Faulted")


async def test_tc_h_21(running: Any) -> None:
    """The reserved EVSE becomes inoperative: the reservation is gone, and the CSMS is told"""
    await reserved(running)
    await running.call("ChangeAvailability", operationalStatus="Inoperative", evse={"id": 1})
    ended = await running.csms.until_received("ReservationStatusUpdate")
    assert ended == {"reservationId": 1, "reservationUpdateStatus": "Removed"}
    await running.status("Unavailable")


async def test_tc_h_22(running: Any) -> None:
    """Reservations disabled: Rejected"""
    await available(running)
    await running.configure(ReservationCtrlr_Enabled="false")
    assert await reserve(running) == "Rejected"


async def test_tc_h_23(running: Any) -> None:
    """A reservation of the same id takes the place of the first"""
    await reserved(running)
    assert await reserve(running, token=OTHER) == "Accepted"
    running.board.plug()
    running.board.swipe(CARD)
    await running.csms.until_received("Authorize")
    await running.settle()
    assert running.events == []
    running.board.swipe(OTHER)
    await running.event("Started", reservationId=1)


async def test_tc_h_24(running: Any) -> None:
    """Any EVSE reserved: a token of the group may start"""
    running.csms.answers.policy.group_of[OTHER] = "fleet"
    await available(running)
    assert await reserve(running, evseId=None, groupIdToken={"idToken": "fleet", "type": "Central"}) == "Accepted"
    running.board.plug()
    running.board.swipe(OTHER)
    await running.event("Started", reservationId=1)


async def test_tc_b_24(running: Any) -> None:
    """A reserved EVSE is so after a reset"""
    await reserved(running)
    told = len(running.csms.received("StatusNotification"))
    boots = len(running.csms.received("BootNotification"))
    await running.call("Reset", type="OnIdle")
    await running.csms.until_received("BootNotification", boots + 1)
    await running.status("Reserved", after=told)
    running.board.plug()
    running.board.swipe(OTHER)
    await running.csms.until_received("Authorize")
    await running.settle()
    assert running.events == []
    running.board.swipe(CARD)
    await running.event("Started", reservationId=1)


async def test_a_remote_start_without_an_evse_finds_one_that_is_not_reserved(site: Any) -> None:
    await site.start(evse_count=2)
    await available(site, 2)
    assert await reserve(site) == "Accepted"
    await site.status("Reserved")
    for token, evse_id in ((OTHER, 2), (CARD, 1)):
        id_token = {"idToken": token, "type": "ISO14443"}
        answer = await site.call("RequestStartTransaction", remoteStartId=evse_id, idToken=id_token)
        assert answer["status"] == "Accepted"
        site.boards[evse_id].plug()
        started = await site.event("Started", remoteStartId=evse_id)
        assert started["evse"]["id"] == evse_id


async def test_who_charges_already_is_not_disturbed(site: Any) -> None:
    await site.start(evse_count=2)
    await available(site, 2)
    await site.charge(OTHER)
    assert await reserve(site, evseId=None) == "Accepted"
    await site.status("Reserved", 2)
    assert site.board.permitted
    site.board.unplug()
    told = len(site.csms.received("StatusNotification"))
    await site.event("Ended")
    await site.status("Available", 2, after=told - 2)


async def test_a_holder_who_leaves_without_charging_takes_the_reservation_along(running: Any) -> None:
    await running.configure(TxCtrlr_EVConnectionTimeOut="0")
    await reserved(running)
    told = len(running.csms.received("StatusNotification"))
    running.board.swipe()
    await running.status("Available", after=told)
    await running.until(lambda: not running.evses[1].state.authorized)
    running.board.plug()
    running.board.swipe(OTHER)
    assert "reservationId" not in await running.event("Started")
