"""The RPC core as a conversation: `<<` is what it sends back."""

import json
import random
from typing import Any

import pytest

from ocpp_client.rpc import CallFailed, CallReceived, Failure, ResultReceived, RpcCore, RpcEvent, RpcLimits, SendFrame
from ocpp_client.wire import actions, check_request

SUPPORTED = frozenset({"Reset", "ClearCache", "GetVariables"})


def core(**limits: int) -> RpcCore:
    return RpcCore(check_request, actions(), SUPPORTED, RpcLimits(**limits))


def reply(events: list[RpcEvent]) -> list[Any]:
    """The one frame the core wants sent, decoded."""
    (event,) = events
    assert isinstance(event, SendFrame)
    return json.loads(event.frame)


def test_a_call_gets_its_result() -> None:
    rpc = core()
    frame = rpc.call("id-1", "Heartbeat", "{}", 10.0, 30.0)
    assert json.loads(frame) == [2, "id-1", "Heartbeat", {}]
    assert not rpc.idle
    assert rpc.deadline == 40.0
    assert rpc.feed('[3,"id-1",{"currentTime":"x"}]', 11.0) == [ResultReceived("id-1", {"currentTime": "x"})]
    assert rpc.idle
    assert rpc.deadline is None


def test_one_call_in_flight() -> None:
    rpc = core()
    rpc.call("id-1", "Heartbeat", "{}", 0.0, 30.0)
    with pytest.raises(ValueError, match="in flight"):
        rpc.call("id-2", "Heartbeat", "{}", 0.0, 30.0)


def test_a_call_times_out_and_its_late_result_is_dropped() -> None:
    rpc = core()
    rpc.call("id-1", "Heartbeat", "{}", 0.0, 30.0)
    assert rpc.tick(29.9) == []
    assert rpc.tick(30.0) == [CallFailed("id-1", Failure.TIMEOUT)]
    assert rpc.tick(31.0) == []
    assert rpc.feed('[3,"id-1",{}]', 32.0) == []
    assert rpc.counts == {"timeout": 1, "stray answer": 1}


def test_a_lost_link_wakes_the_call_and_forgets_the_peers() -> None:
    rpc = core()
    rpc.call("id-1", "Heartbeat", "{}", 0.0, 30.0)
    assert isinstance(rpc.feed('[2,"a","ClearCache",{}]', 0.0)[0], CallReceived)
    assert rpc.link_lost() == [CallFailed("id-1", Failure.LINK_LOST)]
    assert rpc.link_lost() == []
    assert rpc.answer("a", "{}") is None
    assert rpc.refuse("a", "InternalError", "") is None


def test_a_call_error_is_a_failure() -> None:
    rpc = core()
    rpc.call("id-1", "Heartbeat", "{}", 0.0, 30.0)
    failed = rpc.feed('[4,"id-1","InternalError","no",{}]', 1.0)
    assert failed == [CallFailed("id-1", Failure.CALL_ERROR, "InternalError", "no")]


@pytest.mark.parametrize("frame", ['[4,"id-1"]', '[4,"id-1",null,5]', '[4,"id-1",[[]],{}]'])
def test_a_call_error_of_any_shape_settles_its_call(frame: str) -> None:
    rpc = core()
    rpc.call("id-1", "Heartbeat", "{}", 0.0, 30.0)
    (failed,) = rpc.feed(frame, 1.0)
    assert isinstance(failed, CallFailed)
    assert rpc.idle


@pytest.mark.parametrize("frame", ['[3,"id-1"]', '[3,"id-1",[]]', '[3,"id-1",{},{}]'])
def test_a_result_of_wrong_shape_is_a_failure_not_a_wait(frame: str) -> None:
    rpc = core()
    rpc.call("id-1", "Heartbeat", "{}", 0.0, 30.0)
    (failed,) = rpc.feed(frame, 1.0)
    assert isinstance(failed, CallFailed)
    assert failed.failure is Failure.CALL_ERROR


def test_a_call_of_the_peer_is_answered_once() -> None:
    rpc = core()
    (call,) = rpc.feed('[2,"a","Reset",{"type":"OnIdle"}]', 5.0)
    assert call == CallReceived("a", "Reset", {"type": "OnIdle"}, 5.0)
    assert rpc.feed('[2,"a","Reset",{"type":"OnIdle"}]', 5.0) == []
    assert rpc.counts == {"repeated id": 1}
    assert json.loads(rpc.answer("a", '{"status":"Accepted"}') or "") == [3, "a", {"status": "Accepted"}]
    assert rpc.answer("a", "{}") is None


def test_a_call_can_be_refused() -> None:
    rpc = core()
    rpc.feed('[2,"a","ClearCache",{}]', 5.0)
    assert json.loads(rpc.refuse("a", "SecurityError", "x" * 300) or "") == [4, "a", "SecurityError", "x" * 255, {}]


@pytest.mark.parametrize(
    ("frame", "message_id", "code"),
    [
        ("", "-1", "RpcFrameworkError"),
        ("garbage", "-1", "RpcFrameworkError"),
        ("{}", "-1", "RpcFrameworkError"),
        ("[]", "-1", "RpcFrameworkError"),
        ("[null]", "-1", "RpcFrameworkError"),
        ("[true,1]", "-1", "RpcFrameworkError"),
        ('["2","a","Reset",{}]', "-1", "RpcFrameworkError"),
        ("[2]", "-1", "RpcFrameworkError"),
        ('[2,5,"Reset",{}]', "-1", "RpcFrameworkError"),
        ('[2,"","Reset",{}]', "-1", "RpcFrameworkError"),
        (f'[2,"{"x" * 37}","Reset",{{}}]', "-1", "RpcFrameworkError"),
        ('[2,"a"]', "a", "RpcFrameworkError"),
        ('[2,"a",["x"],{}]', "a", "RpcFrameworkError"),
        ('[2,"a","Reset",{},{}]', "a", "RpcFrameworkError"),
        ('[2,"a","Reset",NaN]', "-1", "RpcFrameworkError"),
        ('[5,"a",{}]', "a", "MessageTypeNotSupported"),
        ("[6]", "-1", "MessageTypeNotSupported"),
        ('[2,"a","Explode",{}]', "a", "NotImplemented"),
        ('[2,"a","ReserveNow",{}]', "a", "NotSupported"),
        ('[2,"a","Reset",[]]', "a", "FormatViolation"),
        ('[2,"a","Reset",null]', "a", "FormatViolation"),
        ('[2,"a","Reset",{}]', "a", "OccurrenceConstraintViolation"),
        ('[2,"a","Reset",{"type":5}]', "a", "TypeConstraintViolation"),
        ('[2,"a","Reset",{"type":"Soon"}]', "a", "PropertyConstraintViolation"),
        ('[2,"a","Reset",{"type":"OnIdle","when":1}]', "a", "FormatViolation"),
        ('[2,"a","GetVariables",{"getVariableData":[]}]', "a", "OccurrenceConstraintViolation"),
    ],
)
def test_every_faulty_frame_has_its_call_error(frame: str, message_id: str, code: str) -> None:
    rpc = core()
    answer = reply(rpc.feed(frame, 0.0))
    assert answer[:3] == [4, message_id, code]
    assert answer[4] == {}
    assert sum(rpc.counts.values()) == 1


def test_binary_frames_are_refused() -> None:
    assert reply(core().feed(b'[2,"a","Reset",{}]', 0.0))[2] == "RpcFrameworkError"


@pytest.mark.parametrize("frame", ['[3,"x",{}]', '[4,"-1","RpcFrameworkError","",{}]', "[3]", "[4]", "[3,[],{}]"])
def test_a_stray_answer_is_dropped_so_that_two_peers_do_not_talk_for_ever(frame: str) -> None:
    rpc = core()
    assert rpc.feed(frame, 0.0) == []
    assert rpc.counts == {"stray answer": 1}


def test_a_flood_of_calls_is_bounded() -> None:
    rpc = core(max_unanswered=2)
    for number in range(2):
        assert isinstance(rpc.feed(f'[2,"{number}","ClearCache",{{}}]', 0.0)[0], CallReceived)
    assert reply(rpc.feed('[2,"3","ClearCache",{}]', 0.0))[:3] == [4, "3", "InternalError"]
    rpc.answer("0", "{}")
    assert isinstance(rpc.feed('[2,"4","ClearCache",{}]', 0.0)[0], CallReceived)


def test_size_and_depth_are_bounded_before_anything_is_built() -> None:
    rpc = core(max_frame=1_000_000)
    for frame in ("[" * 200_000, '{"a":' * 100_000, "[" * 200_000 + "]" * 200_000):
        assert reply(rpc.feed(frame, 0.0))[2] == "RpcFrameworkError"
    assert rpc.counts == {"nested too deep": 3}
    assert reply(rpc.feed("x" * 1_000_001, 0.0))[2] == "RpcFrameworkError"


def test_brackets_within_strings_are_no_depth() -> None:
    payload = json.dumps({"getVariableData": [{"component": {"name": '[{"' * 16}, "variable": {"name": "[" * 50}}]})
    (call,) = core().feed(f'[2,"a","GetVariables",{payload}]', 0.0)
    assert isinstance(call, CallReceived)


def test_an_id_with_quotes_and_surrogates_comes_back_as_it_was() -> None:
    rpc = core()
    for message_id in ('a"b\\', "\ud800", "\x00é"):
        rpc.feed(json.dumps([2, message_id, "ClearCache", {}]), 0.0)
        frame = rpc.answer(message_id, '{"status":"Accepted"}') or ""
        assert json.loads(frame)[1] == message_id
        frame.encode()


def test_hostile_frames_never_raise_and_leave_the_core_working() -> None:
    random_source = random.Random(201)
    rpc = core()
    pieces = [
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        '"',
        "2",
        "3",
        "4",
        "-1",
        "1e999",
        "null",
        "true",
        '"Reset"',
        '"a"',
        "\\u00",
    ]
    seeds = ['[2,"a","Reset",{"type":"OnIdle"}]', '[3,"id",{}]', '[4,"id","X","",{}]', '[2,"b","GetVariables",{}]']
    for number in range(20_000):
        if number % 3:
            frame = "".join(random_source.choices(pieces, k=random_source.randrange(1, 30)))
        else:
            text = list(random_source.choice(seeds))
            for _ in range(random_source.randrange(1, 4)):
                text[random_source.randrange(len(text))] = random_source.choice(pieces)
            frame = "".join(text)
        for event in rpc.feed(frame, float(number)):
            if isinstance(event, SendFrame):
                assert json.loads(event.frame)[0] == 4
            elif isinstance(event, CallReceived):
                rpc.answer(event.message_id, "{}")
    rpc.call("id-1", "Heartbeat", "{}", 0.0, 30.0)
    assert rpc.feed('[3,"id-1",{}]', 0.0) == [ResultReceived("id-1", {})]
