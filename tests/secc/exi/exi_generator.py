"""Random messages, made by walking the codec's own tables."""

from __future__ import annotations

import random
from typing import Any

from secc.exi import Namespace
from secc.exi.grammar import END, NODE, VALUE
from secc.exi.tables import StateRow, Tables, ValueRow
from secc.exi.values import INTEGER, STRING, TABLE, UNSIGNED
from secc.exi.xsd import read, split

MOST_ITEMS = 4
TEXT = "ABCabc019_-:/.#"
WIDE_TEXT = TEXT + " äß€漢😀\x7f\x80"


class Generator:
    """rng: seeded by the caller. wide: empty values and strings beyond ASCII too. without: names never used."""

    def __init__(
        self, tables: Tables, rng: random.Random, *, wide: bool = True, without: frozenset[str] = frozenset()
    ) -> None:
        self._states = tables.states
        self._rng = rng
        self._wide = wide
        self._without = without
        self._possible = possible_states(tables)

    def message(self, start: int, root: str) -> dict[str, Any]:
        """One message below the root element `root` of the document or fragment state `start`."""
        production = next(found for found in self._states[start][2] if found[1] == root)
        return {root: self._content(production)}

    def _content(self, production: Any) -> Any:
        event, _, row, first_state, *_ = production
        return self._node(first_state) if event == NODE else self.value(row)

    def _node(self, state: int) -> dict[str, Any]:
        node: dict[str, Any] = {}
        while True:
            production = self._pick(self._states[state], node)
            event, name, _, _, state, limit, exhausted = production
            if event == END:
                return node
            if not limit:
                node[name] = self._content(production)
                continue
            items = node.setdefault(name, [])
            items.append(self._content(production))
            if len(items) == limit:
                state = exhausted

    def _pick(self, row: StateRow, node: dict[str, Any]) -> Any:
        possible = [found for found in row[2] if is_possible(found, self._possible) and found[1] not in self._without]
        fresh = [found for found in possible if len(node.get(found[1], ())) < MOST_ITEMS or not found[5]]
        if fresh and self._rng.random() < 0.6:
            return fresh[0]
        return self._rng.choice(fresh or possible)

    def value(self, row: ValueRow) -> Any:
        kind, _, _, _, _, (codes, low, high, _) = row
        if codes is not None:
            return self._rng.choice(list(codes))
        if kind in (TABLE, UNSIGNED, INTEGER):
            return self._integer(low, high)
        length = self._length(low, high)
        if kind == STRING:
            return "".join(self._rng.choices(WIDE_TEXT if self._wide else TEXT, k=length))
        return self._rng.randbytes(length)

    def _integer(self, low: int, high: int) -> int:
        near = self._rng.randint(max(low, -300), min(high, 300)) if low <= 300 and high >= -300 else low
        return self._rng.choice((low, high, near, near, self._rng.randint(low, high)))

    def _length(self, low: int, high: int) -> int:
        least = low if self._wide else max(low, 1)
        usual = min(high, least + 40)
        return self._rng.choice((least, usual, self._rng.randint(least, usual)))


def abstract_heads(namespace: Namespace) -> frozenset[str]:
    """Elements that only stand for others: grammatical, and seen on the road, but refused by a validating peer."""
    schema = read(namespace)
    abstract_types = {name for name, node in schema.types.items() if node.get("abstract") == "true"}
    return frozenset(
        split(name)[0]
        for name, node in schema.elements.items()
        if node.get("abstract") == "true" or node.get("type") in abstract_types
    )


def is_possible(production: Any, states: set[int]) -> bool:
    event, _, _, first_state, following, *_ = production
    if event == END:
        return True
    return following in states and (event == VALUE or (event == NODE and first_state in states))


def possible_states(tables: Tables) -> set[int]:
    """States that lead to an end; some elements of XML signatures demand a wildcard, which this codec refuses."""
    found: set[int] = set()
    while True:
        more = {
            number
            for number, row in enumerate(tables.states)
            if any(is_possible(production, found) for production in row[2])
        }
        if more == found:
            return found
        found = more


def roots(tables: Tables, *, fragment: bool) -> list[str]:
    """Names of the elements that a document, or a fragment, can consist of."""
    possible = possible_states(tables)
    start = tables.fragment if fragment else tables.document
    return [found[1] for found in tables.states[start][2] if found[0] != END and is_possible(found, possible)]
