"""The device model of OCPP 2.0.1 (part 1 chapter 4): get, set and report variables over one declarative table.

Pure. Values are strings, as on the wire. `restore` and `dump` carry what a CSMS has set over a restart. Names are
compared without regard to case, as the standard asks.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ocpp_client.config import Override
from ocpp_client.wire import Payload, parse_time


class Mutability(StrEnum):
    READ_ONLY = "ReadOnly"
    WRITE_ONLY = "WriteOnly"
    READ_WRITE = "ReadWrite"


class DataType(StrEnum):
    STRING = "string"
    DECIMAL = "decimal"
    INTEGER = "integer"
    DATE_TIME = "dateTime"
    BOOLEAN = "boolean"
    OPTION_LIST = "OptionList"
    MEMBER_LIST = "MemberList"
    SEQUENCE_LIST = "SequenceList"


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable's Actual attribute and characteristics. `reboot` values hold from the next start on."""

    component: str
    name: str
    kind: DataType
    value: str = ""
    instance: str | None = None
    mutability: Mutability = Mutability.READ_ONLY
    unit: str | None = None
    lowest: float | None = None
    highest: float | None = None
    choices: tuple[str, ...] = ()
    evse_id: int | None = None
    connector_id: int | None = None
    reboot: bool = False
    constant: bool = False
    computed: Callable[[], str] | None = None
    """Where the value is asked for anew each time."""
    check: Callable[[str], str | None] | None = None
    """A further rule for a new value: the reason against it, or None."""


_PROBLEMS = ("Problem", "Tripped")

Key = tuple[str, int | None, int | None, str, str]
"""Component, EVSE, connector, variable, instance; lower case."""


def key_of(component: Payload, variable: Payload) -> Key:
    """Of a ComponentType and a VariableType, already checked by the schema."""
    evse = component.get("evse") or {}
    return (
        component["name"].lower() + _instance(component),
        evse.get("id"),
        evse.get("connectorId"),
        variable["name"].lower(),
        (variable.get("instance") or "").lower(),
    )


def _instance(component: Payload) -> str:
    return f"#{component['instance'].lower()}" if component.get("instance") else ""


class DeviceModel:
    def __init__(self, variables: Iterable[Variable]) -> None:
        self._variables: dict[Key, Variable] = {}
        self._values: dict[Key, str] = {}
        self._stored: dict[Key, str] = {}
        self._listeners: dict[Key, Callable[[str], None]] = {}
        self._untold: dict[Key, str] = {}
        self.watcher: Callable[[Key, str], None] | None = None
        """Told each value that is new and not computed."""
        for variable in variables:
            key = _key(variable)
            self._variables[key] = variable
            self._values[key] = variable.value

    # --- Reading by the station itself ---

    def text(self, component: str, name: str, instance: str = "") -> str:
        return self._read((component.lower(), None, None, name.lower(), instance.lower()))

    def number(self, component: str, name: str, instance: str = "") -> float:
        return float(self.text(component, name, instance))

    def flag(self, component: str, name: str) -> bool:
        return self.text(component, name).lower() == "true"

    def members(self, component: str, name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.text(component, name).split(",") if part.strip())

    def has(self, component: str, name: str) -> bool:
        return (component.lower(), None, None, name.lower(), "") in self._variables

    def assign(
        self,
        component: str,
        name: str,
        value: str,
        evse_id: int | None = None,
        connector: int | None = None,
        instance: str = "",
    ) -> None:
        """The station's own word on a variable; no rule for a CSMS applies."""
        self._take((component.lower(), evse_id, connector, name.lower(), instance.lower()), value)

    def _take(self, key: Key, value: str) -> None:
        moved = self._values.get(key) != value
        self._values[key] = value
        if moved and self.watcher is not None:
            self.watcher(key, value)

    def find(self, component: Payload, variable: Payload) -> tuple[str, Key | None]:
        """The variable's key, or why there is none: UnknownComponent, UnknownVariable."""
        key = key_of(component, variable)
        return ("Accepted", key) if key in self._variables else (self._unknown(key), None)

    def value(self, key: Key) -> str:
        """Of a variable there is."""
        return self._read(key)

    def override(self, override: Override) -> str | None:
        """Set from now on, whatever was stored, and not stored itself: the reason against it, or None."""
        key: Key = (override.component.lower(), None, None, override.name.lower(), override.instance.lower())
        variable = self._variables.get(key)
        if variable is None:
            return "there is no such variable"
        if variable.mutability is Mutability.READ_ONLY:
            return "the variable is read-only"
        if (refusal := _refusal(variable, override.value)) is not None:
            return refusal[1]
        self._values[key] = override.value
        self._stored.pop(key, None)
        return None

    def on_change(self, component: str, name: str, listener: Callable[[str], None], instance: str = "") -> None:
        """Called with the new value by `tell_changes` after a CSMS set the variable."""
        self._listeners[(component.lower(), None, None, name.lower(), instance.lower())] = listener

    def _read(self, key: Key) -> str:
        computed = self._variables[key].computed
        return self._values[key] if computed is None else computed()

    # --- GetVariables (B06) ---

    def get(self, request: Payload) -> Payload:
        """One GetVariableDataType to one GetVariableResultType."""
        key = key_of(request["component"], request["variable"])
        result: Payload = {"component": request["component"], "variable": request["variable"]}
        if "attributeType" in request:
            result["attributeType"] = request["attributeType"]
        status, value = self._get(key, request.get("attributeType", "Actual"))
        result["attributeStatus"] = status
        if value is not None:
            result["attributeValue"] = value
        return result

    def _get(self, key: Key, attribute: str) -> tuple[str, str | None]:
        variable = self._variables.get(key)
        if variable is None:
            return self._unknown(key), None
        if attribute != "Actual":
            return "NotSupportedAttributeType", None
        if variable.mutability is Mutability.WRITE_ONLY:
            return "Rejected", None
        # A value set that waits for a restart is what the CSMS reads back (B06): it asks what it has configured.
        return "Accepted", self._stored.get(key, self._read(key))[:2500]

    def _unknown(self, key: Key) -> str:
        known = any(other[0] == key[0] for other in self._variables)
        return "UnknownVariable" if known else "UnknownComponent"

    # --- SetVariables (B05) ---

    def set(self, request: Payload) -> Payload:
        """One SetVariableDataType to one SetVariableResultType."""
        key = key_of(request["component"], request["variable"])
        result: Payload = {"component": request["component"], "variable": request["variable"]}
        if "attributeType" in request:
            result["attributeType"] = request["attributeType"]
        status, reason = self._set(key, request.get("attributeType", "Actual"), request["attributeValue"])
        result["attributeStatus"] = status
        if reason is not None:
            result["attributeStatusInfo"] = {"reasonCode": reason[0], "additionalInfo": reason[1][:512]}
        return result

    def set_all(self, wanted: Mapping[Key, str]) -> dict[Key, tuple[str, str]]:
        """All of it or nothing: status and reason of each. Nothing is stored when one is refused."""
        judged = {key: self._judge(key, "Actual", value) for key, value in wanted.items()}
        if all(status == "Accepted" for status, _ in judged.values()):
            judged = {key: self._set(key, "Actual", value) for key, value in wanted.items()}
        return {key: (status, reason[1] if reason else "") for key, (status, reason) in judged.items()}

    def value_of(self, key: Key) -> tuple[str | None, bool]:
        """What a CSMS would read (None for a variable that may only be written), and whether it waits for a restart."""
        value = self._get(key, "Actual")[1]
        return value, key in self._stored and self._stored[key] != self._values[key]

    def _set(self, key: Key, attribute: str, value: str) -> tuple[str, tuple[str, str] | None]:
        judged = self._judge(key, attribute, value)
        if judged[0] != "Accepted":
            return judged
        variable = self._variables[key]
        self._stored[key] = value
        if variable.reboot and value != self._values[key]:
            return "RebootRequired", None
        self._take(key, value)
        if key in self._listeners:
            self._untold[key] = value
        return "Accepted", None

    def _judge(self, key: Key, attribute: str, value: str) -> tuple[str, tuple[str, str] | None]:
        """Whether it may be set: Accepted, or what stands against it."""
        variable = self._variables.get(key)
        if variable is None:
            return self._unknown(key), None
        if attribute != "Actual":
            return "NotSupportedAttributeType", None
        if variable.mutability is Mutability.READ_ONLY:
            return "Rejected", ("ReadOnly", "the variable is read-only")
        if (reason := _refusal(variable, value)) is not None:
            return "Rejected", reason
        return "Accepted", None

    def tell_changes(self) -> None:
        """Calls who listens to what was set: once the CSMS has its answer, for a change may cost the link."""
        untold, self._untold = self._untold, {}
        for key, value in untold.items():
            self._listeners[key](value)

    # --- Reports (B07, B08) ---

    def report(self, wanted: Callable[[Variable], bool] = lambda _variable: True) -> Iterator[Payload]:
        """ReportDataType for each variable that is `wanted`."""
        for key, variable in self._variables.items():
            if wanted(variable):
                yield self._report_data(key, variable)

    def matches(self, criteria: Payload) -> Callable[[Variable], bool]:
        """A filter for GetReport's ComponentVariableType."""
        component, variable = criteria["component"], criteria.get("variable")
        evse = component.get("evse") or {}

        def wanted(candidate: Variable) -> bool:
            return (
                candidate.component.lower() == component["name"].lower() + _instance(component)
                and evse.get("id") in (None, candidate.evse_id)
                and evse.get("connectorId") in (None, candidate.connector_id)
                and (variable is None or candidate.name.lower() == variable["name"].lower())
                and (variable is None or variable.get("instance") in (None, candidate.instance))
            )

        return wanted

    def troubled(self) -> frozenset[tuple[str, int | None]]:
        """Components with a problem now, and their EVSEs (B08, criterion Problem)."""
        return frozenset(
            (variable.component, variable.evse_id)
            for key, variable in self._variables.items()
            if variable.name in _PROBLEMS and self._read(key) == "true"
        )

    def _report_data(self, key: Key, variable: Variable) -> Payload:
        attribute: Payload = {
            "type": "Actual",
            "mutability": variable.mutability.value,
            "persistent": variable.mutability is not Mutability.READ_ONLY,
            "constant": variable.constant,
        }
        if variable.mutability is not Mutability.WRITE_ONLY:
            attribute["value"] = self._stored.get(key, self._read(key))[:2500]
        return {
            "component": _component(variable),
            "variable": _named(variable.name, variable.instance),
            "variableAttribute": [attribute],
            "variableCharacteristics": _characteristics(variable),
        }

    # --- Outliving a restart ---

    def dump(self, *, secrets: bool = True) -> str:
        """What was set; without `secrets` what is write-only is left out."""
        kept = self._stored.items()
        if not secrets:
            kept = {key: v for key, v in kept if self._variables[key].mutability is not Mutability.WRITE_ONLY}.items()
        return json.dumps([[*key, value] for key, value in kept])

    def restore(self, text: str) -> int:
        """Puts back what `dump` wrote; returns how many values no longer fit the table."""
        left_out = 0
        for component, evse_id, connector_id, name, instance, value in json.loads(text):
            key: Key = (component, evse_id, connector_id, name, instance)
            variable = self._variables.get(key)
            if variable is None or variable.mutability is Mutability.READ_ONLY or _refusal(variable, value):
                left_out += 1
                continue
            self._stored[key] = self._values[key] = value
        return left_out

    def table(self) -> Mapping[Key, Variable]:
        return self._variables


def _key(variable: Variable) -> Key:
    instance = (variable.instance or "").lower()
    return variable.component.lower(), variable.evse_id, variable.connector_id, variable.name.lower(), instance


def _component(variable: Variable) -> Payload:
    component: Payload = {"name": variable.component}
    if variable.evse_id is not None:
        component["evse"] = {"id": variable.evse_id}
        if variable.connector_id is not None:
            component["evse"]["connectorId"] = variable.connector_id
    return component


def _named(name: str, instance: str | None) -> Payload:
    return {"name": name} if instance is None else {"name": name, "instance": instance}


def _characteristics(variable: Variable) -> Payload:
    result: Payload = {"dataType": variable.kind.value, "supportsMonitoring": not variable.constant}
    if variable.unit is not None:
        result["unit"] = variable.unit
    if variable.lowest is not None:
        result["minLimit"] = variable.lowest
    if variable.highest is not None:
        result["maxLimit"] = variable.highest
    if variable.choices:
        result["valuesList"] = ",".join(variable.choices)
    return result


def _refusal(variable: Variable, value: str) -> tuple[str, str] | None:
    """Why a new value does not fit: reason code and detail, or None."""
    fits = _FITS[variable.kind]
    if not fits(variable, value):
        return "InvalidValue", f"not a {variable.kind.value} that the variable takes"
    if variable.kind in (DataType.INTEGER, DataType.DECIMAL):
        number = float(value)
        if variable.lowest is not None and number < variable.lowest:
            return "ValueTooLow", f"at least {variable.lowest:g}"
        if variable.highest is not None and number > variable.highest:
            return "ValueTooHigh", f"at most {variable.highest:g}"
    if variable.check is not None and (reason := variable.check(value)) is not None:
        return "InvalidValue", reason
    return None


def _is_integer(_variable: Variable, value: str) -> bool:
    digits = value.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 15


def _is_decimal(_variable: Variable, value: str) -> bool:
    whole, _, fraction = value.removeprefix("-").partition(".")
    return all(part.isascii() and part.isdigit() for part in (whole, fraction or "0")) and len(value) <= 30


def _is_time(_variable: Variable, value: str) -> bool:
    try:
        parse_time(value)
    except ValueError:
        return False
    return True


def _is_text(variable: Variable, value: str) -> bool:
    return variable.highest is None or len(value) <= variable.highest


def _are_members(variable: Variable, value: str) -> bool:
    parts = [part.strip() for part in value.split(",")] if value.strip() else []
    return len(set(parts)) == len(parts) and (not variable.choices or set(parts) <= set(variable.choices))


_FITS: dict[DataType, Callable[[Variable, str], bool]] = {
    DataType.STRING: _is_text,
    DataType.INTEGER: _is_integer,
    DataType.DECIMAL: _is_decimal,
    DataType.DATE_TIME: _is_time,
    DataType.BOOLEAN: lambda _variable, value: value.lower() in ("true", "false"),
    DataType.OPTION_LIST: lambda variable, value: value in variable.choices,
    DataType.MEMBER_LIST: _are_members,
    DataType.SEQUENCE_LIST: _are_members,
}
