"""A bounded run of the fuzzer, and the inputs that are hard on a careless decoder."""

from __future__ import annotations

from time import perf_counter

import pytest

from secc.exi import ExiDecodeError, Namespace, Reason, decode, encode
from tests.fuzz.exi import fuzz

COUNT = 20_000
# Twenty times the promise: the machine that runs this is shared, and a quadratic decoder misses it by far.
SLOWEST_S = 0.1


def test_mutated_messages_raise_only_the_codecs_own_error() -> None:
    outcome = fuzz(COUNT, seed=2)
    assert outcome.accepted + outcome.refused == COUNT
    assert outcome.accepted > COUNT // 20, "mutations that change values only are still messages"
    assert outcome.refused > COUNT // 4
    assert outcome.worst_s < SLOWEST_S, outcome.worst


def key_info(names: int) -> bytes:
    return encode(Namespace.XMLDSIG, {"KeyInfo": {"KeyName": [""] * names}}, fragment=True)


def seconds_to_decode(octets: bytes) -> float:
    times = []
    for _ in range(3):
        started = perf_counter()
        decode(Namespace.XMLDSIG, octets, fragment=True)
        times.append(perf_counter() - started)
    return min(times)


def test_tens_of_thousands_of_empty_elements_take_linear_time() -> None:
    small, large = key_info(12_000), key_info(48_000)
    assert len(large) > 80_000
    assert seconds_to_decode(large) < 16 * seconds_to_decode(small)
    assert seconds_to_decode(large) < 0.5


def test_what_is_too_large_is_not_looked_at() -> None:
    with pytest.raises(ExiDecodeError) as refused:
        decode(Namespace.XMLDSIG, key_info(48_000) * 2, fragment=True)
    assert refused.value.reason is Reason.TOO_LARGE


def test_lengths_and_integers_without_end_are_refused() -> None:
    whole = encode(Namespace.ISO_2, {"V2G_Message": {"Header": {"SessionID": bytes(8)}, "Body": {}}})
    for cut in range(1, len(whole) - 1):
        with pytest.raises(ExiDecodeError) as refused:
            decode(Namespace.ISO_2, whole[:cut] + b"\xff" * 40)
        assert refused.value.bit is not None
