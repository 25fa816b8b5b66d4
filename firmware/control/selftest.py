"""The hardware's self-tests, one at a time, in maintenance. Each says what it measured, and what it wanted.

What only the board can do is asked of it (`hal.diagnostics`); the rest is done with the levels every board has. Results
are appended to `selftests.jsonl` in the state directory.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from firmware.control.status import board_of
from firmware.evse import Evse
from firmware.facts import RcdTested
from firmware.maintenance import CONTACTOR_TRIAL_S, Trial, TrialPilot, TrialWanted
from hal.diagnostics import BoardDiagnostics, Measurements, SelfTest, Verdict, diagnostics_of
from hal.ports import BoardUnavailable, Contactor, CpState

log = logging.getLogger(__name__)

OPEN_LIMIT_MS = 100
"""IEC 61851-1: from state C to an open contactor."""
PILOT_V = {TrialPilot.X1: 12.0, TrialPilot.F: -12.0}
"""PWM waits for somebody to be plugged in: it is measured with the contactor."""
PILOT_TOLERANCE_V = 0.6
"""IEC 61851-1 table A.2, with nothing plugged in."""
MAINS_V = (207.0, 253.0)
"""230 V and a tenth (IEC 60038)."""
IDLE_A = 0.2
"""More than that through an open contactor, and the meter or the contactor lies."""
ADAPTER_S = 20.0
METER_S = 3.0
REPORT_S = 0.25
"""The board's next report shows what was measured with what is on the pilot now."""
MAX_RECORDS_BYTES = 1 << 18


@dataclass(slots=True)
class Found:
    """A test's outcome: `measured` by name with the unit in it."""

    test: str
    verdict: Verdict
    detail: str
    measured: dict[str, float | str | None] = field(default_factory=dict)
    wall_time: datetime = field(default_factory=lambda: datetime.now(UTC))

    def shown(self) -> dict[str, object]:
        return {
            "test": self.test,
            "verdict": self.verdict.value,
            "detail": self.detail,
            "measured": self.measured,
            "wall_time": self.wall_time.isoformat(timespec="seconds"),
        }


@dataclass(frozen=True, slots=True)
class Bench:
    """One EVSE in maintenance, and where its results are kept."""

    evse: Evse
    state_dir: Path

    @property
    def board(self) -> BoardDiagnostics | None:
        return diagnostics_of(self.evse.board)

    def measured(self) -> Measurements:
        return self.board.measurements() if self.board else Measurements()

    def put(self, contactor_s: float = 0.0, **changes: object) -> None:
        """Change the technician's trial."""
        standing = self.evse.state.maintenance
        if standing is not None:
            trial: Trial = replace(standing.trial, **changes)  # type: ignore[arg-type]
            self.evse.report(TrialWanted(trial, contactor_s))

    async def until(self, holds: Callable[[], bool], within_s: float) -> float | None:
        """Milliseconds until it holds; None when it does not."""
        started_s = time.monotonic()
        while time.monotonic() - started_s < within_s:
            if holds():
                return (time.monotonic() - started_s) * 1000
            await asyncio.sleep(0.005)
        return None


async def run_test(bench: Bench, test: str) -> Found:
    """Whatever comes of it, the trial is as it was before."""
    standing = bench.evse.state.maintenance
    before = standing.trial if standing else Trial()
    try:
        found = await _TESTS[test](bench)
    except BoardUnavailable as error:
        found = Found(test, Verdict.FAILED, str(error))
    finally:
        bench.evse.report(TrialWanted(before))
    await asyncio.to_thread(
        _try_to_keep, bench.state_dir / "selftests.jsonl", {"evse": bench.evse.number, **found.shown()}
    )
    return found


async def _rcd(bench: Bench) -> Found:
    if bench.board is None:
        return Found("rcd", Verdict.UNSUPPORTED, "this board has no self-test that can be asked for")
    verdict = await bench.board.self_test(SelfTest.RCD)
    if verdict in (Verdict.PASSED, Verdict.FAILED):
        bench.evse.report(RcdTested(verdict))
    return Found("rcd", verdict, _RCD_WORDS[verdict])


_RCD_WORDS = {
    Verdict.PASSED: "tripped by the test current, and let go again",
    Verdict.FAILED: "did not trip by the test current within 300 ms, or did not let go",
    Verdict.UNSUPPORTED: "this board's residual current device has no self-test",
    Verdict.REFUSED: "the board refused: the contactor is not open, or the device has tripped already",
}


async def _lock(bench: Bench) -> Found:
    if bench.evse.capabilities is not None and not bench.evse.capabilities.has_lock:
        return Found("lock", Verdict.UNSUPPORTED, "this connector has no lock")

    def locked() -> bool | None:
        board = board_of(bench.evse)
        return board.locked if board else None

    took: dict[str, float | str | None] = {}
    for name, wanted in (("lock_ms", True), ("unlock_ms", False)):
        bench.put(lock=wanted)
        came_ms = await bench.until(lambda wanted=wanted: locked() is wanted, 4.0)  # type: ignore[misc]
        took[name] = round(came_ms) if came_ms is not None else None
    if None not in took.values():
        return Found("lock", Verdict.PASSED, "locked and unlocked, by its feedback", took)
    if not locked() and took["lock_ms"] is None:
        return Found("lock", Verdict.FAILED, "does not lock", took)
    return Found("lock", Verdict.FAILED, "does not unlock", took)


async def _contactor(bench: Bench) -> Found:
    """On a test adapter in state C, which the board itself asks for."""
    standing = bench.evse.state.maintenance
    if standing is not None and standing.vehicle_here:
        return Found("contactor", Verdict.REFUSED, "a vehicle is there; it gets power by a session only")
    bench.put(pilot=TrialPilot.X2, limit_a=6.0)
    asks = await bench.until(lambda: _cp(bench) in (CpState.C, CpState.D), ADAPTER_S)
    if asks is None:
        detail = f"nothing asked for power within {ADAPTER_S:g} s: plug a test adapter in and set it to state C"
        return Found("contactor", Verdict.REFUSED, detail)
    await bench.until(lambda: _mode(bench) == TrialPilot.X2.value, 2.0)
    await asyncio.sleep(REPORT_S)
    pwm = bench.measured()
    bench.put(CONTACTOR_TRIAL_S)
    close_ms = await bench.until(lambda: _contactor_is(bench, Contactor.CLOSED), CONTACTOR_TRIAL_S - 1)
    board_close_ms = bench.measured().contactor_ms if close_ms is not None else None
    bench.put()
    open_ms = await bench.until(lambda: _contactor_is(bench, Contactor.OPEN), 2.0)
    board_open_ms = bench.measured().contactor_ms if open_ms is not None else None
    measured: dict[str, float | str | None] = {
        "close_ms": round(close_ms) if close_ms is not None else None,
        "open_ms": round(open_ms) if open_ms is not None else None,
        "board_close_ms": board_close_ms,
        "board_open_ms": board_open_ms,
        "pwm_high_v": pwm.cp_high_v,
        "pwm_low_v": pwm.cp_low_v,
    }
    if pwm.cp_low_v is not None and not _near(pwm.cp_low_v, -12.0):
        return Found("contactor", Verdict.FAILED, "the PWM's lower level is not -12 V", measured)
    if close_ms is None:
        return Found("contactor", Verdict.FAILED, "did not close", measured)
    took_ms = board_open_ms if board_open_ms is not None else open_ms
    if open_ms is None or took_ms is None or took_ms > OPEN_LIMIT_MS:
        return Found("contactor", Verdict.FAILED, f"not open within {OPEN_LIMIT_MS} ms", measured)
    return Found("contactor", Verdict.PASSED, f"closed, and open again within {OPEN_LIMIT_MS} ms", measured)


def _cp(bench: Bench) -> CpState | None:
    board = board_of(bench.evse)
    return board.cp if board else None


def _contactor_is(bench: Bench, wanted: Contactor) -> bool:
    board = board_of(bench.evse)
    return board is not None and board.contactor is wanted


async def _meter(bench: Bench) -> Found:
    assert bench.evse.board is not None, "an EVSE runs with its board"
    await bench.until(lambda: _has_reading(bench), METER_S)
    reading = bench.evse.board.meter()
    volts = reading.voltage_v[: bench.evse.settings.phases]
    measured: dict[str, float | str | None] = {f"u{n}_v": round(u, 1) for n, u in enumerate(reading.voltage_v, 1)}
    measured |= {f"i{n}_a": round(i, 2) for n, i in enumerate(reading.current_a, 1)}
    measured["energy_wh"] = round(reading.energy_import_wh, 1)
    if not all(MAINS_V[0] <= volt <= MAINS_V[1] for volt in volts):
        return Found("meter", Verdict.FAILED, f"a phase is not within {MAINS_V[0]:g} to {MAINS_V[1]:g} V", measured)
    if max(reading.current_a) > IDLE_A and _contactor_is(bench, Contactor.OPEN):
        return Found("meter", Verdict.FAILED, "reads a current through an open contactor", measured)
    return Found("meter", Verdict.PASSED, "fresh; voltages and currents as with an open contactor", measured)


async def _pilot(bench: Bench) -> Found:
    if _cp(bench) is not CpState.A:
        return Found("cp", Verdict.REFUSED, "something is plugged in: the pilot can only be judged without a load")
    if bench.measured().cp_high_v is None:
        return Found("cp", Verdict.UNSUPPORTED, "this board does not tell the pilot's voltages")
    measured: dict[str, float | str | None] = {}
    wrong: list[str] = []
    for pilot, wanted_v in PILOT_V.items():
        bench.put(pilot=pilot)
        await bench.until(lambda pilot=pilot: _mode(bench) == pilot.value, 2.0)  # type: ignore[misc]
        await asyncio.sleep(REPORT_S)
        seen = bench.measured()
        measured[f"{pilot.value}_v"] = seen.cp_high_v
        if not (_near(seen.cp_high_v, wanted_v) and _near(seen.cp_low_v, wanted_v)):
            wrong.append(pilot.value)
    if wrong:
        return Found("cp", Verdict.FAILED, f"out of its levels with {', '.join(wrong)}", measured)
    return Found("cp", Verdict.PASSED, f"+12 V and -12 V within {PILOT_TOLERANCE_V:g} V", measured)


def _has_reading(bench: Bench) -> bool:
    try:
        return bench.evse.board is not None and bench.evse.board.meter() is not None
    except BoardUnavailable:
        return False


def _mode(bench: Bench) -> str:
    board = board_of(bench.evse)
    return board.cp_mode.value if board else ""


def _near(volts: float | None, wanted_v: float) -> bool:
    return volts is not None and abs(volts - wanted_v) <= PILOT_TOLERANCE_V


async def _imd(bench: Bench) -> Found:
    insulation = bench.measured().insulation_kohm
    if insulation is None:
        return Found("imd", Verdict.UNSUPPORTED, "this board has no insulation monitor: a DC output needs one")
    good = insulation >= 100.0
    verdict = Verdict.PASSED if good else Verdict.FAILED
    return Found("imd", verdict, "100 kOhm or more" if good else "less than 100 kOhm", {"insulation_kohm": insulation})


async def _led(_bench: Bench) -> Found:
    return Found("led", Verdict.UNSUPPORTED, "this board has no indicator the daemon could light")


_TESTS: dict[str, Callable[[Bench], Awaitable[Found]]] = {
    "rcd": _rcd,
    "contactor": _contactor,
    "lock": _lock,
    "led": _led,
    "meter": _meter,
    "imd": _imd,
    "cp": _pilot,
}
TESTS = tuple(_TESTS)


def _try_to_keep(path: Path, record: dict[str, object]) -> None:
    try:
        _keep(path, record)
    except OSError as error:
        log.error("a self-test's result is not kept: %s", error)


def _keep(path: Path, record: dict[str, object]) -> None:
    """One line a test; the older half goes when there are too many."""
    if path.exists() and path.stat().st_size > MAX_RECORDS_BYTES:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(lines[len(lines) // 2 :]), encoding="utf-8")
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
