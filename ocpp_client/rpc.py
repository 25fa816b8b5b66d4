"""The RPC layer of OCPP-J 2.0.1 (part 4), without I/O: frames in, events out; frames to send are returned.

    [2, id, action, payload]                        CALL
    [3, id, payload]                                CALLRESULT
    [4, id, code, description, details]             CALLERROR

One CALL of ours is in flight at a time (section 4.1.1). A faulty CALL is answered by a CALLERROR with the code of
section 4.3; one whose id cannot be read by RpcFrameworkError with the id "-1". A faulty or stray answer is
dropped: answering it would let two peers talk for ever. Both are counted by reason in `counts`, and never raise.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ocpp_client.schema import SchemaViolation
from ocpp_client.wire import ERROR_CODE_OF_FAULT, ErrorCode, Payload

MAX_ID = 36
"""Characters of a message id (section 4.1.4)."""
NO_ID = "-1"
_CALL, _CALL_RESULT, _CALL_ERROR = 2, 3, 4
_STRUCTURAL = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class RpcLimits:
    max_frame: int = 512 * 1024
    """Characters."""
    max_depth: int = 24
    max_unanswered: int = 16
    """CALLs of the CSMS we have not answered yet."""


class Failure(StrEnum):
    """Why a CALL of ours has no result."""

    TIMEOUT = "timeout"
    LINK_LOST = "link lost"
    CALL_ERROR = "call error"


@dataclass(frozen=True, slots=True)
class CallReceived:
    """A valid CALL; it waits for `answer` or `refuse`."""

    message_id: str
    action: str
    payload: Payload
    at_s: float


@dataclass(frozen=True, slots=True)
class ResultReceived:
    message_id: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class CallFailed:
    message_id: str
    failure: Failure
    code: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class SendFrame:
    """The CALLERROR to a faulty CALL, and what was wrong with it."""

    frame: str
    reason: str


RpcEvent = CallReceived | ResultReceived | CallFailed | SendFrame
CheckRequest = Callable[[str, Payload], None]


class _Refused(Exception):
    def __init__(self, reason: str, code: str | None, description: str = "", message_id: str = NO_ID) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        """None: drop without an answer."""
        self.description = description
        self.message_id = message_id


class RpcCore:
    """`check` validates a request of the CSMS for one of `known` actions; `supported` are those we answer."""

    def __init__(
        self,
        check: CheckRequest,
        known: frozenset[str],
        supported: frozenset[str],
        limits: RpcLimits = RpcLimits(),
    ) -> None:
        self._check = check
        self._known = known
        self._supported = supported
        self._limits = limits
        self._in_flight: str | None = None
        self._deadline: float | None = None
        self._unanswered: set[str] = set()
        self.counts: Counter[str] = Counter()

    @property
    def idle(self) -> bool:
        return self._in_flight is None

    @property
    def deadline(self) -> float | None:
        return self._deadline

    def call(self, message_id: str, action: str, payload_json: str, now: float, timeout_s: float) -> str:
        """The frame of our CALL; only while `idle`."""
        if self._in_flight is not None:
            raise ValueError("a CALL is in flight")
        self._in_flight = message_id
        self._deadline = now + timeout_s
        return f'[2,"{message_id}","{action}",{payload_json}]'

    def answer(self, message_id: str, payload_json: str) -> str | None:
        """The frame of a CALLRESULT; None when the link it belongs to is gone."""
        if message_id not in self._unanswered:
            return None
        self._unanswered.discard(message_id)
        return f"[3,{json.dumps(message_id)},{payload_json}]"

    def refuse(self, message_id: str, code: str, description: str) -> str | None:
        """The frame of a CALLERROR; None when the link it belongs to is gone."""
        if message_id not in self._unanswered:
            return None
        self._unanswered.discard(message_id)
        return _call_error(message_id, code, description)

    def tick(self, now: float) -> list[RpcEvent]:
        if self._in_flight is None or self._deadline is None or now < self._deadline:
            return []
        return [self._fail(Failure.TIMEOUT)]

    def link_lost(self) -> list[RpcEvent]:
        """Wakes the CALL in flight and forgets the peer's: neither survives its connection."""
        self._unanswered.clear()
        return [] if self._in_flight is None else [self._fail(Failure.LINK_LOST)]

    def feed(self, frame: str | bytes, now: float) -> list[RpcEvent]:
        """One WebSocket message. Never raises for what the peer sent."""
        try:
            return self._dispatch(self._decode(frame), now)
        except _Refused as refused:
            self.counts[refused.reason] += 1
            if refused.code is None:
                return []
            return [SendFrame(_call_error(refused.message_id, refused.code, refused.description), refused.reason)]

    def _decode(self, frame: str | bytes) -> list[Any]:
        if isinstance(frame, bytes):
            raise _Refused("binary frame", ErrorCode.RPC_FRAMEWORK_ERROR, "binary frames are not OCPP")
        if len(frame) > self._limits.max_frame:
            raise _Refused("frame too long", ErrorCode.RPC_FRAMEWORK_ERROR, "frame too long")
        if _too_deep(frame, self._limits.max_depth):
            raise _Refused("nested too deep", ErrorCode.RPC_FRAMEWORK_ERROR, "nested too deep")
        try:
            message = json.loads(frame, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise _Refused("not JSON", ErrorCode.RPC_FRAMEWORK_ERROR, "not JSON") from error
        if not isinstance(message, list) or not message:
            raise _Refused("not an array", ErrorCode.RPC_FRAMEWORK_ERROR, "not an array")
        return message

    def _dispatch(self, message: list[Any], now: float) -> list[RpcEvent]:
        match message[0]:
            case bool():
                kind = None
            case int() as kind:
                pass
            case _:
                kind = None
        if kind == _CALL:
            return self._on_call(message, now)
        if kind == _CALL_RESULT:
            return self._on_result(message)
        if kind == _CALL_ERROR:
            return self._on_error(message)
        if kind is None:
            raise _Refused("no message type", ErrorCode.RPC_FRAMEWORK_ERROR, "no message type")
        raise _Refused(
            "message type", ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED, "message type not supported", _id_of(message) or NO_ID
        )

    def _on_call(self, message: list[Any], now: float) -> list[RpcEvent]:
        message_id = _id_of(message)
        if message_id is None:
            raise _Refused("message id", ErrorCode.RPC_FRAMEWORK_ERROR, "no message id of at most 36 characters")
        if message_id in self._unanswered:
            raise _Refused("repeated id", None)
        if len(message) != 4 or not isinstance(message[2], str):
            raise _Refused("call shape", ErrorCode.RPC_FRAMEWORK_ERROR, "not [2, id, action, payload]", message_id)
        action, payload = message[2], message[3]
        self._check_call(message_id, action, payload)
        if len(self._unanswered) >= self._limits.max_unanswered:
            raise _Refused("too many calls", ErrorCode.INTERNAL_ERROR, "too many CALLs at once", message_id)
        self._unanswered.add(message_id)
        return [CallReceived(message_id, action, payload, now)]

    def _check_call(self, message_id: str, action: str, payload: object) -> None:
        if action not in self._known:
            raise _Refused("unknown action", ErrorCode.NOT_IMPLEMENTED, "action not known", message_id)
        if action not in self._supported:
            raise _Refused("unsupported action", ErrorCode.NOT_SUPPORTED, "action not supported", message_id)
        if not isinstance(payload, dict):
            raise _Refused("payload", ErrorCode.FORMAT_VIOLATION, "payload must be an object", message_id)
        try:
            self._check(action, payload)
        except SchemaViolation as violation:
            code = ERROR_CODE_OF_FAULT[violation.fault]
            raise _Refused(f"schema {violation.fault}", code, str(violation), message_id) from violation

    def _on_result(self, message: list[Any]) -> list[RpcEvent]:
        message_id = self._settle(message)
        if len(message) != 3 or not isinstance(message[2], dict):
            self.counts["result shape"] += 1
            return [CallFailed(message_id, Failure.CALL_ERROR, ErrorCode.FORMAT_VIOLATION, "not a CALLRESULT")]
        return [ResultReceived(message_id, message[2])]

    def _on_error(self, message: list[Any]) -> list[RpcEvent]:
        message_id = self._settle(message)
        code, description = (str(part)[:255] for part in [*message[2:4], "", ""][:2])
        return [CallFailed(message_id, Failure.CALL_ERROR, code or ErrorCode.GENERIC_ERROR, description)]

    def _settle(self, message: list[Any]) -> str:
        message_id = _id_of(message)
        if message_id is None or message_id != self._in_flight:
            raise _Refused("stray answer", None)
        self._in_flight = self._deadline = None
        return message_id

    def _fail(self, failure: Failure) -> CallFailed:
        message_id, self._in_flight, self._deadline = self._in_flight, None, None
        self.counts[failure.value] += 1
        return CallFailed(message_id or "", failure)


def _call_error(message_id: str, code: str, description: str) -> str:
    return json.dumps([_CALL_ERROR, message_id, code, description[:255], {}], separators=(",", ":"))


def _id_of(message: list[Any]) -> str | None:
    if len(message) > 1 and isinstance(message[1], str) and 0 < len(message[1]) <= MAX_ID:
        return message[1]
    return None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _too_deep(frame: str, limit: int) -> bool:
    """Whether brackets nest deeper than `limit`, found without recursion and before anything is built."""
    if frame.count("[") + frame.count("{") <= limit:
        return False
    depth = 0
    for match in _STRUCTURAL.finditer(frame):
        if match[0] in "[{":
            depth += 1
            if depth > limit:
                return True
        elif match[0] in "]}":
            depth -= 1
    return False
