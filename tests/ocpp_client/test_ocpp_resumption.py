"""Which transactions left open by a power cut wait for their vehicle: each row of the table, then the whole station."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from firmware.journal import dump_state, load_state
from hal.quantities import EvseId, MeterReading
from ocpp_client.config import Override
from ocpp_client.ports import (
    AuthorizationStatus,
    ChargingState,
    IdToken,
    StoppedReason,
    TokenDeauthorized,
    TransactionLeftOpen,
    TransactionState,
    TriggerReason,
)
from ocpp_client.resumption import NotResumed, waits
from ocpp_client.station import OcppStation

CUT = datetime(2026, 5, 1, 12, tzinfo=UTC)
CARD = IdToken("04AABBCC", "ISO14443")
ONE = EvseId(1)
ON = (Override("TxCtrlr", "ResumptionTimeout", "60"),)
LEFT = TransactionState("tx-1", ONE, 3, CARD, "Charging", CUT - timedelta(hours=1), CUT, None, "")


def after(seconds: float, state: TransactionState = LEFT, timeout_s: float = 60, **known: bool) -> float | NotResumed:
    told = {"clock_trusted": True, "has_place": True} | known
    return waits(state, CUT + timedelta(seconds=seconds), timeout_s, **told)


def metered(at: datetime) -> MeterReading:
    return MeterReading(1500.0, 0.0, (0.0,) * 3, (230.0,) * 3, 0.0, at)


def test_the_table() -> None:
    assert after(10, timeout_s=0) is NotResumed.OFF
    assert after(10, clock_trusted=False) is NotResumed.CLOCK
    assert after(-1) is NotResumed.CLOCK, "the clock went back"
    assert after(59.5) == 0.5
    assert after(60) is NotResumed.TOO_LATE
    assert after(10, replace(LEFT, authorization_over=True)) is NotResumed.AUTHORIZATION_OVER
    assert after(10, has_place=False) is NotResumed.NO_PLACE
    assert after(10) == 50


def test_a_reading_written_after_the_last_event_counts() -> None:
    assert after(70, replace(LEFT, last_meter=metered(CUT + timedelta(seconds=30)))) == 20
    assert after(10, replace(LEFT, last_meter=metered(CUT - timedelta(seconds=30)))) == 50


def test_the_journal_keeps_group_and_refusal() -> None:
    state = replace(LEFT, group_id="fleet", authorization_over=True)
    assert load_state(dump_state(state)) == state


async def begins(station: OcppStation, meter: MeterReading | None = None, **more: Any) -> str:
    return await station.transaction_started(
        ONE, CARD, TriggerReason.AUTHORIZED, ChargingState.CHARGING, meter, "", 7, **more
    )


def told(bench: Any) -> list[tuple[str, int]]:
    return [(event["eventType"], event["seqNo"]) for event in bench.events()]


async def cut(bench: Any, station: OcppStation, **config: Any) -> tuple[OcppStation, list[TransactionLeftOpen]]:
    async with asyncio.timeout(5):
        while bench.journal.messages:
            await asyncio.sleep(0.002)
    await station.stop()
    bench.facts.clear()
    again = await bench.station(overrides=ON, **config)
    return again, bench.facts_of(TransactionLeftOpen)


async def test_it_goes_on_after_a_power_cut(bench: Any, read: Callable[..., MeterReading]) -> None:
    station = await bench.station(overrides=ON, meter_note_s=0)
    bench.csms.behaviour.answers["Authorize"] = {
        "idTokenInfo": {"status": "Accepted", "groupIdToken": {"idToken": "fleet", "type": "Central"}}
    }
    assert (await station.authorize(CARD)).status is AuthorizationStatus.ACCEPTED
    transaction_id = await begins(station, read(1000.0))
    await station.meter_sampled(ONE, read(1200.0))
    station, (left,) = await cut(bench, station)
    assert 55 < left.for_s <= 60
    assert replace(left, for_s=0) == TransactionLeftOpen(ONE, transaction_id, CARD, "fleet", 7, "Charging", 0)
    await station.transaction_resumed(ONE, ChargingState.EV_CONNECTED, read(1100.0))
    await station.transaction_ended(ONE, TriggerReason.EV_DEPARTED, StoppedReason.EV_DISCONNECTED, read(1500.0))
    await bench.csms.until_received("TransactionEvent", 3)
    assert told(bench) == [("Started", 0), ("Updated", 1), ("Ended", 2)]
    assert {event["transactionInfo"]["transactionId"] for event in bench.events()} == {transaction_id}
    updated, last = bench.events()[1:]
    assert updated["triggerReason"] == "ChargingStateChanged"
    assert updated["transactionInfo"]["remoteStartId"] == 7
    assert updated["meterValue"][0]["sampledValue"][0]["context"] == "Interruption.End"
    assert last["meterValue"][-1]["sampledValue"][0]["value"] == 1500.0
    assert bench.csms.faults() == []


async def test_samples_go_on_with_it(bench: Any, read: Callable[..., MeterReading]) -> None:
    station = await bench.station(overrides=ON, sampled_interval_s=1)
    await begins(station, read(1000.0))
    station, _ = await cut(bench, station, sampled_interval_s=1)
    await station.transaction_resumed(ONE, ChargingState.CHARGING, read(1000.0))
    await station.meter_sampled(ONE, read(1100.0))
    await bench.csms.until_received("TransactionEvent", 3)
    assert bench.events()[-1]["triggerReason"] == "MeterValuePeriodic"


async def test_given_up_it_ends_as_it_was_known(bench: Any, read: Callable[..., MeterReading]) -> None:
    station = await bench.station(overrides=ON, meter_note_s=0)
    await begins(station, read(1000.0))
    await station.meter_sampled(ONE, read(1200.0))
    (kept,) = bench.journal.transactions.values()
    station, _ = await cut(bench, station, meter_note_s=0)
    await station.meter_sampled(ONE, read(9000.0))
    assert list(bench.journal.transactions.values()) == [kept], "nothing moves what waits"
    await station.transaction_given_up(ONE)
    await bench.csms.until_received("TransactionEvent", 2)
    last = bench.events()[-1]
    assert told(bench) == [("Started", 0), ("Ended", 1)]
    assert (last["triggerReason"], last["transactionInfo"]["stoppedReason"]) == ("AbnormalCondition", "PowerLoss")
    assert last["meterValue"][-1]["sampledValue"][0]["value"] == 1200.0
    assert last["offline"]
    assert bench.journal.transactions == {}


async def test_a_second_cut_while_it_waits_changes_nothing(bench: Any) -> None:
    station = await bench.station(overrides=ON)
    await begins(station)
    station, (first,) = await cut(bench, station)
    await asyncio.sleep(0.05)
    station, (second,) = await cut(bench, station)
    assert replace(first, for_s=0) == replace(second, for_s=0)
    assert second.for_s < first.for_s, "the time runs from the first cut"
    await station.transaction_resumed(ONE, ChargingState.CHARGING)
    await bench.csms.until_received("TransactionEvent", 2)
    assert told(bench) == [("Started", 0), ("Updated", 1)]


async def test_another_that_starts_ends_it_first(bench: Any) -> None:
    station = await bench.station(overrides=ON)
    first = await begins(station)
    station, _ = await cut(bench, station)
    second = await begins(station)
    await bench.csms.until_received("TransactionEvent", 3)
    assert told(bench) == [("Started", 0), ("Ended", 1), ("Started", 0)]
    assert [event["transactionInfo"]["transactionId"] for event in bench.events()] == [first, first, second]


async def test_a_token_refused_before_the_cut_does_not_go_on(bench: Any, wait_until: Callable[..., Any]) -> None:
    bench.csms.behaviour.answers["TransactionEvent"] = {"idTokenInfo": {"status": "Invalid"}}
    station = await bench.station(overrides=ON)
    await begins(station)
    await wait_until(lambda: bench.facts_of(TokenDeauthorized))
    await wait_until(lambda: any(state.authorization_over for state in bench.journal.transactions.values()))
    station, left = await cut(bench, station)
    assert left == []
    await bench.csms.until_received("TransactionEvent", 2)
    assert bench.events()[-1]["transactionInfo"]["stoppedReason"] == "PowerLoss"


async def test_a_driver_who_had_finished_does_not_go_on(bench: Any) -> None:
    station = await bench.station(overrides=ON)
    await begins(station)
    await station.transaction_updated(ONE, TriggerReason.STOP_AUTHORIZED, ChargingState.EV_CONNECTED, id_token=CARD)
    _, left = await cut(bench, station)
    assert left == []


async def test_who_is_authorized_again_does(bench: Any) -> None:
    station = await bench.station(overrides=ON)
    await begins(station)
    await station.transaction_updated(ONE, TriggerReason.REMOTE_STOP, ChargingState.EV_CONNECTED)
    await station.transaction_updated(ONE, TriggerReason.AUTHORIZED, ChargingState.CHARGING, id_token=CARD)
    _, left = await cut(bench, station)
    assert len(left) == 1


@pytest.mark.parametrize("system", [datetime(1970, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)])
async def test_a_clock_that_is_not_right_ends_it(bench: Any, system: datetime) -> None:
    station = await bench.station(overrides=ON)
    await begins(station)
    _, left = await cut(bench, station, system_time=lambda: system)
    assert left == []
    await bench.csms.until_received("TransactionEvent", 2)
    assert told(bench)[-1] == ("Ended", 1)


async def test_a_clock_that_follows_the_csms_is_not_right_before_it_spoke(bench: Any) -> None:
    follows = (*ON, Override("ClockCtrlr", "TimeSource", "Heartbeat,NTP"))
    station = await bench.station(overrides=ON)
    await begins(station)
    await station.stop()
    bench.facts.clear()
    await bench.station(overrides=follows)
    assert bench.facts_of(TransactionLeftOpen) == []


async def test_a_station_whose_meter_signs_has_no_such_variable(bench: Any) -> None:
    station = await bench.station(signs=True)
    assert not station.model.has("TxCtrlr", "ResumptionTimeout")
    await begins(station)
    await station.stop()
    await bench.station(signs=True)
    await bench.csms.until_received("TransactionEvent", 2)
    assert bench.facts_of(TransactionLeftOpen) == []


async def test_what_the_csms_has_set_holds_after_the_cut(bench: Any, wait_until: Callable[..., Any]) -> None:
    station = await bench.station()
    data = {"component": {"name": "TxCtrlr"}, "variable": {"name": "ResumptionTimeout"}, "attributeValue": "60"}
    answer = await bench.csms.call("SetVariables", {"setVariableData": [data]})
    assert answer["setVariableResult"][0]["attributeStatus"] == "Accepted"
    await wait_until(lambda: "variables" in bench.journal.values)
    await begins(station)
    await station.stop()
    bench.facts.clear()
    await bench.station()
    assert len(bench.facts_of(TransactionLeftOpen)) == 1
