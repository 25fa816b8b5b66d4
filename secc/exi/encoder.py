"""Dicts to bytes, by the tables of one namespace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from secc.exi.bits import text_octets, unsigned
from secc.exi.errors import ExiEncodeError, Reason
from secc.exi.grammar import END, NODE, VALUE
from secc.exi.tables import ProductionRow, StateRow, Tables, ValueRow, offered
from secc.exi.values import INTEGER, STRING, TABLE, UNSIGNED

FLUSH_BITS: Final = 1024
"""Bits gathered in one integer before they go to the buffer; all in one would make writing quadratic."""


def encode(tables: Tables, message: Mapping[str, object], *, fragment: bool) -> bytes:
    """The message, or fragment, whose name is the one key of `message`. Raises ExiEncodeError."""
    if not isinstance(message, dict) or len(message) != 1:
        raise ExiEncodeError(Reason.ROOT, "a dict of one key, the root's name, is needed")
    return _encode(tables.states, tables.fragment if fragment else tables.document, message)


def _encode(states: Sequence[StateRow], state: int, node: dict[str, Any]) -> bytes:
    """One loop over all events, as in the decoder."""
    root = state
    octets = bytearray()
    pending, count = 0x80, 8
    stack: list[tuple[dict[str, Any], dict[str, int], int, int, str]] = []
    taken: dict[str, int] = {}
    used = 0
    name = ""
    value: Any
    try:
        while True:
            width, _, productions, codes = states[state]
            code = 0
            event, name, row, first_state, state, limit, exhausted = productions[0]
            if event != END and (limit or name not in node):
                code = _choose(productions, node, taken) if codes is None else _look_up(codes, productions, node)
                event, name, row, first_state, state, limit, exhausted = productions[code]
            pending = pending << width | code
            count += width
            if event == END:
                if used + len(taken) != len(node):
                    raise _unplaced(states, _start(states, root, [parent[4] for parent in stack]), node)
                if not stack:
                    break
                node, taken, used, state, _ = stack.pop()
                continue
            value = node[name]
            if limit:
                index = taken[name]
                if index == 0 and len(value) > limit:
                    raise ExiEncodeError(Reason.TOO_MANY, f"{len(value)} items, at most {limit} are allowed")
                value = value[index]
                taken[name] = index + 1
                if index + 1 == limit:
                    state = exhausted
            else:
                used += 1
            if event == VALUE:
                bits, width = _value(row, value)
                pending = pending << width | bits
                count += width
            elif event == NODE:
                if not isinstance(value, dict):
                    raise ExiEncodeError(Reason.TYPE, f"a dict is needed, not {type(value).__name__}")
                stack.append((node, taken, used, state, name))
                node, taken, used, state = value, {}, 0, first_state
            else:
                raise ExiEncodeError(Reason.UNKNOWN_KEY, "no such element or attribute here")
            if count > FLUSH_BITS:
                kept = count & 7
                octets += (pending >> kept).to_bytes(count >> 3)
                pending &= (1 << kept) - 1
                count = kept
    except ExiEncodeError as error:
        path = [parent[4] for parent in stack]
        if error.reason not in (Reason.MISSING, Reason.UNKNOWN_KEY):
            path.append(error.path or name)
        raise ExiEncodeError(error.reason, error.detail, "/".join(path)) from None
    spare = -count & 7
    return bytes(octets + (pending << spare).to_bytes((count + spare) >> 3))


def _choose(productions: Sequence[ProductionRow], node: dict[str, Any], taken: dict[str, int]) -> int:
    """The event code of the first production that `node` still has something for, or of the end."""
    for code, (event, name, _, _, _, limit, _) in enumerate(productions):
        if name in node:
            if not limit:
                return code
            items = node[name]
            if not isinstance(items, list):
                raise ExiEncodeError(Reason.TYPE, f"a list is needed, not {type(items).__name__}", name)
            if taken.setdefault(name, 0) < len(items):
                return code
        elif event == END:
            return code
    raise _missing(productions, node)


def _look_up(codes: Mapping[str, int], productions: Sequence[ProductionRow], node: dict[str, Any]) -> int:
    found = [codes[name] for name in node if name in codes]
    if found:
        return min(found)
    if "" in codes:
        return codes[""]
    raise _missing(productions, node)


def _value(row: ValueRow, value: Any) -> tuple[int, int]:
    """The bits of a value and how many they are, the start of the characters included."""
    kind, width, _, _, _, (codes, low, high, wanted) = row
    python: Any = wanted  # what isinstance narrows to says less than the checks below do
    if type(value) is not python and (not isinstance(value, python) or isinstance(value, bool)):
        raise ExiEncodeError(Reason.TYPE, f"{python.__name__} is needed, not {type(value).__name__}")
    if codes is not None:
        if value not in codes:
            raise ExiEncodeError(Reason.ENUMERATION, f"{value!r} is not one of {', '.join(map(str, codes))}")
        return codes[value], width
    measure = value if python is int else len(value)
    if not low <= measure <= high:
        what = "value" if python is int else "length"
        raise ExiEncodeError(Reason.RANGE, f"{what} {measure} is not from {low} to {high}")
    if kind == TABLE:
        return value - low, width
    if kind == STRING:
        octets = text_octets(value)
    elif kind == UNSIGNED:
        octets = unsigned(value)
    elif kind == INTEGER:
        octets = unsigned(~value if value < 0 else value)
        if value < 0:
            octets = b"\1" + octets
            width -= 8
    else:
        octets = unsigned(len(value)) + value
    return int.from_bytes(octets), width + 8 * len(octets) - 8


def _missing(productions: Sequence[ProductionRow], node: dict[str, Any]) -> ExiEncodeError:
    expected = " or ".join(name for event, name, *_ in productions if event in (VALUE, NODE))
    present = ", ".join(map(str, node)) or "nothing"
    return ExiEncodeError(Reason.MISSING, f"{expected or 'nothing'} must come next; present: {present}")


def _unplaced(states: Sequence[StateRow], start: int, node: dict[str, Any]) -> ExiEncodeError:
    known = {production[1] for production in offered(states, start)}
    unknown = [repr(name) for name in node if name not in known]
    if unknown:
        return ExiEncodeError(Reason.UNKNOWN_KEY, f"no element or attribute {', '.join(unknown)} here")
    return ExiEncodeError(Reason.UNKNOWN_KEY, f"{', '.join(node)} cannot stand together")


def _start(states: Sequence[StateRow], root: int, names: Sequence[str]) -> int:
    """The first state of the element that `names` lead to."""
    for name in names:
        root = next(found[3] for found in offered(states, root) if found[1] == name)
    return root
