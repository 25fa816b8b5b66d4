"""The conversation with the CSMS for those who follow it: one frequent event a frame, with its secrets struck out."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

from firmware.control.sources import STATION_EVSE
from firmware.history import Event, Value

MAX_PAYLOAD = 4000
MAX_CALLS = 64
_KINDS = {2: "Call", 3: "CallResult", 4: "CallError"}
_SECRET_KEYS = ("password", "signature", "certificate", "csr", "exirequest", "exiresponse")
_TOKEN_KEYS = ("idtoken", "emaid")
HIDDEN = "***"


class OcppTrace:
    """On the main loop. `publish` takes each event, while `followed` says that somebody listens."""

    def __init__(self, publish: Callable[[Event], None], followed: Callable[[], bool]) -> None:
        self._followed = followed
        self._publish = publish
        self._calls: dict[str, tuple[str, float]] = {}
        self._count = 0

    def __call__(self, way: str, frame: str) -> None:
        if not self._followed():
            return
        now = time.monotonic()
        kind, message_id, action, payload = _taken_apart(frame)
        data: dict[str, Value] = {"way": way, "kind": kind, "message_id": message_id, "bytes": len(frame)}
        if kind == "Call":
            self._calls[message_id] = (action, now)
            while len(self._calls) > MAX_CALLS:
                del self._calls[next(iter(self._calls))]
        elif (asked := self._calls.pop(message_id, None)) is not None:
            action = asked[0]
            data["took_ms"] = round((now - asked[1]) * 1000, 1)
        data["action"] = action
        data["payload"] = json.dumps(redacted(payload), separators=(",", ":"))[:MAX_PAYLOAD]
        self._count += 1
        self._publish(
            Event(self._count, now, datetime.now(UTC), STATION_EVSE, "ocpp", "OcppFrame", "", "", data, frequent=True)
        )


def _taken_apart(frame: str) -> tuple[str, str, str, object]:
    """Kind, message id, action where it stands in the frame, payload. A frame that is none is told as such."""
    try:
        told = json.loads(frame)
        kind = _KINDS[told[0]]
        return kind, str(told[1])[:40], str(told[2])[:60] if kind == "Call" else "", told[3 if kind == "Call" else 2]
    except (ValueError, LookupError, TypeError, RecursionError):
        return "malformed", "", "", frame[:200]


def redacted(value: object, name: str = "") -> object:
    """Without passwords, keys and certificates; tokens but for their last four characters."""
    if isinstance(value, dict):
        if "password" in str(value.get("variable", "")).lower() and "attributeValue" in value:
            value = {**value, "attributeValue": HIDDEN}
        return {key: redacted(inner, str(key).lower()) for key, inner in value.items()}
    if isinstance(value, list):
        return [redacted(item, name) for item in value]
    if isinstance(value, str) and any(secret in name for secret in _SECRET_KEYS):
        return HIDDEN
    if isinstance(value, str) and name in _TOKEN_KEYS:
        return HIDDEN + value[-4:]
    return value
