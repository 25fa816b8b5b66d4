"""JSON-RPC 2.0 by lines: conversations with the pure core, and noise."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.control import rpc
from firmware.control.rpc import MAX_LINE, Code, Lines, Refused, Request, parse


def refusal(line: bytes | None) -> tuple[object, Code]:
    refused = parse(line)
    assert isinstance(refused, Refused), refused
    return refused.id, refused.error.code


def test_a_request() -> None:
    line = b'{"jsonrpc":"2.0","id":7,"method":"Evse.Why","params":{"evse":1}}'
    assert parse(line) == Request("Evse.Why", {"evse": 1}, 7, False)


def test_ids_are_strings_numbers_or_null_and_come_back_as_they_were() -> None:
    for request_id in ("a", "", 0, -1, 1.5, None):
        request = parse(json.dumps({"jsonrpc": "2.0", "id": request_id, "method": "M"}).encode())
        assert isinstance(request, Request)
        assert (request.id, request.is_notification, request.params) == (request_id, False, {})
        assert json.loads(rpc.result(request.id, [1]))["id"] == request_id


def test_without_an_id_it_is_a_notification() -> None:
    request = parse(b'{"jsonrpc":"2.0","method":"M"}')
    assert isinstance(request, Request)
    assert request.is_notification


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (None, Code.PARSE_ERROR),
        (b"", Code.PARSE_ERROR),
        (b"{", Code.PARSE_ERROR),
        (b"\xff\xfe\xfd", Code.PARSE_ERROR),
        (b'{"jsonrpc":"2.0","id":NaN,"method":"M"}', Code.PARSE_ERROR),
        (b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"M"}', Code.PARSE_ERROR),
        (b"[" * 60_000, Code.PARSE_ERROR),
        (b'{"a":' * 10_000, Code.PARSE_ERROR),
        (b"[]", Code.INVALID_REQUEST),
        (b'[{"jsonrpc":"2.0","id":1,"method":"M"}]', Code.INVALID_REQUEST),
        (b"3", Code.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":true,"method":"M"}', Code.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":{},"method":"M"}', Code.INVALID_REQUEST),
    ],
)
def test_what_is_no_request_is_answered_without_an_id(line: bytes | None, code: Code) -> None:
    assert refusal(line) == (None, code)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"jsonrpc": "1.0", "method": "M"}, Code.INVALID_REQUEST),
        ({"method": "M"}, Code.INVALID_REQUEST),
        ({"jsonrpc": "2.0"}, Code.INVALID_REQUEST),
        ({"jsonrpc": "2.0", "method": 3}, Code.INVALID_REQUEST),
        ({"jsonrpc": "2.0", "method": "M", "params": [1]}, Code.INVALID_PARAMS),
        ({"jsonrpc": "2.0", "method": "M", "params": None}, Code.INVALID_PARAMS),
    ],
)
def test_a_malformed_request_is_answered_with_its_id(more: dict[str, object], code: Code) -> None:
    assert refusal(json.dumps({"id": 5, **more}).encode()) == (5, code)


def test_answers_are_one_line_of_ascii() -> None:
    answer = rpc.failure("x", rpc.RpcError(Code.NOT_FOUND, "no such thing\nas \ud800 ü", {"evse": 1}))
    assert answer.count(b"\n") == 1
    told = json.loads(answer)
    assert told["error"] == {"code": -32002, "message": "no such thing\nas \ud800 ü", "data": {"evse": 1}}
    assert "data" not in json.loads(rpc.failure(None, rpc.RpcError(Code.PARSE_ERROR, "")))["error"]


def test_no_number_that_json_lacks_goes_out() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        rpc.result(1, float("nan"))


# --- Lines ---


def test_lines_come_whole_however_they_are_cut() -> None:
    stream = b"one\ntwo\n\nthree\nrest"
    for size in range(1, len(stream)):
        lines = Lines()
        got = [line for at in range(0, len(stream), size) for line in lines.feed(stream[at : at + size])]
        assert got == [b"one", b"two", b"", b"three"]


def test_a_line_too_long_is_told_once_and_the_next_is_read() -> None:
    lines = Lines()
    got = []
    for _ in range(10):
        got += list(lines.feed(b"x" * MAX_LINE))
        assert len(lines._rest) <= MAX_LINE
    got += list(lines.feed(b"end of it\nnext\n"))
    assert got == [None, b"next"]


def test_the_longest_line() -> None:
    fits, too_long = b"x" * (MAX_LINE - 1), b"x" * MAX_LINE
    assert list(Lines().feed(fits + b"\n")) == [fits]
    assert list(Lines().feed(too_long + b"\n")) == [None]


@given(st.lists(st.binary(max_size=40)), st.integers(1, 17))
def test_any_stream_is_cut_as_split_would(chunks: list[bytes], size: int) -> None:
    stream = b"".join(chunks)
    lines = Lines()
    got = [line for at in range(0, len(stream), size) for line in lines.feed(stream[at : at + size])]
    assert got == stream.split(b"\n")[:-1]


@given(st.binary(max_size=200))
def test_noise_is_parsed_or_refused_and_never_raises(line: bytes) -> None:
    assert isinstance(parse(line), Request | Refused)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["jsonrpc", "id", "method", "params"]), _JSON | st.just("2.0"), max_size=4),
)
def test_any_object_gets_an_answer_that_can_be_written(raw: dict[str, object]) -> None:
    request = parse(json.dumps(raw).encode())
    if isinstance(request, Refused):
        assert json.loads(rpc.failure(request.id, request.error))["error"]["code"] == request.error.code
    else:
        assert json.loads(rpc.result(request.id, None))["id"] == request.id


def test_mutations_of_a_request_never_raise() -> None:
    good = b'{"jsonrpc":"2.0","id":7,"method":"Events.Subscribe","params":{"evse":1,"sources":["plc"]}}'
    dice = random.Random(7)
    for _ in range(3000):
        line = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            line[dice.randrange(len(line))] = dice.randrange(256)
        assert isinstance(parse(bytes(line)), Request | Refused)
