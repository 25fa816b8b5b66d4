"""Every method of the control socket: what it needs, who may call it, what it answers. The table is at the end.

An observer may look at everything but driver's tokens, which it sees masked. What changes something needs a technician;
what concerns the technicians themselves needs service.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from certs.errors import CertsError
from firmware.control import audit
from firmware.control.bundle import BUNDLE_METHODS, without_keys
from firmware.control.firmware_methods import FIRMWARE_METHODS
from firmware.control.grid_methods import GRID_METHODS
from firmware.control.ledger_methods import LEDGER_METHODS
from firmware.control.log_levels import LEVELS
from firmware.control.maintenance import MAINTENANCE_METHODS
from firmware.control.meter_methods import METER_METHODS
from firmware.control.method import ANY, ONE, Call, Caller, Method, Station, evse_of
from firmware.control.params import Param
from firmware.control.plc_methods import PLC_METHODS
from firmware.control.roles import Role
from firmware.control.rpc import Code, RpcError
from firmware.control.settings import SETTINGS_METHODS
from firmware.control.simulate import SIMULATE
from firmware.control.status import evse_status, situation
from firmware.control.v2g_methods import V2G_METHODS
from firmware.control.why import Blocker, notes, why
from firmware.credentials import TpmStatus
from firmware.history import Event
from hal.ports import BoardUnavailable, Contactor
from hal.simulation import SimulationError
from hal.wall_clock import utc_now
from ocpp_client.ports import JournalError
from ocpp_client.security_log import chain_breaks

PROTOCOL = 1
"""Counts up when a method or a field goes or changes its meaning; new ones may come at any time."""

SOURCES = ("board", "plc", "v2g", "ocpp", "station")


async def _whoami(call: Call) -> object:
    return {
        "uid": call.caller.peer.uid,
        "role": str(call.caller.role),
        "protocol": PROTOCOL,
        "version": call.station.version,
    }


async def _status(call: Call) -> object:
    now, wall = time.monotonic(), utc_now()
    told = call.station.config.station
    return {
        "station": {
            "identity": told.identity,
            "vendor": told.vendor,
            "model": told.model,
            "serial": told.serial,
            "version": call.station.version,
            "started": call.station.started.isoformat(timespec="seconds"),
            "uptime_s": round((wall - call.station.started).total_seconds()),
            "wall_time": wall.isoformat(timespec="milliseconds"),
        },
        "evses": [
            evse_status(evse, call.station.history, now, tokens=_sees_tokens(call.caller))
            for evse in call.station.evses.values()
        ],
        "csms": await _csms(call.station),
        "certificates": [info.shown(wall) for info in await call.station.certificates.chains()],
        "tpm": _tpm(call.station.tpm()),
        "display": call.station.screen.shown(),
    }


_ON_THE_PAGE = ("evse", "evse_id", "connector_status", "board", "meter", "limits", "faults")


async def page_status(station: Station) -> dict[str, object]:
    """For the status page: what a passer-by may read. No tokens, no ids of vehicles or transactions."""
    now, wall = time.monotonic(), utc_now()
    evses = []
    for evse in station.evses.values():
        told = evse_status(evse, station.history, now, tokens=False)
        v2g, transaction = told["v2g"], told["transaction"]
        assert isinstance(v2g, dict)
        assert isinstance(transaction, dict)
        blockers = why(
            situation(evse, station.history, now, secc_not_after=await station.certificates.secc_not_after())
        )
        latest = next((visit.number for visit in reversed(station.visits.all) if visit.evse == evse.number), None)
        evses.append(
            {
                **{name: told[name] for name in _ON_THE_PAGE},
                "v2g": {"session_id": bool(v2g["session_id"]), "protocol": v2g["protocol"], "hlc": v2g["hlc"]},
                "transaction": {"open": transaction["open"], "charging_state": transaction["charging_state"]},
                "blocker": blockers[0].what if blockers else None,
                "session": latest,
            }
        )
    csms = await _csms(station)
    return {
        "station": {
            "identity": station.config.station.identity,
            "version": station.version,
            "wall_time": wall.isoformat(timespec="seconds"),
        },
        "evses": evses,
        "csms": {"online": csms["online"], "queue_length": csms["queue_length"]},
        "certificates": [
            {"use": info.use, "days_left": info.shown(wall)["days_left"]}
            for info in await station.certificates.chains()
        ],
    }


def _tpm(status: TpmStatus) -> dict[str, object]:
    chip, health = status.chip, status.health
    return {
        "manufacturer": chip.manufacturer,
        "firmware": chip.firmware,
        "curves": [curve.value for curve in chip.curves],
        "persistent_free": chip.persistent_free,
        "lockout_counter": chip.lockout_counter,
        "locked_out": chip.locked_out,
        "trouble": status.trouble or None,
        "operations": health.operations,
        "recovered": health.recovered,
        "slowest_sign_s": round(health.slowest_sign_s, 3),
        "fault_counts": {fault.value: count for fault, count in health.faults.items()},
    }


async def _csms(station: Station) -> dict[str, object]:
    try:
        waiting: int | None = await station.csms.queue_length()
    except JournalError:
        waiting = None
    settings = station.config.csms
    online = await station.csms.online()
    return {
        "url": without_keys(settings.url),
        "security_profile": settings.security_profile,
        "online": online,
        "queue_length": waiting,
    }


async def _why(call: Call, evse: int) -> object:
    one = evse_of(call.station, evse)
    not_after = await call.station.certificates.secc_not_after()
    at = situation(one, call.station.history, time.monotonic(), secc_not_after=not_after)
    charging = at.state.contactor is Contactor.CLOSED
    return {
        "evse": one.number,
        "charging": charging,
        "offer_a": at.state.limits.offer_a,
        "blockers": [_blocker(blocker) for blocker in why(at)],
        "notes": [_blocker(note) for note in notes(at)],
    }


def _blocker(blocker: Blocker) -> dict[str, str]:
    return {"code": blocker.code, "what": blocker.what, "remedy": blocker.remedy}


async def _events(
    call: Call, evse: int | None, since: datetime | None, sources: list[str] | None, limit: int
) -> dict[str, object]:
    wanted = _filter(evse, sources, frequent=False)
    found = [
        event for event in call.station.history.events if wanted(event) and (since is None or event.wall_time >= since)
    ]
    return {"events": [event.shown(tokens=_sees_tokens(call.caller)) for event in found[-limit:]]}


async def _subscribe(
    call: Call,
    evse: int | None,
    since: datetime | None,
    sources: list[str] | None,
    frequent: bool,
) -> object:
    """The events since then and the subscription begin in one step: none is missed or told twice between them."""
    past = await _events(call, evse, since, sources, 1000) if since else {"events": []}
    return {"subscription": call.caller.subscribe(_filter(evse, sources, frequent=frequent)), **past}


async def _unsubscribe(call: Call, subscription: int) -> object:
    if not call.caller.unsubscribe(subscription):
        raise RpcError(Code.NOT_FOUND, f"there is no subscription {subscription}")
    return {}


def _filter(evse: int | None, sources: Sequence[str] | None, *, frequent: bool) -> Callable[[Event], bool]:
    def wanted(event: Event) -> bool:
        return (
            evse in (None, event.evse) and (not sources or event.source in sources) and (frequent or not event.frequent)
        )

    return wanted


async def _faults(call: Call, evse: int | None, history: bool) -> object:
    records = call.station.history.faults if history else call.station.history.standing()
    return {"faults": [record.shown(snapshot=history) for record in records if evse in (None, record.evse)]}


async def _sessions(call: Call, limit: int) -> object:
    visits = list(call.station.visits.all)[-limit:]
    return {"sessions": [visit.shown(tokens=_sees_tokens(call.caller), entries=False) for visit in visits]}


async def _session(call: Call, id: str) -> object:  # noqa: A002 - the wire's name
    visit = call.station.visits.find(id)
    if visit is None:
        raise RpcError(
            Code.NOT_FOUND, f"no session of that number or id since {call.station.started:%Y-%m-%d %H:%M} UTC"
        )
    return visit.shown(tokens=_sees_tokens(call.caller), entries=True)


async def _ocpp(call: Call) -> object:
    return {**await _csms(call.station), "counts": await call.station.csms.counts()}


async def _queue(call: Call, limit: int) -> object:
    waiting = await call.station.csms.queue(limit)
    return {
        "queue_length": await call.station.csms.queue_length(),
        "messages": [
            {
                "order": message.order,
                "action": message.action,
                "transaction_id": message.transaction_id,
                "attempts": message.attempts,
                "bytes": len(message.payload_json),
            }
            for message in waiting
        ],
    }


async def _certs(call: Call) -> object:
    now = utc_now()
    return {"certificates": [info.shown(now) for info in await call.station.certificates.all()]}


async def _expiry(call: Call, within_days: int) -> object:
    """Chains in use and trusted roots, the first to expire first."""
    now = utc_now()
    infos = sorted(await call.station.certificates.all(), key=lambda info: info.not_after)
    soon = [info for info in infos if info.not_after - now < timedelta(days=within_days)]
    return {"within_days": within_days, "expiring": len(soon), "certificates": [info.shown(now) for info in infos]}


async def _levels(call: Call) -> object:
    return {"levels": call.station.log_levels.shown()}


async def _set_level(call: Call, logger: str, level: str, for_s: int) -> object:
    call.station.log_levels.set(logger, level, for_s)
    return {"levels": call.station.log_levels.shown()}


async def _security(call: Call, limit: int) -> object:
    """Tampering among them: this is what an inspector asks for."""
    lines = list(await call.station.csms.security_log())
    latest = [json.loads(line) for line in lines[-limit:]]
    shown = [{"number": one["n"], "wall_time": one["at"], "type": one["type"], "info": one["info"]} for one in latest]
    return {"entries": len(lines), "breaks": chain_breaks(lines), "latest": shown}


async def _audit(call: Call, limit: int) -> object:
    path = call.station.audit_path
    try:
        checked = await asyncio.to_thread(audit.check, path)
        entries = await asyncio.to_thread(audit.latest, path, limit)
    except OSError as error:
        raise RpcError(Code.UNAVAILABLE, f"the audit log cannot be read: {error}") from error
    return {"entries": checked.entries, "broken": checked.broken, "latest": entries}


def _sees_tokens(caller: Caller) -> bool:
    return caller.role >= Role.TECHNICIAN


FAILURES: dict[type[Exception], Code] = {
    JournalError: Code.UNAVAILABLE,
    CertsError: Code.UNAVAILABLE,
    SimulationError: Code.UNAVAILABLE,
    BoardUnavailable: Code.UNAVAILABLE,
}
"""What a handler may raise besides RpcError, and how the caller is told."""

_SINCE = Param(str, is_time=True, says="ISO 8601 with offset")
_SOURCES = Param(list, choices=SOURCES, says=f"some of {', '.join(SOURCES)}; all without it")

_OBSERVER, _TECHNICIAN, _SERVICE = Role.OBSERVER, Role.TECHNICIAN, Role.SERVICE

METHODS: dict[str, Method] = {
    **MAINTENANCE_METHODS,
    **SETTINGS_METHODS,
    **LEDGER_METHODS,
    **BUNDLE_METHODS,
    "Control.WhoAmI": Method(Role.NOBODY, _whoami, {}, "the caller's role, the protocol's and the daemon's version"),
    "Station.Status": Method(_OBSERVER, _status, {}, "how everything stands now"),
    "Evse.Why": Method(_OBSERVER, _why, {"evse": ONE}, "why an EVSE does not charge: blockers in order, and notes"),
    "Events.List": Method(
        _OBSERVER,
        _events,
        {"evse": ANY, "since": _SINCE, "sources": _SOURCES, "limit": Param(int, 200, low=1, high=1000)},
        "what happened lately",
    ),
    "Events.Subscribe": Method(
        _OBSERVER,
        _subscribe,
        {"evse": ANY, "since": _SINCE, "sources": _SOURCES, "frequent": Param(bool, False)},
        "what happened since then, and Events.Event for what happens from now on",
    ),
    "Events.Unsubscribe": Method(
        _OBSERVER, _unsubscribe, {"subscription": Param(int, required=True, low=1)}, "no more of these events"
    ),
    "Faults.List": Method(
        _OBSERVER,
        _faults,
        {"evse": ANY, "history": Param(bool, False)},
        "faults that stand; with history also past ones",
    ),
    "Session.List": Method(_OBSERVER, _sessions, {"limit": Param(int, 20, low=1, high=100)}, "the latest sessions"),
    "Session.Show": Method(
        _OBSERVER, _session, {"id": Param(str, required=True)}, "one session's line of time, by number or either id"
    ),
    **METER_METHODS,
    **PLC_METHODS,
    **GRID_METHODS,
    "Ocpp.Status": Method(_OBSERVER, _ocpp, {}, "the CSMS link, what waits for it, what was dropped or refused"),
    "Ocpp.Queue": Method(
        _OBSERVER, _queue, {"limit": Param(int, 50, low=1, high=500)}, "messages that wait for the CSMS"
    ),
    "Certs.List": Method(_OBSERVER, _certs, {}, "the chains in use and the trusted roots"),
    "Certs.Expiry": Method(
        _OBSERVER,
        _expiry,
        {"within_days": Param(int, 30, high=36500)},
        "certificates by their end, and how many end soon",
    ),
    "Log.Levels": Method(_OBSERVER, _levels, {}, "the log levels"),
    "Log.SetLevel": Method(
        _TECHNICIAN,
        _set_level,
        {
            "logger": Param(str, required=True),
            "level": Param(str, required=True, choices=LEVELS),
            "for_s": Param(int, 0, high=86400, says="0: until the daemon ends"),
        },
        "change a log level, for a while or until the daemon ends",
    ),
    "Log.Security": Method(
        _TECHNICIAN,
        _security,
        {"limit": Param(int, 50, low=1, high=1000)},
        "the latest security events, and where their chain is broken",
    ),
    "Audit.Show": Method(_SERVICE, _audit, {"limit": Param(int, 50, low=1, high=500)}, "the latest calls and refusals"),
    **FIRMWARE_METHODS,
    **V2G_METHODS,
    **SIMULATE,
}
