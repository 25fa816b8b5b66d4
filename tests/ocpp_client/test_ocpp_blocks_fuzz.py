"""Whatever a CSMS asks of the functional blocks within the schemas, it gets an answer, and the station lives.

Payloads are drawn from the schemas of the standard themselves, with a liking for what lies at the edges, and for names,
numbers and tokens that the station knows.
"""

import json
import random
from importlib import resources
from typing import Any

import pytest

from hal.quantities import EvseId
from ocpp_client.ports import ChargingState, ConnectorStatus, IdToken, TriggerReason
from sim.csms.server import CallRefused

ACTIONS = (
    "SendLocalList",
    "GetLocalListVersion",
    "ReserveNow",
    "CancelReservation",
    "CostUpdated",
    "SetDisplayMessage",
    "GetDisplayMessages",
    "ClearDisplayMessage",
    "SetMonitoringBase",
    "SetMonitoringLevel",
    "SetVariableMonitoring",
    "ClearVariableMonitoring",
    "GetMonitoringReport",
    "CustomerInformation",
    "DataTransfer",
)
ROUNDS = 250
KNOWN: dict[str, list[dict[str, Any]]] = {
    "ComponentType": [{"name": "AuthCacheCtrlr"}, {"name": "EVSE", "evse": {"id": 1}}, {"name": "SecurityCtrlr"}],
    "VariableType": [
        {"name": "LifeTime"},
        {"name": "Power"},
        {"name": "AvailabilityState"},
        {"name": "BasicAuthPassword"},
    ],
    "IdTokenType": [{"idToken": "04AABB", "type": "ISO14443"}],
}
"""What the station has, drawn more often than not."""
EDGES = (0, 1, -1, 2, 9, 10, 1000, 1001, 2**31, -(2**31), 2**63)
FRACTIONS = (0.0, -0.0, 1e-300, 1e300, -1e300, 0.5, 60.0)
WORDS = (
    "",
    "x",
    "EVSE",
    "Power",
    "AuthCacheCtrlr",
    "LifeTime",
    "Connector",
    "AvailabilityState",
    "04AABB",
    "\x00\u202e",
)
TIMES = (
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "2026-05-01T12:00:00+14:00",
    "9999-12-31T23:59:59-23:59",
    "2099-01-01T00:00:00Z",
)


class Draw:
    """Values by a schema."""

    def __init__(self, action: str, source: random.Random) -> None:
        path = resources.files("ocpp") / "v201" / "schemas" / f"{action}Request.json"
        self._schema = json.loads(path.read_text(encoding="utf-8-sig"))
        self._source = source

    def payload(self) -> dict[str, Any]:
        made: dict[str, Any] = self._value(self._schema)
        return made

    def _value(self, schema: dict[str, Any]) -> Any:
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            if name in KNOWN and self._source.random() < 0.8:
                return self._source.choice(KNOWN[name])
            return self._value(self._schema["definitions"][name])
        if "enum" in schema:
            return self._source.choice(schema["enum"])
        kind = schema.get("type")
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            highest = min(schema.get("maxItems", 4), 4)
            return [
                self._value(schema["items"]) for _ in range(self._source.randint(schema.get("minItems", 0), highest))
            ]
        if kind == "string":
            return self._text(schema)
        if kind == "boolean":
            return self._source.random() < 0.5
        return self._number(schema, whole=kind == "integer")

    def _object(self, schema: dict[str, Any]) -> dict[str, Any]:
        required = schema.get("required", ())
        return {
            name: self._value(inner)
            for name, inner in schema.get("properties", {}).items()
            if name != "customData" and (name in required or self._source.random() < 0.6)
        }

    def _text(self, schema: dict[str, Any]) -> str:
        if schema.get("format") == "date-time":
            return self._source.choice(TIMES)
        longest = schema.get("maxLength", 50)
        return self._source.choice((*WORDS, "y" * longest))[:longest]

    def _number(self, schema: dict[str, Any], *, whole: bool) -> float:
        number = self._source.choice(EDGES if whole else (*EDGES, *FRACTIONS))
        return max(schema.get("minimum", number), min(schema.get("maximum", number), number))


@pytest.mark.parametrize("action", ACTIONS)
async def test_every_valid_request_is_answered(bench: Any, action: str) -> None:
    station = await bench.station(evse_count=2, problems=(("EVSE", "Problem"),))
    for evse in (EvseId(1), EvseId(2)):
        station.connector_status(evse, ConnectorStatus.AVAILABLE)
    await station.transaction_started(
        EvseId(1), IdToken("04AABB", "ISO14443"), TriggerReason.AUTHORIZED, ChargingState.CHARGING, None
    )
    draw = Draw(action, random.Random(action))
    for _ in range(ROUNDS):
        payload = draw.payload()
        try:
            await bench.csms.call(action, payload, check=False)
        except CallRefused as refused:
            assert refused.code in ("OccurrenceConstraintViolation", "FormatViolation"), (payload, refused)  # noqa: PT017
    assert "task failed" not in station.counts
    assert "invalid outgoing" not in station.counts
    await station.stop()
    again = await bench.station(evse_count=2, problems=(("EVSE", "Problem"),))
    assert again.online, "what was stored does no harm to the next start"
