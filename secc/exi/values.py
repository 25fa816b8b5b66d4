"""Simple types: how a value stands in the stream, and which values its XSD allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from xml.etree.ElementTree import Element

from secc.exi.errors import Reason, SchemaError
from secc.exi.xsd import XS, Schema

# How a value is represented (EXI 1.0, section 7.1).
TABLE: Final = 0  # an index of fixed width: enumeration, boolean, integer of at most 4096 values
UNSIGNED: Final = 1  # octets of seven bits, least significant first
INTEGER: Final = 2  # a sign bit, then the magnitude as UNSIGNED
STRING: Final = 3  # length plus 2 as UNSIGNED, then each code point as UNSIGNED
HEX: Final = 4  # length as UNSIGNED, then the octets
BASE64: Final = 5  # as HEX; told apart only where bytes are written as text

MAX_TABLE = 4096  # EXI 1.0, section 7.1.9: a wider integer range is not an n-bit value
UNBOUNDED_BITS = 168
UNBOUNDED = (1 << UNBOUNDED_BITS) - 1  # of an xs:integer, here a certificate's serial number (RFC 5280: 20 octets)
BOUNDED_BITS = 64
MAX_LENGTH = 1 << 20

_INTEGERS = {
    "byte": (-(1 << 7), (1 << 7) - 1),
    "short": (-(1 << 15), (1 << 15) - 1),
    "int": (-(1 << 31), (1 << 31) - 1),
    "long": (-(1 << 63), (1 << 63) - 1),
    "unsignedByte": (0, (1 << 8) - 1),
    "unsignedShort": (0, (1 << 16) - 1),
    "unsignedInt": (0, (1 << 32) - 1),
    "unsignedLong": (0, (1 << 64) - 1),
    "integer": (-UNBOUNDED, UNBOUNDED),
}
_STRINGS = {"string", "anyURI", "ID", "IDREF", "NCName", "token", "normalizedString"}
_BINARIES = {"hexBinary": HEX, "base64Binary": BASE64}


@dataclass(frozen=True, slots=True)
class ValueType:
    """low and high bound an integer's value, or the length of a string (in characters) or a binary (in octets)."""

    kind: int
    low: int
    high: int
    table: Sequence[object] = ()
    codes: Mapping[object, int] | None = None
    python: type = str

    @property
    def bits(self) -> int:
        """Width of what is read first: the whole of a TABLE value, otherwise up to the first octet's end."""
        if self.kind == TABLE:
            return (len(self.table) - 1).bit_length()
        return 9 if self.kind == INTEGER else 8


TEXT = ValueType(STRING, 0, MAX_LENGTH)


def builtin(name: str) -> ValueType:
    if name in _INTEGERS:
        return _integer(*_INTEGERS[name])
    if name in _STRINGS:
        return TEXT
    if name in _BINARIES:
        return ValueType(_BINARIES[name], 0, MAX_LENGTH, python=bytes)
    if name == "boolean":
        return ValueType(TABLE, 0, 1, (False, True), {False: 0, True: 1}, bool)
    raise SchemaError(Reason.SCHEMA, f"no representation for xs:{name}")


def restricted(schema: Schema, node: Element) -> ValueType:
    """The type of an xs:simpleType node."""
    restriction = node.find(XS + "restriction")
    if restriction is None:
        raise SchemaError(Reason.SCHEMA, f"simple type {node.get('name')} is no restriction")
    base = named(schema, restriction.attrib["base"])
    facets = {facet.tag.removeprefix(XS): facet.get("value", "") for facet in restriction}
    enumeration = tuple(facet.attrib["value"] for facet in restriction.findall(XS + "enumeration"))
    if enumeration:
        codes: dict[object, int] = {value: code for code, value in enumerate(enumeration)}
        return ValueType(TABLE, 0, len(enumeration) - 1, enumeration, codes)
    if base.python is int:
        return _integer(int(facets.get("minInclusive", base.low)), int(facets.get("maxInclusive", base.high)))
    low = facets.get("length", facets.get("minLength", base.low))
    high = facets.get("length", facets.get("maxLength", base.high))
    return replace(base, low=int(low), high=int(high))


def named(schema: Schema, name: str) -> ValueType:
    if name.startswith(XS):
        return builtin(name.removeprefix(XS))
    return restricted(schema, schema.types[name])


def _integer(low: int, high: int) -> ValueType:
    """A TABLE keeps all values its width can carry: vehicles send some beyond the facet, and are charged."""
    if high - low < MAX_TABLE:
        return ValueType(TABLE, low, high, range(low, low + (1 << (high - low).bit_length())), None, int)
    return ValueType(UNSIGNED if low >= 0 else INTEGER, low, high, python=int)
