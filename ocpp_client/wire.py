"""OCPP 2.0.1 on the wire: which actions there are, what is valid, how time is written. The one door to `ocpp`.

Of the `ocpp` package we take the Open Charge Alliance's schemas. Payloads are decoded JSON with the standard's own
camelCase names, from the journal to the wire, so that nothing is renamed on the way. What we send is checked strictly;
what a CSMS asks is checked by the same schemas, but its timestamps may lack a zone or carry any fraction.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

from ocpp_client.ports import OcppError
from ocpp_client.schema import Check, Fault, FormatChecks, SchemaViolation, compile_schema

Payload = dict[str, Any]
"""A message's payload as decoded JSON."""

SUBPROTOCOL = "ocpp2.0.1"

_SENT_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class InvalidOutgoing(OcppError):
    """A message of ours breaks the standard: it is not sent."""


class ErrorCode:
    """OCPP-J 2.0.1 section 4.3, the codes of a CALLERROR."""

    FORMAT_VIOLATION = "FormatViolation"
    GENERIC_ERROR = "GenericError"
    INTERNAL_ERROR = "InternalError"
    MESSAGE_TYPE_NOT_SUPPORTED = "MessageTypeNotSupported"
    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    OCCURRENCE_CONSTRAINT_VIOLATION = "OccurrenceConstraintViolation"
    PROPERTY_CONSTRAINT_VIOLATION = "PropertyConstraintViolation"
    PROTOCOL_ERROR = "ProtocolError"
    RPC_FRAMEWORK_ERROR = "RpcFrameworkError"
    SECURITY_ERROR = "SecurityError"
    TYPE_CONSTRAINT_VIOLATION = "TypeConstraintViolation"


ERROR_CODE_OF_FAULT = {
    Fault.STRUCTURE: ErrorCode.FORMAT_VIOLATION,
    Fault.FORMAT: ErrorCode.FORMAT_VIOLATION,
    Fault.TYPE: ErrorCode.TYPE_CONSTRAINT_VIOLATION,
    Fault.OCCURRENCE: ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,
    Fault.VALUE: ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
}


def format_time(at: datetime) -> str:
    """RFC 3339 in UTC with three digits and Z: some CSMSs refuse more digits (DateTime, OCPP part 2 section 3.1)."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse_time(text: str) -> datetime:
    """A CSMS's timestamp, UTC where it names no zone. Raises ValueError."""
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from error


def _is_time(text: str) -> bool:
    try:
        parse_time(text)
    except ValueError:
        return False
    return "T" in text


def _is_sent_time(text: str) -> bool:
    return _SENT_TIME.fullmatch(text) is not None


_STRICT: FormatChecks = {"date-time": _is_sent_time}
_TOLERANT: FormatChecks = {"date-time": _is_time}


@cache
def actions() -> frozenset[str]:
    """Every action of OCPP 2.0.1, in either direction."""
    names = (entry.name for entry in (resources.files("ocpp") / "v201" / "schemas").iterdir())
    return frozenset(name.removesuffix("Request.json") for name in names if name.endswith("Request.json"))


@cache
def _check_for(name: str, strict: bool) -> Check:
    text = (resources.files("ocpp") / "v201" / "schemas" / f"{name}.json").read_text(encoding="utf-8-sig")
    return compile_schema(json.loads(text), _STRICT if strict else _TOLERANT)


def check_request(action: str, payload: Mapping[str, Any]) -> None:
    """A CSMS's request. Raises SchemaViolation; the action must be one of `actions()`."""
    _check_for(f"{action}Request", False)(payload)


def check_response(action: str, payload: Mapping[str, Any]) -> None:
    """A CSMS's response. Raises SchemaViolation."""
    _check_for(f"{action}Response", False)(payload)


def encode_request(action: str, payload: Payload) -> str:
    """Our request as JSON. Raises InvalidOutgoing."""
    return _encode(f"{action}Request", payload)


def encode_response(action: str, payload: Payload) -> str:
    """Our response as JSON. Raises InvalidOutgoing."""
    return _encode(f"{action}Response", payload)


def _encode(name: str, payload: Payload) -> str:
    try:
        _check_for(name, True)(payload)
    except SchemaViolation as violation:
        raise InvalidOutgoing(f"{name}: {violation}") from violation
    return json.dumps(payload, separators=(",", ":"), allow_nan=False)


def text_at(payload: object, *path: str) -> str | None:
    """The string at `path` of a payload that may be anything: responses are read tolerantly."""
    for name in path:
        payload = payload.get(name) if isinstance(payload, dict) else None
    return payload if isinstance(payload, str) else None
