"""Security events of a whole station (A04): each by what causes it, told to the CSMS and kept in the log."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hal.ports import Fault, Severity
from ocpp_client.security_log import SecurityLog, chain_breaks


def told(site: Any) -> list[str]:
    return [event["type"] for event in site.csms.received("SecurityEventNotification")]


async def test_start_and_reset(running: Any) -> None:
    event = await running.csms.until_security_event("StartupOfTheDevice")
    assert event["techInfo"] == "PowerUp, firmware 1.0"
    await running.call("Reset", type="OnIdle")
    await running.csms.until(lambda: told(running).count("StartupOfTheDevice") == 2)
    assert told(running) == ["StartupOfTheDevice", "ResetOrReboot", "StartupOfTheDevice"]


async def test_the_reset_of_one_evse_is_none_of_the_station(site: Any) -> None:
    await site.start(evse_count=2)
    await site.call("Reset", type="OnIdle", evseId=1)
    await site.settle()
    assert told(site) == ["StartupOfTheDevice"]


async def test_an_opened_enclosure(running: Any) -> None:
    running.board.fault(Fault.ENCLOSURE_OPEN, Severity.STOP)
    event = await running.csms.until_security_event("TamperDetectionActivated")
    assert event["techInfo"] == "EVSE 1: scripted"
    running.board.fault(Fault.ENCLOSURE_OPEN, Severity.STOP, active=False)
    await running.settle()
    assert told(running).count("TamperDetectionActivated") == 1
    notices = [payload["eventData"][0] for payload in running.csms.received("NotifyEvent")]
    assert {(notice["component"]["name"], notice["techCode"]) for notice in notices} == {
        ("AccessBarrier", "EnclosureOpen")
    }


async def test_a_clock_that_the_csms_sets(site: Any) -> None:
    awake = datetime.now(UTC)
    site.station_options["system_time"] = lambda: datetime(1970, 1, 1, tzinfo=UTC) + (datetime.now(UTC) - awake)
    await site.start()
    event = await site.csms.until_security_event("SettingSystemTime")
    assert event["techInfo"].startswith("from 1970-01-01")
    assert datetime.now(UTC) - datetime.fromisoformat(event["timestamp"]) < timedelta(minutes=1)


async def test_rubbish_is_told_once_a_connection_and_each_kind(running: Any) -> None:
    for frame in ("rubbish", "rubbish", "[]", "[9]", '[2,"x","ClearCache",7]', '[2,"y","NoSuchAction",{}]'):
        await running.csms.send_raw(frame)
    await running.csms.until(lambda: told(running).count("InvalidMessages") == 4)
    await running.settle()
    reasons = [
        event["techInfo"]
        for event in running.csms.received("SecurityEventNotification")
        if event["type"] == "InvalidMessages"
    ]
    assert reasons == ["not JSON", "not an array", "message type", "payload"]
    running.csms.events[:] = [event for event in running.csms.events if not event.action.startswith("#")]


async def test_a_csms_that_refuses_the_password(site: Any) -> None:
    site.csms._password = "another-password-1"
    await site.start(wait=False, password="a-long-enough-password")
    await site.until(lambda: site.station.counts.get("connect failed", 0) >= 3)
    site.csms._password = None
    await site.csms.until_security_event("FailedToAuthenticateAtCsms")
    assert told(site).count("FailedToAuthenticateAtCsms") == 1


async def test_the_log_holds_what_was_told(running: Any) -> None:
    running.board.fault(Fault.ENCLOSURE_OPEN, Severity.STOP)
    await running.csms.until_security_event("TamperDetectionActivated")
    await running.settle()
    log = SecurityLog(running.journal)
    await log.open()
    lines = (await log.read(None, None)).decode().splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["StartupOfTheDevice", "TamperDetectionActivated"]
    assert chain_breaks(lines) == []
