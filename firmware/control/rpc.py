"""JSON-RPC 2.0 as the control socket speaks it, without I/O: one JSON object a line, named parameters, no batches.

line                                  answer
-----------------------------------   ------------------------------------------------------------
longer than MAX_LINE                  -32700, id null; what follows its line end is read again
no JSON, or deeper than Python reads  -32700, id null
not a request object                  -32600, its id where it has a usable one
unknown method, wrong parameters      -32601, -32602
a notification (no id)                none, whatever comes of it
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NoReturn

MAX_LINE = 64 * 1024
"""Bytes of a request with its line end. Answers may be longer."""

RequestId = int | float | str | None


class Code(IntEnum):
    """JSON-RPC 2.0 section 5.1, and from -32000 on our own."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603
    ROLE_MISSING = -32001
    NOT_FOUND = -32002
    UNAVAILABLE = -32003
    """The part that would know does not answer, or does not exist on this station."""
    BUSY = -32004
    """Not now: a vehicle, a transaction or another technician is in the way. The message names it."""


class RpcError(Exception):
    """What the caller is told instead of a result."""

    def __init__(self, code: Code, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    params: Mapping[str, object]
    id: RequestId
    is_notification: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that is no request; answered with `error`."""

    id: RequestId
    error: RpcError


class Lines:
    """Cuts a byte stream into lines of at most MAX_LINE bytes. Memory is bounded by that, whatever comes."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        """Whole lines without their ends; None in place of one that was too long, once."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            if self._skipping:
                self._skipping = False
            elif len(line) >= MAX_LINE:
                yield None
            else:
                yield line
        if self._skipping:
            self._rest = b""
        elif len(self._rest) >= MAX_LINE:
            self._skipping, self._rest = True, b""
            yield None


def parse(line: bytes | None) -> Request | Refused:
    """One line as `Lines` gives it."""
    if line is None:
        return Refused(None, RpcError(Code.PARSE_ERROR, f"a line is at most {MAX_LINE} bytes"))
    try:
        raw = json.loads(line, parse_constant=_no_number)
    except RecursionError:
        return Refused(None, RpcError(Code.PARSE_ERROR, "nested too deep"))
    except ValueError as error:
        return Refused(None, RpcError(Code.PARSE_ERROR, f"not JSON: {error}"))
    if not isinstance(raw, dict):
        return Refused(None, RpcError(Code.INVALID_REQUEST, "a request is an object; batches are not served"))
    return _request(raw)


def _request(raw: dict[str, object]) -> Request | Refused:
    request_id = raw.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, int | float | str | None):
        return Refused(None, RpcError(Code.INVALID_REQUEST, "an id is a string or a number"))
    if raw.get("jsonrpc") != "2.0":
        return Refused(request_id, RpcError(Code.INVALID_REQUEST, 'jsonrpc must be "2.0"'))
    method, params = raw.get("method"), raw.get("params", {})
    if not isinstance(method, str):
        return Refused(request_id, RpcError(Code.INVALID_REQUEST, "method must be a string"))
    if not isinstance(params, dict):
        return Refused(request_id, RpcError(Code.INVALID_PARAMS, "params must be an object"))
    return Request(method, params, request_id, "id" not in raw)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def result(request_id: RequestId, value: object) -> bytes:
    return encode({"jsonrpc": "2.0", "id": request_id, "result": value})


def failure(request_id: RequestId, error: RpcError) -> bytes:
    told: dict[str, object] = {"code": int(error.code), "message": error.message}
    if error.data is not None:
        told["data"] = error.data
    return encode({"jsonrpc": "2.0", "id": request_id, "error": told})


def notification(method: str, params: Mapping[str, object]) -> bytes:
    return encode({"jsonrpc": "2.0", "method": method, "params": params})


def encode(message: Mapping[str, object]) -> bytes:
    """One line of ASCII. Raises ValueError for NaN and infinities, which JSON has not."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
