"""OCTT cases of block K: charging profiles and composite schedules."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

Payload = dict[str, Any]
Site = Any


def stamp(**delta: float) -> str:
    """So far from now."""
    at = datetime.now(UTC) + timedelta(**delta)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def profile(number: int = 1, *limits: float, purpose: str = "TxDefaultProfile", **more: Any) -> Payload:
    """A period of 100 s for each limit (10 A if none is given). `schedule` and all else replaces fields."""
    periods = [{"startPeriod": 100 * index, "limit": limit} for index, limit in enumerate(limits or (10.0,))]
    schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": periods}
    kind = more.get("chargingProfileKind", "Absolute")
    if kind != "Relative":
        schedule["startSchedule"] = stamp(seconds=-10)
    return {
        "id": number,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": [schedule | more.pop("schedule", {})],
        **more,
    }


async def put(site: Site, evse_id: int, wanted: Payload) -> Payload:
    answer: Payload = await site.call("SetChargingProfile", evseId=evse_id, chargingProfile=wanted)
    return answer


async def accept(site: Site, evse_id: int, *wanted: Payload) -> None:
    for one in wanted:
        answer = await put(site, evse_id, one)
        assert answer["status"] == "Accepted", answer


async def refuse(site: Site, evse_id: int, wanted: Payload, reason: str) -> None:
    answer = await put(site, evse_id, wanted)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", reason)


async def report(site: Site, criterion: Payload | None = None, **more: Any) -> list[int]:
    """The ids that GetChargingProfiles brings."""
    request_id = len(site.csms.received("ReportChargingProfiles")) + 7
    answer = await site.call("GetChargingProfiles", requestId=request_id, chargingProfile=criterion or {}, **more)
    if answer["status"] == "NoProfiles":
        return []

    def told() -> list[Payload]:
        return [one for one in site.csms.received("ReportChargingProfiles") if one["requestId"] == request_id]

    await site.until(lambda: told() and not told()[-1].get("tbc", False))
    return sorted(item["id"] for one in told() for item in one["chargingProfile"])


async def composite(site: Site, evse_id: int = 1, duration: int = 300, unit: str = "A") -> list[tuple[int, float]]:
    answer = await site.call("GetCompositeSchedule", evseId=evse_id, duration=duration, chargingRateUnit=unit)
    assert answer["status"] == "Accepted"
    assert answer["schedule"]["duration"] == duration
    return [(period["startPeriod"], period["limit"]) for period in answer["schedule"]["chargingSchedulePeriod"]]


def near(found: list[tuple[int, float]], *wanted: tuple[int, float]) -> bool:
    """Equal but for the second or two that pass between a profile's start and the question."""
    return [limit for _, limit in found] == [limit for _, limit in wanted] and all(
        abs(start - meant) <= 2 for (start, _), (meant, _) in zip(found, wanted, strict=True)
    )


async def clear(site: Site, **what: Any) -> str:
    answer = await site.call("ClearChargingProfile", **what)
    status: str = answer["status"]
    return status


async def limited(site: Site, limit_a: float, evse_id: int = 1) -> None:
    await site.until(lambda: site.boards[evse_id].limit_a == limit_a)


def of_tx(number: int, transaction_id: str, *limits: float, **more: Any) -> Payload:
    return profile(number, *limits, purpose="TxProfile", transactionId=transaction_id, **more)


# --- SetChargingProfile ---


async def test_tc_k_01(running: Site) -> None:
    """TxDefaultProfile on an EVSE: it holds for the next transaction, and is in the composite schedule."""
    await accept(running, 1, profile(1, 6.0, 8.0, 10.0))
    assert near(await composite(running), (0, 6.0), (90, 8.0), (190, 10.0))
    await running.charge()
    await limited(running, 6.0)


async def test_tc_k_02(running: Site) -> None:
    """A TxProfile without a transaction is refused."""
    await refuse(running, 1, of_tx(1, "no-such-transaction"), "TxNotFound")
    await refuse(running, 1, profile(1, purpose="TxProfile"), "MissingParam")
    assert await report(running) == []


async def test_tc_k_03(running: Site) -> None:
    """ChargingStationMaxProfile: it bounds the station, and each EVSE with it."""
    await accept(running, 0, profile(1, 12.0, purpose="ChargingStationMaxProfile"))
    assert await composite(running, 0) == [(0, 12.0)]
    await refuse(running, 1, profile(2, purpose="ChargingStationMaxProfile"), "InvalidEvseId")
    await running.charge()
    await limited(running, 12.0)


async def test_tc_k_04(running: Site) -> None:
    """A profile with the id of another takes its place."""
    await accept(running, 1, profile(1, 6.0), profile(1, 8.0, stackLevel=3))
    assert await composite(running) == [(0, 8.0)]
    assert await report(running) == [1]


async def test_tc_k_05(running: Site) -> None:
    """ClearChargingProfile by id."""
    await accept(running, 1, profile(1), profile(2, stackLevel=1))
    assert await clear(running, chargingProfileId=2) == "Accepted"
    assert await report(running) == [1]


async def test_tc_k_06(running: Site) -> None:
    """ClearChargingProfile by stack level and purpose."""
    await accept(running, 1, profile(1), profile(2, stackLevel=1))
    criteria = {"stackLevel": 1, "chargingProfilePurpose": "TxDefaultProfile"}
    assert await clear(running, chargingProfileCriteria=criteria) == "Accepted"
    assert await report(running) == [1]


async def test_tc_k_07(running: Site) -> None:
    """ClearChargingProfile by a stack level and purpose that nobody has: Unknown, nothing cleared."""
    await accept(running, 1, profile(1))
    criteria = {"stackLevel": 4, "chargingProfilePurpose": "ChargingStationMaxProfile"}
    assert await clear(running, chargingProfileCriteria=criteria) == "Unknown"
    assert await report(running) == [1]


async def test_tc_k_08(running: Site) -> None:
    """ClearChargingProfile without any profile: Unknown."""
    assert await clear(running, chargingProfileId=1) == "Unknown"


async def test_tc_k_09(running: Site) -> None:
    """A TxDefaultProfile cleared in mid-transaction: the vehicle may draw more at once, and the CSMS is told."""
    await accept(running, 1, profile(1, 6.0))
    transaction_id = await running.charge()
    await limited(running, 6.0)
    assert await clear(running, chargingProfileId=1) == "Accepted"
    await limited(running, 32.0)
    await running.event("Updated", triggerReason="ChargingRateChanged", transactionId=transaction_id)


async def test_tc_k_10(site: Site) -> None:
    """TxDefaultProfile on EVSE 0: it holds on every EVSE."""
    await site.start(evse_count=2)
    await accept(site, 0, profile(1, 7.0))
    assert [await composite(site, evse_id) for evse_id in (1, 2)] == [[(0, 7.0)]] * 2
    await site.charge(evse_id=2)
    await limited(site, 7.0, evse_id=2)


async def test_tc_k_11(running: Site) -> None:
    """A TxProfile for all EVSEs at once is refused."""
    transaction_id = await running.charge()
    await refuse(running, 0, of_tx(1, transaction_id), "InvalidEvseId")


async def test_tc_k_13(running: Site) -> None:
    """A TxDefaultProfile outlives a reboot."""
    await accept(running, 1, profile(1, 9.0))
    await running.restart()
    await running.until(lambda: running.station.online)
    assert await report(running) == [1]
    assert await composite(running) == [(0, 9.0)]


async def test_tc_k_14(running: Site) -> None:
    """An EVSE that is not there."""
    await refuse(running, 9, profile(1), "UnknownEvse")


async def test_tc_k_16(running: Site) -> None:
    """A TxProfile of another transaction is refused."""
    await running.charge()
    await refuse(running, 1, of_tx(1, "another"), "TxNotFound")


@pytest.mark.parametrize("recurrency", ["Daily", "Weekly"])
async def test_tc_k_19(running: Site, recurrency: str) -> None:
    """A recurring profile that began before: what it says of this time of the day or week."""
    days = 3 if recurrency == "Daily" else 14
    schedule = {"startSchedule": stamp(days=-days, seconds=-10), "duration": 200}
    more = {"chargingProfileKind": "Recurring", "recurrencyKind": recurrency}
    await accept(running, 1, profile(1, 6.0, 8.0, schedule=schedule, **more))
    assert near(await composite(running), (0, 6.0), (90, 8.0), (190, 32.0))


async def test_tc_k_21(running: Site) -> None:
    """validFrom in the future: nothing until then."""
    await accept(running, 1, profile(1, 6.0, validFrom=stamp(seconds=60)))
    assert near(await composite(running), (0, 32.0), (60, 6.0))


async def test_tc_k_22(running: Site) -> None:
    """validTo: nothing from then on."""
    await accept(running, 1, profile(1, 6.0, validTo=stamp(seconds=60)))
    assert near(await composite(running), (0, 6.0), (60, 32.0))


async def test_tc_k_23(running: Site) -> None:
    """startSchedule in the future: nothing until then."""
    await accept(running, 1, profile(1, 6.0, schedule={"startSchedule": stamp(seconds=60), "duration": 100}))
    assert near(await composite(running), (0, 32.0), (60, 6.0), (160, 32.0))


async def test_tc_k_24(site: Site) -> None:
    """ClearChargingProfile by stack level and purpose clears every profile that has them."""
    await site.start(evse_count=2)
    await accept(site, 1, profile(1, stackLevel=2))
    await accept(site, 2, profile(2, stackLevel=2), profile(3, stackLevel=1))
    criteria = {"stackLevel": 2, "chargingProfilePurpose": "TxDefaultProfile"}
    assert await clear(site, chargingProfileCriteria=criteria) == "Accepted"
    assert await report(site) == [3]


async def test_tc_k_28(running: Site) -> None:
    """A TxDefaultProfile set in mid-transaction holds at once."""
    transaction_id = await running.charge()
    await limited(running, 32.0)
    await accept(running, 1, profile(1, 8.0))
    await limited(running, 8.0)
    await running.event("Updated", triggerReason="ChargingRateChanged", transactionId=transaction_id)


async def test_tc_k_60(running: Site) -> None:
    """A TxProfile in mid-transaction: it outweighs the default, and ends with the transaction."""
    await accept(running, 1, profile(1, 8.0))
    transaction_id = await running.charge()
    await accept(running, 1, of_tx(2, transaction_id, 16.0, chargingProfileKind="Relative"))
    await limited(running, 16.0)
    running.board.swipe()
    await running.event("Ended", transactionId=transaction_id)
    assert await report(running) == [1]
    assert await composite(running) == [(0, 8.0)]


async def test_tc_k_70(running: Site) -> None:
    """Many profiles at once, and one too many."""
    transaction_id = await running.charge()
    await accept(running, 0, profile(1, 20.0, purpose="ChargingStationMaxProfile"))
    await accept(
        running, 1, profile(2, 16.0), of_tx(3, transaction_id, 14.0), of_tx(4, transaction_id, 7.0, stackLevel=2)
    )
    await limited(running, 7.0)
    assert await report(running) == [1, 2, 3, 4]
    await refuse(running, 1, of_tx(5, transaction_id, 6.0, stackLevel=2), "DuplicateProfile")


# --- GetChargingProfiles ---


async def several(site: Site) -> str:
    """Profiles of three purposes on two EVSEs and the station."""
    await site.start(evse_count=2)
    transaction_id: str = await site.charge()
    await accept(site, 0, profile(1, purpose="ChargingStationMaxProfile"))
    await accept(site, 1, profile(2, stackLevel=1), of_tx(3, transaction_id, stackLevel=1))
    await accept(site, 2, profile(4))
    return transaction_id


async def test_tc_k_29(site: Site) -> None:
    """GetChargingProfiles of EVSE 0: what is set for the station."""
    await several(site)
    assert await report(site, evseId=0) == [1]


async def test_tc_k_30(site: Site) -> None:
    """GetChargingProfiles of an EVSE; of one without any: NoProfiles."""
    await several(site)
    assert await report(site, evseId=1) == [2, 3]
    await clear(site, chargingProfileId=4)
    assert await report(site, evseId=2) == []


async def test_tc_k_31(site: Site) -> None:
    """GetChargingProfiles of no EVSE in particular: all."""
    await several(site)
    assert await report(site) == [1, 2, 3, 4]


async def test_tc_k_32(site: Site) -> None:
    """GetChargingProfiles by ids."""
    await several(site)
    assert await report(site, {"chargingProfileId": [3, 4, 9]}) == [3, 4]


async def test_tc_k_33(site: Site) -> None:
    """GetChargingProfiles by EVSE and stack level."""
    await several(site)
    assert await report(site, {"stackLevel": 1}, evseId=1) == [2, 3]


async def test_tc_k_34(site: Site) -> None:
    """GetChargingProfiles by EVSE and by who set them."""
    await several(site)
    assert await report(site, {"chargingLimitSource": ["CSO"]}, evseId=1) == [2, 3]
    assert await report(site, {"chargingLimitSource": ["SO"]}, evseId=1) == []


async def test_tc_k_35(site: Site) -> None:
    """GetChargingProfiles by EVSE and purpose."""
    await several(site)
    assert await report(site, {"chargingProfilePurpose": "TxDefaultProfile"}, evseId=1) == [2]


async def test_tc_k_36(site: Site) -> None:
    """GetChargingProfiles by EVSE, purpose and stack level."""
    await several(site)
    criterion = {"chargingProfilePurpose": "TxProfile", "stackLevel": 1}
    assert await report(site, criterion, evseId=1) == [3]
    assert await report(site, criterion | {"stackLevel": 2}, evseId=1) == []


# --- A remote start with a profile ---


async def test_tc_k_37(running: Site) -> None:
    """Remote start with a TxProfile: it is the transaction's."""
    start = {
        "idToken": {"idToken": "04AABBCC", "type": "ISO14443"},
        "remoteStartId": 5,
        "evseId": 1,
        "chargingProfile": profile(1, 6.0, purpose="TxProfile", chargingProfileKind="Relative"),
    }
    running.board.plug()
    assert (await running.call("RequestStartTransaction", **start))["status"] == "Accepted"
    transaction_id = (await running.event("Started"))["transactionInfo"]["transactionId"]
    running.board.draw()
    await limited(running, 6.0)
    assert await report(running) == [1]
    answer = running.csms.received("ReportChargingProfiles")[-1]["chargingProfile"][0]
    assert answer["transactionId"] == transaction_id


# --- GetCompositeSchedule ---


async def test_tc_k_39(running: Site) -> None:
    """Without any profile: the EVSE's rating, from now on."""
    assert await composite(running) == [(0, 32.0)]
    answer = await running.call("GetCompositeSchedule", evseId=1, duration=300)
    start = datetime.fromisoformat(answer["schedule"]["scheduleStart"])
    assert abs((start - datetime.now(UTC)).total_seconds()) < 3


async def test_tc_k_40(running: Site) -> None:
    """Profiles of one purpose, stacked: the highest level that says something."""
    await accept(running, 1, profile(1, 8.0, 10.0, 12.0))
    high = {"startSchedule": stamp(seconds=40), "duration": 100}
    await accept(running, 1, profile(2, 6.0, stackLevel=1, schedule=high))
    assert near(await composite(running, duration=350), (0, 8.0), (40, 6.0), (140, 10.0), (190, 12.0))


async def test_tc_k_41(running: Site) -> None:
    """Purposes together: TxProfile before TxDefaultProfile, both under ChargingStationMaxProfile."""
    transaction_id = await running.charge()
    await accept(running, 0, profile(1, 10.0, purpose="ChargingStationMaxProfile", schedule={"duration": 300}))
    await accept(running, 1, profile(2, 6.0, 8.0, 12.0))
    only = {"startSchedule": stamp(seconds=-10), "duration": 60}
    await accept(running, 1, of_tx(3, transaction_id, 9.0, schedule=only))
    found = await composite(running, duration=400)
    assert near(found, (0, 9.0), (50, 6.0), (90, 8.0), (190, 10.0), (290, 12.0))


async def test_tc_k_43(running: Site) -> None:
    """A composite schedule of an EVSE, in A and in W."""
    await accept(running, 1, profile(1, 10.0))
    assert await composite(running) == [(0, 10.0)]
    assert await composite(running, unit="W") == [(0, 6900.0)]


async def test_tc_k_44(site: Site) -> None:
    """A composite schedule of the station: what its EVSEs may draw in all, under its own limit."""
    await site.start(evse_count=2)
    await accept(site, 0, profile(1, 10.0))
    assert await composite(site, 0) == [(0, 20.0)]
    await accept(site, 0, profile(2, 15.0, purpose="ChargingStationMaxProfile"))
    assert await composite(site, 0) == [(0, 15.0)]


async def test_tc_k_47(running: Site) -> None:
    """A composite schedule of an EVSE that is not there: refused."""
    answer = await running.call("GetCompositeSchedule", evseId=9, duration=300)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "UnknownEvse")


# --- Limits of others ---


async def notice(site: Site, action: str, count: int = 1) -> Payload:
    await site.until(lambda: len(site.csms.received(action)) == count)
    told: Payload = site.csms.received(action)[-1]
    return told


async def test_tc_k_48(running: Site) -> None:
    """An energy manager limits the station without a transaction: the CSMS is told, and told again of a new limit."""
    running.station.limits.set("EMS", 10.0, False)
    told = await notice(running, "NotifyChargingLimit")
    assert told == {"chargingLimit": {"chargingLimitSource": "EMS", "isGridCritical": False}}
    assert await composite(running) == [(0, 10.0)]
    await running.configure(SmartChargingCtrlr_NotifyChargingLimitWithSchedules="true")
    running.station.limits.set("EMS", 8.05, False)
    told = await notice(running, "NotifyChargingLimit", 2)
    assert told["chargingSchedule"][0]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 8.0}]


async def test_tc_k_50(running: Site) -> None:
    """The energy manager lifts its limit without a transaction: the CSMS is told."""
    running.station.limits.set("EMS", 10.0, False)
    await notice(running, "NotifyChargingLimit")
    running.station.limits.set("EMS", None, False)
    assert await notice(running, "ClearedChargingLimit") == {"chargingLimitSource": "EMS"}
    assert await composite(running) == [(0, 32.0)]


async def test_tc_k_51(running: Site) -> None:
    """Limit set and lifted in mid-transaction: the vehicle follows, the transaction tells it, and so do the notices."""
    transaction_id = await running.charge()
    running.station.limits.set("SO", 6.1, True)
    told = await notice(running, "NotifyChargingLimit")
    assert told["chargingLimit"] == {"chargingLimitSource": "SO", "isGridCritical": True}
    await limited(running, 6.1)
    changed = {"triggerReason": "ChargingRateChanged", "transactionId": transaction_id}
    await running.event("Updated", **changed)
    before = len(running.events)
    running.station.limits.set("SO", None, True)
    await notice(running, "ClearedChargingLimit")
    await limited(running, 32.0)
    await running.until(lambda: any(e["triggerReason"] == "ChargingRateChanged" for e in running.events[before:]))


async def test_tc_k_52(running: Site) -> None:
    """GetChargingProfiles by the energy manager as the source: its limit as an external constraint."""
    await accept(running, 1, profile(1))
    running.station.limits.set("EMS", 10.0, False)
    assert await report(running, {"chargingLimitSource": ["EMS"]}) == [-1]
    told = running.csms.received("ReportChargingProfiles")[-1]
    assert (told["chargingLimitSource"], told["evseId"]) == ("EMS", 0)
    assert told["chargingProfile"][0]["chargingProfilePurpose"] == "ChargingStationExternalConstraints"
    assert await report(running) == [-1, 1]


async def test_a_limit_that_came_while_offline_is_told_later_and_small_changes_are_not(running: Site) -> None:
    await running.configure(SmartChargingCtrlr_LimitChangeSignificance="20")
    await running.go_offline()
    running.station.limits.set("EMS", 12.0, False)
    running.station.limits.set("EMS", 10.0, False)
    await running.come_back()
    await notice(running, "NotifyChargingLimit")
    running.station.limits.set("EMS", 11.0, False)
    await running.settle()
    assert len(running.csms.received("NotifyChargingLimit")) == 1
    assert await composite(running) == [(0, 11.0)], "it holds all the same"
    running.station.limits.set("EMS", 13.0, False)
    await notice(running, "NotifyChargingLimit", 2)
    await running.go_offline()
    running.station.limits.set("EMS", None, False)
    await running.come_back()
    await notice(running, "ClearedChargingLimit")


async def test_a_profile_holds_on_while_offline_and_its_periods_come(running: Site) -> None:
    await accept(running, 1, profile(1, 8.0, schedule={"startSchedule": stamp(seconds=-99), "duration": 100}))
    await running.charge()
    await limited(running, 8.0)
    await running.go_offline()
    await running.settle(0.1)
    assert running.board.limit_a == 8.0
    await asyncio.sleep(0.9)
    await limited(running, 32.0)
    await running.come_back()
