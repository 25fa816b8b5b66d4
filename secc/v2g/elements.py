"""Reading decoded EXI, which has followed its schema: what is there has the type the schema gives it."""

from collections.abc import Mapping
from typing import cast

Elements = Mapping[str, object]


def child(elements: Elements, name: str) -> Elements:
    """An element with content; empty if it is not there."""
    return cast(Elements, elements.get(name) or {})


def children(elements: Elements, name: str) -> list[Elements]:
    """An element that may be repeated."""
    return cast(list[Elements], elements.get(name) or [])


def text(elements: Elements, name: str) -> str:
    return cast(str, elements.get(name) or "")


def octets(elements: Elements, name: str) -> bytes:
    return cast(bytes, elements.get(name) or b"")


def whole(elements: Elements, name: str) -> int | None:
    return cast(int | None, elements.get(name))


def rational(elements: Elements, name: str) -> float | None:
    """RationalNumberType of ISO 15118-20."""
    number = cast(Mapping[str, int] | None, elements.get(name))
    return None if number is None else float(number["Value"]) * 10.0 ** number["Exponent"]


def physical(elements: Elements, name: str) -> float | None:
    """PhysicalValueType of DIN SPEC 70121 and ISO 15118-2. Its unit is the element's own, said or not (MG4)."""
    number = cast(Mapping[str, int] | None, elements.get(name))
    return None if number is None else float(number["Value"]) * 10.0 ** number["Multiplier"]


MAX_SERVICE_ID = 65_535


def service_id(elements: Elements) -> int:
    """ServiceID to repeat in a response; 0 for one that the decoder let pass and the schema does not."""
    named = whole(elements, "ServiceID") or 0
    return named if 0 <= named <= MAX_SERVICE_ID else 0
