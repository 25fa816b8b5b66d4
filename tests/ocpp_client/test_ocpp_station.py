"""A station and a CSMS over a WebSocket on loopback: the use cases of the standard as conversations."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from hal.quantities import EvseId, MeterReading
from ocpp_client.ports import (
    AuthorizationStatus,
    AvailabilityChanged,
    ChargingState,
    ConnectorStatus,
    CsmsLimit,
    CsmsOnline,
    EventSent,
    IdToken,
    OcspRequestData,
    RemoteStart,
    RemoteStop,
    ResetRequested,
    StoppedReason,
    TokenDeauthorized,
    TransactionError,
    TriggerReason,
    UnlockRequested,
)
from ocpp_client.station import OcppStation
from sim.csms.hooks import tx_profile
from sim.csms.server import CallRefused

EVSE, CONTRACT, SWIPE = EvseId(1), IdToken("DE8EVSC12345678", "eMAID"), IdToken("04AABBCC", "ISO14443")
OCSP = OcspRequestData("aa" * 32, "bb" * 32, "0123", "http://ocsp.example/")


async def start(station: OcppStation, meter: MeterReading | None = None, **more: Any) -> str:
    options = {"id_token": CONTRACT, "trigger": TriggerReason.AUTHORIZED, "charging_state": ChargingState.CHARGING}
    return await station.transaction_started(EVSE, meter=meter, **options | more)


async def end(station: OcppStation, meter: MeterReading | None = None) -> None:
    await station.transaction_ended(EVSE, TriggerReason.EV_DEPARTED, StoppedReason.EV_DISCONNECTED, meter)


def told(events: list[dict[str, Any]]) -> list[tuple[str, int, bool]]:
    return [(event["eventType"], event["seqNo"], event["offline"]) for event in events]


# --- B01-B04: registration ---


async def test_boot_then_status_then_heartbeat(bench: Any, wait_until: Callable[..., Any]) -> None:
    bench.csms.answers.policy.boot_interval_s = 1
    station = await bench.station()
    station.connector_status(EVSE, ConnectorStatus.AVAILABLE)
    await bench.csms.until_received("Heartbeat")
    actions = [event.action for event in bench.csms.events]
    assert actions[:2] == ["#connected", "BootNotification"]
    assert sorted(actions[2:]) == ["Heartbeat", "SecurityEventNotification", "StatusNotification"]
    boot = bench.csms.received("BootNotification")[0]
    assert boot == {
        "chargingStation": {"model": "Model", "vendorName": "Vendor", "serialNumber": "0001", "firmwareVersion": "1.0"},
        "reason": "PowerUp",
    }
    status = bench.csms.received("StatusNotification")[0]
    assert (status["connectorStatus"], status["evseId"], status["connectorId"]) == ("Available", 1, 1)
    assert bench.facts_of(CsmsOnline) == [CsmsOnline(True, "registered")]


async def test_nothing_but_boot_before_accepted(bench: Any) -> None:
    bench.csms.answers.policy.registration = ["Rejected", "Pending", "Accepted"]
    bench.csms.answers.policy.boot_interval_s = 1
    station = await bench.station(wait=False)
    station.connector_status(EVSE, ConnectorStatus.AVAILABLE)
    assert (await station.authorize(SWIPE)).status is None
    await start(station)
    await bench.csms.until_received("TransactionEvent")
    actions = [event.action for event in bench.csms.events]
    assert actions[:4] == ["#connected"] + ["BootNotification"] * 3
    assert sorted(actions[4:]) == ["SecurityEventNotification", "StatusNotification", "TransactionEvent"]
    assert told(bench.events()) == [("Started", 0, True)]


async def test_while_pending_the_csms_may_ask(bench: Any) -> None:
    bench.csms.answers.policy.registration = ["Pending"]
    await bench.station(wait=False)
    await bench.csms.until_received("BootNotification")
    await bench.csms.call("GetBaseReport", {"requestId": 4, "reportBase": "SummaryInventory"})
    report = await bench.csms.until_received("NotifyReport")
    assert report["requestId"] == 4


async def test_a_boot_answer_without_a_status_is_no_answer(bench: Any, wait_until: Callable[..., Any]) -> None:
    bench.csms.behaviour.answers["BootNotification"] = {"hello": "world"}
    station = await bench.station(wait=False, boot_retry_s=0.05)
    await bench.csms.until_received("BootNotification", 2)
    assert not station.online
    bench.csms.behaviour.answers.clear()
    await wait_until(lambda: station.online)
    assert station.counts["deviating response"] >= 1


# --- C: authorization ---


async def test_a_contract_is_authorized_with_its_certificate_and_hashes(bench: Any) -> None:
    station = await bench.station()
    station.model.assign("ISO15118Ctrlr", "CentralContractValidationAllowed", "true")
    answer = await station.authorize(CONTRACT, "-----BEGIN CERTIFICATE-----", [OCSP] * 5)
    assert (answer.status, answer.certificate_status) == (AuthorizationStatus.ACCEPTED, "Accepted")
    request = bench.csms.received("Authorize")[0]
    assert request["certificate"].startswith("-----BEGIN")
    assert len(request["iso15118CertificateHashData"]) == 4, "the standard takes four"
    assert request["iso15118CertificateHashData"][0] == {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": "aa" * 32,
        "issuerKeyHash": "bb" * 32,
        "serialNumber": "0123",
        "responderURL": "http://ocsp.example/",
    }


async def test_a_certificate_too_long_for_the_message_is_left_out(bench: Any) -> None:
    station = await bench.station()
    station.model.assign("ISO15118Ctrlr", "CentralContractValidationAllowed", "true")
    await station.authorize(CONTRACT, "x" * 5501, [OCSP])
    assert "certificate" not in bench.csms.received("Authorize")[0]


@pytest.mark.parametrize("status", list(AuthorizationStatus))
async def test_each_authorization_status_comes_through(bench: Any, status: AuthorizationStatus) -> None:
    bench.csms.answers.policy.statuses["04AABBCC"] = status.value
    station = await bench.station()
    assert (await station.authorize(SWIPE)).status is status


@pytest.mark.parametrize("answer", [{}, {"idTokenInfo": []}, {"idTokenInfo": {"status": "Sure"}}])
async def test_an_answer_without_a_known_status_is_no_permission(bench: Any, answer: dict[str, Any]) -> None:
    bench.csms.behaviour.answers["Authorize"] = answer
    station = await bench.station()
    assert (await station.authorize(SWIPE)).status is AuthorizationStatus.INVALID


async def test_no_answer_in_time_is_none(bench: Any) -> None:
    station = await bench.station(message_timeout_s=1)
    bench.csms.behaviour.silent.add("Authorize")
    assert (await station.authorize(SWIPE)).status is None
    bench.csms.behaviour.silent.clear()
    assert (await station.authorize(SWIPE)).status is AuthorizationStatus.ACCEPTED


async def test_a_lost_link_wakes_who_waits_for_an_answer(bench: Any) -> None:
    station = await bench.station(message_timeout_s=600)
    bench.csms.behaviour.drop_on.add("Authorize")
    async with asyncio.timeout(2):
        assert (await station.authorize(SWIPE)).status is None


async def test_a_call_error_is_none(bench: Any) -> None:
    bench.csms.behaviour.call_errors["Authorize"] = "InternalError"
    station = await bench.station()
    assert (await station.authorize(SWIPE)).status is None


# --- E: transactions ---


async def test_a_transaction_online(bench: Any, read: Callable[..., MeterReading]) -> None:
    station = await bench.station()
    transaction_id = await start(station, read(1000.0))
    await station.transaction_updated(
        EVSE, TriggerReason.CHARGING_STATE_CHANGED, ChargingState.SUSPENDED_EV, read(1100.0)
    )
    await end(station, read(1200.0))
    await bench.csms.until_received("TransactionEvent", 3)
    assert told(bench.events()) == [("Started", 0, False), ("Updated", 1, False), ("Ended", 2, False)]
    assert {event["transactionInfo"]["transactionId"] for event in bench.events()} == {transaction_id}
    await bench.csms.call("GetTransactionStatus", {})
    sent = bench.facts_of(EventSent)
    assert [(fact.event_type, fact.seq_no) for fact in sent] == [("Started", 0), ("Updated", 1), ("Ended", 2)]
    assert bench.journal.messages == {}
    assert bench.journal.transactions == {}


async def test_samples_come_by_themselves_while_readings_are_fresh(
    bench: Any, read: Callable[..., MeterReading], wait_until: Callable[..., Any]
) -> None:
    station = await bench.station(sampled_interval_s=1)
    await start(station, read(1000.0))
    await station.meter_sampled(EVSE, read(1001.0))
    sample = await bench.csms.until_received("TransactionEvent", 2)
    assert sample["triggerReason"] == "MeterValuePeriodic"
    assert sample["meterValue"][0]["sampledValue"][0]["context"] == "Sample.Periodic"
    await asyncio.sleep(1.2)
    assert len(bench.events()) == 2, "an old reading is not told twice"
    result = await set_variable(bench, "SampledDataCtrlr", "TxUpdatedInterval", "0")
    assert result["attributeStatus"] == "Accepted"
    await station.meter_sampled(EVSE, read(1002.0))
    await asyncio.sleep(1.1)
    assert len(bench.events()) == 2


async def test_values_aligned_to_the_clock_with_and_without_a_transaction(
    bench: Any, read: Callable[..., MeterReading]
) -> None:
    station = await bench.station(evse_count=2)
    await station.meter_sampled(EVSE, read(1.0))
    await station.meter_sampled(EvseId(2), read(2.0))
    await start(station, read(1.0))
    await set_variable(bench, "AlignedDataCtrlr", "Measurands", "Voltage")
    await set_variable(bench, "AlignedDataCtrlr", "Interval", "1")
    event = await bench.csms.until_received("TransactionEvent", 2)
    assert event["triggerReason"] == "MeterValueClock"
    assert {value["context"] for value in event["meterValue"][0]["sampledValue"]} == {"Sample.Clock"}
    values = await bench.csms.until_received("MeterValues")
    assert values["evseId"] == 2
    assert {value["measurand"] for value in values["meterValue"][0]["sampledValue"]} == {"Voltage"}
    await set_variable(bench, "AlignedDataCtrlr", "SendDuringIdle", "true")
    count = len(bench.events())
    await bench.csms.until_received("MeterValues", 3)
    assert len(bench.events()) <= count + 1
    await set_variable(bench, "AlignedDataCtrlr", "Enabled", "false")


async def test_stopping_does_not_wait_for_who_never_answers(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocpp_client.connection._STOP_TIMEOUT_S", 0.05)
    station = await bench.station()
    asking = asyncio.create_task(bench.csms.call("UnlockConnector", {"evseId": 1, "connectorId": 1}))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(2):
        await station.stop()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_readings_are_written_down_but_not_each(bench: Any, read: Callable[..., MeterReading]) -> None:
    station = await bench.station(meter_note_s=0.2)
    await station.meter_sampled(EVSE, read(999.0))
    transaction_id = await start(station, read(1000.0))
    await asyncio.sleep(0.25)
    for energy_wh in range(1001, 1011):
        await station.meter_sampled(EVSE, read(float(energy_wh)))
    assert bench.journal.notes == 1
    last = bench.journal.transactions[transaction_id].last_meter
    assert last is not None
    assert last.energy_import_wh == 1001.0


async def test_a_token_refused_in_the_answer_is_told(bench: Any, wait_until: Callable[..., Any]) -> None:
    bench.csms.answers.policy.statuses["DE8EVSC12345678"] = "Blocked"
    station = await bench.station()
    transaction_id = await start(station)
    await wait_until(lambda: bench.facts_of(TokenDeauthorized))
    assert bench.facts_of(TokenDeauthorized) == [TokenDeauthorized(EVSE, transaction_id, "Blocked")]


async def test_what_does_not_fit_the_transaction_is_an_error_of_ours(bench: Any) -> None:
    station = await bench.station()
    with pytest.raises(TransactionError):
        await station.transaction_updated(EVSE, TriggerReason.TRIGGER)
    await start(station)
    with pytest.raises(TransactionError):
        await start(station)


async def test_events_made_at_once_keep_their_order(bench: Any) -> None:
    station = await bench.station()
    await start(station)
    updates = (station.transaction_updated(EVSE, TriggerReason.CHARGING_RATE_CHANGED) for _ in range(50))
    await asyncio.gather(*updates)
    await end(station)
    await bench.csms.until_received("TransactionEvent", 52)
    assert [event["seqNo"] for event in bench.events()] == list(range(52))


# --- Offline, retries, journal ---


async def test_offline_events_are_queued_in_order_and_marked(
    bench: Any, read: Callable[..., MeterReading], wait_until: Callable[..., Any]
) -> None:
    station = await bench.station()
    await start(station, read(1000.0))
    await bench.csms.until_received("TransactionEvent")
    await bench.csms.stop()
    await wait_until(lambda: not station.online)
    await station.transaction_updated(EVSE, TriggerReason.CHARGING_RATE_CHANGED, meter=read(1100.0))
    await end(station, read(1200.0))
    await start(station, read(1200.0))
    await bench.csms.start()
    await bench.csms.until_received("TransactionEvent", 4)
    await end(station, read(1300.0))
    await bench.csms.until_received("TransactionEvent", 5)
    assert told(bench.events()) == [
        ("Started", 0, False),
        ("Updated", 1, True),
        ("Ended", 2, True),
        ("Started", 0, True),
        ("Ended", 1, False),
    ]
    assert len(bench.csms.received("BootNotification")) == 1, "a link lost is no boot"
    assert [fact.online for fact in bench.facts_of(CsmsOnline)] == [True, False, True]


async def test_an_event_whose_answer_was_lost_is_sent_again_and_not_counted_as_an_attempt(bench: Any) -> None:
    station = await bench.station(message_attempts=1)
    bench.csms.behaviour.drop_on.add("TransactionEvent")
    await start(station)
    await bench.csms.until_received("TransactionEvent", 3)
    bench.csms.behaviour.drop_on.clear()
    await end(station)
    await bench.csms.until(lambda: bench.events()[-1]["eventType"] == "Ended")
    assert all(event == bench.events()[0] for event in bench.events()[:-1]), "the same event, to the letter"


async def test_an_event_the_csms_refuses_is_tried_as_often_as_told_and_then_given_up(
    bench: Any, wait_until: Callable[..., Any]
) -> None:
    station = await bench.station(message_attempts=3)
    bench.csms.behaviour.call_errors["TransactionEvent"] = "InternalError"
    await start(station)
    await wait_until(lambda: station.counts.get("given up") == 1)
    assert len(bench.events()) == 3
    bench.csms.behaviour.call_errors.clear()
    await end(station)
    await bench.csms.until_received("TransactionEvent", 4)
    assert told(bench.events())[-1] == ("Ended", 1, False)


async def test_a_restart_ends_what_was_open_and_sends_what_was_waiting(
    bench: Any, read: Callable[..., MeterReading], wait_until: Callable[..., Any]
) -> None:
    station = await bench.station(meter_note_s=0)
    await bench.csms.stop()
    await wait_until(lambda: not station.online)
    transaction_id = await start(station, read(1000.0))
    await station.meter_sampled(EVSE, read(1234.5))
    await station.stop()
    await bench.csms.start()
    await bench.station()
    await bench.csms.until_received("TransactionEvent", 2)
    started, ended = bench.events()
    assert told(bench.events()) == [("Started", 0, True), ("Ended", 1, True)]
    assert ended["transactionInfo"]["stoppedReason"] == "PowerLoss"
    assert ended["transactionInfo"]["transactionId"] == transaction_id
    assert ended["meterValue"][-1]["sampledValue"][0]["value"] == 1234.5
    assert ended["timestamp"] >= started["timestamp"]
    await asyncio.sleep(0.05)
    assert bench.journal.transactions == {}


async def test_a_failing_journal_stops_nothing(bench: Any, read: Callable[..., MeterReading]) -> None:
    station = await bench.station(meter_note_s=0)
    bench.journal.failing = True
    await start(station, read(1.0))
    await station.meter_sampled(EVSE, read(2.0))
    await set_variable(bench, "OCPPCommCtrlr", "OfflineThreshold", "5")
    await end(station, read(3.0))
    await bench.csms.until_received("TransactionEvent", 2)
    assert told(bench.events()) == [("Started", 0, False), ("Ended", 1, False)]
    assert station.counts["not written"] == 2
    assert (await bench.csms.call("GetTransactionStatus", {}))["messagesInQueue"] is False


async def test_a_full_disk_costs_updated_events_first_and_the_csms_is_told(
    bench: Any, wait_until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocpp_client.spool.WINDOW", 2)
    station = await bench.station()
    await bench.csms.stop()
    await wait_until(lambda: not station.online)
    await start(station)
    for _ in range(8):
        await station.transaction_updated(EVSE, TriggerReason.CHARGING_RATE_CHANGED)
    bench.journal.failing = True
    await end(station)
    await bench.csms.start()
    await bench.csms.until_security_event("MemoryExhaustion")
    await bench.csms.until(lambda: bench.events() and bench.events()[-1]["eventType"] == "Ended")
    assert told(bench.events())[0][0] == "Started"
    assert [event["seqNo"] for event in bench.events()][-1] == 9
    assert station.counts["thinned"] == 10 - len(bench.events())
    assert station.counts["thinned"] >= 3


async def test_too_many_waiting_events_are_thinned_before_the_disk_is_full(
    bench: Any, wait_until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocpp_client.spool.WINDOW", 2)
    monkeypatch.setattr("ocpp_client.spool.COUNT_EVERY", 5)
    monkeypatch.setattr("ocpp_client.spool.MAX_WAITING", 10)
    station = await bench.station()
    await bench.csms.stop()
    await wait_until(lambda: not station.online)
    await start(station)
    for _ in range(40):
        await station.transaction_updated(EVSE, TriggerReason.CHARGING_RATE_CHANGED)
    await end(station)
    assert len([m for m in bench.journal.messages.values() if m.action == "TransactionEvent"]) < 20
    await bench.csms.start()
    await bench.csms.until(lambda: bench.events() and bench.events()[-1]["eventType"] == "Ended")


async def test_a_journal_that_fails_at_start_is_no_reason_not_to_start(bench: Any) -> None:
    bench.journal.failing = True
    station = await bench.station()
    assert station.online


async def test_a_long_queue_drains_in_order_through_a_small_window(bench: Any, wait_until: Callable[..., Any]) -> None:
    station = await bench.station()
    await bench.csms.stop()
    await wait_until(lambda: not station.online)
    await start(station)
    for _ in range(350):
        await station.transaction_updated(EVSE, TriggerReason.CHARGING_RATE_CHANGED)
    await end(station)
    await bench.csms.start()
    await bench.csms.until_received("TransactionEvent", 352, timeout_s=20)
    assert [event["seqNo"] for event in bench.events()] == list(range(352))
    await wait_until(lambda: not bench.journal.messages)


# --- F: remote control ---


async def test_remote_stop(bench: Any) -> None:
    station = await bench.station()
    transaction_id = await start(station)
    call = bench.csms.call
    assert (await call("RequestStopTransaction", {"transactionId": "other"}))["status"] == "Rejected"
    assert (await call("RequestStopTransaction", {"transactionId": transaction_id}))["status"] == "Accepted"
    assert bench.facts_of(RemoteStop) == [RemoteStop(EVSE, transaction_id)]


def remote_start(number: int = 7, **more: Any) -> dict[str, Any]:
    return {"remoteStartId": number, "idToken": {"idToken": "04AABBCC", "type": "ISO14443"}, **more}


async def test_remote_start_with_a_profile(bench: Any) -> None:
    station = await bench.station()
    profile = tx_profile(1, "x", 12.0)["chargingProfile"]
    del profile["transactionId"]
    answer = await bench.csms.call("RequestStartTransaction", remote_start(chargingProfile=profile))
    assert answer == {"status": "Accepted"}
    assert bench.facts_of(RemoteStart) == [RemoteStart(EVSE, SWIPE, 7)]
    await start(station, id_token=SWIPE, trigger=TriggerReason.REMOTE_START, remote_start_id=7)
    assert [(fact.evse_id, fact.limit_a) for fact in bench.facts_of(CsmsLimit)] == [(1, 12.0)]
    started = await bench.csms.until_received("TransactionEvent")
    assert started["transactionInfo"]["remoteStartId"] == 7


async def test_remote_start_of_a_transaction_that_waits_for_its_token(bench: Any) -> None:
    station = await bench.station()
    transaction_id = await start(station, id_token=None)
    answer = await bench.csms.call("RequestStartTransaction", remote_start(evseId=1))
    assert answer == {"status": "Accepted", "transactionId": transaction_id}


async def test_remote_starts_that_cannot_be(bench: Any) -> None:
    station = await bench.station(evse_count=2)
    call = bench.csms.call
    answer = await call("RequestStartTransaction", remote_start())
    assert answer["status"] == "Accepted", "the station chooses the EVSE"
    assert bench.facts_of(RemoteStart)[-1].evse_id is None
    profile = tx_profile(1, "tx", 12.0)["chargingProfile"]
    default = {**profile, "chargingProfilePurpose": "TxDefaultProfile"}
    no_start = {key: value for key, value in profile.items() if key != "transactionId"}
    no_start["chargingProfileKind"] = "Absolute"
    for wrong in (
        {"evseId": 3},
        {"evseId": 1, "chargingProfile": profile},
        {"evseId": 1, "chargingProfile": default},
        {"evseId": 1, "chargingProfile": no_start},
    ):
        assert (await call("RequestStartTransaction", remote_start(**wrong)))["status"] == "Rejected"
    await call("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 2}})
    assert (await call("RequestStartTransaction", remote_start(evseId=2)))["status"] == "Rejected"
    await start(station)
    assert (await call("RequestStartTransaction", remote_start(evseId=1)))["status"] == "Rejected"
    assert len(bench.facts_of(RemoteStart)) == 1


async def test_remote_start_authorizes_first_where_told_so(bench: Any, wait_until: Callable[..., Any]) -> None:
    await bench.station()
    await set_variable(bench, "AuthCtrlr", "AuthorizeRemoteStart", "true")
    bench.csms.answers.policy.statuses["04AABBCC"] = "Blocked"
    await bench.csms.call("RequestStartTransaction", remote_start(1))
    await bench.csms.until_received("Authorize")
    await asyncio.sleep(0.05)
    assert bench.facts_of(RemoteStart) == []
    bench.csms.answers.policy.statuses.clear()
    await bench.csms.call("RequestStartTransaction", remote_start(2))
    await wait_until(lambda: bench.facts_of(RemoteStart))
    assert bench.facts_of(RemoteStart)[0].remote_start_id == 2


async def test_unlock(bench: Any, wait_until: Callable[..., Any]) -> None:
    station = await bench.station()
    connector = {"evseId": 1, "connectorId": 1}
    for unlocked, status in ((True, "Unlocked"), (False, "UnlockFailed")):
        bench.facts.clear()
        answer = asyncio.create_task(bench.csms.call("UnlockConnector", connector))
        await wait_until(lambda: bench.facts == [UnlockRequested(EVSE)])
        assert (await bench.csms.call("UnlockConnector", connector))["status"] == "UnlockFailed", "one at a time"
        station.unlock_result(EVSE, unlocked)
        assert (await answer)["status"] == status
    station.unlock_result(EVSE, True)
    assert (await bench.csms.call("UnlockConnector", connector | {"connectorId": 2}))["status"] == "UnknownConnector"
    assert (await bench.csms.call("UnlockConnector", connector | {"evseId": 9}))["status"] == "UnknownConnector"
    await start(station)
    answer = await bench.csms.call("UnlockConnector", connector)
    assert answer["status"] == "OngoingAuthorizedTransaction"


async def test_an_unlock_without_an_answer_fails(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocpp_client.remote_actions.UNLOCK_TIMEOUT_S", 0.05)
    await bench.station()
    answer = await bench.csms.call("UnlockConnector", {"evseId": 1, "connectorId": 1})
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("UnlockFailed", "Timeout")


async def trigger(bench: Any, message: str, **evse: Any) -> str:
    status: str = (await bench.csms.call("TriggerMessage", {"requestedMessage": message, **evse}))["status"]
    return status


async def test_trigger_message(bench: Any, read: Callable[..., MeterReading]) -> None:
    station = await bench.station(evse_count=2)
    evse = {"evse": {"id": 1}}
    assert await trigger(bench, "BootNotification") == "Rejected", "we are Accepted"
    assert await trigger(bench, "MeterValues", **evse) == "Rejected", "there is no reading"
    assert await trigger(bench, "TransactionEvent", **evse) == "Rejected", "there is no transaction"
    assert await trigger(bench, "StatusNotification", evse={"id": 3}) == "Rejected"
    for message in ("SignChargingStationCertificate", "SignCombinedCertificate", "PublishFirmwareStatusNotification"):
        assert await trigger(bench, message) == "NotImplemented"
    await start(station, read(1.0))
    await station.meter_sampled(EVSE, read(2.0))
    for message in (
        "Heartbeat",
        "StatusNotification",
        "MeterValues",
        "TransactionEvent",
        "LogStatusNotification",
        "FirmwareStatusNotification",
    ):
        assert await trigger(bench, message) == "Accepted"
        await bench.csms.until_received(message, 2 if message in ("TransactionEvent", "StatusNotification") else 1)
    assert bench.events()[1]["triggerReason"] == "Trigger"
    assert bench.csms.received("LogStatusNotification") == [{"status": "Idle"}]
    values = bench.csms.received("MeterValues")[0]["meterValue"][0]["sampledValue"]
    assert {value["context"] for value in values} == {"Trigger"}


async def test_boot_can_be_triggered_while_pending(bench: Any) -> None:
    bench.csms.answers.policy.registration = ["Pending", "Accepted"]
    station = await bench.station(wait=False)
    await bench.csms.until_received("BootNotification")
    assert await trigger(bench, "BootNotification") == "Accepted"
    boot = await bench.csms.until_received("BootNotification", 2)
    assert boot["reason"] == "Triggered"
    await bench.csms.until(lambda: True)
    async with asyncio.timeout(2):
        while not station.online:
            await asyncio.sleep(0.01)


# --- B11, B12, G03, G04 ---


async def test_reset(bench: Any, wait_until: Callable[..., Any]) -> None:
    station = await bench.station()
    call = bench.csms.call
    assert (await call("Reset", {"type": "OnIdle", "evseId": 5}))["status"] == "Rejected"
    assert (await call("Reset", {"type": "OnIdle", "evseId": 1}))["status"] == "Accepted"
    assert bench.facts_of(ResetRequested) == [ResetRequested(EVSE, False)]
    await start(station)
    assert (await call("Reset", {"type": "OnIdle"}))["status"] == "Scheduled"
    assert len(bench.facts_of(ResetRequested)) == 1
    await end(station)
    assert bench.facts_of(ResetRequested)[1:] == [ResetRequested(None, False)]
    await start(station)
    assert (await call("Reset", {"type": "Immediate"}))["status"] == "Accepted"
    assert bench.facts_of(ResetRequested)[2:] == [ResetRequested(None, True)]
    await station.stop()
    await bench.station()
    assert bench.csms.received("BootNotification")[-1]["reason"] == "RemoteReset"
    await bench.stations[-1].stop()
    await bench.station()
    assert bench.csms.received("BootNotification")[-1]["reason"] == "PowerUp", "told once"


async def test_availability(bench: Any, wait_until: Callable[..., Any]) -> None:
    station = await bench.station(evse_count=2)
    for evse_id in (1, 2):
        station.connector_status(EvseId(evse_id), ConnectorStatus.AVAILABLE)
    await bench.csms.until_received("StatusNotification", 2)
    call = bench.csms.call
    out, back = {"operationalStatus": "Inoperative"}, {"operationalStatus": "Operative"}
    assert (await call("ChangeAvailability", out | {"evse": {"id": 3}}))["status"] == "Rejected"
    assert (await call("ChangeAvailability", out | {"evse": {"id": 1, "connectorId": 2}}))["status"] == "Rejected"
    assert (await call("ChangeAvailability", out | {"evse": {"id": 1}}))["status"] == "Accepted"
    status = await bench.csms.until_received("StatusNotification", 3)
    assert (status["evseId"], status["connectorStatus"]) == (1, "Unavailable")
    assert (await call("ChangeAvailability", back | {"evse": {"id": 1}}))["status"] == "Accepted"
    await start(station)
    assert (await call("ChangeAvailability", out))["status"] == "Scheduled"
    assert bench.facts_of(AvailabilityChanged) == [AvailabilityChanged(EVSE, False), AvailabilityChanged(EVSE, True)]
    await end(station)
    assert bench.facts_of(AvailabilityChanged)[2:] == [AvailabilityChanged(None, False)]
    await wait_until(lambda: "availability" in bench.journal.values)
    await station.stop()
    bench.facts.clear()
    again = await bench.station(evse_count=2)
    assert bench.facts_of(AvailabilityChanged) == [AvailabilityChanged(None, False)], "it outlives a restart"
    again.connector_status(EVSE, ConnectorStatus.AVAILABLE)
    await bench.csms.until(lambda: bench.csms.received("StatusNotification")[-1]["connectorStatus"] == "Unavailable")


async def test_statuses_after_a_short_and_a_long_time_offline(bench: Any, wait_until: Callable[..., Any]) -> None:
    station = await bench.station(offline_threshold_s=3600)
    station.connector_status(EVSE, ConnectorStatus.AVAILABLE)
    await bench.csms.until_received("StatusNotification")
    bench.csms.drop()
    await wait_until(lambda: len(bench.facts_of(CsmsOnline)) == 3)
    await asyncio.sleep(0.05)
    assert len(bench.csms.received("StatusNotification")) == 1, "nothing changed"
    bench.csms.drop()
    await wait_until(lambda: len(bench.facts_of(CsmsOnline)) >= 4)
    station.connector_status(EVSE, ConnectorStatus.OCCUPIED)
    await bench.csms.until_received("StatusNotification", 2)
    await set_variable(bench, "OCPPCommCtrlr", "OfflineThreshold", "0")
    bench.csms.drop()
    await bench.csms.until_received("StatusNotification", 3)


# --- K: smart charging ---


async def test_a_profile_lowers_the_limit_and_its_end_lifts_it(bench: Any) -> None:
    station = await bench.station()
    transaction_id = await start(station)
    call = bench.csms.call
    assert (await call("SetChargingProfile", tx_profile(1, "other", 10.0)))["status"] == "Rejected"
    assert (await call("SetChargingProfile", tx_profile(1, transaction_id, 10.0)))["status"] == "Accepted"
    loop_now = asyncio.get_running_loop().time()
    (limit,) = bench.facts_of(CsmsLimit)
    assert (limit.evse_id, limit.limit_a) == (1, 10.0)
    assert loop_now - 1 < limit.received_at_s <= loop_now
    schedule = (await call("GetCompositeSchedule", {"evseId": 1, "duration": 60}))["schedule"]
    assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 10.0, "numberPhases": 3}]
    await end(station)
    assert [fact.limit_a for fact in bench.facts_of(CsmsLimit)] == [10.0, None]


async def test_profiles_are_reported_cleared_and_kept(bench: Any, wait_until: Callable[..., Any]) -> None:
    station = await bench.station()
    call = bench.csms.call
    profile = tx_profile(1, "x", 16.0)["chargingProfile"] | {"chargingProfilePurpose": "TxDefaultProfile"}
    del profile["transactionId"]
    for number in range(7):
        request = {"evseId": 0, "chargingProfile": profile | {"id": number, "stackLevel": number}}
        assert (await call("SetChargingProfile", request))["status"] == "Accepted"
    await wait_until(lambda: len(json.loads(bench.journal.values.get("profiles", "[]"))) == 7)
    await station.stop()
    bench.facts.clear()
    await bench.station()
    assert [fact.limit_a for fact in bench.facts_of(CsmsLimit)] == [16.0]
    assert (await call("GetChargingProfiles", {"requestId": 3, "chargingProfile": {}}))["status"] == "Accepted"
    await bench.csms.until_received("ReportChargingProfiles", 2)
    reports = bench.csms.received("ReportChargingProfiles")
    assert [(report["tbc"], len(report["chargingProfile"])) for report in reports] == [(True, 5), (False, 2)]
    assert (await call("ClearChargingProfile", {"chargingProfileId": 99}))["status"] == "Unknown"
    assert (await call("ClearChargingProfile", {}))["status"] == "Accepted"
    assert (await call("GetChargingProfiles", {"requestId": 4, "chargingProfile": {}}))["status"] == "NoProfiles"
    assert (await call("GetCompositeSchedule", {"evseId": 1, "duration": 0}))["status"] == "Rejected"
    assert (await call("GetCompositeSchedule", {"evseId": 4, "duration": 9}))["status"] == "Rejected"
    assert [fact.limit_a for fact in bench.facts_of(CsmsLimit)] == [16.0, None]


async def test_a_period_begins_by_itself(bench: Any, wait_until: Callable[..., Any]) -> None:
    station = await bench.station()
    request = tx_profile(1, await start(station), 20.0)
    periods = request["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"]
    periods.append({"startPeriod": 1, "limit": 6.0})
    await bench.csms.call("SetChargingProfile", request)
    await wait_until(lambda: len(bench.facts_of(CsmsLimit)) == 2)
    assert [fact.limit_a for fact in bench.facts_of(CsmsLimit)] == [20.0, 6.0]


# --- B05-B08: variables ---


async def set_variable(bench: Any, component: str, variable: str, value: str, **more: Any) -> dict[str, Any]:
    item = {"component": {"name": component}, "variable": {"name": variable, **more}, "attributeValue": value}
    result = await bench.csms.call("SetVariables", {"setVariableData": [item]})
    only: dict[str, Any] = result["setVariableResult"][0]
    return only


async def test_variables_are_set_live_and_kept(bench: Any, wait_until: Callable[..., Any]) -> None:
    station = await bench.station()
    for component, variable, value in (
        ("OCPPCommCtrlr", "HeartbeatInterval", "1"),
        ("OCPPCommCtrlr", "WebSocketPingInterval", "7"),
    ):
        assert (await set_variable(bench, component, variable, value))["attributeStatus"] == "Accepted"
    await bench.csms.until_received("Heartbeat")
    assert (await set_variable(bench, "OCPPCommCtrlr", "HeartbeatInterval", "soon"))["attributeStatus"] == "Rejected"
    await wait_until(lambda: "variables" in bench.journal.values)
    await station.stop()
    again = await bench.station()
    assert again.model.number("OCPPCommCtrlr", "WebSocketPingInterval") == 7


async def test_too_many_items_are_refused(bench: Any) -> None:
    await bench.station()
    item = {"component": {"name": "X"}, "variable": {"name": "Y"}}
    with pytest.raises(CallRefused, match="OccurrenceConstraintViolation"):
        await bench.csms.call("GetVariables", {"getVariableData": [item] * 51})


async def test_reports_come_in_parts(bench: Any) -> None:
    await bench.station()
    call = bench.csms.call
    assert (await call("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"}))["status"] == "Accepted"
    await bench.csms.until(lambda: any(not part["tbc"] for part in bench.csms.received("NotifyReport")))
    parts = bench.csms.received("NotifyReport")
    assert [part["seqNo"] for part in parts] == list(range(len(parts)))
    names = {item["variable"]["name"] for part in parts for item in part["reportData"]}
    assert {"HeartbeatInterval", "BasicAuthPassword", "AvailabilityState", "DateTime"} <= names
    assert all(
        "value" not in item["variableAttribute"][0]
        for part in parts
        for item in part["reportData"]
        if item["variable"]["name"] == "BasicAuthPassword"
    )
    wanted = {"component": {"name": "ocppcommctrlr"}, "variable": {"name": "HeartbeatInterval"}}
    assert (await call("GetReport", {"requestId": 2, "componentVariable": [wanted]}))["status"] == "Accepted"
    await bench.csms.until(lambda: bench.csms.received("NotifyReport")[-1]["requestId"] == 2)
    assert len(bench.csms.received("NotifyReport")[-1]["reportData"]) == 1
    wanted = {"component": {"name": "Toaster"}}
    assert (await call("GetReport", {"requestId": 3, "componentVariable": [wanted]}))["status"] == "EmptyResultSet"
    assert (await call("GetReport", {"requestId": 4, "componentCriteria": ["Problem"]}))["status"] == "EmptyResultSet"


# --- Events ---


async def test_events_wait_for_the_csms(bench: Any, wait_until: Callable[..., Any]) -> None:
    station = await bench.station()
    await bench.csms.stop()
    await wait_until(lambda: not station.online)
    station.notify_event(
        "Connector",
        "Problem",
        "true",
        evse_id=EVSE,
        connector_id=1,
        tech_code="GroundFailure",
        tech_info="RCD",
        cleared=False,
        transaction_id="tx",
    )
    station.notify_event("ChargingStation", "Temperature", "71")
    station.security_event("TamperDetectionActivated", "x" * 300)
    await bench.csms.start()
    await bench.csms.until_received("NotifyEvent", 2)
    await bench.csms.until_security_event("TamperDetectionActivated")
    fault, change = (event["eventData"][0] for event in bench.csms.received("NotifyEvent"))
    assert (fault["eventId"], change["eventId"]) == (1, 2)
    assert (fault["trigger"], fault["cleared"], fault["techCode"]) == ("Alerting", False, "GroundFailure")
    assert fault["component"] == {"name": "Connector", "evse": {"id": 1, "connectorId": 1}}
    assert (change["trigger"], change["actualValue"]) == ("Delta", "71")


# --- Anything else ---


async def test_small_answers(bench: Any) -> None:
    await bench.station()
    call = bench.csms.call
    assert (await call("ClearCache", {}))["status"] == "Accepted"
    assert (await call("GetLocalListVersion", {})) == {"versionNumber": 0}
    assert (await call("DataTransfer", {"vendorId": "x"}))["status"] == "UnknownVendorId"
    with pytest.raises(CallRefused, match="NotSupported"):
        await call("UnpublishFirmware", {"checksum": "x"})
    with pytest.raises(CallRefused, match="NotImplemented"):
        await call("Explode", {}, check=False)


async def test_a_handlers_defect_is_an_internal_error_and_the_link_lives(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = await bench.station()

    async def broken(_request: object, _at_s: float) -> None:
        raise ZeroDivisionError

    async def wrong(_request: object, _at_s: float) -> Any:
        from ocpp_client.actions import Answer

        return Answer({"status": "Perhaps"})

    for handler in (broken, wrong):
        monkeypatch.setitem(station._dialogue._handlers, "ClearCache", handler)  # type: ignore[index]
        with pytest.raises(CallRefused, match="InternalError"):
            await bench.csms.call("ClearCache", {})
    assert (await bench.csms.call("GetLocalListVersion", {})) == {"versionNumber": 0}
    assert station.counts["task failed"] == 1


async def test_hostile_frames_end_neither_link_nor_charging(bench: Any) -> None:
    station = await bench.station()
    await start(station)
    for frame in ("", "[" * 100_000, "[2]", '[2,"1",["x"],{}]', "{}", b"\x00\xff", '[3,"nobody",{}]', "[6,[],{}]"):
        await bench.csms.send_raw(frame)
    for number in range(200):
        await bench.csms.send_raw(f'[2,"{number}","Reset",{{"type":"Soon"}}]')
    assert (await bench.csms.call("ClearCache", {}))["status"] == "Accepted"
    await end(station)
    await bench.csms.until_received("TransactionEvent", 2)
    assert station.counts["schema value"] == 200
    bench.csms.events[:] = [event for event in bench.csms.events if not event.action.startswith("#")]
