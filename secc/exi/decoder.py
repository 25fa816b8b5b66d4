"""Bytes to dicts, by the tables of one namespace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from secc.exi.bits import continued, octets_at, text_at, window_at
from secc.exi.errors import ExiDecodeError, Reason
from secc.exi.grammar import END, NODE, REFUSED, VALUE
from secc.exi.tables import StateRow, Tables
from secc.exi.values import BOUNDED_BITS, INTEGER, STRING, TABLE, UNBOUNDED, UNBOUNDED_BITS, UNSIGNED

Message: TypeAlias = dict[str, object]

HEADER: Final = 0x80
"""No cookie, no options, final version 1 (EXI 1.0, section 5)."""
MAX_BYTES: Final = 1 << 17


class Position(NamedTuple):
    """Where an item stands in the stream: the first bit of its event code, and the bit behind its value.

    Behind a value the next event code begins with the bit that ends the value's element.
    """

    start: int
    end: int
    depth: int
    name: str
    value: object


def decode(tables: Tables, data: bytes, *, fragment: bool, trace: list[Position] | None = None) -> Message:
    """One message or fragment; what follows its last event is ignored. Raises ExiDecodeError.

    Lengths and ranges that an XSD sets are not checked: vehicles exceed them and are charged all the same. What
    cannot be represented, an enumeration's value above all, is refused.
    """
    if len(data) > MAX_BYTES:
        raise ExiDecodeError(Reason.TOO_LARGE, f"{len(data)} octets, at most {MAX_BYTES} are read")
    if not data or data[0] != HEADER:
        raise ExiDecodeError(Reason.HEADER, "no EXI header 0x80", bit=0)
    root: Message = {}
    _decode(tables.states, tables.fragment if fragment else tables.document, data, root, trace)
    return root


def _decode(
    states: Sequence[StateRow], state: int, data: bytes, node: dict[str, Any], trace: list[Position] | None
) -> None:
    """Fills `node`. One loop over all events, because a call for each would cost more than the work it does."""
    stack: list[tuple[dict[str, Any], int]] = []
    start = position = window_end = 8
    window = 0
    name = ""
    value: Any
    try:
        while True:
            width, mask, productions, _ = states[state]
            start = position
            position += width
            if position > window_end:
                window, window_end = window_at(data, start, width)
            code = window >> (window_end - position) & mask
            if code >= len(productions):
                raise _unknown_event(states[state], code, start)
            event, name, row, first_state, state, limit, exhausted = productions[code]
            if event == VALUE:
                kind, width, mask, greatest, table, facets = row
                position += width
                if position > window_end:
                    window, window_end = window_at(data, position - width, width)
                first = window >> (window_end - position) & mask
                if first > greatest:
                    raise _deviation(kind, width, first, position - width)
                if kind == TABLE:
                    value = table[first]
                else:
                    value = first & 0x7F
                    if first & 0x80:
                        position += 8
                        if position > window_end:
                            window, window_end = window_at(data, position - 8, 8)
                        octet = window >> (window_end - position) & 0xFF
                        value |= (octet & 0x7F) << 7
                        if octet & 0x80:
                            most_bits = BOUNDED_BITS if facets[2] < UNBOUNDED else UNBOUNDED_BITS
                            value, position = continued(data, position, value, 14, most_bits)
                    if kind == INTEGER:
                        if first & 0x100:
                            value = ~value
                    elif kind == STRING:
                        value, position = text_at(data, position, value - 2)
                    elif kind != UNSIGNED:
                        value, position = octets_at(data, position, value), position + value * 8
                if trace is not None:
                    trace.append(Position(start, position, len(stack), name, value))
            elif event == NODE:
                value = {}
                if trace is not None:
                    trace.append(Position(start, position, len(stack), name, value))
            elif event == END:
                if not stack:
                    return
                node, state = stack.pop()
                continue
            else:
                raise _refused(name, start)
            if limit:
                items = node.setdefault(name, [])
                items.append(value)
                if len(items) == limit:
                    state = exhausted
            else:
                node[name] = value
            if event == NODE:
                stack.append((node, state))
                node = value
                state = first_state
    except ExiDecodeError as error:
        path = [_last(parent) for parent, _ in stack]
        if error.bit != start:
            path.append(name)
        raise ExiDecodeError(error.reason, error.detail, "/".join(path), error.bit) from None


def _last(node: dict[str, Any]) -> str:
    """The name under which the element being read was put into `node`."""
    name = next(reversed(node))
    return f"{name}[{len(node[name]) - 1}]" if isinstance(node[name], list) else name


def _unknown_event(row: StateRow, code: int, bit: int) -> ExiDecodeError:
    expected = ", ".join(found[1] or "end" for found in row[2] if found[0] != REFUSED) or "nothing"
    return ExiDecodeError(
        Reason.UNKNOWN_EVENT, f"event code {code} of {row[0]} bits where {expected} may come", bit=bit
    )


def _deviation(kind: int, width: int, first: int, bit: int) -> ExiDecodeError:
    if kind == TABLE and not first >> (width - 1):
        return ExiDecodeError(Reason.ENUMERATION, f"index {first} is beyond the enumeration", bit=bit)
    return ExiDecodeError(Reason.DEVIATION, "a second-level event in place of the value", bit=bit)


def _refused(name: str, bit: int) -> ExiDecodeError:
    reason = {"wildcard": Reason.WILDCARD, "mixed text": Reason.MIXED_TEXT}.get(name, Reason.DEVIATION)
    return ExiDecodeError(reason, f"{name} is not taken here", bit=bit)
