"""One EVSE between a board, a PLC link, an SECC and an operator that note what they are told."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firmware import config, evse, observers, supervisor
from firmware.evse import Evse, Observation, Overrun
from firmware.facts import AuthorizationAnswered, LimitSource, LocalLimit, TransactionOpened
from firmware.limits import Limits
from firmware.resumption import EMPTY_S
from firmware.session import Session
from hal import ports as hal
from hal.quantities import EvseId, MeterReading
from ocpp_client import ports as ocpp
from secc import ports as secc

EV_MAC = bytes.fromhex("020000000001")
EMAID = ocpp.IdToken("DEABCC12345678", "eMAID")
CONTRACT = secc.Contract("DEABCC12345678", "PEM", ())
YES = ocpp.AuthorizeAnswer(ocpp.AuthorizationStatus.ACCEPTED)
READING = MeterReading(1000.0, 0.0, (0.0, 0.0, 0.0), (230.0, 230.0, 230.0), 0.0, datetime(2026, 1, 1, tzinfo=UTC))


@dataclass
class Ledger:
    """Stands for every neighbour: any method called on it is noted with its arguments."""

    calls: list[tuple[str, tuple[object, ...]]] = field(default_factory=list)
    reading: MeterReading | None = READING
    levels: hal.EvseSnapshot | None = None

    def meter(self) -> MeterReading:
        if self.reading is None:
            raise hal.BoardUnavailable("stale")
        return self.reading

    def snapshot(self) -> hal.EvseSnapshot:
        if self.levels is None:
            raise hal.BoardUnavailable("silent")
        return self.levels

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.calls.append((name, arguments))

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


class Bench:
    def __init__(self) -> None:
        self.now = 10.0
        self.ledger = Ledger()
        self.seen: list[Observation] = []
        settings = config.Evse(id=1, evse_id="DE*EVS*E0001", device="/dev/null")
        self.evse = Evse(
            settings,
            lambda: Session(Limits(32.0), has_plc=True),
            self.ledger,  # type: ignore[arg-type]
            [self.seen.append],
            lambda: self.now,
        )
        self.evse.board = self.evse.plc = self.evse.secc = self.ledger  # type: ignore[assignment]

    async def hears(self, *facts: object) -> None:
        for fact in facts:
            self.evse.report(fact)  # type: ignore[arg-type]
        task = asyncio.create_task(self.evse.run())
        for _ in range(4 * len(facts)):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def charges(self) -> None:
        await self.hears(hal.ModemReady(0), hal.PluggedIn(0), hal.LinkReady(EV_MAC, 0))
        await self.hears(secc.SessionSetUp("AB", "02", "-2"), secc.ContractPresented(CONTRACT))
        await self.hears(AuthorizationAnswered(EMAID, YES), TransactionOpened("tx-1"), secc.PowerWanted(True))
        await self.hears(hal.ContactorChanged(hal.Contactor.CLOSED, 0))


async def test_effects_reach_their_neighbours_in_order() -> None:
    bench = Bench()
    await bench.charges()
    assert bench.ledger.names() == [
        "limit_current",
        "connector_status",
        "view_changed",
        "offer_hlc",
        "vehicle_connected",
        "connector_status",
        "view_changed",
        "open",
        "view_changed",
        "authorize",
        "view_changed",
        "lock_connector",
        "start_transaction",
        "view_changed",
        "offer_current",
        "permit_power",
        "view_changed",
        "update_transaction",
        "view_changed",
    ]
    started = next(arguments for name, arguments in bench.ledger.calls if name == "start_transaction")
    assert started == (1, "Authorized", "EVConnected", EMAID, READING, "AB", None)
    assert bench.evse.in_transaction


async def test_the_view_follows_the_session() -> None:
    bench = Bench()
    assert bench.evse.view.authorization is secc.Authorization.PENDING
    await bench.charges()
    view = bench.evse.view
    assert (view.authorization, view.contactor_closed, view.limit_a) == (secc.Authorization.ACCEPTED, True, 32.0)
    await bench.hears(ocpp.CsmsLimit(EvseId(1), 10.0, 0.0))
    assert bench.evse.view.limit_a == 10.0
    assert bench.ledger.calls[-4:-2] == [("limit_current", (10.0,)), ("offer_current", (10.0,))]
    bench.ledger.reading = None
    await bench.hears(ocpp.RemoteStop(EvseId(1), "tx-1"))
    assert bench.evse.view.stop is secc.StopReason.OPERATOR
    assert bench.evse.view.meter is None


async def test_a_session_to_its_end() -> None:
    bench = Bench()
    await bench.charges()
    bench.ledger.calls.clear()
    problem = secc.V2GEnded("AB", secc.EndReason.CONNECTION_LOST, "reset")
    await bench.hears(problem, hal.ContactorChanged(hal.Contactor.OPEN, 0), hal.Unplugged(0))
    assert bench.ledger.names() == [
        "permit_power",
        "offer_nothing",
        "close",
        "problem",
        "terminate",
        "view_changed",
        "update_transaction",
        "end_transaction",
        "lock_connector",
        "view_changed",
        "vehicle_connected",
        "connector_status",
        "view_changed",
    ]


async def test_observers_see_both_ids() -> None:
    bench = Bench()
    await bench.charges()
    last = bench.seen[-1]
    assert (last.evse, last.v2g_session_id, last.transaction_id) == (1, "AB", "tx-1")
    assert isinstance(last.fact, hal.ContactorChanged)


async def test_a_meter_that_is_stale_leaves_the_record_without_a_value() -> None:
    bench = Bench()
    bench.ledger.reading = None
    await bench.charges()
    started = next(arguments for name, arguments in bench.ledger.calls if name == "start_transaction")
    assert started[4] is None


async def test_meter_samples_go_to_the_operator() -> None:
    bench = Bench()
    await bench.hears(hal.MeterSampled(READING))
    assert ("meter_sampled", (1, READING)) in bench.ledger.calls


async def test_an_emergency_signals_f() -> None:
    bench = Bench()
    fault = hal.BoardFault(hal.Fault.GROUND_FAILURE, True, hal.Severity.EMERGENCY, "", 0)
    await bench.hears(hal.PluggedIn(0), fault)
    assert ("signal_error", ()) in bench.ledger.calls
    assert ("problem", (1, fault)) in bench.ledger.calls


async def test_a_loop_that_does_not_turn_is_not_alive() -> None:
    bench = Bench()
    await bench.hears(hal.ModemReady(0))
    assert bench.evse.alive()
    bench.now += evse.ALIVE_S
    assert not bench.evse.alive()


async def test_a_tick_comes_without_facts() -> None:
    bench = Bench()
    task = asyncio.create_task(bench.evse.run())
    bench.now += 100
    await asyncio.sleep(2 * evse.TICK_S)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert bench.evse.alive()


async def test_a_flood_ends_the_evse_and_the_supervisor_starts_it_again_safe() -> None:
    bench = Bench()
    await bench.charges()
    for _ in range(evse.QUEUE_LENGTH + 1):
        bench.evse.report(hal.ModemReady(0))
    with pytest.raises(Overrun):
        await bench.evse.run()
    waits: list[float] = []

    async def sleep(wait_s: float) -> None:
        waits.append(wait_s)
        if len(waits) == 3:
            raise asyncio.CancelledError
        bench.now += 1

    bench.ledger.calls.clear()
    bench.ledger.levels = hal.EvseSnapshot(
        hal.CpState.B,
        hal.CpMode.F,
        0.0,
        hal.Contactor.OPEN,
        False,
        None,
        frozenset({hal.Fault.PILOT_FAULT}),
        False,
        bench.now,
    )

    def crash(*_: object) -> None:
        raise ZeroDivisionError

    bench.evse.perform = crash  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await supervisor.supervise(bench.evse, lambda: bench.now, sleep)
    assert waits == [1.0, 2.0, 4.0]
    assert bench.ledger.names()[:5] == ["permit_power", "signal_error", "close", "end_transaction", "offer_nothing"]
    assert bench.evse.view is not None


LEFT = ocpp.TransactionLeftOpen(EvseId(1), "tx-1", ocpp.IdToken("04AA", "ISO14443"), None, None, "Charging", 60.0)
LEVELS = hal.EvseSnapshot(
    hal.CpState.A, hal.CpMode.X1, 100.0, hal.Contactor.OPEN, False, None, frozenset(), False, taken_at_s=0.0
)


async def test_an_empty_connector_gives_up_what_a_power_cut_left_open() -> None:
    bench = Bench()
    await bench.hears(LEFT)
    assert bench.evse.in_transaction
    assert "give_up_transaction" not in bench.ledger.names(), "the board is silent: nobody knows"
    bench.ledger.levels = LEVELS
    await bench.hears(hal.ModemReady(0))
    assert bench.evse.in_transaction
    bench.now += EMPTY_S
    await bench.hears(hal.ModemReady(0), hal.ModemReady(0))
    assert ("give_up_transaction", (1,)) in bench.ledger.calls
    assert not bench.evse.in_transaction


async def test_a_vehicle_resumes_what_a_power_cut_left_open() -> None:
    bench = Bench()
    bench.ledger.levels = replace(LEVELS, cp=hal.CpState.B)
    await bench.hears(LEFT, hal.PluggedIn(0))
    assert ("resume_transaction", (1, "EVConnected", READING)) in bench.ledger.calls


async def test_a_crash_ends_what_waits_as_it_was_known() -> None:
    bench = Bench()
    await bench.hears(LEFT)
    bench.evse.make_safe()
    assert "end_transaction" not in bench.ledger.names()
    assert ("give_up_transaction", (1,)) in bench.ledger.calls
    bench.evse.report(LEFT)
    bench.evse.start_anew()
    await bench.hears(hal.ModemReady(0))
    assert bench.evse.in_transaction, "a word that waited is not lost"


async def test_a_new_session_keeps_what_holds_for_any() -> None:
    bench = Bench()
    await bench.hears(hal.ModemReady(0), LocalLimit(LimitSource.BOARD, 20.0), ocpp.CsmsLimit(EvseId(1), 10.0, 0.0))
    bench.evse.report(hal.PluggedIn(0))
    bench.evse.report(LocalLimit(LimitSource.SITE, 8.0))
    bench.evse.start_anew()
    await bench.hears()
    for _ in range(8):
        task = asyncio.create_task(bench.evse.run())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert bench.evse.view.limit_a == 8.0
    assert bench.evse.view.board_limit_a == 20.0
    assert "offer_hlc" not in bench.ledger.names(), "a plug-in that waited is the board's to tell again"


async def test_a_minute_without_a_crash_makes_the_next_wait_short() -> None:
    bench = Bench()
    waits: list[float] = []

    async def sleep(wait_s: float) -> None:
        waits.append(wait_s)
        if len(waits) == 3:
            raise asyncio.CancelledError

    def crash(*_: object) -> None:
        bench.now += 61 if len(waits) == 1 else 0
        raise ZeroDivisionError

    bench.evse.perform = crash  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await supervisor.supervise(bench.evse, lambda: bench.now, sleep)
    assert waits == [1.0, 1.0, 2.0]


def observe(fact: object) -> Observation:
    return Observation(EvseId(1), fact, "AB", "tx-1", 10.0, datetime(2026, 1, 1, tzinfo=UTC))  # type: ignore[arg-type]


def test_the_log_line_carries_both_ids_and_no_certificate(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "evse"):
        observers.log_line(observe(secc.ContractPresented(CONTRACT)))
        observers.log_line(observe(hal.MeterSampled(READING)))
    assert caplog.messages == ["evse.1 v2g=AB tx=tx-1 ContractPresented emaid=DEABCC12345678 central=False"]


def test_the_event_file_holds_a_json_line_an_event(tmp_path: Path) -> None:
    path = tmp_path / "log" / "events.jsonl"
    file = observers.EventFile(path)
    file(observe(hal.SlacMatched(EV_MAC, b"\1" * 8, 12.3456789, 10, 0.2, 1.0)))
    file(observe(hal.MeterSampled(READING)))
    file.close()
    assert path.read_text().splitlines()[0] == (
        '{"at_s": 10.0, "wall_time": "2026-01-01T00:00:00.000+00:00", "evse": 1, "v2g_session_id": "AB", '
        '"transaction_id": "tx-1", "event": "SlacMatched", "ev_mac": "02:00:00:00:00:01", '
        '"run_id": "01:01:01:01:01:01:01:01", "attenuation_db": 12.3457, "sounds": 10, "took_s": 0.2}'
    )


def test_any_fact_can_be_written(tmp_path: Path) -> None:
    file = observers.EventFile(tmp_path / "events.jsonl")
    file(observe(ocpp.TransactionRules(frozenset({ocpp.TxPoint.AUTHORIZED}), frozenset(), 60.0, "")))
    file.close()
    assert '"start_points": ["Authorized"]' in (tmp_path / "events.jsonl").read_text()


def test_a_full_disk_loses_events_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    file = observers.EventFile(Path("/dev/full"))
    for _ in range(3):
        file(observe(hal.ModemReady(0)))
    file.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


class Lights:
    def __init__(self) -> None:
        self.shown: list[str] = []

    def show(self, indication: hal.Indication) -> None:
        if self.shown[-1:] != [indication]:
            self.shown.append(indication)


async def test_the_lights_tell_a_session() -> None:
    bench = Bench()
    bench.evse.lights = lights = Lights()
    bench.ledger.calls.clear()
    await bench.charges()
    unlit = hal.BoardFault(hal.Fault.RESIDUAL_CURRENT, True, hal.Severity.EMERGENCY, "6 mA", 0)
    await bench.hears(unlit, hal.ContactorChanged(hal.Contactor.OPEN, 0), hal.Unplugged(0))
    await bench.hears(replace(unlit, active=False))
    await bench.hears(ocpp.AvailabilityChanged(EvseId(1), operative=False))
    assert lights.shown == ["available", "connected", "ready", "charging", "faulted", "available", "unavailable"]
