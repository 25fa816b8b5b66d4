"""The two calls of this package, on the accelerator where it was built."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from secc.exi import decoder, encoder
from secc.exi.tables import tables

if TYPE_CHECKING:
    from secc.exi import _accelerator

try:
    from secc.exi import _accelerator as accelerator
except ImportError:  # built without a compiler
    accelerator = None  # type: ignore[assignment]  # a module otherwise


def decode(namespace: str, data: bytes, *, fragment: bool = False) -> dict[str, object]:
    """The message in `data` as {root name: content}; octets behind its end are ignored.

    A fragment is a single element, as it is encoded for a signature: SignedInfo in the namespace of XML signatures,
    every other signed element in the namespace of its message. Raises ExiError.
    """
    data = bytes(data)
    if accelerator is not None and len(data) <= decoder.MAX_BYTES:
        message = accelerator.decode(*_accelerated(namespace, fragment), data)
        if message is not None:
            return message
    return decoder.decode(tables(namespace), data, fragment=fragment)


def encode(namespace: str, message: Mapping[str, object], *, fragment: bool = False) -> bytes:
    """The octets of {root name: content}. Raises ExiError for what the schema does not allow."""
    if accelerator is not None:
        octets = accelerator.encode(*_accelerated(namespace, fragment), message)
        if octets is not None:
            return octets
    return encoder.encode(tables(namespace), message, fragment=fragment)


def positions(namespace: str, data: bytes, *, fragment: bool = False) -> list[decoder.Position]:
    """Where each element and value of the message in `data` stands, in their order there. Raises ExiError."""
    trace: list[decoder.Position] = []
    decoder.decode(tables(namespace), bytes(data), fragment=fragment, trace=trace)
    return trace


@cache
def _accelerated(namespace: str, fragment: bool) -> tuple[_accelerator.Tables, int]:
    """The accelerator's form of the tables, and the start state."""
    assert accelerator is not None
    found = tables(namespace)
    return accelerator.load(found.states), found.fragment if fragment else found.document
