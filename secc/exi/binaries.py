"""hexBinary and base64Binary values of a message, written otherwise than as bytes.

The message models take hexBinary as text, JSON needs text for both. Where such values are is read off the tables,
because names do not tell: `value` is text in an eMAID and base64Binary in an encrypted key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeAlias

from secc.exi.errors import ExiEncodeError, Reason
from secc.exi.grammar import VALUE
from secc.exi.tables import offered, tables
from secc.exi.values import BASE64, HEX

Convert: TypeAlias = Callable[[Any], Any]


def convert(
    namespace: str,
    message: dict[str, Any],
    *,
    fragment: bool,
    hexadecimal: Convert | None = None,
    base64: Convert | None = None,
) -> dict[str, Any]:
    """The message with every hexBinary as hexadecimal(value) and every base64Binary as base64(value).

    Raises ExiEncodeError where a converter raises ValueError or TypeError. What is no message is left as it is.
    """
    found = tables(namespace)
    start = found.fragment if fragment else found.document
    return _convert(namespace, start, message, {HEX: hexadecimal, BASE64: base64})


def _convert(
    namespace: str, start: int, node: dict[str, Any], converters: Mapping[int, Convert | None]
) -> dict[str, Any]:
    converted = dict(node)
    for name, (kind, inner) in _binary_names(namespace, start).items():
        held = node.get(name)
        if held is None:
            continue
        try:
            converted[name] = (
                [_converted(namespace, kind, inner, each, converters) for each in held]
                if isinstance(held, list)
                else _converted(namespace, kind, inner, held, converters)
            )
        except (ValueError, TypeError) as error:
            raise ExiEncodeError(Reason.TYPE, str(error), name) from None
    return converted


def _converted(
    namespace: str, kind: int | None, inner: int, held: Any, converters: Mapping[int, Convert | None]
) -> Any:
    if kind is None:
        return _convert(namespace, inner, held, converters) if isinstance(held, dict) else held
    converter = converters[kind]
    return held if converter is None else converter(held)


@cache
def _binary_names(namespace: str, start: int) -> dict[str, tuple[int | None, int]]:
    """Names in an element that are binary (their kind) or have binaries in them (None, the inner start state)."""
    names: dict[str, tuple[int | None, int]] = {}
    for event, name, row, inner, *_ in offered(tables(namespace).states, start):
        if event == VALUE:
            if row[0] in (HEX, BASE64):
                names[name] = row[0], 0
        elif _binary_names(namespace, inner):
            names[name] = None, inner
    return names
