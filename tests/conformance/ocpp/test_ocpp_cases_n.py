"""TC_N of Advanced Device Management and TC_B of custom reports: monitors of variables, and their events."""

from typing import Any

import pytest

from hal import ports as hal

Payload = dict[str, Any]
EVSE: Payload = {"name": "EVSE", "evse": {"id": 1}}
POWER = {"name": "Power"}
LEVEL = {"component": {"name": "AuthCacheCtrlr"}, "variable": {"name": "LifeTime"}}
"""A number that a case can move by SetVariables: LifeTime, 0 to a year."""


def monitor(kind: str, value: float, severity: int = 8, **more: Any) -> Payload:
    return {"type": kind, "value": value, "severity": severity, **LEVEL} | more


async def put(site: Any, *items: Payload) -> list[Payload]:
    answer = await site.call("SetVariableMonitoring", setMonitoringData=list(items))
    results: list[Payload] = answer["setMonitoringResult"]
    assert len(results) == len(items)
    return results


async def put_one(site: Any, kind: str, value: float, severity: int = 8, **more: Any) -> int:
    (result,) = await put(site, monitor(kind, value, severity, **more))
    assert result["status"] == "Accepted", result
    number: int = result["id"]
    return number


async def report(site: Any, **criteria: Any) -> list[Payload] | None:
    """The monitors told; None for EmptyResultSet."""
    told = len(site.csms.received("NotifyMonitoringReport"))
    answer = await site.call("GetMonitoringReport", requestId=3, **criteria)
    if answer["status"] == "EmptyResultSet":
        return None
    assert answer["status"] == "Accepted"
    notice = await site.csms.until_received("NotifyMonitoringReport", told + 1)
    assert (notice["requestId"], notice["seqNo"]) == (3, 0)
    return [
        one | {"of": entry["variable"]["name"]} for entry in notice["monitor"] for one in entry["variableMonitoring"]
    ]


def events(site: Any, number: int) -> list[Payload]:
    """What a monitor has said."""
    data = (one for notice in site.csms.received("NotifyEvent") for one in notice["eventData"])
    return [one for one in data if one.get("variableMonitoringId") == number]


async def event(site: Any, number: int, count: int = 1) -> Payload:
    await site.csms.until(lambda: len(events(site, number)) >= count)
    return events(site, number)[count - 1]


async def move(site: Any, value: str) -> None:
    await site.configure(AuthCacheCtrlr_LifeTime=value)


async def three(site: Any) -> None:
    for kind, value in (("UpperThreshold", 900_000), ("Delta", 1000), ("Periodic", 500)):
        await put_one(site, kind, value)


# --- Reports ---


async def test_tc_n_01(running: Any) -> None:
    """Monitors by their type"""
    await three(running)
    told = await report(running, monitoringCriteria=["ThresholdMonitoring", "DeltaMonitoring"])
    assert [one["type"] for one in told or ()] == ["UpperThreshold", "Delta"]


async def test_tc_n_02(running: Any) -> None:
    """Monitors of a component and variable"""
    await three(running)
    await put_one(running, "Delta", 100, component=EVSE, variable=POWER)
    told = await report(running, componentVariable=[{"component": EVSE, "variable": POWER}])
    assert [(one["type"], one["of"]) for one in told or ()] == [("Delta", "Power")]


async def test_tc_n_03(running: Any) -> None:
    """Monitors by their type and variable"""
    await three(running)
    told = await report(running, monitoringCriteria=["PeriodicMonitoring"], componentVariable=[LEVEL])
    assert [one["type"] for one in told or ()] == ["Periodic"]


async def test_tc_n_47(running: Any) -> None:
    """All monitors"""
    await three(running)
    assert len(await report(running) or ()) == 3


async def test_tc_n_60(running: Any) -> None:
    """Monitors by their type and several variables"""
    await three(running)
    await put_one(running, "Delta", 100, component=EVSE, variable=POWER)
    wanted = [LEVEL, {"component": EVSE, "variable": POWER}]
    told = await report(running, monitoringCriteria=["DeltaMonitoring"], componentVariable=wanted)
    assert sorted(one["of"] for one in told or ()) == ["LifeTime", "Power"]
    assert await report(running, monitoringCriteria=["ThresholdMonitoring"], componentVariable=wanted[1:]) is None


# --- Base, level, clearing ---


async def test_tc_n_05(running: Any) -> None:
    """Each monitoring base"""
    for base in ("All", "FactoryDefault", "HardWiredOnly"):
        assert await running.call("SetMonitoringBase", monitoringBase=base) == {"status": "Accepted"}
        assert (await running.get("MonitoringCtrlr", "ActiveMonitoringBase"))["attributeValue"] == base


async def test_tc_n_06(running: Any) -> None:
    """HardWiredOnly removes custom monitors"""
    await three(running)
    await running.call("SetMonitoringBase", monitoringBase="HardWiredOnly")
    assert await report(running) is None


async def test_tc_n_41(running: Any) -> None:
    """FactoryDefault removes custom monitors"""
    await three(running)
    await running.call("SetMonitoringBase", monitoringBase="FactoryDefault")
    assert await report(running) is None


async def test_tc_n_16(running: Any) -> None:
    """Events less severe than the monitoring level are not told"""
    quiet, loud = await put_one(running, "Delta", 10, 8), await put_one(running, "Delta", 10, 3)
    assert await running.call("SetMonitoringLevel", severity=4) == {"status": "Accepted"}
    await move(running, "100")
    await event(running, loud)
    await running.settle()
    assert events(running, quiet) == []
    assert (await running.get("MonitoringCtrlr", "ActiveMonitoringLevel"))["attributeValue"] == "4"


@pytest.mark.parametrize("severity", [-1, 10])
async def test_tc_n_17(running: Any, severity: int) -> None:
    """A monitoring level out of range: Rejected"""
    assert (await running.call("SetMonitoringLevel", severity=severity))["status"] == "Rejected"


async def clear(site: Any, *ids: int) -> list[str]:
    answer = await site.call("ClearVariableMonitoring", id=list(ids))
    assert [result["id"] for result in answer["clearMonitoringResult"]] == list(ids)
    return [result["status"] for result in answer["clearMonitoringResult"]]


async def test_tc_n_18(running: Any) -> None:
    """Monitors cleared"""
    first, second = await put_one(running, "Delta", 10), await put_one(running, "Periodic", 10)
    assert await clear(running, first, second) == ["Accepted", "Accepted"]
    assert await report(running) is None


async def test_tc_n_19(running: Any) -> None:
    """A monitor cleared that is not there: NotFound"""
    assert await clear(running, 4711) == ["NotFound"]


async def test_tc_n_44(site: Any) -> None:
    """A hard-wired monitor cleared: Rejected"""
    await site.start(problems=(("ElectricalFeed", "Problem"),))
    (hard_wired,) = await report(site) or ()
    assert await clear(site, hard_wired["id"]) == ["Rejected"]
    assert len(await report(site) or ()) == 1


# --- SetVariableMonitoring ---


async def test_tc_n_08(running: Any) -> None:
    """One monitor"""
    (result,) = await put(running, monitor("UpperThreshold", 900_000))
    assert result["status"] == "Accepted"
    (told,) = await report(running) or ()
    assert (told["id"], told["value"], told["severity"]) == (result["id"], 900_000, 8)


async def test_tc_n_09(running: Any) -> None:
    """Monitors of different variables"""
    results = await put(running, monitor("Delta", 5), monitor("Delta", 100, component=EVSE, variable=POWER))
    assert [result["status"] for result in results] == ["Accepted", "Accepted"]


async def test_tc_n_10(running: Any) -> None:
    """Several monitors of a variable"""
    results = await put(running, monitor("Delta", 5), monitor("UpperThreshold", 5), monitor("Delta", 5, 4))
    assert [result["status"] for result in results] == ["Accepted"] * 3


async def refused(site: Any, status: str, kind: str, value: float, **more: Any) -> None:
    (result,) = await put(site, monitor(kind, value, **more))
    assert (result["status"], "id" in result) == (status, False)
    assert await report(site) is None


async def test_tc_n_11(running: Any) -> None:
    """A monitor of an unknown component"""
    await refused(running, "UnknownComponent", "Delta", 1, component={"name": "Nowhere"})


async def test_tc_n_12(running: Any) -> None:
    """A delta out of range: Rejected"""
    await refused(running, "Rejected", "Delta", -1)


async def test_tc_n_13(running: Any) -> None:
    """A threshold out of range: Rejected"""
    await refused(running, "Rejected", "UpperThreshold", 999_999_999)


async def test_tc_n_15(running: Any) -> None:
    """The same type and severity twice: Duplicate"""
    first = await put_one(running, "Delta", 5)
    (result,) = await put(running, monitor("Delta", 7))
    assert result["status"] == "Duplicate"
    assert [one["id"] for one in await report(running) or ()] == [first]


async def test_tc_n_37(running: Any) -> None:
    """A monitor of an unknown variable"""
    await refused(running, "UnknownVariable", "Delta", 1, variable={"name": "Nothing"})


async def test_tc_n_39(running: Any) -> None:
    """A component without that variable"""
    await refused(running, "UnknownVariable", "Delta", 1, variable={"name": "HeartbeatInterval"})


async def test_tc_n_40(running: Any) -> None:
    """A monitor replaced by its id"""
    number = await put_one(running, "UpperThreshold", 900_000)
    (result,) = await put(running, monitor("UpperThreshold", 50, id=number))
    assert (result["status"], result["id"]) == ("Accepted", number)
    assert [one["value"] for one in await report(running) or ()] == [50]


async def test_tc_n_43(running: Any) -> None:
    """Three monitors, the second out of range: the others hold"""
    results = await put(running, monitor("Delta", 5), monitor("UpperThreshold", -5), monitor("Periodic", 60))
    assert [result["status"] for result in results] == ["Accepted", "Rejected", "Accepted"]
    assert [one["type"] for one in await report(running) or ()] == ["Delta", "Periodic"]


async def test_tc_n_51(running: Any) -> None:
    """A monitor changed so that it is passed: told at once"""
    number = await put_one(running, "UpperThreshold", 900_000)
    assert events(running, number) == []
    await put(running, monitor("UpperThreshold", 100, id=number))
    assert (await event(running, number))["cleared"] is False


async def test_tc_n_52(running: Any) -> None:
    """A monitor removed says nothing more"""
    number = await put_one(running, "Delta", 10)
    assert await clear(running, number) == ["Accepted"]
    await move(running, "100")
    await running.settle()
    assert events(running, number) == []


# --- Events ---


async def test_tc_n_20(running: Any) -> None:
    """A threshold passed, and back: told and cleared"""
    number = await put_one(running, "UpperThreshold", 900_000)
    await move(running, "900001")
    passed = await event(running, number)
    assert (passed["trigger"], passed["actualValue"], passed["cleared"]) == ("Alerting", "900001", False)
    assert passed["eventNotificationType"] == "CustomMonitor"
    await move(running, "900000")
    assert (await event(running, number, 2))["cleared"] is True


async def test_tc_n_21(site: Any) -> None:
    """A fault of the board moves its hard-wired monitor"""
    await site.start(problems=(("ElectricalFeed", "Problem"),))
    (hard_wired,) = await report(site) or ()
    site.board.fault(hal.Fault.GROUND_FAILURE, hal.Severity.STOP)
    told = await event(site, hard_wired["id"])
    assert (told["eventNotificationType"], told["actualValue"], told["trigger"]) == (
        "HardWiredMonitor",
        "true",
        "Alerting",
    )
    there = await site.call(
        "GetVariables",
        getVariableData=[{"component": EVSE | {"name": "ElectricalFeed"}, "variable": {"name": "Problem"}}],
    )
    assert there["getVariableResult"][0]["attributeValue"] == "true"


async def test_tc_n_24(running: Any) -> None:
    """A periodic monitor"""
    number = await put_one(running, "Periodic", 1, component=EVSE, variable=POWER)
    told = await event(running, number)
    assert (told["trigger"], "cleared" in told) == ("Periodic", False)


async def test_tc_n_50(running: Any) -> None:
    """A periodic monitor tells the value of the moment, again and again"""
    number = await put_one(running, "Periodic", 1)
    await move(running, "123")
    assert (await event(running, number))["actualValue"] == "123"
    await move(running, "456")
    assert (await event(running, number, 2))["actualValue"] == "456"


async def test_tc_n_45(running: Any) -> None:
    """A delta passed, of a value that the meter moves"""
    number = await put_one(running, "Delta", 5000, component=EVSE, variable=POWER)
    await running.charge()
    running.board.sample()
    told = await event(running, number)
    assert (told["trigger"], told["component"]) == ("Delta", EVSE)
    assert float(told["actualValue"]) == 22080
    running.board.stop_drawing()
    running.board.sample()
    assert (await event(running, number, 2))["actualValue"] == "0"


async def test_tc_n_48(running: Any) -> None:
    """A delta of what is write-only: told without the value"""
    security = {"name": "SecurityCtrlr"}
    number = await put_one(running, "Delta", 1, component=security, variable={"name": "BasicAuthPassword"})
    await running.set("SecurityCtrlr", "BasicAuthPassword", "another-password-1")
    assert (await event(running, number))["actualValue"] == ""


async def test_tc_n_49(running: Any) -> None:
    """A threshold that a reset takes away: cleared after it"""
    number = await put_one(running, "UpperThreshold", 100, component=EVSE, variable=POWER)
    await running.charge()
    running.board.sample()
    await event(running, number)
    boots = len(running.csms.received("BootNotification"))
    await running.call("Reset", type="Immediate")
    await running.csms.until_received("BootNotification", boots + 1)
    assert (await event(running, number, 2))["cleared"] is True


async def test_tc_n_53(running: Any) -> None:
    """Monitors outlive a reset"""
    number = await put_one(running, "Delta", 10)
    before = await report(running)
    boots = len(running.csms.received("BootNotification"))
    await running.call("Reset", type="OnIdle")
    await running.csms.until_received("BootNotification", boots + 1)
    await running.until(lambda: running.station.online)
    assert await report(running) == before
    await move(running, "100")
    assert (await event(running, number))["actualValue"] == "100"


async def test_tc_n_56(running: Any) -> None:
    """A delta of what is no number: told at each change"""
    number = await put_one(running, "Delta", 1, component=EVSE, variable={"name": "AvailabilityState"})
    running.board.plug()
    assert (await event(running, number))["actualValue"] == "Occupied"
    running.board.unplug()
    assert (await event(running, number, 2))["actualValue"] == "Available"


async def moved_offline(site: Any, kept: str) -> int:
    number = await put_one(site, "Delta", 1, 5, component=EVSE, variable={"name": "AvailabilityState"})
    await site.configure(MonitoringCtrlr_OfflineQueuingSeverity=kept)
    await site.go_offline()
    site.board.plug()
    await site.settle()
    await site.come_back()
    return number


async def test_tc_n_22(running: Any) -> None:
    """Offline, an event as severe as OfflineQueuingSeverity: told afterwards"""
    number = await moved_offline(running, "5")
    assert (await event(running, number))["actualValue"] == "Occupied"


async def test_tc_n_23(running: Any) -> None:
    """Offline, an event less severe than OfflineQueuingSeverity: not told"""
    number = await moved_offline(running, "4")
    await running.settle()
    assert events(running, number) == []


async def test_a_monitor_within_a_transaction_names_it(running: Any) -> None:
    number = await put_one(running, "UpperThreshold", 100, component=EVSE, variable=POWER, transaction=True)
    running.board.limit_a = 32.0
    transaction_id = await running.charge()
    running.board.sample()
    assert (await event(running, number))["transactionId"] == transaction_id


async def test_monitoring_switched_off_says_nothing(running: Any) -> None:
    number = await put_one(running, "Delta", 10)
    await running.configure(MonitoringCtrlr_Enabled="false")
    await move(running, "100")
    await running.settle()
    assert events(running, number) == []


# --- Custom reports ---


async def custom(site: Any, **criteria: Any) -> list[tuple[str, str, str | None, int | None]] | None:
    """Component, variable, instance, EVSE; None for EmptyResultSet."""
    told = len(site.csms.received("NotifyReport"))
    answer = await site.call("GetReport", requestId=4, **criteria)
    if answer["status"] == "EmptyResultSet":
        return None
    notice = await site.csms.until_received("NotifyReport", told + 1)
    return [
        (
            data["component"]["name"],
            data["variable"]["name"],
            data["variable"].get("instance"),
            data["component"].get("evse", {}).get("id"),
        )
        for data in notice["reportData"]
    ]


async def test_tc_b_16(site: Any) -> None:
    """A report by criteria: what is available; problems, of which there are none until a fault"""
    await site.start(problems=(("ElectricalFeed", "Problem"), ("RCD", "Tripped")))
    assert await custom(site, componentCriteria=["Available"])
    assert await custom(site, componentCriteria=["Problem"]) is None
    site.board.fault(hal.Fault.RESIDUAL_CURRENT, hal.Severity.STOP)
    await site.csms.until_received("NotifyEvent")
    assert await custom(site, componentCriteria=["Problem"]) == [("RCD", "Tripped", None, 1)]


async def test_tc_b_17(running: Any) -> None:
    """A report of a component and variable"""
    wanted = [{"component": EVSE, "variable": {"name": "AvailabilityState"}}]
    assert await custom(running, componentVariable=wanted) == [("EVSE", "AvailabilityState", None, 1)]


async def test_tc_b_18(running: Any) -> None:
    """A report by criteria and variable"""
    wanted = [{"component": EVSE, "variable": {"name": "AvailabilityState"}}]
    told = await custom(running, componentCriteria=["Available"], componentVariable=wanted)
    assert told == [("EVSE", "AvailabilityState", None, 1)]
    assert await custom(running, componentCriteria=["Problem"], componentVariable=wanted) is None


async def test_tc_b_54(running: Any) -> None:
    """A report without an instance: every instance"""
    wanted = [{"component": EVSE, "variable": {"name": "ACCurrent"}}]
    assert [one[2] for one in await custom(running, componentVariable=wanted) or ()] == ["L1", "L2", "L3"]


async def test_tc_b_55(running: Any) -> None:
    """A report of one instance"""
    wanted = [{"component": EVSE, "variable": {"name": "ACCurrent", "instance": "L2"}}]
    assert await custom(running, componentVariable=wanted) == [("EVSE", "ACCurrent", "L2", 1)]


async def test_tc_b_56(site: Any) -> None:
    """A report without an EVSE: every EVSE"""
    await site.start(evse_count=2)
    wanted = [{"component": {"name": "EVSE"}, "variable": {"name": "AvailabilityState"}}]
    assert [one[3] for one in await custom(site, componentVariable=wanted) or ()] == [1, 2]
