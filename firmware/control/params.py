"""A method's parameters: what each must be, and how a wrong one is told. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from firmware.control.rpc import Code, RpcError

MAX_TEXT = 200

_WORDS = {int: "a whole number", str: "a string", bool: "true or false", list: "a list of strings"}


@dataclass(frozen=True, slots=True)
class Param:
    """`default` stands when the caller leaves it out; REQUIRED has none. Numbers keep between `low` and `high`."""

    kind: type[int] | type[str] | type[bool] | type[list[str]]
    default: object = None
    required: bool = False
    low: int = 0
    high: int = 2**31 - 1
    choices: tuple[str, ...] = ()
    is_time: bool = False
    """A date and time by ISO 8601 with its offset; the handler gets a datetime."""
    longest: int = MAX_TEXT
    """Characters of a string, and of each in a list."""
    says: str = ""


def checked(table: Mapping[str, Param], given: Mapping[str, object]) -> dict[str, object]:
    """The values for a handler. Raises RpcError INVALID_PARAMS."""
    for name in given:
        if name not in table:
            known = ", ".join(table) or "none"
            raise RpcError(Code.INVALID_PARAMS, f"unknown parameter {name[:40]!r}; known: {known}")
    return {name: _value(name, param, given) for name, param in table.items()}


def _value(name: str, param: Param, given: Mapping[str, object]) -> object:
    value = given.get(name)
    if value is None:
        if param.required:
            raise RpcError(Code.INVALID_PARAMS, f"{name} is missing")
        return param.default
    if type(value) is not param.kind:
        raise RpcError(Code.INVALID_PARAMS, f"{name} must be {_WORDS[param.kind]}")
    if isinstance(value, int) and not isinstance(value, bool) and not param.low <= value <= param.high:
        raise RpcError(Code.INVALID_PARAMS, f"{name} must be {param.low} to {param.high}")
    for text in value if isinstance(value, list) else [value]:
        _check_text(name, param, text)
    return _time(name, value) if param.is_time else value


def _check_text(name: str, param: Param, text: object) -> None:
    if param.kind in (int, bool):
        return
    if not isinstance(text, str) or len(text) > param.longest:
        raise RpcError(
            Code.INVALID_PARAMS, f"{name} must be {_WORDS[param.kind]} of at most {param.longest} characters"
        )
    if param.choices and text not in param.choices:
        raise RpcError(Code.INVALID_PARAMS, f"{name} must be one of {', '.join(param.choices)}")


def _time(name: str, value: object) -> datetime:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise RpcError(Code.INVALID_PARAMS, f"{name} must be a date and time by ISO 8601") from error
    if found.tzinfo is None:
        raise RpcError(Code.INVALID_PARAMS, f"{name} must tell its offset from UTC")
    return found
