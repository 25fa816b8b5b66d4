"""OCPP's JSON schemas compiled to closures: the part of JSON Schema draft 6 that OCPP 2.0.1 uses, and no more.

A compiled check takes a decoded JSON value and raises `SchemaViolation` at the first fault. It is built once per schema
and costs some 25 times less than a general validator. An unknown keyword is an error when compiling, so that a schema
of a later edition is never half checked.
"""

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

Check = Callable[[object], None]
FormatChecks = Mapping[str, Callable[[str], bool]]

# Keywords that say nothing about validity; `additionalItems` beside a single `items` schema has no effect.
_ANNOTATIONS = frozenset({"$schema", "$id", "comment", "definitions", "description", "javaType", "default"})
_KNOWN = (
    _ANNOTATIONS
    | frozenset(("type", "$ref", "additionalProperties", "properties", "required", "maxLength", "minLength", "enum"))
    | frozenset(("additionalItems", "items", "minItems", "maxItems", "format", "minimum", "maximum"))
)


class Fault(StrEnum):
    """What kind of rule was broken."""

    STRUCTURE = "structure"
    TYPE = "type"
    OCCURRENCE = "occurrence"
    VALUE = "value"
    FORMAT = "format"


class SchemaViolation(Exception):
    """A value breaks its schema at `path` (as in `evse.id`); never carries the value itself."""

    def __init__(self, fault: Fault, reason: str) -> None:
        super().__init__(reason)
        self.fault = fault
        self.reason = reason
        self.steps: list[str] = []

    @property
    def path(self) -> str:
        return ".".join(reversed(self.steps))

    def __str__(self) -> str:
        return f"{self.path or 'payload'}: {self.reason}"


def compile_schema(schema: Mapping[str, Any], formats: FormatChecks) -> Check:
    """The check for `schema`. Raises ValueError for a keyword or type it does not know."""
    return _Compiler(schema, formats).compile(schema)


class _Compiler:
    def __init__(self, root: Mapping[str, Any], formats: FormatChecks) -> None:
        self._definitions: Mapping[str, Any] = root.get("definitions", {})
        self._formats = formats
        self._compiled: dict[str, Check] = {}

    def compile(self, schema: Mapping[str, Any]) -> Check:
        if unknown := set(schema) - _KNOWN:
            raise ValueError(f"schema keywords not known: {sorted(unknown)}")
        if "$ref" in schema:
            return self._reference(schema["$ref"])
        if "type" not in schema:
            return _anything
        kind = schema["type"]
        builders: dict[str, Callable[[Mapping[str, Any]], Check]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": _number,
            "number": _number,
            "boolean": _boolean,
        }
        if kind not in builders:
            raise ValueError(f"schema type not known: {kind!r}")
        return builders[kind](schema)

    def _reference(self, reference: str) -> Check:
        name = reference.removeprefix("#/definitions/")
        if name not in self._compiled:
            self._compiled[name] = self.compile(self._definitions[name])
        return self._compiled[name]

    def _object(self, schema: Mapping[str, Any]) -> Check:
        required = tuple(schema.get("required", ()))
        properties = {name: self.compile(sub) for name, sub in schema.get("properties", {}).items()}
        open_ended = schema.get("additionalProperties", True) is not False

        def check(value: object) -> None:
            if type(value) is not dict:
                raise SchemaViolation(Fault.TYPE, "must be an object")
            for name in required:
                if name not in value:
                    raise SchemaViolation(Fault.OCCURRENCE, f"{name} is missing")
            name = ""
            try:
                for name, item in value.items():
                    if (sub := properties.get(name)) is not None:
                        sub(item)
                    elif not open_ended:
                        raise SchemaViolation(Fault.STRUCTURE, "not a property of this type")
            except SchemaViolation as violation:
                violation.steps.append(name[:50])
                raise

        return check

    def _array(self, schema: Mapping[str, Any]) -> Check:
        item_check = self.compile(schema["items"])
        shortest = schema.get("minItems", 0)
        longest = schema.get("maxItems", math.inf)

        def check(value: object) -> None:
            if type(value) is not list:
                raise SchemaViolation(Fault.TYPE, "must be an array")
            if not shortest <= len(value) <= longest:
                raise SchemaViolation(Fault.OCCURRENCE, f"must have {shortest} to {longest} items, has {len(value)}")
            index = 0
            try:
                for index, item in enumerate(value):  # noqa: B007 - named in the path of a fault
                    item_check(item)
            except SchemaViolation as violation:
                violation.steps.append(str(index))
                raise

        return check

    def _string(self, schema: Mapping[str, Any]) -> Check:
        if "enum" in schema:
            return _choice(frozenset(schema["enum"]))
        shortest, longest = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        well_formed = self._formats.get(schema.get("format", ""))

        def check(value: object) -> None:
            if type(value) is not str:
                raise SchemaViolation(Fault.TYPE, "must be a string")
            if not shortest <= len(value) <= longest:
                raise SchemaViolation(Fault.VALUE, f"must have at most {longest} characters, has {len(value)}")
            if well_formed is not None and not well_formed(value):
                raise SchemaViolation(Fault.FORMAT, f"must be a {schema['format']}")

        return check


def _choice(choices: frozenset[str]) -> Check:
    def check(value: object) -> None:
        if type(value) is not str:
            raise SchemaViolation(Fault.TYPE, "must be a string")
        if value not in choices:
            raise SchemaViolation(Fault.VALUE, "not one of the values of its enumeration")

    return check


def _number(schema: Mapping[str, Any]) -> Check:
    kinds = (int,) if schema["type"] == "integer" else (int, float)
    lowest, highest = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)

    def check(value: object) -> None:
        if type(value) not in kinds:
            raise SchemaViolation(Fault.TYPE, f"must be a {schema['type']}")
        if not lowest <= value <= highest or value in (math.inf, -math.inf):
            raise SchemaViolation(Fault.VALUE, f"must be from {lowest} to {highest}")

    return check


def _boolean(_schema: Mapping[str, Any]) -> Check:
    def check(value: object) -> None:
        if type(value) is not bool:
            raise SchemaViolation(Fault.TYPE, "must be true or false")

    return check


def _anything(_value: object) -> None:
    return
