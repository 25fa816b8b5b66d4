"""What a technician does to an EVSE with his own hands: maintenance, pilot, lock, contactor, self-tests, measuring.

Whoever began maintenance works in it; service may work in anybody's. It ends with the connection it was begun by,
unless that was asked otherwise (`hold`), and with its time in any case.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from firmware.control.method import ONE, Call, Method, evse_of
from firmware.control.params import Param
from firmware.control.roles import Role
from firmware.control.rpc import Code, RpcError
from firmware.control.selftest import TESTS, Bench, run_test
from firmware.control.status import board_of, maintenance_status, meter_status
from firmware.evse import Evse
from firmware.facts import LimitSource, LocalLimit, RcdTested, RcdWord
from firmware.maintenance import (
    CONTACTOR_TRIAL_S,
    Maintenance,
    MaintenanceBegun,
    MaintenanceOver,
    Over,
    TrialPilot,
    TrialWanted,
)
from hal.diagnostics import Measurements, Verdict, diagnostics_of
from hal.ports import BoardUnavailable, CpState

SETTLE_S = 2.0
"""How long a session may take to do what it was told."""


async def _begin(call: Call, evse: int, for_s: int, hold: bool, force: bool) -> object:
    one = evse_of(call.station, evse)
    if force and call.caller.role < Role.SERVICE:
        raise RpcError(Code.ROLE_MISSING, "force needs role service", {"needed": str(Role.SERVICE)})
    _check_free(one, force=force)
    one.report(MaintenanceBegun(_name(call), float(for_s), force))
    await _until(lambda: one.state.maintenance is not None or one.in_transaction)
    mine = one.state.maintenance
    if mine is None:
        raise RpcError(Code.BUSY, f"a transaction has just begun at EVSE {evse}")
    if not hold:
        call.caller.on_close(lambda: _leave(one, mine))
    return maintenance_status(one, time.monotonic()) or {}


def _check_free(one: Evse, *, force: bool) -> None:
    """Raises RpcError."""
    if (standing := one.state.maintenance) is not None:
        raise RpcError(Code.BUSY, f"EVSE {one.number} is in maintenance already, by {standing.by}")
    if one.in_transaction:
        raise RpcError(Code.BUSY, f"a transaction runs at EVSE {one.number}; stop it first")
    if one.state.plugged and not force:
        raise RpcError(Code.BUSY, f"a vehicle is plugged in at EVSE {one.number}; unplug it (service may force)")


def _leave(one: Evse, mine: Maintenance) -> None:
    if one.state.maintenance is mine:
        one.report(MaintenanceOver(Over.GONE))


async def _end(call: Call, evse: int) -> object:
    one = evse_of(call.station, evse)
    _maintained(call, one)
    one.report(MaintenanceOver(Over.ASKED))
    await _until(lambda: one.state.maintenance is None)
    return {"evse": one.number}


async def _status(call: Call, evse: int) -> object:
    return {"evse": evse, "maintenance": maintenance_status(evse_of(call.station, evse), time.monotonic())}


async def _set_pilot(call: Call, evse: int, mode: str, limit_a: int | None) -> object:
    one = evse_of(call.station, evse)
    standing = _maintained(call, one)
    if (mode == TrialPilot.X2.value) is (limit_a is None):
        raise RpcError(Code.INVALID_PARAMS, "limit_a goes with X2, and with nothing else")
    wanted = replace(standing.trial, pilot=TrialPilot(mode), limit_a=float(limit_a or 0))
    one.report(TrialWanted(wanted))
    await _until(lambda: _shows(one, mode))
    return {**_pilot_now(one), "wanted": mode}


def _shows(one: Evse, mode: str) -> bool:
    """PWM waits for somebody to be plugged in."""
    board = board_of(one)
    return board is not None and (board.cp_mode.value == mode or (mode == "X2" and board.cp is CpState.A))


def _pilot_now(one: Evse) -> dict[str, object]:
    board = board_of(one)
    if board is None:
        raise RpcError(Code.UNAVAILABLE, "the board does not answer")
    return {
        "evse": one.number,
        "cp": board.cp.value,
        "cp_mode": board.cp_mode.value,
        "duty_percent": round(board.duty_percent, 2),
    }


async def _lock(call: Call, evse: int, lock: bool) -> object:
    one = evse_of(call.station, evse)
    standing = _maintained(call, one)
    started_s = time.monotonic()
    one.report(TrialWanted(replace(standing.trial, lock=lock)))
    moved = await _until(lambda: (board := board_of(one)) is not None and board.locked is lock, 4.0)
    took_ms = round((time.monotonic() - started_s) * 1000)
    return {"evse": one.number, "wanted": lock, "locked": lock if moved else not lock, "took_ms": took_ms}


async def _test(call: Call, evse: int, test: str) -> object:
    one = evse_of(call.station, evse)
    _maintained(call, one)
    found = await run_test(Bench(one, call.station.config.station.state_dir), test)
    return {"evse": one.number, **found.shown()}


async def _clear_faults(call: Call, evse: int) -> object:
    one = evse_of(call.station, evse)
    _maintained(call, one)
    board = diagnostics_of(one.board)
    if board is None:
        raise RpcError(Code.UNAVAILABLE, "this board cannot be told to clear its faults")
    verdict = await board.clear_faults()
    if verdict is Verdict.PASSED:
        one.report(RcdTested(RcdWord.RESET))
    return {"evse": one.number, "verdict": verdict.value}


async def _measure(call: Call, evse: int) -> object:
    """Looking harms nothing: no maintenance is needed."""
    one, now = evse_of(call.station, evse), time.monotonic()
    board, levels = diagnostics_of(one.board), board_of(one)
    try:
        found = board.measurements() if board else Measurements()
    except BoardUnavailable:
        found = Measurements()
    try:
        meter = one.board.meter() if one.board else None
    except BoardUnavailable:
        meter = None
    return {
        "evse": one.number,
        "cp": {
            "state": levels.cp.value if levels else None,
            "mode": levels.cp_mode.value if levels else None,
            "duty_percent": round(levels.duty_percent, 2) if levels else None,
            "high_v": found.cp_high_v,
            "low_v": found.cp_low_v,
        },
        "pp": {"ampacity_a": levels.pp_ampacity_a if levels else None},
        "mains": meter_status(meter, now),
        "temps": {"board_c": found.board_temp_c, "plug_c": found.plug_temp_c},
        "imd": {"insulation_kohm": found.insulation_kohm},
        "contactor": {"state": levels.contactor.value if levels else None, "last_ms": found.contactor_ms},
    }


async def _limit(call: Call, evse: int, limit_a: int | None, for_s: int) -> object:
    """Only ever lowers; ends with the connection or the time, whichever is first."""
    one = evse_of(call.station, evse)
    one.report(LocalLimit(LimitSource.TECHNICIAN, None if limit_a is None else float(limit_a)))
    if limit_a is not None:
        timer = asyncio.get_running_loop().call_later(for_s, _lift, one)
        call.caller.on_close(timer.cancel)
        call.caller.on_close(lambda: _lift(one))
    await _until(lambda: one.state.limits.technician_a == limit_a)
    return {"evse": one.number, "technician_a": limit_a, "offer_a": one.state.limits.offer_a}


async def _charge_now(call: Call, evse: int) -> object:
    one = evse_of(call.station, evse)
    if call.station.start is None or not call.station.start.override(one.number):
        raise RpcError(Code.BUSY, f"no start is held back at EVSE {evse}")
    return {"evse": one.number}


def _lift(one: Evse) -> None:
    one.report(LocalLimit(LimitSource.TECHNICIAN, None))


def _maintained(call: Call, one: Evse) -> Maintenance:
    """Raises RpcError."""
    standing = one.state.maintenance
    if standing is None:
        raise RpcError(Code.BUSY, f"EVSE {one.number} is not in maintenance: `evse maintenance begin`")
    if standing.by != _name(call) and call.caller.role < Role.SERVICE:
        raise RpcError(Code.BUSY, f"EVSE {one.number} is in maintenance by {standing.by}")
    return standing


def _name(call: Call) -> str:
    return f"uid {call.caller.peer.uid}"


async def _until(holds: Callable[[], bool], within_s: float = SETTLE_S) -> bool:
    deadline_s = time.monotonic() + within_s
    while not (held := holds()) and time.monotonic() < deadline_s:
        await asyncio.sleep(0.02)
    return held


MAINTENANCE_METHODS: dict[str, Method] = {
    "Maintenance.Status": Method(Role.OBSERVER, _status, {"evse": ONE}, "who has an EVSE in maintenance, if anybody"),
    "Maintenance.Begin": Method(
        Role.TECHNICIAN,
        _begin,
        {
            "evse": ONE,
            "for_s": Param(int, 600, low=10, high=14400),
            "hold": Param(bool, False, says="go on when this connection closes"),
            "force": Param(bool, False, says="although a vehicle is there (service)"),
        },
        "take an EVSE out of service; ends by itself",
    ),
    "Maintenance.End": Method(Role.TECHNICIAN, _end, {"evse": ONE}, "give it back; the pilot is the session's again"),
    "Pilot.Set": Method(
        Role.TECHNICIAN,
        _set_pilot,
        {
            "evse": ONE,
            "mode": Param(str, required=True, choices=tuple(pilot.value for pilot in TrialPilot)),
            "limit_a": Param(int, low=6, high=80),
        },
        "put X1, PWM of a current, or F on the pilot (in maintenance)",
    ),
    "Connector.Lock": Method(
        Role.TECHNICIAN,
        _lock,
        {"evse": ONE, "lock": Param(bool, required=True)},
        "lock or unlock (in maintenance); never unlocked while the contactor is closed",
    ),
    "Selftest.Run": Method(
        Role.TECHNICIAN,
        _test,
        {"evse": ONE, "test": Param(str, required=True, choices=TESTS)},
        f"one test of the hardware (in maintenance); the contactor is closed for {CONTACTOR_TRIAL_S:g} s at most",
    ),
    "Board.ClearFaults": Method(
        Role.TECHNICIAN, _clear_faults, {"evse": ONE}, "have the board forget its latched faults (in maintenance)"
    ),
    "Start.Now": Method(
        Role.TECHNICIAN, _charge_now, {"evse": ONE}, "end a random delay or peak hours for the vehicle that is there"
    ),
    "Board.Measure": Method(
        Role.OBSERVER, _measure, {"evse": ONE}, "pilot, proximity, mains, temperatures, insulation"
    ),
    "Limit.Set": Method(
        Role.TECHNICIAN,
        _limit,
        {"evse": ONE, "limit_a": Param(int, low=6, high=80), "for_s": Param(int, 300, low=1, high=3600)},
        "a technician's own current limit, while this connection is open",
    ),
}
