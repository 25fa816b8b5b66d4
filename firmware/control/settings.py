"""The station's OCPP variables for technicians: the table the CSMS sees by GetVariables, and the rules it is held to.

A change is all or nothing. What concerns the station's own security needs service. A secret is written and never read.
"""

from collections.abc import Mapping

from firmware.control.method import Call, Method
from firmware.control.params import Param
from firmware.control.roles import Role
from firmware.control.rpc import Code, RpcError
from firmware.control.variable_names import key_of_name, name_of
from ocpp_client.device_model import Key, Mutability, Variable

SERVICE_ONLY = frozenset({"securityctrlr", "iso15118ctrlr"})
"""Components whose variables decide who is trusted."""
MAX_SETTINGS = 500
MAX_SETTING = 2700
"""A name and an OCPP value of at most 2500 characters."""
MESSAGES = ("Heartbeat", "BootNotification", "StatusNotification", "MeterValues", "TransactionEvent")


async def _list(call: Call, names: list[str] | None) -> object:
    rows = await call.station.csms.variables()
    shown = [_shown(variable, value, pending) for variable, value, pending in rows]
    wanted = [name.lower() for name in names or ()]
    if wanted:
        shown = [row for row in shown if any(_matches(str(row["name"]).lower(), name) for name in wanted)]
        if not shown:
            raise RpcError(Code.NOT_FOUND, f"there is no variable {', '.join(names or ())}")
    return {"variables": shown}


def _matches(name: str, wanted: str) -> bool:
    """By its whole name, by its component, or by its variable's name alone."""
    return wanted in (name, name.partition(".")[0], name.partition(".")[0].partition("@")[0], name.partition(".")[2])


def _shown(variable: Variable, value: str | None, pending: bool) -> dict[str, object]:
    return {
        "name": name_of(variable),
        "value": value,
        "default": None if variable.mutability is Mutability.WRITE_ONLY else variable.value,
        "type": variable.kind.value,
        "unit": variable.unit,
        "lowest": variable.lowest,
        "highest": variable.highest,
        "choices": list(variable.choices),
        "mutability": variable.mutability.value,
        "reboot_required": pending,
    }


async def _set(call: Call, settings: list[str]) -> object:
    wanted = _parsed(settings)
    restricted = [name for name, (key, _) in wanted.items() if key[0] in SERVICE_ONLY]
    if restricted and call.caller.role < Role.SERVICE:
        raise RpcError(Code.ROLE_MISSING, f"{restricted[0]} needs role service", {"needed": str(Role.SERVICE)})
    answers = await call.station.csms.set_variables(dict(wanted.values()))
    results = [
        {"name": name, "status": answers[key][0], "reason": answers[key][1]} for name, (key, _) in wanted.items()
    ]
    changed = all(status in ("Accepted", "RebootRequired") for status, _ in answers.values())
    return {"changed": changed, "results": results}


def _parsed(settings: list[str]) -> dict[str, tuple[Key, str]]:
    """By name. Raises RpcError."""
    if not 0 < len(settings) <= MAX_SETTINGS:
        raise RpcError(Code.INVALID_PARAMS, f"1 to {MAX_SETTINGS} settings at once")
    wanted: dict[str, tuple[Key, str]] = {}
    for setting in settings:
        name, separator, value = setting.partition("=")
        key = key_of_name(name)
        if not separator or key is None:
            raise RpcError(Code.INVALID_PARAMS, f"{name[:60]!r} is no Component.Variable=value")
        if any(key == other for other, _ in wanted.values()):
            raise RpcError(Code.INVALID_PARAMS, f"{name} is there twice")
        wanted[name] = (key, value)
    return wanted


def without_values(params: Mapping[str, object]) -> Mapping[str, object]:
    """For the audit log: which variables, and of passwords not what."""
    settings = params.get("settings")
    if not isinstance(settings, list):
        return params
    return {**params, "settings": [_hidden(str(setting)) for setting in settings]}


def _hidden(setting: str) -> str:
    name, _, _ = setting.partition("=")
    return f"{name}=***" if "password" in name.lower() else setting


async def _send(call: Call, message: str, evse: int | None) -> object:
    status = await call.station.csms.send(message, evse)
    if status != "Accepted":
        raise RpcError(Code.BUSY, f"{message} cannot be sent now: {status}")
    return {"message": message, "evse": evse, "status": status}


SETTINGS_METHODS: dict[str, Method] = {
    "Config.List": Method(
        Role.OBSERVER,
        _list,
        {"names": Param(list, says="Component, Variable or Component.Variable; all without it")},
        "the OCPP variables, as the CSMS sees them",
    ),
    "Config.Set": Method(
        Role.TECHNICIAN,
        _set,
        {"settings": Param(list, required=True, longest=MAX_SETTING, says="Component.Variable=value")},
        "set OCPP variables, all or none",
        audited=without_values,
    ),
    "Ocpp.Send": Method(
        Role.TECHNICIAN,
        _send,
        {"message": Param(str, required=True, choices=MESSAGES), "evse": Param(int, low=1)},
        "send a message to the CSMS, as TriggerMessage would have it",
    ),
}
