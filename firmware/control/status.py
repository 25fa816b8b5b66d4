"""How an EVSE stands now, as one JSON object: the schema of docs/cli.md. Nothing here waits or asks anybody."""

from datetime import UTC, datetime
from typing import TypeVar

from firmware.config import Evse as EvseSettings
from firmware.control.why import Situation
from firmware.evse import Evse
from firmware.facts import AuthorizationAnswered, Fact
from firmware.history import History, masked
from firmware.levels import levels
from firmware.limits import Limits
from firmware.state import State
from hal.plc.link import GreenPhyLink
from hal.plc.mme import format_mac
from hal.ports import BoardUnavailable, EvseSnapshot, SlacMatched
from hal.quantities import EvseId, MeterReading
from ocpp_client.ports import CsmsOnline
from secc.ports import SessionSetUp, TlsEstablished

T = TypeVar("T")

Told = dict[str, object]

LIMITS = ("board_a", "cable_a", "profile_a", "heat_a", "site_a", "technician_a", "start_a")


def evse_status(evse: Evse, history: History, now: float, *, tokens: bool) -> Told:
    """`now` is monotonic. Without `tokens` only their last four characters are told."""
    state = evse.state
    status = levels(state).status
    return {
        "evse": evse.number,
        "evse_id": evse.settings.evse_id,
        "lab": lab_switches(evse.settings),
        "connector_status": status.value if status else None,
        "alive": evse.alive(),
        "maintenance": maintenance_status(evse, now),
        "board": board_status(board_of(evse), now),
        "meter": meter_status(_meter(evse), now),
        "limits": limits_status(state.limits),
        "slac": _slac(evse, history),
        "v2g": _v2g(state, history, evse.number),
        "authorization": _authorization(state, history, evse.number, tokens=tokens),
        "transaction": _transaction(state),
        "faults": [record.shown(snapshot=False) for record in history.standing(evse.number)],
    }


def maintenance_status(evse: Evse, now: float) -> Told | None:
    """None: it is in service."""
    standing = evse.state.maintenance
    if standing is None:
        return None
    return {
        "by": standing.by,
        "left_s": round(max(0.0, standing.until_s - now), 1),
        "vehicle_here": standing.vehicle_here,
        "pilot": standing.trial.pilot.value,
        "lock": standing.trial.lock,
    }


def lab_switches(settings: EvseSettings) -> list[str]:
    """What no charger in the field may have switched on."""
    return ["ISO 15118-20 without mutual TLS 1.3"] if settings.lab_iso15118_20_without_mutual_tls else []


def board_of(evse: Evse) -> EvseSnapshot | None:
    """None: the board does not answer."""
    try:
        return evse.board.snapshot() if evse.board else None
    except BoardUnavailable:
        return None


def _meter(evse: Evse) -> MeterReading | None:
    try:
        return evse.board.meter() if evse.board else None
    except BoardUnavailable:
        return None


def board_status(board: EvseSnapshot | None, now: float) -> Told | None:
    if board is None:
        return None
    return {
        "cp": board.cp.value,
        "cp_mode": board.cp_mode.value,
        "duty_percent": round(board.duty_percent, 2),
        "contactor": board.contactor.value,
        "power_permitted": board.power_permitted,
        "locked": board.locked,
        "pp_ampacity_a": board.pp_ampacity_a,
        "age_s": round(now - board.taken_at_s, 3),
    }


def meter_status(meter: MeterReading | None, now: float) -> Told | None:
    if meter is None:
        return None
    return {
        "energy_import_wh": round(meter.energy_import_wh, 1),
        "power_import_w": round(meter.power_import_w, 1),
        "current_a": [round(value, 2) for value in meter.current_a],
        "voltage_v": [round(value, 1) for value in meter.voltage_v],
        "age_s": round(meter.age_s(now), 3),
    }


def offer_of(limits: Limits) -> tuple[float, str]:
    """What is offered, and which limit sets it."""
    told = limits_status(limits)
    return limits.offer_a, str(told["lowest"] or "")


def limits_status(limits: Limits) -> Told:
    """`lowest` names the source that sets the offer; with several equal ones the first in the order of LIMITS."""
    values = {name.removesuffix("_a"): getattr(limits, name) for name in LIMITS}
    known = {name: value for name, value in values.items() if value is not None}
    lowest = min(known, key=lambda name: known[name]) if limits.board_a is not None else None
    return {"offer_a": limits.offer_a, "lowest": lowest, **{f"{name}_a": value for name, value in values.items()}}


def _slac(evse: Evse, history: History) -> Told | None:
    """None for an EVSE without a modem."""
    if not evse.state.has_plc:
        return None
    machine = evse.plc.machine if isinstance(evse.plc, GreenPhyLink) else None
    matched = _latest(history, evse.number, SlacMatched)
    return {
        "modem_ready": evse.state.modem_ready,
        "modem": machine.modem.state.value if machine else None,
        "matching": machine.matching.state.value if machine else None,
        "ev_mac": format_mac(evse.state.ev_mac) if evse.state.ev_mac else None,
        "attenuation_db": round(matched.attenuation_db, 1) if matched else None,
    }


def _v2g(state: State, history: History, evse: EvseId) -> Told:
    tls, session = _latest(history, evse, TlsEstablished), _latest(history, evse, SessionSetUp)
    return {
        "hlc": state.hlc.value,
        "session_id": state.v2g_session_id or None,
        "protocol": session.protocol if session else None,
        "tls": tls.version if tls else None,
        "payment": state.payment.value if state.payment else None,
        "power_wanted": state.power_wanted,
    }


def _authorization(state: State, history: History, evse: EvseId, *, tokens: bool) -> Told:
    answered, token = _latest(history, evse, AuthorizationAnswered), state.token
    shown = None if token is None else token.id_token if tokens else masked(token.id_token)
    status = answered.answer.status if answered else None
    return {
        "state": state.authorization.value,
        "id_token": shown,
        "kind": token.kind if token else None,
        "answer": status.value if status else None,
        "offline": answered.answer.offline if answered else None,
    }


def _transaction(state: State) -> Told:
    return {
        "transaction_id": state.transaction_id or None,
        "open": state.transaction_open,
        "charging_state": state.charging_state.value,
        "ending": state.ending.stopped_reason.value if state.ending else None,
    }


def situation(evse: Evse, history: History, now: float, *, secc_not_after: datetime | None) -> Situation:
    """For `why`."""
    latest: dict[type, Fact] = {kind: seen.fact for kind, seen in history.latest(evse.number).items()}
    left = (secc_not_after - datetime.now(UTC)).total_seconds() / 86400 if secc_not_after else None
    return Situation(
        now=now,
        state=evse.state,
        board=board_of(evse),
        alive=evse.alive(),
        csms_online=is_online(history, evse.number),
        has_secc_certificate=secc_not_after is not None,
        secc_days_left=left,
        latest=latest,
    )


def is_online(history: History, evse: EvseId) -> bool:
    online = _latest(history, evse, CsmsOnline)
    return online is not None and online.online


def _latest(history: History, evse: EvseId, kind: type[T]) -> T | None:
    seen = history.latest(evse).get(kind)
    return seen.fact if seen is not None and isinstance(seen.fact, kind) else None
