"""A whole station but for the hardware: EVSE, session, journal and OCPP client, towards the CSMS over a WebSocket.

The board is scripted: a driver plugs in, swipes, lets the vehicle draw. What the CSMS hears is judged by the schemas of
the standard and by each case.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from firmware import app
from firmware import config as settings
from firmware.dispatch import Dispatcher
from firmware.evse import Evse
from firmware.facts import Fact
from firmware.journal import SqliteJournal
from firmware.limits import Limits
from firmware.operator_side import OperatorSide
from firmware.screen import Screen
from firmware.session import Session
from firmware.site import Site as SiteLimit
from hal import ports as hal
from hal.quantities import EvseId, MeterReading, SignedReading
from ocpp_client.config import OcppConfig
from ocpp_client.station import OcppStation
from sim.csms.server import Csms
from sim.meter.ocmf import OcmfMeter
from tests.conformance.ocpp.planner import Secc, SilentPlc

Payload = dict[str, Any]

CARD, OTHER = "04AABBCC", "04DDEEFF"
ANSWER_S = 5.0


class ScriptedBoard:
    """One EVSE's board: the contactor follows permission and vehicle at once."""

    def __init__(self, report: Callable[[hal.HalFact], None]) -> None:
        self._report = report
        self.plugged = self.wanting = self.permitted = self.locked = False
        self.unlocks = True
        self.limit_a = 0.0
        self.contactor = hal.Contactor.OPEN
        self.energy_wh = 1000.0
        self.signing: OcmfMeter | None = None
        """Signs each reading."""

    # --- BoardSupport ---

    def permit_power(self, permit: bool) -> None:
        self.permitted = permit
        self._settle()

    def lock_connector(self, lock: bool) -> None:
        self.locked = lock or not self.unlocks

    def limit_current(self, limit_a: float) -> None:
        self.limit_a = limit_a

    def offer_nothing(self) -> None:
        """X1: the vehicle stops drawing."""
        if self.contactor is hal.Contactor.CLOSED:
            asyncio.get_running_loop().call_soon(self.stop_drawing)

    def offer_hlc(self) -> None: ...

    def offer_current(self, limit_a: float) -> None: ...

    def signal_error(self) -> None: ...

    def meter(self) -> MeterReading:
        drawn = self.limit_a if self.contactor is hal.Contactor.CLOSED else 0.0
        if drawn:
            self.energy_wh += 10.0
        now = datetime.now(UTC)
        signed = (
            SignedReading(self.signing.read(self.energy_wh, now), self.signing.public_key) if self.signing else None
        )
        return MeterReading(
            self.energy_wh, drawn * 690.0, (drawn,) * 3, (230.0,) * 3, time.monotonic(), now, signed=signed
        )

    def snapshot(self) -> hal.EvseSnapshot:
        cp = (hal.CpState.C if self.wanting else hal.CpState.B) if self.plugged else hal.CpState.A
        return hal.EvseSnapshot(
            cp, hal.CpMode.X1, 100.0, self.contactor, self.locked, 32.0, frozenset(), self.permitted, time.monotonic()
        )

    # --- The driver and the vehicle ---

    def plug(self) -> None:
        self.plugged = True
        self._report(hal.PluggedIn(time.monotonic()))

    def draw(self) -> None:
        self.wanting = True
        self._report(hal.VehicleReady(time.monotonic(), False))
        self._settle()

    def stop_drawing(self) -> None:
        if self.wanting:
            self.wanting = False
            self._report(hal.VehiclePaused(time.monotonic()))
            self._settle()

    def unplug(self) -> None:
        self.plugged = self.wanting = False
        self._settle()
        self._report(hal.Unplugged(time.monotonic()))

    def swipe(self, token: str = CARD) -> None:
        self._report(hal.TokenPresented(token, "ISO14443", time.monotonic()))

    def sample(self) -> None:
        self._report(hal.MeterSampled(self.meter()))

    def fault(self, fault: hal.Fault, severity: hal.Severity, active: bool = True) -> None:
        self._report(hal.BoardFault(fault, active, severity, "scripted", time.monotonic()))

    def _settle(self) -> None:
        closed = self.plugged and self.wanting and self.permitted
        contactor = hal.Contactor.CLOSED if closed else hal.Contactor.OPEN
        if contactor is not self.contactor:
            self.contactor = contactor
            self._report(hal.ContactorChanged(contactor, time.monotonic()))


class ThisLoop:
    """Stands for the CSMS link's thread: the same calls, on the test's own loop."""

    def call(self, function: Callable[[], object]) -> None:
        asyncio.get_running_loop().call_soon(function)

    def submit(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        _KEPT.add(task)
        task.add_done_callback(_KEPT.discard)


_KEPT: set[asyncio.Task[Any]] = set()


class Site:
    """The station and its CSMS. A reset restarts it, as the service manager does."""

    def __init__(self, csms: Csms, state_dir: Path) -> None:
        self.csms = csms
        self.boards: dict[int, ScriptedBoard] = {}
        self.screen = Screen(None)
        self.evses: dict[EvseId, Evse] = {}
        self.options: dict[str, Any] = {}
        self.station_options: dict[str, Any] = {}
        self.before_start: Callable[[], None] = lambda: None
        """What the daemon does anew at each start."""
        self.has_plc = False
        self._state_dir = state_dir
        self._energy_wh: dict[int, float] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._restarting: asyncio.Task[None] | None = None
        self._up = False

    @property
    def board(self) -> ScriptedBoard:
        return self.boards[1]

    async def start(self, *, wait: bool = True, **options: Any) -> "Site":
        """With the options of the first start unless others are given."""
        self.options |= options
        self.before_start()
        config: dict[str, Any] = {
            "identity": "CS-1",
            "url": self.csms.url,
            "vendor": "Vendor",
            "model": "Model",
            "serial": "0001",
            "firmware": "1.0",
            "security_profile": 1,
            "sampled_interval_s": 0,
            "retry_back_off_min_s": 0,
            "retry_back_off_random_s": 0,
            "message_attempt_interval_s": 0,
        }
        config |= self.options
        self.journal = await SqliteJournal.open(self._state_dir / "journal.sqlite")
        self.evses = {}
        numbers = range(1, config.get("evse_count", 1) + 1)
        chosen = [settings.Evse(id=number, evse_id=f"DE*EVS*E{number}", device="/dev/null") for number in numbers]
        self.site = SiteLimit(self.evses, tuple(chosen), 1000.0, time.monotonic)
        dispatcher = Dispatcher(self.evses, self._reset, self.site, self.screen.take)
        self.station = OcppStation(OcppConfig(**config), self.journal, dispatcher.take, **self.station_options)
        if (certificates := self.station_options.get("certificates")) is not None:
            certificates.use_tls = self.station.use_tls
        self.operator = OperatorSide(ThisLoop(), self.station, self.journal, self._report)  # type: ignore[arg-type]
        for evse in chosen:
            self._add_evse(evse)
        self.site.share()
        loop = asyncio.get_running_loop()
        await self.station.start()
        self._tasks = [loop.create_task(evse.run()) for evse in self.evses.values()]
        self._tasks.append(loop.create_task(self.operator.run()))
        self._up = True
        if wait:
            await self.until(lambda: self.station.online)
        return self

    def _add_evse(self, chosen: settings.Evse) -> None:
        number = chosen.id
        make = partial(Session, Limits(32.0), has_plc=self.has_plc)
        evse = Evse(chosen, make, self.operator, [self.site], time.monotonic)
        board = ScriptedBoard(evse.report)
        if (before := self.boards.get(number)) is not None:
            board.energy_wh, board.plugged, board.wanting = before.energy_wh, before.plugged, before.wanting
        evse.board = board  # type: ignore[assignment]
        if self.has_plc:
            evse.plc, evse.secc = SilentPlc(), Secc(evse)  # type: ignore[assignment]
        self.boards[number], self.evses[EvseId(number)] = board, evse
        if board.plugged:
            board.plug()

    def _report(self, evse: EvseId) -> Callable[[Fact], None]:
        return lambda fact: self.evses[evse].report(fact)

    def _reset(self) -> None:
        self._restarting = asyncio.get_running_loop().create_task(self.restart())

    async def restart(self) -> None:
        """In order, as the daemon goes down."""
        await app._end_transactions(list(self.evses.values()))
        await self.operator.drain()
        await self.power_off()
        await self.start(wait=False)

    async def power_off(self) -> None:
        """All at once; only the disk remains."""
        if not self._up:
            return
        self._up = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.site.close()
        await self.station.stop()
        await self.journal.close()

    async def close(self) -> None:
        if self._restarting is not None:
            await self._restarting
        await self.power_off()

    # --- What a case says ---

    async def until(self, condition: Callable[[], bool], timeout_s: float = ANSWER_S) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(0.002)

    async def call(self, action: str, **payload: Any) -> Payload:
        return await self.csms.call(action, payload)

    async def set(self, component: str, variable: str, value: str, *, instance: str | None = None) -> str:
        """SetVariables of one; its attributeStatus."""
        named = {"name": variable} | ({"instance": instance} if instance else {})
        item = {"component": {"name": component}, "variable": named, "attributeValue": value}
        answer = await self.call("SetVariables", setVariableData=[item])
        status: str = answer["setVariableResult"][0]["attributeStatus"]
        return status

    async def configure(self, **variables: str) -> None:
        """`TxCtrlr_TxStartPoint="Authorized"`; each must be accepted."""
        for name, value in variables.items():
            component, variable = name.split("_")
            assert await self.set(component, variable, value) == "Accepted", name

    async def get(self, component: str, variable: str, **more: Any) -> Payload:
        item = {"component": {"name": component}, "variable": {"name": variable}, **more}
        answer: Payload = (await self.call("GetVariables", getVariableData=[item]))["getVariableResult"][0]
        return answer

    @property
    def events(self) -> list[Payload]:
        return self.csms.received("TransactionEvent")

    async def event(self, kind: str, **wanted: Any) -> Payload:
        """The first TransactionEvent of that type with these fields, of the event or of its transactionInfo."""

        def found() -> Payload | None:
            return next((event for event in self.events if _fits(event, kind, wanted)), None)

        await self.csms.until(lambda: found() is not None, ANSWER_S)
        event = found()
        assert event is not None
        return event

    async def status(self, connector_status: str, evse_id: int = 1, *, after: int = 0) -> Payload:
        """A StatusNotification, of those after the first `after`."""

        def found() -> Payload | None:
            told = self.csms.received("StatusNotification")[after:]
            return next((s for s in told if (s["connectorStatus"], s["evseId"]) == (connector_status, evse_id)), None)

        await self.csms.until(lambda: found() is not None, ANSWER_S)
        payload = found()
        assert payload is not None
        return payload

    async def charge(self, token: str = CARD, evse_id: int = 1) -> str:
        """Plug in, swipe, draw; returns the transaction id."""
        board = self.boards[evse_id]
        before = len(self.events)
        board.plug()
        board.swipe(token)
        board.draw()

        def charging() -> list[Payload]:
            return [event for event in self.events[before:] if _fits(event, "Updated", {"chargingState": "Charging"})]

        await self.csms.until(lambda: bool(charging()), ANSWER_S)
        transaction_id: str = charging()[0]["transactionInfo"]["transactionId"]
        return transaction_id

    async def go_offline(self) -> None:
        await self.csms.stop()
        await self.until(lambda: not self.station.online)

    async def come_back(self) -> None:
        await self.operator.drain()
        await self.csms.start()
        await self.until(lambda: self.station.online)

    def told(self) -> list[str]:
        """What drivers are shown now."""
        return [str(message["text"]) for message in self.screen.shown()]

    async def settle(self, seconds: float = 0.05) -> None:
        """Long enough for what must not come."""
        await asyncio.sleep(seconds)

    def whole(self, transaction_id: str) -> list[Payload]:
        """The events of a transaction, once each, in order: asserts seqNo without gaps, energy and time never back."""
        by_number: dict[int, Payload] = {}
        for event in self.events:
            if event["transactionInfo"]["transactionId"] == transaction_id:
                assert by_number.setdefault(event["seqNo"], event) == event, "a repeated event is the same event"
        events = [by_number[number] for number in sorted(by_number)]
        assert sorted(by_number) == list(range(len(events))), "seqNo without gaps"
        stamps = [event["timestamp"] for event in events]
        assert stamps == sorted(stamps)
        energies = energies_of(events)
        assert energies == sorted(energies)
        return events


def energies_of(events: list[Payload]) -> list[float]:
    """The register in the order in which it was read: Ended tells again what was read before."""
    read = [
        (value["timestamp"], sample["value"])
        for event in events
        for value in event.get("meterValue", ())
        for sample in value["sampledValue"]
        if sample["measurand"] == "Energy.Active.Import.Register"
    ]
    return [energy for _, energy in sorted(read)]


def _fits(event: Payload, kind: str, wanted: Payload) -> bool:
    fields = event | event["transactionInfo"]
    return event["eventType"] == kind and all(fields.get(name) == value for name, value in wanted.items())


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with Csms() as csms:
        site = Site(csms, tmp_path)
        yield site
        await site.close()
        assert csms.faults() == [], "the station sent something that breaks the standard"


@pytest.fixture
async def running(site: Site) -> Site:
    return await site.start()
