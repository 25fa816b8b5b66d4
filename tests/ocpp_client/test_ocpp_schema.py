"""Our compiled validators against jsonschema, over every schema of OCPP 2.0.1."""

import copy
import json
import random
from importlib import resources
from typing import Any

import pytest
from jsonschema import Draft4Validator

from ocpp_client.schema import Check, Fault, SchemaViolation, compile_schema
from ocpp_client.wire import actions

SCHEMAS = sorted(entry.name for entry in (resources.files("ocpp") / "v201" / "schemas").iterdir())
TIME = "2026-01-02T03:04:05.678Z"


def load(name: str) -> dict[str, Any]:
    return json.loads((resources.files("ocpp") / "v201" / "schemas" / name).read_text(encoding="utf-8-sig"))


def example(schema: dict[str, Any], root: dict[str, Any], everything: bool) -> Any:
    """A valid value: with all properties, or with the required ones."""
    if "$ref" in schema:
        return example(root["definitions"][schema["$ref"].rsplit("/", 1)[1]], root, everything)
    match schema.get("type"):
        case "object":
            names = schema.get("properties", {}) if everything else schema.get("required", ())
            return {name: example(schema["properties"][name], root, everything) for name in names}
        case "array":
            return [example(schema["items"], root, everything)] * schema.get("minItems", 1)
        case "string":
            if "enum" in schema:
                return schema["enum"][0]
            return TIME if schema.get("format") == "date-time" else "x"
        case "integer":
            return int(schema.get("minimum", 1))
        case "number":
            return 1.5
        case "boolean":
            return True
    return {"any": ["thing"]}


def mutations(value: Any, random_source: random.Random) -> Any:
    """One random change somewhere in the value."""
    value = copy.deepcopy(value)
    spots: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key, item in node.items() if isinstance(node, dict) else enumerate(node):
            spots.append((node, key))
            if isinstance(item, dict | list):
                walk(item)

    walk(value)
    junk = [None, True, 7, -3, 2.5, "x", "x" * 11000, [], {}, ["x"], {"x": 1}]
    if not spots or random_source.random() < 0.15:
        value["unexpected"] = random_source.choice(junk)
        return value
    node, key = random_source.choice(spots)
    if random_source.random() < 0.3:
        del node[key]
    elif isinstance(node[key], list) and random_source.random() < 0.5:
        node[key] = node[key] * random_source.choice([0, 2, 5, 1100])
    else:
        node[key] = random_source.choice(junk)
    return value


def verdict(check: Check, value: Any) -> SchemaViolation | None:
    try:
        check(value)
    except SchemaViolation as violation:
        return violation
    return None


@pytest.mark.parametrize("everything", [True, False])
def test_every_schema_accepts_its_example(everything: bool) -> None:
    for name in SCHEMAS:
        schema = load(name)
        compile_schema(schema, {})(example(schema, schema, everything))


def test_compiled_checks_agree_with_jsonschema_on_mutated_messages() -> None:
    random_source = random.Random(20)
    verdicts = {True: 0, False: 0}
    for name in SCHEMAS:
        schema = load(name)
        check, oracle = compile_schema(schema, {}), Draft4Validator(schema)
        for _ in range(30):
            value = mutations(example(schema, schema, random_source.random() < 0.7), random_source)
            expected = oracle.is_valid(value)
            verdicts[expected] += 1
            violation = verdict(check, value)
            assert (violation is None) == expected, f"{name}: jsonschema says {expected}, we say {violation}"
    assert verdicts[False] > 1000
    assert verdicts[True] > 200


@pytest.mark.parametrize(
    ("value", "fault", "path"),
    [
        ({}, Fault.OCCURRENCE, ""),
        ({"idToken": 5}, Fault.TYPE, "idToken"),
        ({"idToken": {"idToken": "x" * 37, "type": "eMAID"}}, Fault.VALUE, "idToken.idToken"),
        ({"idToken": {"idToken": "x", "type": "Emaid"}}, Fault.VALUE, "idToken.type"),
        ({"idToken": {"idToken": "x", "type": "eMAID"}, "more": 1}, Fault.STRUCTURE, "more"),
        (
            {"idToken": {"idToken": "x", "type": "eMAID"}, "iso15118CertificateHashData": []},
            Fault.OCCURRENCE,
            "iso15118CertificateHashData",
        ),
        (
            {"idToken": {"idToken": "x", "type": "eMAID"}, "iso15118CertificateHashData": [{}]},
            Fault.OCCURRENCE,
            "iso15118CertificateHashData.0",
        ),
    ],
)
def test_a_violation_names_its_kind_and_place(value: Any, fault: Fault, path: str) -> None:
    check = compile_schema(load("AuthorizeRequest.json"), {})
    with pytest.raises(SchemaViolation) as caught:
        check(value)
    assert (caught.value.fault, caught.value.path) == (fault, path)
    assert "xxx" not in str(caught.value), "a violation must not carry the peer's value"


@pytest.mark.parametrize(
    "schema", [{"oneOf": []}, {"type": "null"}, {"type": "object", "properties": {"x": {"not": {}}}}]
)
def test_what_the_compiler_does_not_know_is_an_error_not_a_gap(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not known"):
        compile_schema(schema, {})


def test_infinite_numbers_are_refused() -> None:
    check = compile_schema({"type": "number"}, {})
    for value in (float("inf"), float("-inf"), float("nan")):
        with pytest.raises(SchemaViolation):
            check(value)


def test_all_64_actions_are_known() -> None:
    assert len(actions()) == 64
    assert {"BootNotification", "Get15118EVCertificate", "NotifyEVChargingSchedule"} <= actions()
