"""`evse commission` with a technician at its keyboard, on a real board: done, interrupted, resumed, repaired."""

import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from firmware.cli import main
from firmware.cli.checklist import ABSENT, EVSE_ID, PASSED, STEPS, Result, Site, _direction, _firmware, _slac
from firmware.cli.client import FAILED, Client, Failure
from firmware.cli.commission_report import html
from tests.e2e.test_e2e_hands import Hands, _hands

ANSWERS = {
    "Are serial number": "y",
    "Is that right": "y",
    "Phase rotation": "r",
    "Is the cable fixed": "n",
    "Plug a cable": "",
    "What is its rating": "32",
}


@pytest.fixture
async def hands() -> AsyncIterator[Hands]:
    async with _hands() as made:
        yield made


class Technician:
    """Somebody at the keyboard of `evse commission`, with an adapter and a load at hand."""

    def __init__(self, hands: Hands, record: Path, **answers: str) -> None:
        self.hands = hands
        self.record = record
        self.answers = {**ANSWERS, **answers}
        self.said = ""

    async def runs(self, *words: str) -> int:
        """Its exit code, in a thread with this keyboard and screen."""
        self._loop = asyncio.get_running_loop()
        self._asked = ""
        given = ["commission", "--socket", str(self.hands.made.path), "--record", str(self.record), *words]

        def run() -> int:
            with redirect_stdout(io.StringIO()), redirect_stderr(self):
                return main(given)

        before, sys.stdin = sys.stdin, self  # type: ignore[assignment]
        try:
            return await asyncio.to_thread(run)
        finally:
            sys.stdin = before

    async def is_interrupted(self, at: str) -> int:
        """As a process of its own, ended by Ctrl-C where `at` is said."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "firmware.cli", "commission", "--socket", str(self.hands.made.path)),
            *("--record", str(self.record)),
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )
        assert process.stdin is not None
        assert process.stderr is not None
        asked = ""
        while data := await process.stderr.read(4096):
            asked += data.decode()
            if at in asked:
                process.send_signal(signal.SIGINT)
                at = "never again"
            elif asked.endswith("] "):
                process.stdin.write(self._answer(asked).encode())
                asked = ""
        process.stdin.close()
        return await process.wait()

    # --- The screen and the keyboard of the thread ---

    def write(self, text: str) -> int:
        self.said += text
        self._asked += text
        if "set it to state C" in text:
            self._does(self.hands.cable.set_cp("C"))
        if "charge a vehicle" in text:
            self._does(self._draws())
        return len(text)

    def readline(self) -> str:
        asked, self._asked = self._asked, ""
        return self._answer(asked)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False

    def _answer(self, asked: str) -> str:
        last = max(self.answers, key=asked.rfind)
        assert last in asked
        return self.answers[last] + "\n"

    def _does(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _draws(self) -> None:
        """A vehicle charges: the adapter goes on as one."""
        board = self.hands.board
        await self.hands.cable.draw(16, 16, 16)
        await self.hands.cable.set_cp("B")
        await asyncio.sleep(0.2)
        board.offer_current(16)
        board.permit_power(True)
        await self.hands.cable.set_cp("C")

    def steps(self) -> dict[str, str]:
        return {name: step["verdict"] for name, step in json.loads(self.record.read_text())["steps"].items()}


async def test_from_the_nameplate_to_the_report(hands: Hands, tmp_path: Path) -> None:
    technician = Technician(hands, tmp_path / "c.json")
    code = await technician.runs()
    steps = technician.steps()
    assert list(steps) == list(STEPS)
    assert {name: verdict for name, verdict in steps.items() if verdict == "failed"} == {}, technician.said
    assert {steps[name] for name in ("slac", "firmware")} == {ABSENT}
    assert code == 0
    record = json.loads((tmp_path / "c.json").read_text())
    assert record["passed"] is True
    assert record["steps"]["contactor"]["measured"]["board_open_ms"] <= 100
    assert record["steps"]["meter"]["measured"]["rise_wh"] > 0
    page = (tmp_path / "c.html").read_text()
    assert "Commissioning report: passed" in page
    assert all(title in page for title, _, _ in STEPS.values())
    assert hands.made.evse.state.maintenance is None


async def test_interrupted_it_goes_on_where_it_was(hands: Hands, tmp_path: Path) -> None:
    technician = Technician(hands, tmp_path / "c.json")
    assert await technician.is_interrupted("Proximity") == 130
    done = technician.steps()
    assert set(done) == {"identity", "time", "mains", "cp"}
    before = (tmp_path / "c.json").read_text()
    technician.said = ""
    assert await technician.runs() == 0
    assert "1/12 Identity" not in technician.said, "not asked again"
    assert json.loads(before)["steps"]["mains"] == json.loads((tmp_path / "c.json").read_text())["steps"]["mains"]


async def test_a_failed_step_is_done_again_and_the_rest_stands(hands: Hands, tmp_path: Path) -> None:
    await hands.cable.fault("rcd_dead")
    technician = Technician(hands, tmp_path / "c.json", **{"Phase rotation": "l", "Is the cable fixed": "y"})
    assert await technician.runs("--step", "mains", "--step", "pp", "--step", "rcd") == 1
    assert technician.steps() == {"mains": "failed", "pp": ABSENT, "rcd": "failed"}
    assert "NOT passed" in (tmp_path / "c.html").read_text()
    await hands.cable.fault("rcd_dead", active=False)
    technician.answers["Phase rotation"] = "r"
    assert await technician.runs("--step", "mains", "--step", "rcd") == 1, "the others are open"
    assert technician.steps() == {"mains": PASSED, "pp": ABSENT, "rcd": PASSED}
    assert await technician.runs("--report") == 1


async def test_another_stations_record_is_not_written_over(hands: Hands, tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    technician = Technician(hands, file)
    for content in ("", "{}", '{"format": 1, "station": {"serial": ""}, "steps": {}}', "[" * 10_000):
        file.write_text(content)
        assert await technician.runs() == 2
        assert file.read_text() == content
    other = {"format": 1, "station": {"serial": "9", "identity": "CS-9"}, "evse": 1, "steps": {}}
    file.write_text(json.dumps(other))
    assert await technician.runs() == 2
    assert "is about EVSE 1 of CS-9" in technician.said
    assert await technician.runs("--restart", "--step", "csms") == 1
    assert technician.steps() == {"csms": PASSED}


async def test_nobody_at_the_keyboard(hands: Hands, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "firmware.cli", "commission", "--socket", str(hands.made.path)),
        *("--record", str(tmp_path / "c.json")),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    _, said = await process.communicate()
    assert (process.returncode, b"nobody answers" in said) == (2, True)


# --- What a step makes of what it is told ---


class Answers(Client):
    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def call(self, method: str, **_: object) -> Any:
        told = self.answers[method.replace(".", "_")]
        if isinstance(told, Failure):
            raise told
        return told


def site(**answers: Any) -> Site:
    return Site(Answers(**answers), 1, lambda question, _: "y", lambda line: None)


def run(mean_db: float, verdict: str = "matched") -> dict[str, Any]:
    return {"evses": [{"evse": 1, "runs": [{"verdict": verdict, "mean_db": mean_db, "sounds": 10}]}]}


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        (run(8.0), PASSED),
        (run(45.0), "failed"),
        (run(8.0, "aborted"), "failed"),
        (Failure(FAILED, "no powerline modem"), ABSENT),
    ],
)
def test_slac(told: Any, verdict: str) -> None:
    assert _slac(site(Slac_Last=told)).verdict == verdict


@pytest.mark.parametrize(
    ("slots", "verdict"), [([True, True], PASSED), ([True, False], "failed"), ([True], "failed"), ([], "failed")]
)
def test_firmware_slots(slots: list[bool], verdict: str) -> None:
    told = {"slots": [{"bootname": "AB"[n], "version": "1", "good": good} for n, good in enumerate(slots)]}
    assert _firmware(site(Firmware_Status=told)).verdict == verdict


def reading(energy_wh: float, power_w: float, current_a: float = 16.0) -> dict[str, Any]:
    phases = {"current_a": [current_a] * 3, "voltage_v": [230.0] * 3}
    return {"energy_import_wh": energy_wh, "power_import_w": power_w, **phases}


@pytest.mark.parametrize(
    ("last", "verdict"),
    [
        (reading(110, 11_040), PASSED),
        (reading(90, -11_040), "failed"),
        (reading(100, 11_040), "failed"),
        (reading(110, 3_680), "failed"),
    ],
)
def test_the_meters_direction(last: dict[str, Any], verdict: str) -> None:
    assert _direction(reading(100, 0), last).verdict == verdict


def test_evse_ids() -> None:
    for good in ("DE*EVS*E0001", "DEEVSE0001", "NL*ABC*E12*3"):
        assert EVSE_ID.fullmatch(good)
    for bad in ("", "DE*EVS*0001", "de*evs*e1", "DE*EVS*E", "+49*1*2"):
        assert not EVSE_ID.fullmatch(bad)


def test_the_report_holds_no_markup_of_others() -> None:
    result = Result("failed", "<script>alert(1)</script>", {"x": "<b>"})
    step = {
        "verdict": result.verdict,
        "detail": result.detail,
        "measured": result.measured,
        "wall_time": "2026-01-01T00",
    }
    station = {"identity": "<CS>", "serial": "1"}
    record = {"station": station, "evse": 1, "begun": "", "ended": None, "passed": False, "technician": "<me>"}
    page = html({**record, "steps": {"mains": step}})
    assert "<script" not in page
    assert "&lt;CS&gt;" in page
    assert page.count('class="open"') == len(STEPS) - 1
