"""A technician's hands on a real board: the control socket, an EVSE, and a simulated MCU as a process behind a pty."""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import pytest

from firmware.control import selftest
from firmware.control.roles import Role
from firmware.supervisor import supervise
from hal.board import McuBoard
from hal.diagnostics import Measurements, Verdict
from hal.metered_board import MeteredBoard
from hal.ports import BoardUnavailable, Contactor, CpMode, Fault, ModemFault
from hal.quantities import EvseId
from ocpp_client.ports import IdToken, RemoteStart
from sim.mcu.cable import Cable
from tests.firmware.control_bench import GROUPS, Bench, Line, connected
from tests.firmware.test_firmware_cli import evse

BUSY = -32004


@dataclass
class Hands:
    made: Bench
    cable: Cable
    board: McuBoard

    async def until(self, holds: Callable[[], bool], within_s: float = 5.0) -> None:
        deadline_s = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < deadline_s, self.board.snapshot()
            await asyncio.sleep(0.01)

    @property
    def maintained(self) -> bool:
        return self.made.evse.state.maintenance is not None


@pytest.fixture
async def hands() -> AsyncIterator[Hands]:
    async with _hands() as made:
        yield made


@asynccontextmanager
async def _hands(*arguments: str, rcd_self_test: bool = False) -> AsyncIterator[Hands]:
    with tempfile.TemporaryDirectory(prefix="hands-") as name:
        directory = Path(name)
        os.chmod(directory, 0o755)  # noqa: PTH101 - a call that does not block
        tty, socket = directory / "tty", directory / "cable"
        peer = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sim.mcu", "--pty-link", str(tty), "--cable", str(socket)),
            *("--telemetry-s", "0.2", *arguments),
            stderr=asyncio.subprocess.DEVNULL,
        )
        cable = await Cable.connect(socket, 10.0)
        made = Bench(directory, rcd_self_test=rcd_self_test)
        while not tty.exists():
            await asyncio.sleep(0.02)
        board = McuBoard(str(tty), EvseId(1), made.evse.report, alive=made.evse.alive)
        made.evse.board = board
        running = asyncio.create_task(supervise(made.evse, time.monotonic))
        made.evse.capabilities = await board.open()
        await made.server.start()
        try:
            found = Hands(made, cable, board)
            await found.until(lambda: board.measurements().cp_high_v == 12.0)
            yield found
        finally:
            await made.server.stop()
            await board.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await cable.close()
            peer.kill()
            await peer.wait()


async def test_measured_and_tested_without_a_vehicle(hands: Hands) -> None:
    async with connected(hands.made.path) as line:
        measured = await line.result("Board.Measure", evse=1)
        assert measured["cp"] == {"state": "A", "mode": "X1", "duty_percent": 100.0, "high_v": 12.0, "low_v": 12.0}
        assert measured["pp"] == {"ampacity_a": 32.0}
        assert await line.error("Selftest.Run", evse=1, test="rcd") == BUSY, "not in service"
        await line.result("Maintenance.Begin", evse=1)
        verdicts = {}
        for test in ("meter", "cp", "rcd", "lock", "led", "imd"):
            found = await line.result("Selftest.Run", evse=1, test=test)
            verdicts[test] = found["verdict"]
        assert verdicts == {
            "meter": "passed",
            "cp": "passed",
            "rcd": "passed",
            "lock": "passed",
            "led": "unsupported",
            "imd": "unsupported",
        }
        assert (await line.result("Board.Measure", evse=1))["temps"] == {"board_c": 35.0, "plug_c": 28.0}
    await hands.until(lambda: not hands.maintained)
    kept = [json.loads(line) for line in (hands.made.path.parent / "selftests.jsonl").read_text().splitlines()]
    assert [record["test"] for record in kept] == list(verdicts)
    assert kept[1]["measured"] == {"X1_v": 12.0, "F_v": -12.0}


async def test_broken_parts_fail_their_tests(hands: Hands) -> None:
    async with connected(hands.made.path) as line:
        await line.result("Maintenance.Begin", evse=1)
        await hands.cable.fault("rcd_dead")
        assert (await line.result("Selftest.Run", evse=1, test="rcd"))["verdict"] == "failed"
        await hands.until(lambda: hands.made.evse.state.rcd_failed)
        await hands.cable.fault("lock_jam")
        jammed = await line.result("Selftest.Run", evse=1, test="lock")
        assert (jammed["verdict"], jammed["measured"]["lock_ms"]) == ("failed", None)
        await hands.cable.fault("lock_jam", active=False)
        await hands.cable.set_cp("B")
        await hands.until(lambda: hands.board.snapshot().cp.value == "B")
        assert (await line.result("Selftest.Run", evse=1, test="cp"))["verdict"] == "refused", "not with a load on it"
        cleared = await line.result("Board.ClearFaults", evse=1)
        assert cleared["verdict"] == "passed"
        await hands.until(lambda: not hands.made.evse.state.stopped)


async def test_the_contactor_on_an_adapter(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware.control.selftest.ADAPTER_S", 0.3)
    async with connected(hands.made.path) as line:
        await line.result("Maintenance.Begin", evse=1)
        nobody = await line.result("Selftest.Run", evse=1, test="contactor")
        assert (nobody["verdict"], hands.cable.levels.contactor) == ("refused", "open")
        await hands.cable.set_cp("C")
        found = await line.result("Selftest.Run", evse=1, test="contactor")
        assert found["verdict"] == "passed", found
        assert 0 < found["measured"]["board_open_ms"] <= 100
        assert found["measured"]["pwm_low_v"] == -12.0
        assert hands.cable.levels.contactor == "open"
        await hands.cable.fault("stuck_open")
        assert (await line.result("Selftest.Run", evse=1, test="contactor"))["verdict"] == "failed"


async def test_a_vehicle_that_is_there_gets_no_power_from_a_technician(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware.control.selftest.ADAPTER_S", 0.3)
    await hands.cable.set_cp("C")
    await hands.until(lambda: hands.made.evse.state.plugged)
    async with connected(hands.made.path) as line:
        assert await line.error("Maintenance.Begin", evse=1) == BUSY
        told = await line.result("Maintenance.Begin", evse=1, force=True)
        assert told["vehicle_here"] is True
        assert (await line.result("Selftest.Run", evse=1, test="contactor"))["verdict"] == "refused"
        await line.result("Pilot.Set", evse=1, mode="X2", limit_a=16)
        assert hands.cable.levels.permitted is False
        assert hands.cable.levels.contactor == "open"
        await line.result("Maintenance.End", evse=1)
        await hands.until(lambda: hands.made.evse.state.plugged and not hands.maintained)


@pytest.mark.parametrize("how", ["end", "gone", "time"])
async def test_however_it_ends_the_pilot_is_the_sessions(hands: Hands, how: str) -> None:
    line: Line
    async with connected(hands.made.path) as line:
        await line.result("Maintenance.Begin", evse=1, for_s=10)
        await line.result("Pilot.Set", evse=1, mode="F")
        await line.result("Connector.Lock", evse=1, lock=True)
        assert hands.board.snapshot().cp_mode is CpMode.F
        if how == "end":
            await line.result("Maintenance.End", evse=1)
        elif how == "time":
            standing = hands.made.evse.state.maintenance
            assert standing is not None
            standing.until_s = time.monotonic()  # Ten seconds later.
            await hands.until(lambda: not hands.maintained)
    await hands.until(lambda: not hands.maintained)
    await hands.until(lambda: hands.board.snapshot().cp_mode is CpMode.X1 and not hands.board.snapshot().locked)


async def test_held_maintenance_outlives_its_connection_and_is_its_technicians(hands: Hands) -> None:
    async with connected(hands.made.path) as line:
        await line.result("Maintenance.Begin", evse=1, hold=True)
        assert await line.error("Maintenance.Begin", evse=1) == BUSY
    async with connected(hands.made.path) as line:
        assert (await line.result("Maintenance.Status", evse=1))["maintenance"]["by"] == f"uid {os.geteuid()}"
        told = await line.result("Pilot.Set", evse=1, mode="X2", limit_a=16)
        assert (told["cp_mode"], told["wanted"]) == ("X1", "X2"), "PWM waits for somebody to be plugged in"
        assert await line.error("Pilot.Set", evse=1, mode="X2") == -32602
        assert await line.error("Pilot.Set", evse=1, mode="X1", limit_a=6) == -32602
        await line.result("Maintenance.End", evse=1)
        assert await line.error("Maintenance.End", evse=1) == BUSY


async def test_force_and_another_technicians_maintenance_need_service(hands: Hands) -> None:
    server, state = hands.made.server, hands.made.evse.state
    server._service_uids = frozenset()
    server._groups = {**GROUPS, Role.TECHNICIAN: os.getegid()}
    async with connected(hands.made.path) as line:
        assert await line.error("Maintenance.Begin", evse=1, force=True) == -32001
        await line.result("Maintenance.Begin", evse=1)
        assert state.maintenance is not None
        state.maintenance.by = "uid 7"
        assert await line.error("Connector.Lock", evse=1, lock=True) == BUSY


async def test_a_technicians_limit_ends_with_him(hands: Hands) -> None:
    async with connected(hands.made.path) as line:
        told = await line.result("Limit.Set", evse=1, limit_a=10)
        assert told["offer_a"] == 10.0
        assert (await line.result("Evse.Why", evse=1))["notes"][0]["code"] == "limit_technician"
    await hands.until(lambda: hands.made.evse.state.limits.technician_a is None)
    async with connected(hands.made.path) as line:
        await line.result("Limit.Set", evse=1, limit_a=10, for_s=1)
        await hands.until(lambda: hands.made.evse.state.limits.technician_a is None)
        assert (await line.result("Limit.Set", evse=1))["offer_a"] == 32.0


async def test_a_transaction_and_a_silent_board(hands: Hands) -> None:
    state = hands.made.evse.state
    async with connected(hands.made.path) as line:
        state.transaction_open = True
        assert await line.error("Maintenance.Begin", evse=1) == BUSY
        state.transaction_open = False
        await line.result("Maintenance.Begin", evse=1)
        await hands.cable.fault("silence")
        await asyncio.sleep(0.6)
        assert (await line.result("Board.Measure", evse=1))["cp"]["state"] is None
        assert (await line.result("Selftest.Run", evse=1, test="rcd"))["verdict"] == "failed"


async def test_a_board_without_the_test() -> None:
    async with _hands("--no-rcd-test", "--no-lock") as hands, connected(hands.made.path) as line:
        await line.result("Maintenance.Begin", evse=1)
        assert (await line.result("Selftest.Run", evse=1, test="rcd"))["verdict"] == "unsupported"
        assert (await line.result("Selftest.Run", evse=1, test="lock"))["verdict"] == "unsupported"


# --- Before a session ---


async def _plug_in(hands: Hands) -> None:
    """A vehicle without high-level communication, started by the operator, that asks for power at once."""
    await hands.cable.set_cp("B")
    await hands.until(lambda: hands.made.evse.state.plugged)
    hands.made.evse.report(ModemFault("none here", active=True, at_s=0.0))
    hands.made.evse.report(RemoteStart(None, IdToken("04A2B3C4", "ISO14443"), 7))
    await hands.cable.set_cp("C")


async def _unplug(hands: Hands) -> None:
    await hands.cable.set_cp("A")
    await hands.until(lambda: not hands.made.evse.state.plugged)


async def test_a_dead_residual_current_device_gives_no_power_until_it_trips_again() -> None:
    async with _hands(rcd_self_test=True) as hands:
        seen = hands.made.evse
        await hands.cable.fault("rcd_dead")
        await _plug_in(hands)
        await hands.until(lambda: Fault.RESIDUAL_CURRENT in seen.state.faults)
        await asyncio.sleep(0.5)
        assert hands.board.snapshot().contactor is Contactor.OPEN
        assert not hands.board.snapshot().power_permitted
        assert not hands.board.snapshot().faults, "the board itself sees nothing wrong"
        async with connected(hands.made.path) as line:
            why = await line.result("Evse.Why", evse=1)
        assert "self-test" in json.dumps(why)
        await _unplug(hands)
        await hands.cable.fault("rcd_dead", active=False)
        await hands.cable.set_cp("B")
        await hands.until(lambda: seen.state.plugged and not seen.state.stopped)
        await _unplug(hands)
        await _plug_in(hands)
        await hands.until(lambda: hands.board.snapshot().contactor is Contactor.CLOSED)
        assert not seen.state.stopped, "what the test provokes is no fault"


async def test_a_board_that_cannot_test_charges() -> None:
    async with _hands("--no-rcd-test", rcd_self_test=True) as hands:
        await _plug_in(hands)
        await hands.until(lambda: hands.board.snapshot().contactor is Contactor.CLOSED)


# --- The commands ---


async def test_the_commands_of_a_technician(hands: Hands, tmp_path: Path) -> None:
    path, cable = hands.made.path, hands.cable

    async def says(code: int, *words: str) -> str:
        found, written, errors = await evse(path, *words)
        assert found == code, (words, written, errors)
        return written + errors

    assert "CP high\t" not in await says(0, "measure", "cp")
    assert "+12.00 V" in await says(0, "measure", "cp")
    assert "PP cable 32 A" in await says(0, "measure", "pp", "--watch", "--count", "2", "--every", "0.2")
    assert "does not measure it" in await says(1, "measure", "imd")
    assert json.loads(await says(0, "measure", "--json"))["evse"] == 1
    assert '"temps"' in await says(0, "measure", "--watch", "--count", "1", "--json")
    assert "in service" in await says(0, "maintenance", "status")
    record = tmp_path / "record.json"
    await says(0, "selftest", "meter", "cp", "lock", "led", "--record", str(record))
    assert [found["test"] for found in json.loads(record.read_text())["results"]] == ["meter", "cp", "lock", "led"]
    assert json.loads(await says(0, "selftest", "led", "--json"))["passed"] is True
    assert "is out of service" in await says(0, "maintenance", "begin", "--for", "1m")
    assert "maintenance by" in await says(0, "maintenance", "status")
    assert "maintenance" in await says(0, "status")
    assert "passed" in await says(0, "maintenance", "clear-faults")
    assert "X2 once something is plugged in" in await says(0, "cp", "set", "X2", "16A")
    assert json.loads(await says(0, "cp", "set", "F", "--json"))["cp_mode"] == "F"
    for wrong in (("X2",), ("X1", "16"), ("X2", "5"), ("X2", "much")):
        await says(2, "cp", "set", *wrong)
    assert "locked, by its feedback" in await says(0, "lock")
    assert json.loads(await says(0, "unlock", "--json"))["locked"] is False
    await cable.fault("lock_jam")
    await says(1, "lock")
    await cable.fault("lock_jam", active=False)
    await says(0, "unlock")
    await cable.set_cp("C")
    assert "passed" in await says(0, "contactor", "test")
    assert json.loads(await says(0, "contactor", "test", "--json"))["verdict"] == "passed"
    await cable.set_cp("A")
    assert json.loads(await says(0, "maintenance", "end", "--json")) == {"evse": 1}
    await says(1, "maintenance", "end")
    await says(2, "maintenance", "begin", "--for", "soon")
    assert "no start is held back" in await says(1, "charge-now")


async def test_a_ramp_under_a_vehicle_that_charges(hands: Hands) -> None:
    path = hands.made.path
    code, _, said = await evse(path, "ramp", "6", "10")
    assert (code, "no vehicle charges at EVSE 1" in said) == (1, True)
    assert (await evse(path, "ramp", "5", "10"))[0] == 2
    await hands.cable.set_cp("B")
    await hands.until(lambda: hands.made.evse.state.plugged)
    hands.made.evse.state.contactor = Contactor.CLOSED
    code, written, _ = await evse(path, "ramp", "10", "6", "--step", "4", "--settle", "0.1")
    assert code == 0
    assert [line.split("\t")[:2] for line in written.splitlines()[1:]] == [["10", "10"], ["6", "6"]]
    hands.board.offer_current(32)
    hands.board.permit_power(True)
    await hands.cable.draw(30, 30, 30)
    await hands.cable.set_cp("C")
    await hands.until(lambda: max(hands.board.meter().current_a) > 20)
    code, written, _ = await evse(path, "ramp", "6", "6", "--settle", "0.3", "--json")
    assert (code, json.loads(written)["good"]) == (1, False), "it draws more than it was offered"


async def test_what_a_test_finds_wrong(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    board, evse = hands.board, hands.made.evse
    bench = selftest.Bench(evse, tmp := hands.made.path.parent)
    await hands.until(lambda: selftest._has_reading(bench))
    real = board.meter()
    monkeypatch.setattr(selftest, "METER_S", 0.1)
    for values, words in (
        ({"voltage_v": (230.0, 230.0, 190.0)}, "not within 207 to 253 V"),
        ({"current_a": (0.0, 3.0, 0.0)}, "through an open contactor"),
    ):
        monkeypatch.setattr(board, "meter", lambda values=values: replace(real, **values))
        found = await selftest.run_test(bench, "meter")
        assert (found.verdict, words in found.detail) == (Verdict.FAILED, True)
    for kohm, verdict in ((500.0, Verdict.PASSED), (50.0, Verdict.FAILED)):
        monkeypatch.setattr(board, "measurements", lambda kohm=kohm: Measurements(insulation_kohm=kohm))
        assert (await selftest.run_test(bench, "imd")).verdict is verdict
    assert (await selftest.run_test(bench, "cp")).verdict is Verdict.UNSUPPORTED, "it tells no voltages"
    evse.board = MeteredBoard(lambda _: Silent(), Silent(), lambda _: None)  # type: ignore[arg-type]
    assert (await selftest.run_test(bench, "rcd")).verdict is Verdict.UNSUPPORTED
    assert (await selftest.run_test(bench, "meter")).verdict is Verdict.FAILED
    evse.board = board
    monkeypatch.setattr(selftest, "MAX_RECORDS_BYTES", 500)
    await selftest.run_test(bench, "led")
    assert len((tmp / "selftests.jsonl").read_text().splitlines()) < 7, "the older half went"
    (tmp / "selftests.jsonl").unlink()
    (tmp / "selftests.jsonl").mkdir()
    assert (await selftest.run_test(bench, "led")).verdict is Verdict.UNSUPPORTED, "a disk that refuses"


class Silent:
    def snapshot(self) -> NoReturn:
        raise BoardUnavailable("silent")

    def reading(self) -> NoReturn:
        raise BoardUnavailable("silent")
