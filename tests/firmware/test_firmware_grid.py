"""Limits of others than the CSMS: the machine in virtual time, then its side in the daemon with Modbus and disk."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from firmware import config
from firmware.control.grid_methods import GRID_METHODS
from firmware.control.rpc import RpcError
from firmware.dimming_log import MAX_BYTES, DimmingLog
from firmware.evse import Observation
from firmware.grid import Cause, Dimming, Grid, Limited, Noted, Outcome
from firmware.grid_side import NO_LIMIT, GridSide
from hal.modbus.pdu import READ_HOLDING, Read, Refused, Write
from hal.modbus.tcp_line import TcpLine
from hal.modbus.tcp_server import TcpServer
from hal.ports import ContactChanged, MeterSampled
from hal.quantities import EvseId, MeterReading
from ocpp_client.ports import CsmsOnline

DIMMED_A = 4200 / 690


def grid(**settings: Any) -> Grid:
    return Grid(config.Grid(**settings), 3, 230.0, 0.0)


def limited(outcomes: list[Outcome]) -> dict[Cause, float | None]:
    return {outcome.cause: outcome.limit_a for outcome in outcomes if isinstance(outcome, Limited)}


def noted(outcomes: list[Outcome]) -> list[tuple[Dimming, str]]:
    return [(outcome.event, outcome.by) for outcome in outcomes if isinstance(outcome, Noted)]


# --- The machine ---


def test_the_energy_managers_limit_holds_until_it_lifts_it() -> None:
    made = grid()
    assert limited(made.manage(16.0, 1.0)) == {Cause.ENERGY_MANAGER: 16.0}
    assert made.manage(16.0, 2.0) == []
    assert limited(made.manage(None, 3.0)) == {Cause.ENERGY_MANAGER: None}
    assert made.deadline() is None, "none is expected, its silence is nothing"


def test_an_energy_manager_that_falls_silent_leaves_the_fail_safe_current() -> None:
    made = grid(silence_s=60.0, failsafe_a=8.0)
    made.manage(25.0, 10.0)
    assert made.deadline() == 70.0
    assert made.tick(69.9) == []
    assert limited(made.tick(70.0)) == {Cause.SILENCE: 8.0}
    assert made.limits == {Cause.ENERGY_MANAGER: 25.0, Cause.SILENCE: 8.0}
    assert made.deadline() is None
    assert limited(made.manage(25.0, 80.0)) == {Cause.SILENCE: None}
    assert limited(grid(silence_s=60.0).tick(60.0)) == {Cause.SILENCE: 6.0}, "one that never spoke at all"


def test_without_the_csms_its_fail_safe_holds_after_a_while() -> None:
    made = grid(offline_s=300.0, offline_limit_a=10.0)
    assert made.online(True, 5.0) == []
    assert made.deadline() is None
    made.online(False, 100.0)
    assert made.online(False, 200.0) == []
    assert made.deadline() == 400.0
    assert limited(made.tick(400.0)) == {Cause.OFFLINE: 10.0}
    assert limited(made.online(True, 500.0)) == {Cause.OFFLINE: None}
    assert grid().tick(1e9) == [], "not configured: profiles hold alone"


def test_dimming_stands_as_long_as_one_input_does_and_is_noted_once() -> None:
    made = grid()
    made.measured(11_000.0)
    begun = made.dim("contact 1", True)
    assert limited(begun) == {Cause.DIMMING: pytest.approx(DIMMED_A)}
    assert noted(begun) == [(Dimming.ORDERED, "contact 1")]
    assert made.dim("modbus", True) == []
    assert made.measured(9000.0) == []
    assert noted(made.measured(4250.0)) == [(Dimming.FOLLOWED, "contact 1")]
    assert made.measured(4100.0) == []
    assert made.dim("contact 1", False) == []
    ended = made.dim("modbus", False)
    assert limited(ended) == {Cause.DIMMING: None}
    assert noted(ended) == [(Dimming.RELEASED, "modbus")]
    assert made.dim("modbus", False) == []


def test_a_station_that_draws_little_has_followed_at_once() -> None:
    made = grid()
    made.measured(0.0)
    assert [event for event, _ in noted(made.dim("contact 1", True))] == [Dimming.ORDERED, Dimming.FOLLOWED]


def test_one_phase_may_have_all_that_remains() -> None:
    one = Grid(config.Grid(), 1, 230.0, 0.0)
    assert limited(one.dim("contact 1", True)) == {Cause.DIMMING: pytest.approx(4200 / 230)}


# --- On disk ---


def test_the_log_outlives_a_restart_and_a_line_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "dimming.jsonl"
    at = datetime(2026, 1, 1, tzinfo=UTC)
    DimmingLog(path).append(Noted(Dimming.ORDERED, "contact 1", 4200.0, 11_000.04), at)
    with path.open("a") as file:
        file.write('{"at": "2026-')
    assert DimmingLog(path).entries() == [
        {
            "at": "2026-01-01T00:00:00.000+00:00",
            "event": "ordered",
            "by": "contact 1",
            "limit_w": 4200.0,
            "power_w": 11_000.0,
        }
    ]


def test_the_log_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "dimming.jsonl"
    log, at = DimmingLog(path), datetime(2026, 1, 1, tzinfo=UTC)
    path.write_text(json.dumps({"event": "old"}) + "\n" + " " * MAX_BYTES)
    log.append(Noted(Dimming.RELEASED, "modbus", 4200.0, None), at)
    assert path.stat().st_size < 1000
    assert [entry["event"] for entry in log.entries()] == ["old", "released"]


def test_a_disk_that_fails_costs_the_line(tmp_path: Path) -> None:
    log = DimmingLog(tmp_path / "nowhere" / "dimming.jsonl")
    log.append(Noted(Dimming.ORDERED, "modbus", 4200.0, None), datetime(2026, 1, 1, tzinfo=UTC))
    assert log.entries() == []


# --- In the daemon ---


class SiteStandIn:
    def __init__(self) -> None:
        self.limits: dict[str, float | None] = {}

    def limit(self, source: str, limit_a: float | None) -> None:
        self.limits[source] = limit_a

    def load(self) -> tuple[float, float, float]:
        return 16.0, 10.5, 0.0


class Rig:
    def __init__(self, tmp_path: Path, **settings: Any) -> None:
        self.now = 0.0
        self.site = SiteStandIn()
        self.told: list[tuple[str, float | None, bool]] = []
        evses = tuple(config.Evse(id=number, evse_id=f"DE*EVS*E{number}", device="/dev/null") for number in (1, 2))
        station = config.Station("CS-1", "V", "M", "1", tmp_path)
        whole = config.Config(station, config.Csms("ws://csms"), evses, grid=config.Grid(**settings))
        log = DimmingLog(tmp_path / "dimming.jsonl")
        numbers = {EvseId(1): object(), EvseId(2): object()}
        self.side = GridSide(whole, numbers, self.site, log, lambda: self.now)  # type: ignore[arg-type]
        self.side.tell = lambda *limit: self.told.append(limit)
        self.side.start()

    def hear(self, fact: Any, evse: int = 1) -> None:
        self.side(Observation(EvseId(evse), fact, "", "", self.now, datetime.now(UTC)))

    def draw(self, power_w: float, evse: int = 1) -> None:
        reading = MeterReading(0.0, power_w, (0.0,) * 3, (230.0,) * 3, self.now, datetime.now(UTC))
        self.hear(MeterSampled(reading), evse)


async def test_a_dry_contact_dims_the_whole_station_and_the_csms_is_told(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.draw(7000.0, 1)
    rig.draw(3000.0, 2)
    rig.hear(ContactChanged(True, 0.0), 2)
    assert rig.site.limits == {"dimming": pytest.approx(DIMMED_A)}
    assert rig.told == [("SO", pytest.approx(DIMMED_A), True)]
    rig.draw(2000.0, 1)
    rig.draw(2000.0, 2)
    rig.hear(ContactChanged(False, 0.0), 2)
    assert rig.site.limits == {"dimming": None}
    assert rig.told[-1] == ("SO", None, True)
    await rig.side.close()
    entries = await rig.side.dimming_log()
    assert [(entry["event"], entry["by"], entry["power_w"]) for entry in entries] == [
        ("ordered", "contact 2", 10_000.0),
        ("followed", "contact 2", 4000.0),
        ("released", "contact 2", 4000.0),
    ]


async def test_what_holds_because_the_csms_is_away_is_not_told_to_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path, offline_s=0.02, offline_limit_a=10.0, silence_s=0.02)
    rig.hear(CsmsOnline(False, "gone"))
    rig.hear(CsmsOnline(False, "gone"), 2)
    rig.now = 1.0
    await asyncio.sleep(0.1)
    assert rig.site.limits == {"silence": 6.0, "offline": 10.0}
    assert rig.told == [("Other", 6.0, False)]
    await rig.side.close()


async def test_an_energy_manager_by_modbus(tmp_path: Path) -> None:
    rig = Rig(tmp_path, silence_s=30.0)
    server = TcpServer(rig.side)
    port = await server.open("127.0.0.1", 0)
    line = TcpLine("127.0.0.1", port)

    async def read(address: int, count: int) -> tuple[int, ...]:
        request = Read(READ_HOLDING, address, count)
        return request.parse(await line.exchange(1, request))

    async def write(address: int, *values: int) -> None:
        request = Write(address, values)
        request.parse(await line.exchange(1, request))

    assert await read(0, 2) == (NO_LIMIT, 0)
    await write(0, 125)
    assert rig.site.limits == {"energy_manager": 12.5}
    assert rig.told == [("EMS", 12.5, False)]
    rig.draw(70_000.0)
    assert await read(10, 8) == (160, 105, 0, 1, 70_000 - 65_536, 0, 0, 2)
    await write(0, 160, 1)
    assert rig.site.limits == {"energy_manager": 16.0, "dimming": pytest.approx(DIMMED_A)}
    assert await read(15, 1) == (1,)
    await write(0, NO_LIMIT)
    assert rig.site.limits["energy_manager"] is None
    for address, values in ((1, (2,)), (1, (0, 0)), (10, (1,)), (65_000, (1,))):
        with pytest.raises(Refused):
            await write(address, *values)
    with pytest.raises(Refused):
        await read(2, 1)
    await line.close()
    await server.close()
    await rig.side.close()


# --- The control socket ---


async def test_the_methods_of_the_control_socket(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    call: Any = SimpleNamespace(station=SimpleNamespace(grid=rig.side))
    await GRID_METHODS["Grid.Limit"].handler(call, limit_ma=12_500)
    shown = await GRID_METHODS["Grid.Dim"].handler(call, active=True)
    assert shown == {
        "limits_a": {"energy_manager": 12.5, "dimming": 6.09},
        "dimmed_by": ["control"],
        "power_w": 0.0,
    }
    await GRID_METHODS["Grid.Limit"].handler(call, limit_ma=None)
    assert rig.site.limits["energy_manager"] is None
    await rig.side.close()
    answer: Any = await GRID_METHODS["Grid.DimmingLog"].handler(call, limit=1)
    assert [entry["event"] for entry in answer["entries"]] == ["ordered"]
    call.station.grid = None
    with pytest.raises(RpcError):
        await GRID_METHODS["Grid.Show"].handler(call)
