"""Signed metering: the meter's transaction beside the station's, and what becomes of both when one fails."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from firmware import signing
from firmware.facts import Fact, TransactionOpened
from firmware.journal import SqliteJournal, dump_state, load_state
from firmware.levels import levels
from firmware.limits import Limits
from firmware.signing import SigningOperator, last_word, reading_of
from firmware.state import State
from hal.ports import BoardFault, BoardUnavailable, Contactor, Fault, MeteredTransaction, Severity
from hal.quantities import EvseId, MeterReading, SignedReading
from ocpp_client.ports import ChargingState, IdToken, KeptReading, StoppedReason, TransactionState, TriggerReason
from secc.ports import Authorization
from sim.meter.ocmf import OcmfMeter

ONE, TWO = EvseId(1), EvseId(2)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
CARD = IdToken("04A2B3C4", "ISO14443")


def meter(energy_wh: float = 1000.0) -> MeterReading:
    return MeterReading(energy_wh, 0.0, (0.0,) * 3, (230.0,) * 3, time.monotonic(), NOON)


class Meter:
    """A signing meter in memory; `fails` raises at each call."""

    def __init__(self) -> None:
        self.ocmf = OcmfMeter()
        self.calls: list[str] = []
        self.fails = False
        self.hangs = False
        self.serial, self.public_key = "M1", self.ocmf.public_key

    async def _called(self, what: str) -> None:
        self.calls.append(what)
        await asyncio.sleep(10 if self.hangs else 0.01)
        if self.fails:
            raise BoardUnavailable("the meter does not answer")

    async def start_transaction(self, transaction: MeteredTransaction) -> SignedReading:
        await self._called(f"start {transaction.evse_id} {transaction.id_token}")
        return SignedReading(self.ocmf.start(transaction.id_token, 1000.0, NOON), self.public_key)

    async def stop_transaction(self, transaction_id: str) -> SignedReading:
        await self._called("stop")
        return SignedReading(self.ocmf.stop(1500.0, NOON), self.public_key)

    async def stop_forgotten(self) -> None:
        await self._called("forgotten")

    def reading(self) -> MeterReading:
        return meter(1500.0)


class Station:
    """What the operator's side asks of the OCPP station, in the order in which it came."""

    def __init__(self) -> None:
        self.told: list[tuple[str, MeterReading | None]] = []
        self.ids: list[str] = []

    async def transaction_started(self, *asked: Any) -> str:
        self.told.append(("started", asked[4]))
        self.ids.append(asked[7])
        return asked[7] or "made by the station"

    async def transaction_updated(self, *asked: Any) -> None:
        self.told.append(("updated", asked[3]))

    async def transaction_ended(self, *asked: Any) -> None:
        self.told.append(("ended", asked[3]))


class Loop:
    """Stands for the CSMS's thread."""

    def call(self, function: Any) -> None:
        asyncio.get_running_loop().call_soon(function)


class Rig:
    def __init__(self, directory: Path) -> None:
        self.meter = Meter()
        self.station = Station()
        self.facts: list[Fact] = []
        self.operator = SigningOperator(
            Loop(),  # type: ignore[arg-type]
            self.station,  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
            lambda _evse: self.facts.append,
            {ONE: self.meter},  # type: ignore[dict-item]
            {ONE: "DE*EVS*E1", TWO: "DE*EVS*E2"},
        )
        self.tasks = [asyncio.create_task(self.operator.run()), asyncio.create_task(self.operator.run_meters())]

    def charge(self, evse: EvseId = ONE) -> None:
        """Started, Updated and Ended, without a pause between them."""
        operator = self.operator
        operator.start_transaction(evse, TriggerReason.AUTHORIZED, ChargingState.EV_CONNECTED, CARD, meter(), "", None)
        operator.update_transaction(
            evse, TriggerReason.CHARGING_STATE_CHANGED, ChargingState.CHARGING, None, meter(), None
        )
        operator.end_transaction(evse, TriggerReason.EV_DEPARTED, StoppedReason.LOCAL, meter(), None)

    async def settled(self) -> list[str]:
        await self.operator.drain_meters()
        await asyncio.sleep(0)
        await self.operator.drain()
        return [kind for kind, _ in self.station.told]

    def signed(self) -> list[bool]:
        return [reading is not None and reading.signed is not None for _, reading in self.station.told]

    def faults(self) -> list[tuple[Fault, bool, Severity]]:
        return [(fact.fault, fact.active, fact.severity) for fact in self.facts if isinstance(fact, BoardFault)]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path)
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


async def test_records_go_with_the_events_and_the_order_is_kept(rig: Rig) -> None:
    rig.charge()
    assert await rig.settled() == ["started", "updated", "ended"]
    assert rig.meter.calls == ["forgotten", "start DE*EVS*E1 04A2B3C4", "stop"]
    assert rig.signed() == [True, False, True]
    (transaction_id,) = rig.station.ids
    assert len(transaction_id) == 36
    assert TransactionOpened(transaction_id) in rig.facts
    assert rig.faults() == []


async def test_an_evse_without_such_a_meter_does_not_wait_for_it(rig: Rig) -> None:
    rig.meter.hangs = True
    rig.charge(TWO)
    await asyncio.sleep(0)
    await rig.operator.drain()
    assert [kind for kind, _ in rig.station.told] == ["started", "updated", "ended"]
    assert rig.station.ids == [""]


async def test_a_meter_that_does_not_start_is_a_fault_until_the_transaction_is_over(rig: Rig) -> None:
    rig.meter.fails = True
    rig.charge()
    assert await rig.settled() == ["started", "updated", "ended"]
    assert rig.signed() == [False, False, False]
    stop = Severity.STOP
    assert rig.faults() == [(Fault.POWER_METER_FAILURE, True, stop), (Fault.POWER_METER_FAILURE, False, stop)]


async def test_a_meter_that_fails_on_the_way_costs_the_record_alone(rig: Rig) -> None:
    operator = rig.operator
    operator.start_transaction(ONE, TriggerReason.AUTHORIZED, ChargingState.CHARGING, None, meter(), "", None)
    await rig.settled()
    rig.meter.fails = True
    operator.end_transaction(ONE, TriggerReason.EV_DEPARTED, StoppedReason.LOCAL, meter(), None)
    assert await rig.settled() == ["started", "ended"]
    assert rig.signed() == [True, False]


# --- After a power cut ---


def state(**more: Any) -> TransactionState:
    signed = SignedReading("OCMF|{}|{}", "30")
    begun = MeterReading(1000.0, 0.0, (0.0,) * 3, (230.0,) * 3, 0.0, NOON, signed=signed)
    kept = (KeptReading("Transaction.Begin", begun),)
    return TransactionState("tx", ONE, 2, CARD, "Charging", NOON, NOON, begun, "", kept=kept, key_told=True, **more)


def test_a_record_survives_in_the_journal() -> None:
    assert load_state(dump_state(state())) == state()


async def test_the_meter_has_the_last_word() -> None:
    made = Meter()
    made.ocmf.start("04A2B3C4", 1000.0, NOON)
    word = await last_word({ONE: made}, state())  # type: ignore[dict-item]
    assert word is not None
    assert (word.energy_import_wh, word.wall_time) == (1500.0, NOON)
    assert word.signed is not None
    assert await last_word({}, state()) is None


async def test_a_meter_that_is_silent_at_the_start_does_not_hold_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "LAST_WORD_S", 0.05)
    made = Meter()
    made.hangs = True
    assert await last_word({ONE: made}, state()) is None  # type: ignore[dict-item]
    made.hangs, made.fails = False, True
    assert await last_word({ONE: made}, state()) is None  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "record", ["rubbish", 'OCMF|{"RD":[{"TM":"2026-05-01T12:00:00,000+0000 S","RV":1,"RU":"V"}]}|{}']
)
def test_a_record_that_is_not_understood_is_passed_on_all_the_same(record: str) -> None:
    assert reading_of(SignedReading(record, "")) is None


# --- Before energy flows ---


@pytest.mark.parametrize(
    ("signs", "transaction_id", "permitted"), [(True, "", False), (True, "tx", True), (False, "", True)]
)
def test_nothing_flows_before_the_meter_has_begun(signs: bool, transaction_id: str, permitted: bool) -> None:
    at = State(Limits(16.0), has_plc=False, nominal_under_hlc=True, signed_metering=signs)
    at.plugged, at.authorization, at.contactor = True, Authorization.ACCEPTED, Contactor.OPEN
    at.transaction_open, at.transaction_id = True, transaction_id
    assert levels(at).permit is permitted


async def test_the_journal_holds_it(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "journal.sqlite")
    await journal.append("TransactionEvent", "{}", state())
    assert await journal.open_transactions() == [state()]
    await journal.close()
