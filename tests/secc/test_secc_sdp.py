"""SDP: the codec, and whom to answer what."""

import random
from ipaddress import IPv6Address

import pytest

from secc.sdp import Endpoints, SdpFault, SdpPolicy, SdpRequest, SdpResponse, Security

HERE = IPv6Address("fe80::1")
CAR = IPv6Address("fe80::ca")
BOTH = Endpoints(HERE, 61_000, 62_000, tls_wanted=True)
TLS_ONLY = Endpoints(HERE, 61_000, None, tls_wanted=True)
TLS_BROKEN = Endpoints(HERE, None, 62_000, tls_wanted=True)
PLAIN_ONLY = Endpoints(HERE, None, 62_000, tls_wanted=False)
NOTHING = Endpoints(HERE, None, None, tls_wanted=True)

ASK_TLS = SdpRequest(Security.TLS).to_bytes()
ASK_PLAIN = SdpRequest(Security.NONE).to_bytes()
TLS = SdpResponse(HERE, 61_000, Security.TLS)
PLAIN = SdpResponse(HERE, 62_000, Security.NONE)


def test_messages_on_the_wire() -> None:
    assert bytes.fromhex("01fe9000 00000002 0000") == ASK_TLS
    assert bytes.fromhex("01fe9000 00000002 1000") == ASK_PLAIN
    assert TLS.to_bytes() == bytes.fromhex("01fe9001 00000014") + HERE.packed + bytes.fromhex("ee48 00 00")
    assert SdpResponse.from_bytes(PLAIN.to_bytes()) == PLAIN


@pytest.mark.parametrize(
    ("endpoints", "request_octets", "answer"),
    [
        (BOTH, ASK_TLS, TLS),
        (BOTH, ASK_PLAIN, PLAIN),
        (TLS_ONLY, ASK_TLS, TLS),
        (TLS_ONLY, ASK_PLAIN, None),
        (TLS_BROKEN, ASK_TLS, None),
        (TLS_BROKEN, ASK_PLAIN, PLAIN),
        (PLAIN_ONLY, ASK_TLS, PLAIN),
        (PLAIN_ONLY, ASK_PLAIN, PLAIN),
        (NOTHING, ASK_TLS, None),
        (NOTHING, ASK_PLAIN, None),
    ],
)
def test_who_is_told_what(endpoints: Endpoints, request_octets: bytes, answer: SdpResponse | None) -> None:
    policy = SdpPolicy()
    octets = policy.answer(request_octets, CAR, endpoints, 0.0)
    assert octets == (answer.to_bytes() if answer else None)
    assert policy.refused == ({} if answer else {SdpFault.NOT_OFFERED: 1})


@pytest.mark.parametrize("source", ["2001:db8::1", "::1", "fd00::1", "ff02::1"])
def test_only_neighbours_are_answered(source: str) -> None:
    policy = SdpPolicy()
    assert policy.answer(ASK_TLS, IPv6Address(source), BOTH, 0.0) is None
    assert policy.refused == {SdpFault.NOT_LINK_LOCAL: 1}


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        ASK_TLS[:-1],
        ASK_TLS + b"\x00",
        bytes.fromhex("01fe9000 00000002 0010"),
        bytes.fromhex("01fe9000 00000002 0100"),
        bytes.fromhex("01fe9001 00000002 0000"),
        bytes.fromhex("01fe9000 00000003 000000"),
        bytes.fromhex("01fe9000 ffffffff 0000"),
        bytes.fromhex("02fd9000 00000002 0000"),
        bytes.fromhex("01fe9002 00000002 0000"),
        TLS.to_bytes(),
    ],
)
def test_malformed_requests(octets: bytes) -> None:
    policy = SdpPolicy()
    assert policy.answer(octets, CAR, BOTH, 0.0) is None
    assert policy.refused == {SdpFault.MALFORMED: 1}


@pytest.mark.parametrize("octets", [ASK_TLS, b"", TLS.to_bytes()[:-1], TLS.to_bytes()[:-1] + b"\x10"])
def test_malformed_responses(octets: bytes) -> None:
    with pytest.raises(ValueError, match=r"SDP response|TCP|shorter"):
        SdpResponse.from_bytes(octets)


def test_five_a_second_from_one_vehicle() -> None:
    policy = SdpPolicy()
    answered = [policy.answer(ASK_TLS, CAR, BOTH, at / 8) is not None for at in range(24)]
    assert answered == ([True] * 5 + [False] * 3) * 3
    assert policy.refused == {SdpFault.RATE: 9}


def test_a_vehicle_that_asks_every_quarter_second_is_always_answered() -> None:
    policy = SdpPolicy()
    assert all(policy.answer(ASK_TLS, CAR, BOTH, at / 4) for at in range(50))


def test_a_flood_from_many_sources_keeps_the_table_small() -> None:
    policy = SdpPolicy()
    for n in range(1000):
        policy.answer(ASK_TLS, IPv6Address(f"fe80::{n + 1:x}"), BOTH, 0.0)
    assert len(policy._recent) == SdpPolicy.MAX_SOURCES


def test_noise() -> None:
    chance = random.Random(15118)
    policy = SdpPolicy()
    for n in range(20_000):
        octets = bytearray(chance.choice((ASK_TLS, TLS.to_bytes())))
        octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
        answer = policy.answer(bytes(octets), CAR, BOTH, float(n))
        assert answer in (None, TLS.to_bytes(), PLAIN.to_bytes())
