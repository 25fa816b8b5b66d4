"""The two calls of this package."""

from __future__ import annotations

from collections.abc import Mapping

from secc.exi import decoder, encoder
from secc.exi.tables import tables


def decode(namespace: str, data: bytes, *, fragment: bool = False) -> dict[str, object]:
    """The message in `data` as {root name: content}; octets behind its end are ignored.

    A fragment is a single element, as it is encoded for a signature: SignedInfo in the namespace of XML signatures,
    every other signed element in the namespace of its message. Raises ExiError.
    """
    return decoder.decode(tables(namespace), bytes(data), fragment=fragment)


def encode(namespace: str, message: Mapping[str, object], *, fragment: bool = False) -> bytes:
    """The octets of {root name: content}. Raises ExiError for what the schema does not allow."""
    return encoder.encode(tables(namespace), message, fragment=fragment)


def positions(namespace: str, data: bytes, *, fragment: bool = False) -> list[decoder.Position]:
    """Where each element and value of the message in `data` stands, in their order there. Raises ExiError."""
    trace: list[decoder.Position] = []
    decoder.decode(tables(namespace), bytes(data), fragment=fragment, trace=trace)
    return trace
