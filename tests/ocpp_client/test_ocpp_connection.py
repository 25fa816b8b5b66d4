"""The dialogue where it is not about any use case: what is not valid, not heard, not known."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from hal.quantities import EvseId, MeterReading
from ocpp_client.ports import ChargingState, ConnectorStatus, IdToken, TriggerReason

EVSE, SWIPE = EvseId(1), IdToken("04AABB", "ISO14443")


async def test_a_message_of_ours_that_breaks_the_standard_is_not_sent(
    bench: Any, read: Callable[..., MeterReading]
) -> None:
    station = await bench.station()
    long_token = IdToken("x" * 37, "ISO14443")
    assert (await station.authorize(long_token)).status is None
    await station.transaction_started(EVSE, long_token, TriggerReason.AUTHORIZED, ChargingState.CHARGING, None)
    await station.transaction_updated(EVSE, TriggerReason.CHARGING_RATE_CHANGED, meter=read(1.0, float("nan")))
    await bench.csms.until_received("TransactionEvent", 2)
    assert station.counts["invalid outgoing"] == 3
    assert bench.csms.received("Authorize") == []
    events = bench.csms.received("TransactionEvent")
    assert [(event["seqNo"], "idToken" in event, "meterValue" in event) for event in events] == [
        (0, False, False),
        (1, False, False),
    ], "the event goes without what cannot be said"


async def test_questions_are_bounded(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    station = await bench.station(message_timeout_s=1)
    bench.csms.behaviour.silent.add("*")
    answers = await asyncio.gather(*(station.authorize(SWIPE) for _ in range(250)))
    assert {answer.status for answer in answers} == {None}
    assert station.counts["beside full"] >= 40


async def test_a_slow_csms_is_waited_for(bench: Any) -> None:
    station = await bench.station()
    bench.csms.behaviour.delay_s = 0.2
    answers = await asyncio.gather(*(station.authorize(SWIPE) for _ in range(3)))
    assert all(answer.status == "Accepted" for answer in answers)


async def test_a_csms_that_goes_silent_gets_each_event_again(bench: Any) -> None:
    station = await bench.station(message_timeout_s=1)
    bench.csms.behaviour.silent.add("TransactionEvent")
    await station.transaction_started(EVSE, SWIPE, TriggerReason.AUTHORIZED, ChargingState.CHARGING, None)
    await bench.csms.until_received("TransactionEvent", 2)
    bench.csms.behaviour.silent.clear()
    await bench.csms.until_received("TransactionEvent", 3)
    first, *again = bench.csms.received("TransactionEvent")
    assert all(event == first for event in again)


async def test_a_status_not_heard_is_told_again(bench: Any) -> None:
    station = await bench.station()
    bench.csms.behaviour.drop_on.add("StatusNotification")
    station.connector_status(EVSE, ConnectorStatus.AVAILABLE)
    await bench.csms.until_received("StatusNotification", 2)
    bench.csms.behaviour.drop_on.clear()
    await bench.csms.until_received("StatusNotification", 3)


async def test_a_deviating_response_is_taken_and_logged_once(bench: Any, caplog: pytest.LogCaptureFixture) -> None:
    station = await bench.station()
    bench.csms.behaviour.answers["Authorize"] = {"idTokenInfo": {"status": "Accepted"}, "vendorExtra": 1}
    for _ in range(3):
        assert (await station.authorize(SWIPE)).status == "Accepted"
    assert station.counts["deviating response"] == 3
    assert caplog.text.count("vendorExtra") == 1


async def test_a_heartbeat_tells_the_time(bench: Any, wait_until: Callable[..., Any]) -> None:
    bench.csms.behaviour.answers["Heartbeat"] = {"currentTime": "2031-01-01T00:00:00Z"}
    station = await bench.station()
    item = {"component": {"name": "ClockCtrlr"}, "variable": {"name": "TimeSource"}, "attributeValue": "Heartbeat"}
    await bench.csms.call("SetVariables", {"setVariableData": [item]})
    await bench.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    await bench.csms.until_received("Heartbeat")
    await wait_until(lambda: station.clock.now().year == 2031)
    assert datetime.now(UTC).year < 2031


@pytest.mark.parametrize("key", ["variables", "profiles", "availability", "auth_cache", "network", "security_log.head"])
@pytest.mark.parametrize("text", ["", "{", "[1]", '{"x": 5}', "null"])
async def test_what_cannot_be_read_back_is_left(bench: Any, key: str, text: str) -> None:
    bench.journal.values[key] = text
    station = await bench.station()
    assert (await station.authorize(SWIPE)).status == "Accepted"


async def test_an_event_never_taken_is_given_up_with_a_word(
    bench: Any, wait_until: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    station = await bench.station(message_attempts=1)
    bench.csms.behaviour.call_errors["TransactionEvent"] = "GenericError"
    await station.transaction_started(EVSE, SWIPE, TriggerReason.AUTHORIZED, ChargingState.CHARGING, None)
    await wait_until(lambda: "never took" in caplog.text)
    await wait_until(lambda: bench.journal.messages == {})
