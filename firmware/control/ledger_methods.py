"""The books for technicians and owners: what was charged in the last year, and how much of it each EVSE was up."""

import asyncio
import sqlite3
from collections.abc import Mapping
from datetime import timedelta

from firmware.control.method import Call, Method
from firmware.control.params import Param
from firmware.control.roles import Role
from firmware.control.rpc import Code, RpcError
from firmware.ledger import Ledger
from firmware.uptime import REQUIRED_PERCENT, Month
from hal.wall_clock import utc_now


async def _history(call: Call, days: int, limit: int) -> object:
    ledger = _ledger(call)
    await ledger.write()
    try:
        found = await asyncio.to_thread(ledger.consumption.since, utc_now() - timedelta(days=days), limit)
    except sqlite3.Error as error:
        raise RpcError(Code.UNAVAILABLE, f"the consumption history cannot be read: {error}") from error
    return {
        "days": days,
        "energy_wh": round(sum(charged.energy_wh for charged in found), 1),
        "charged": [charged.shown() for charged in found],
    }


async def _uptime(call: Call) -> object:
    ledger = _ledger(call)
    await ledger.write()
    evses = []
    for number in call.station.evses:
        months = ledger.uptime.months.get(number, {})
        evses.append(
            {
                "evse": number,
                **_shown(ledger.uptime.year(number)),
                "months": [{"month": name, **_shown(months[name])} for name in sorted(months)],
            }
        )
    return {"required_percent": REQUIRED_PERCENT, "evses": evses}


def _shown(month: Month) -> dict[str, object]:
    return {
        "percent": None if month.percent is None else round(month.percent, 3),
        "up_s": round(month.up_s),
        "outage_s": round(month.outage_s),
        "excluded_s": round(month.excluded_s),
    }


def _ledger(call: Call) -> Ledger:
    if call.station.ledger is None:
        raise RpcError(Code.UNAVAILABLE, "this station keeps no books")
    return call.station.ledger


LEDGER_METHODS: Mapping[str, Method] = {
    "Consumption.List": Method(
        Role.OBSERVER,
        _history,
        {"days": Param(int, 366, low=1, high=400), "limit": Param(int, 10_000, low=1, high=50_000)},
        "what was charged, transaction by transaction",
    ),
    "Uptime.Show": Method(Role.OBSERVER, _uptime, {}, "how much of the last year each EVSE could have charged"),
}
