"""What the codec refuses, and where in the message it was."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a message was refused; a word to count by."""

    HEADER = "header"
    TOO_LARGE = "too large"
    TRUNCATED = "truncated"
    UNKNOWN_EVENT = "unknown event"
    DEVIATION = "schema deviation"
    WILDCARD = "wildcard"
    MIXED_TEXT = "mixed text"
    STRING_TABLE = "string table"
    LENGTH = "length"
    CODE_POINT = "code point"
    INTEGER = "integer"
    ENUMERATION = "enumeration"
    TOO_MANY = "too many"
    ROOT = "root"
    UNKNOWN_KEY = "unknown key"
    MISSING = "missing"
    TYPE = "type"
    RANGE = "range"
    NAMESPACE = "namespace"
    SCHEMA = "schema"


class ExiError(Exception):
    """Root of all this package raises.

    reason: what kind of fault.
    root: name of the message or fragment, "" where it is not known yet.
    path: element names from the root to the fault, joined by "/".
    bit: position in the stream, header included, or None where there is no stream.
    """

    def __init__(self, reason: Reason, detail: str, path: str = "", bit: int | None = None) -> None:
        self.reason = reason
        self.detail = detail
        self.path = path
        self.root = path.partition("/")[0]
        self.bit = bit
        place = f"{path or 'message'}: " if bit is None else f"{path or 'message'} at bit {bit}: "
        super().__init__(f"{place}{detail} ({reason})")


class ExiDecodeError(ExiError):
    """The bytes are not a message of the namespace."""


class ExiEncodeError(ExiError):
    """The dict is not a message of the namespace."""


class SchemaError(ExiError):
    """An XSD is absent or uses what this compiler does not know."""
