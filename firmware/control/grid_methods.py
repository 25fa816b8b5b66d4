"""The methods about the grid: what limits the whole station, an energy manager's word, dimming. Table at the end."""

from collections.abc import Mapping

from firmware.control.method import Call, Method
from firmware.control.params import Param
from firmware.control.roles import Role
from firmware.control.rpc import Code, RpcError
from firmware.grid_side import GridSide

BY_SOCKET = "control"


def _grid(call: Call) -> GridSide:
    if call.station.grid is None:
        raise RpcError(Code.UNAVAILABLE, "nobody but the CSMS limits this station")
    return call.station.grid


async def _show(call: Call) -> object:
    grid = _grid(call)
    return {
        "limits_a": {cause.value: round(limit_a, 2) for cause, limit_a in grid.limits.items()},
        "dimmed_by": list(grid.inputs),
        "power_w": round(grid.power_w(), 1),
    }


async def _limit(call: Call, limit_ma: int | None) -> object:
    _grid(call).manage(None if limit_ma is None else limit_ma / 1000)
    return await _show(call)


async def _dim(call: Call, active: bool) -> object:
    _grid(call).dim(BY_SOCKET, active)
    return await _show(call)


async def _log(call: Call, limit: int) -> object:
    return {"entries": (await _grid(call).dimming_log())[-limit:]}


GRID_METHODS: Mapping[str, Method] = {
    "Grid.Show": Method(Role.OBSERVER, _show, {}, "what limits the station as a whole, and what it draws"),
    "Grid.Limit": Method(
        Role.TECHNICIAN,
        _limit,
        {"limit_ma": Param(int, high=1_000_000, says="per phase, in mA; without it nothing is limited")},
        "an energy manager's limit for the whole station; to be said again before grid.silence_s are over",
        is_audited=False,
    ),
    "Grid.Dim": Method(
        Role.TECHNICIAN,
        _dim,
        {"active": Param(bool, required=True, says="false releases it")},
        "dim the station as the grid operator's contact would",
    ),
    "Grid.DimmingLog": Method(
        Role.OBSERVER,
        _log,
        {"limit": Param(int, 1000, low=1, high=20_000, says="the latest so many entries")},
        "when the station was dimmed, by what, when it followed, when it was released",
    ),
}
