from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from hal.quantities import EvseId, MeterReading
from ocpp_client.metering import Measurand, ReadingContext, measurands, meter_value
from ocpp_client.ports import ChargingState, IdToken, StoppedReason, TransactionError, TriggerReason, TxPoint
from ocpp_client.transactions import MAX_KEPT, Sampled, Transactions, tx_should_start, tx_should_stop
from ocpp_client.wire import encode_request

ONE, TWO = EvseId(1), EvseId(2)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
CONTRACT = IdToken("DE8EVSC12345678", "eMAID")
ALL = tuple(Measurand)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def meter(energy_wh: float, seconds: float = 0.0) -> MeterReading:
    return MeterReading(energy_wh, 6900.0, (10.0, 10.1, 9.9), (230.0, 229.0, 231.0), seconds, at(seconds))


@pytest.fixture
def transactions() -> Transactions:
    numbers = count(1)
    return Transactions(
        lambda: f"tx-{next(numbers)}", lambda: Sampled((Measurand.ENERGY,), ALL, (Measurand.ENERGY,)), 3
    )


def start(transactions: Transactions, evse_id: EvseId = ONE, **more: object) -> object:
    options = {
        "offline": False,
        "trigger": TriggerReason.AUTHORIZED,
        "charging_state": ChargingState.EV_CONNECTED,
        "id_token": CONTRACT,
        "meter": meter(1000.0),
        "v2g_session_id": "00AA",
    }
    return transactions.start(evse_id, NOON, **options | more)  # type: ignore[arg-type]


def test_a_transaction_from_start_to_end(transactions: Transactions) -> None:
    started = transactions.start(
        ONE,
        NOON,
        offline=False,
        trigger=TriggerReason.AUTHORIZED,
        charging_state=ChargingState.EV_CONNECTED,
        id_token=CONTRACT,
        meter=meter(1000.0),
        v2g_session_id="00AA",
        remote_start_id=7,
    )
    assert started.payload == {
        "eventType": "Started",
        "timestamp": "2026-05-01T12:00:00.000Z",
        "triggerReason": "Authorized",
        "seqNo": 0,
        "offline": False,
        "transactionInfo": {"transactionId": "tx-1", "chargingState": "EVConnected", "remoteStartId": 7},
        "evse": {"id": 1, "connectorId": 1},
        "idToken": {"idToken": "DE8EVSC12345678", "type": "eMAID"},
        "meterValue": [
            {
                "timestamp": "2026-05-01T12:00:00.000Z",
                "sampledValue": [
                    {
                        "value": 1000.0,
                        "measurand": "Energy.Active.Import.Register",
                        "location": "Outlet",
                        "unitOfMeasure": {"unit": "Wh"},
                        "context": "Transaction.Begin",
                    }
                ],
            }
        ],
    }
    updated = transactions.update(
        ONE,
        at(10),
        offline=True,
        trigger=TriggerReason.CHARGING_STATE_CHANGED,
        charging_state=ChargingState.CHARGING,
        meter=meter(1010.0, 10),
    )
    assert updated.payload["seqNo"] == 1
    assert updated.payload["offline"] is True
    assert updated.payload["transactionInfo"]["chargingState"] == "Charging"
    assert "idToken" not in updated.payload, "the token is told once"
    assert len(updated.payload["meterValue"][0]["sampledValue"]) == 8
    ended = transactions.end(
        ONE,
        at(20),
        offline=False,
        trigger=TriggerReason.EV_DEPARTED,
        stopped_reason=StoppedReason.EV_DISCONNECTED,
        meter=meter(1020.0, 20),
    )
    assert ended.ended
    assert ended.payload["seqNo"] == 2
    assert ended.payload["transactionInfo"]["stoppedReason"] == "EVDisconnected"
    contexts = [value["sampledValue"][0]["context"] for value in ended.payload["meterValue"]]
    assert contexts == ["Transaction.Begin", "Transaction.End"]
    for event in (started, updated, ended):
        encode_request("TransactionEvent", event.payload)
    assert transactions.all_open() == ()


def test_one_transaction_for_each_evse(transactions: Transactions) -> None:
    start(transactions, ONE)
    start(transactions, TWO)
    with pytest.raises(TransactionError, match="has a transaction"):
        start(transactions, ONE)
    assert [state.transaction_id for state in transactions.all_open()] == ["tx-1", "tx-2"]
    assert transactions.find("tx-2") == transactions.on(TWO)
    assert transactions.find("tx-3") is None


def test_no_event_without_a_transaction(transactions: Transactions) -> None:
    with pytest.raises(TransactionError, match="no transaction"):
        transactions.update(ONE, NOON, offline=False, trigger=TriggerReason.TRIGGER)
    with pytest.raises(TransactionError, match="no transaction"):
        transactions.end(ONE, NOON, offline=False, trigger=TriggerReason.TRIGGER, stopped_reason=StoppedReason.LOCAL)
    assert transactions.sampled(ONE, meter(1.0)) is None


def test_a_token_presented_later_is_told_then(transactions: Transactions) -> None:
    start(transactions, id_token=None)
    event = transactions.update(
        ONE, at(1), offline=False, trigger=TriggerReason.AUTHORIZED, id_token=CONTRACT, remote_start_id=9
    )
    assert event.payload["idToken"]["type"] == "eMAID"
    assert event.payload["transactionInfo"]["remoteStartId"] == 9
    again = transactions.update(ONE, at(2), offline=False, trigger=TriggerReason.TRIGGER, id_token=CONTRACT)
    assert "idToken" not in again.payload


def test_the_token_that_stops_is_told_with_the_end(transactions: Transactions) -> None:
    start(transactions)
    swipe = IdToken("04AABBCC", "ISO14443")
    event = transactions.end(
        ONE,
        at(1),
        offline=False,
        trigger=TriggerReason.STOP_AUTHORIZED,
        stopped_reason=StoppedReason.LOCAL,
        id_token=swipe,
    )
    assert event.payload["idToken"] == {"idToken": "04AABBCC", "type": "ISO14443"}


def test_after_a_power_cut_the_transaction_ends_with_what_was_known(transactions: Transactions) -> None:
    start(transactions)
    state = transactions.sampled(ONE, meter(1500.0, 60))
    assert state is not None
    after = Transactions(str, lambda: Sampled((), (), (Measurand.ENERGY,)), 3)
    event = after.cut_short(state)
    payload = event.payload
    assert (payload["eventType"], payload["seqNo"], payload["offline"]) == ("Ended", 1, True)
    assert payload["triggerReason"] == "AbnormalCondition"
    assert payload["transactionInfo"]["stoppedReason"] == "PowerLoss"
    assert payload["timestamp"] == "2026-05-01T12:01:00.000Z", "dated by the last reading"
    assert payload["meterValue"][-1]["sampledValue"][0]["value"] == 1500.0
    assert after.all_open() == ()


def test_without_any_reading_the_end_is_dated_by_the_last_event(transactions: Transactions) -> None:
    start(transactions, meter=None)
    event = transactions.update(ONE, at(30), offline=False, trigger=TriggerReason.TRIGGER)
    assert "meterValue" not in event.payload
    ended = Transactions(str, lambda: Sampled((), (), ALL), 3).cut_short(event.state)
    assert ended.payload["timestamp"] == "2026-05-01T12:00:30.000Z"
    assert "meterValue" not in ended.payload


def test_energy_never_goes_back(transactions: Transactions) -> None:
    start(transactions)
    transactions.sampled(ONE, meter(1500.0, 60))
    transactions.sampled(ONE, meter(3.0, 61))
    ended = transactions.end(
        ONE, at(62), offline=False, trigger=TriggerReason.EV_DEPARTED, stopped_reason=StoppedReason.LOCAL
    )
    assert [value["sampledValue"][0]["value"] for value in ended.payload["meterValue"]] == [1000.0, 1500.0]


def test_the_end_tells_what_was_kept_on_the_way() -> None:
    made = Transactions(str, lambda: Sampled((), (), (Measurand.ENERGY,), (Measurand.POWER,)), 3)
    start(made)
    made.keep(ONE, ReadingContext.SAMPLE_PERIODIC, meter(1100.0, 10))
    made.keep(ONE, ReadingContext.SAMPLE_CLOCK, meter(1200.0, 20))
    assert made.keep(ONE, ReadingContext.SAMPLE_CLOCK, meter(7.0, 21)) is None, "a register that goes back"
    assert made.keep(TWO, ReadingContext.SAMPLE_CLOCK, meter(1.0, 21)) is None, "no transaction"
    ended = made.end(ONE, at(30), offline=False, trigger=TriggerReason.TRIGGER, stopped_reason=StoppedReason.LOCAL)
    told = [
        (value["sampledValue"][0]["context"], value["sampledValue"][0]["measurand"])
        for value in ended.payload["meterValue"]
    ]
    energy, power = Measurand.ENERGY.value, Measurand.POWER.value
    assert told == [
        ("Transaction.Begin", energy),
        ("Sample.Periodic", energy),
        ("Sample.Clock", power),
        ("Transaction.End", energy),
    ]
    encode_request("TransactionEvent", ended.payload)


def test_what_is_kept_is_bounded_and_first_and_last_stay() -> None:
    made = Transactions(str, lambda: Sampled((), (), (Measurand.ENERGY,)), 3)
    start(made)
    for number in range(1, 1001):
        state = made.keep(ONE, ReadingContext.SAMPLE_PERIODIC, meter(1000.0 + number, number))
        assert state is not None
        assert len(state.kept) <= MAX_KEPT
        assert state.kept[-1].reading.energy_import_wh == 1000.0 + number
        assert state.kept[0].context == "Transaction.Begin"
    stamps = [kept.reading.wall_time for kept in state.kept]
    assert stamps == sorted(stamps)
    assert len(set(stamps)) == len(stamps)


def test_every_measurand_has_its_unit_and_phases() -> None:
    value = meter_value(meter(1.26), ReadingContext.SAMPLE_PERIODIC, ALL, 3)
    assert value is not None
    told = [
        (item["measurand"], item.get("phase"), item["unitOfMeasure"]["unit"], item["value"])
        for item in value["sampledValue"]
    ]
    assert told == [
        ("Energy.Active.Import.Register", None, "Wh", 1.3),
        ("Power.Active.Import", None, "W", 6900.0),
        ("Current.Import", "L1", "A", 10.0),
        ("Current.Import", "L2", "A", 10.1),
        ("Current.Import", "L3", "A", 9.9),
        ("Voltage", "L1-N", "V", 230.0),
        ("Voltage", "L2-N", "V", 229.0),
        ("Voltage", "L3-N", "V", 231.0),
    ]
    assert meter_value(meter(1.0), ReadingContext.OTHER, (), 3) is None
    one_phase = meter_value(meter(1.0), ReadingContext.OTHER, (Measurand.VOLTAGE,), 1)
    assert one_phase is not None
    assert len(one_phase["sampledValue"]) == 1


def test_a_direct_current_has_no_phases() -> None:
    reading = replace(meter(1000.0), current_a=(125.0, 0.0, 0.0), voltage_v=(400.0, 0.0, 0.0), dc=True)
    value = meter_value(reading, ReadingContext.OTHER, (Measurand.CURRENT, Measurand.VOLTAGE), 3)
    assert value is not None
    assert [(sample["value"], "phase" in sample) for sample in value["sampledValue"]] == [
        (125.0, False),
        (400.0, False),
    ]


def test_a_vehicle_that_tells_its_state_of_charge() -> None:
    value = meter_value(replace(meter(1.0), soc_percent=61.26), ReadingContext.OTHER, (Measurand.SOC,), 3)
    assert value is not None
    (sample,) = value["sampledValue"]
    assert (sample["value"], sample["location"], sample["unitOfMeasure"]) == (61.3, "EV", {"unit": "Percent"})
    assert meter_value(meter(1.0), ReadingContext.OTHER, (Measurand.SOC,), 3) is None


def test_measurands_come_from_a_member_list() -> None:
    assert measurands("Voltage, Current.Import,") == (Measurand.VOLTAGE, Measurand.CURRENT)
    with pytest.raises(ValueError, match="Frequency"):
        measurands("Frequency")


@pytest.mark.parametrize("point", list(TxPoint))
def test_each_start_point_starts_by_itself(point: TxPoint) -> None:
    others = set(TxPoint) - {point}
    assert tx_should_start([point], {point})
    assert not tx_should_start([point], others)


@pytest.mark.parametrize("point", list(TxPoint))
def test_each_stop_point_stops_when_it_ceases(point: TxPoint) -> None:
    everything = set(TxPoint)
    assert tx_should_stop([point], everything, everything - {point})
    assert not tx_should_stop([point], everything, {point})
    assert not tx_should_stop([point], set(), set()), "what never held ends nothing"
