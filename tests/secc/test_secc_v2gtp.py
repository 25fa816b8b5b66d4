"""V2GTP over bad transports."""

import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secc.v2gtp import MAX_PAYLOAD, Frame, PayloadType, V2gtpError, V2gtpFault, V2gtpReader

FRAMES = [Frame(PayloadType.EXI, bytes(n)) for n in (1, 0, 7, 300)]
STREAM = b"".join(frame.to_bytes() for frame in FRAMES)


def test_a_frame_on_the_wire() -> None:
    assert Frame(PayloadType.EXI, b"abc").to_bytes() == bytes.fromhex("01fe8001 00000003") + b"abc"


@given(st.lists(st.integers(min_value=1, max_value=400), min_size=1, max_size=400))
def test_however_the_bytes_arrive(cuts: list[int]) -> None:
    reader = V2gtpReader()
    got, position = [], 0
    for cut in [*cuts, len(STREAM)]:
        got += reader.feed(STREAM[position : position + cut])
        position += cut
    assert got == FRAMES
    assert reader.fault is None


def test_all_in_one_segment() -> None:
    assert V2gtpReader().feed(STREAM) == FRAMES


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("02fd800100000001", V2gtpFault.BAD_VERSION),
        ("01ff800100000001", V2gtpFault.BAD_VERSION),
        ("01fe8001ffffffff", V2gtpFault.TOO_LONG),
        (f"01fe8001{MAX_PAYLOAD + 1:08x}", V2gtpFault.TOO_LONG),
    ],
)
def test_a_stream_that_cannot_be_followed(header: str, fault: V2gtpFault) -> None:
    reader = V2gtpReader()
    assert reader.feed(FRAMES[0].to_bytes() + bytes.fromhex(header) + b"x" * 100) == FRAMES[:1]
    assert reader.fault is fault
    assert reader.feed(STREAM) == []
    assert reader.dropped == {fault: 1}


def test_the_largest_payload_passes() -> None:
    frame = Frame(PayloadType.EXI, bytes(MAX_PAYLOAD))
    assert V2gtpReader().feed(frame.to_bytes()) == [frame]


def test_other_payload_types_are_stepped_over() -> None:
    reader = V2gtpReader()
    other = bytes.fromhex("01fea000 00000002 ffff")
    sdp = Frame(PayloadType.SDP_REQUEST, b"\x00\x00").to_bytes()
    assert reader.feed(other + sdp + STREAM) == FRAMES
    assert reader.dropped == {V2gtpFault.UNKNOWN_TYPE: 2}


def test_datagrams_hold_exactly_one_frame() -> None:
    frame = Frame(PayloadType.SDP_REQUEST, b"\x00\x00")
    assert Frame.from_datagram(frame.to_bytes()) == frame
    for bad in (b"", frame.to_bytes()[:7], frame.to_bytes()[:-1], frame.to_bytes() + b"\x00"):
        with pytest.raises(V2gtpError) as caught:
            Frame.from_datagram(bad)
        assert caught.value.fault is V2gtpFault.TRUNCATED
    with pytest.raises(V2gtpError) as caught:
        Frame.from_datagram(bytes.fromhex("01fea00000000000"))
    assert caught.value.fault is V2gtpFault.UNKNOWN_TYPE


def test_noise_never_escapes_as_anything_else() -> None:
    chance = random.Random(15118)
    for _ in range(20_000):
        reader = V2gtpReader()
        octets = bytearray(STREAM)
        for _ in range(chance.randrange(1, 6)):
            octets[chance.randrange(len(octets))] = chance.randrange(256)
        for frame in reader.feed(bytes(octets)):
            assert len(frame.payload) <= MAX_PAYLOAD
        with suppress(V2gtpError):
            Frame.from_datagram(chance.randbytes(chance.randrange(40)))
