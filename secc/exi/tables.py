"""The grammar of a namespace as plain tuples, which the Python codec and the C one both run on.

state       (width, mask, productions, codes)
            width: bits of the event code, plus one where the state follows a value: the end of that element.
            A code with that bit set is beyond the productions, so one look-up checks both.
            codes: name, or "" for the end, -> event code; None where trying the productions in turn is as quick
production  (event, name, value, start, following, limit, exhausted)
            value: of a VALUE; start: number of the first state of a NODE
            following, exhausted: numbers of states; limit: 0, or how often the name may occur
value       (kind, width, mask, greatest, table, facets)
            width: bits of the first read, among them the start of the characters where an element holds the value
            greatest: the greatest first read that is no deviation
            table: what the index means, for kind TABLE
facets      (codes, low, high, python): what may be written
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from secc.exi.errors import ExiError, Reason
from secc.exi.grammar import END, NODE, NOTHING, REFUSED, VALUE, Grammar, Production, State
from secc.exi.namespaces import Namespace
from secc.exi.values import TABLE, TEXT, ValueType
from secc.exi.xsd import read

Facets: TypeAlias = tuple[Mapping[object, int] | None, int, int, type]
ValueRow: TypeAlias = tuple[int, int, int, int, Sequence[object], Facets]
ProductionRow: TypeAlias = tuple[int, str, ValueRow, int, int, int, int]
StateRow: TypeAlias = tuple[int, int, tuple[ProductionRow, ...], Mapping[str, int] | None]

MANY_PRODUCTIONS = 4


class Tables(NamedTuple):
    states: tuple[StateRow, ...]
    document: int
    fragment: int


def tables(namespace: str) -> Tables:
    """Compiled on first use. Raises ExiError for a namespace that is not one of ours, SchemaError for a bad XSD."""
    found = _compiled.get(namespace)
    if found is None:
        found = _compiled[namespace] = _compile(namespace)
    return found


_compiled: dict[str, Tables] = {}


def _compile(namespace: str) -> Tables:
    try:
        known = Namespace(namespace)
    except ValueError:
        raise ExiError(Reason.NAMESPACE, f"no schema for namespace {namespace!r}") from None
    grammar = Grammar(read(known))
    numbering = _Numbering()
    document, fragment = numbering.number(grammar.document), numbering.number(grammar.fragment)
    return Tables(numbering.rows(), document, fragment)


class _Numbering:
    def __init__(self) -> None:
        self._numbers: dict[tuple[int, bool], int] = {}
        self._waiting: list[tuple[State, bool]] = []
        self._values: dict[tuple[int, bool], tuple[ValueType, ValueRow]] = {}
        self._rows: dict[int, tuple[tuple[ProductionRow, ...], Mapping[str, int] | None]] = {}
        self._no_value = self._value(TEXT, False)

    def number(self, state: State, after_value: bool = False) -> int:
        key = (id(state), after_value)
        if key not in self._numbers:
            self._numbers[key] = len(self._numbers)
            self._waiting.append((state, after_value))
        return self._numbers[key]

    def rows(self) -> tuple[StateRow, ...]:
        rows: list[StateRow] = []
        for state, after_value in self._waiting:  # grows while it is walked
            rows.append(self._state(state, after_value))
        return tuple(rows)

    def _state(self, state: State, after_value: bool) -> StateRow:
        if id(state) not in self._rows:
            productions = state.productions()
            self._rows[id(state)] = tuple(map(self._production, productions)), _codes(productions)
        rows, codes = self._rows[id(state)]
        width = max(len(rows) - 1 + state.escapes, 0).bit_length() + after_value
        return width, (1 << width) - 1, rows, codes

    def _production(self, production: Production) -> ProductionRow:
        content = production.content
        if production.event in (END, REFUSED):
            return production.event, production.name, self._no_value, 0, 0, 0, 0
        value = self._value(content if isinstance(content, ValueType) else TEXT, production.element)
        start = self.number(content if isinstance(content, State) else NOTHING)
        following = self.number(production.following or NOTHING, production.element)
        exhausted = self.number(production.exhausted or NOTHING, production.element)
        return production.event, production.name, value, start, following, production.limit, exhausted

    def _value(self, value: ValueType, element: bool) -> ValueRow:
        key = (id(value), element)
        if key not in self._values:
            width = value.bits + element
            greatest = len(value.table) - 1 if value.kind == TABLE else (1 << value.bits) - 1
            facets = (value.codes, value.low, value.high, value.python)
            self._values[key] = value, (value.kind, width, (1 << width) - 1, greatest, value.table, facets)
        return self._values[key][1]


def _codes(productions: Sequence[Production]) -> Mapping[str, int] | None:
    if len(productions) <= MANY_PRODUCTIONS or any(production.limit for production in productions):
        return None
    return {found.name: code for code, found in enumerate(productions) if found.event != REFUSED}


def offered(states: Sequence[StateRow], start: int) -> list[ProductionRow]:
    """What can come within one element, from its state `start` on."""
    found: list[ProductionRow] = []
    waiting, seen = [start], {start}
    while waiting:
        for production in states[waiting.pop()][2]:
            if production[0] in (VALUE, NODE):
                found.append(production)
                fresh = {production[4], production[6]} - seen
                seen |= fresh
                waiting += fresh
    return found
