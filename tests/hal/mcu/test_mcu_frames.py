"""The link's frames: layouts byte for byte, tolerance for the future, and whatever a bad line makes of them."""

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.mcu import cobs
from hal.mcu.faults import BITS, from_bits, to_bits
from hal.mcu.frames import MAX_ENCODED, VERSION, Drop, Dropped, Frame, decode
from hal.mcu.payloads import (
    MAX_PAYLOAD,
    PAYLOADS,
    Ack,
    BoardFlag,
    Command,
    Control,
    ControlFlag,
    Hello,
    HelloAck,
    Log,
    Payload,
    PayloadError,
    State,
    StateFlag,
    Telemetry,
    Token,
    TokenKind,
    WireContactor,
    WireCp,
    WireCpMode,
)
from hal.mcu.reader import FrameReader
from hal.ports import Fault

CONTROL = Control(WireCpMode.X2, 2666, ControlFlag.ALLOW_POWER | ControlFlag.LOCK, 160, 3, 260, 1000, 7)
STATE = State(
    cp=WireCp.C,
    cp_mode=WireCpMode.X2,
    duty_centi=2666,
    flags=StateFlag.POWER_PERMITTED | StateFlag.ARMED | StateFlag.LOCKED,
    contactor=WireContactor.CLOSED,
    pp_ampacity_a=32,
    faults=1 << 16,
    cp_high_cv=600,
    cp_low_cv=-1200,
    unplug_count=3,
    contactor_ms=21,
    control_age_ms=40,
    uptime_ms=123456,
)
EXAMPLES: list[Payload] = [
    Hello(0xDEADBEEF),
    HelloAck(1, 2, 320, 60, 2300, 3, BoardFlag.LOCK | BoardFlag.READER, "acme-22", "1.4.0"),
    CONTROL,
    STATE,
    Telemetry(123456789, -105, (1600, 1601, 0), (2301, 2299, 0), 351, -12, 40),
    Command(1, 500),
    Ack(17, 0),
    Log(4, "relay: bounce of 3 ms"),
    Token(9, TokenKind.ISO14443, bytes.fromhex("04A2B3C4")),
]


def encoded(body: bytes) -> bytes:
    return cobs.encode(body + zlib.crc32(body).to_bytes(4, "little"))


def dropped(wire: bytes) -> Drop:
    with pytest.raises(Dropped) as caught:
        decode(wire)
    return caught.value.reason


# --- COBS ---


@pytest.mark.parametrize(
    ("plain", "stuffed"),
    [
        ("", "01"),
        ("00", "0101"),
        ("0000", "010101"),
        ("11220033", "0311220233"),
        ("11000000", "0211010101"),
        ("01" * 255, "ff" + "01" * 254 + "0201"),
    ],
)
def test_cobs_of_the_published_examples(plain: str, stuffed: str) -> None:
    assert cobs.encode(bytes.fromhex(plain)).hex() == stuffed
    assert cobs.decode(bytes.fromhex(stuffed)).hex() == plain


@pytest.mark.parametrize("ending", ["", "01"])
def test_a_full_last_run_may_be_closed_or_not(ending: str) -> None:
    assert cobs.decode(bytes.fromhex("ff" + "01" * 254 + ending)) == b"\x01" * 254


@given(st.binary(max_size=600))
def test_cobs_round_trip_has_no_zero(data: bytes) -> None:
    stuffed = cobs.encode(data)
    assert 0 not in stuffed
    assert cobs.decode(stuffed) == data
    assert len(stuffed) <= len(data) + 1 + len(data) // 254


@pytest.mark.parametrize("wrong", ["", "00", "0511", "030011"])
def test_what_is_no_cobs(wrong: str) -> None:
    with pytest.raises(cobs.CobsError):
        cobs.decode(bytes.fromhex(wrong))


# --- frames ---


def test_control_byte_for_byte() -> None:
    body = bytes.fromhex("10 02 3412 01") + bytes.fromhex("01 6a0a 03 a000 03 0401 e803 07")
    assert Frame(0x1234, 1, CONTROL).to_wire() == encoded(body) + b"\0"


def test_state_byte_for_byte() -> None:
    payload = bytes.fromhex("02 01 6a0a 07 01 20 00000100 5802 50fb 0300 1500 2800 40e20100")
    assert STATE.to_bytes() == payload


def test_every_type_has_an_example() -> None:
    assert {type(example) for example in EXAMPLES} == set(PAYLOADS.values())


@pytest.mark.parametrize("payload", EXAMPLES, ids=lambda payload: type(payload).__name__)
def test_round_trip(payload: Payload) -> None:
    frame = Frame(65535, 2, payload)
    assert decode(frame.to_wire()[:-1]) == frame


@pytest.mark.parametrize(
    "payload",
    [example for example in EXAMPLES if not isinstance(example, Log)],
    ids=lambda payload: type(payload).__name__,
)
def test_a_longer_payload_of_a_later_minor_version_is_read(payload: Payload) -> None:
    assert PAYLOADS[payload.type].from_bytes(payload.to_bytes() + b"new") == payload


@pytest.mark.parametrize("payload", EXAMPLES, ids=lambda payload: type(payload).__name__)
def test_a_shorter_payload_is_malformed(payload: Payload) -> None:
    short = b"" if isinstance(payload, Log) else payload.to_bytes()[:-1]
    with pytest.raises(PayloadError):
        PAYLOADS[payload.type].from_bytes(short)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (Control, b"\x09" + CONTROL.to_bytes()[1:]),
        (State, b"\x09" + STATE.to_bytes()[1:]),
        (State, STATE.to_bytes()[:5] + b"\x09" + STATE.to_bytes()[6:]),
        (Token, bytes.fromhex("01 07 01 aa")),
        (Token, bytes.fromhex("01 01 00")),
    ],
)
def test_a_value_nobody_defined_is_malformed(kind: type[Payload], payload: bytes) -> None:
    with pytest.raises(PayloadError):
        kind.from_bytes(payload)


def test_a_later_minor_version_is_taken_another_major_is_not() -> None:
    body = bytes([VERSION + 1, 0x01, 0, 0, 1]) + Hello(5).to_bytes()
    assert decode(encoded(body)).payload == Hello(5)
    assert dropped(encoded(bytes([0x20]) + body[1:])) is Drop.BAD_VERSION


def test_reasons_for_a_drop() -> None:
    good = Frame(1, 1, Hello(5)).to_wire()[:-1]
    assert dropped(b"\x05\x01") is Drop.BAD_COBS
    assert dropped(b"\x01" * (MAX_ENCODED + 1)) is Drop.TOO_LONG
    assert dropped(cobs.encode(b"12345678")) is Drop.TOO_SHORT
    assert dropped(good[:3] + bytes([good[3] ^ 4]) + good[4:]) is Drop.BAD_CRC
    assert dropped(encoded(bytes([VERSION, 0x7E, 0, 0, 1]))) is Drop.UNKNOWN_TYPE
    assert dropped(encoded(bytes([VERSION, 0x01, 0, 0, 1]))) is Drop.MALFORMED


def test_long_texts_are_cut_to_what_fits() -> None:
    frame = Frame(1, 1, Log(3, "x" * 500))
    assert len(frame.to_wire()) <= MAX_ENCODED + 1
    assert decode(frame.to_wire()[:-1]).payload == Log(3, "x" * (MAX_PAYLOAD - 1))
    ack = HelloAck(1, 2, 320, 60, 2300, 3, BoardFlag(0), "a-very-long-model-name", "1.0")
    assert HelloAck.from_bytes(ack.to_bytes()).model == "a-very-long-mode"


def test_frames_are_short_enough_for_ten_a_second() -> None:
    assert len(Frame(1, 1, CONTROL).to_wire()) == 23
    assert len(Frame(1, 1, STATE).to_wire()) == 36


# --- fault bits ---


def test_every_fault_a_board_can_see_has_a_bit() -> None:
    by_the_host = {
        Fault.COMMUNICATION_FAULT,
        Fault.POWER_METER_FAILURE,
        Fault.CABLE_CHECK_FAULT,
        Fault.RESISTANCE_FAULT,
        Fault.CONNECTOR_VOLTAGE_HIGH,
        Fault.VOLTAGE_PLAUSIBILITY,
        Fault.POWER_SUPPLY_FAILURE,
        Fault.ISOLATION_MONITOR_FAILURE,
    }
    assert set(BITS) == set(Fault) - by_the_host
    assert from_bits(to_bits(BITS)) == set(BITS)
    assert to_bits([Fault.RESIDUAL_CURRENT]) == 1 << 16


def test_a_bit_of_the_future_is_a_fault_all_the_same() -> None:
    assert from_bits(1 << 31) == {Fault.VENDOR_ERROR}


# --- the reader ---


def test_frames_come_whole_however_the_bytes_come() -> None:
    wire = b"".join(Frame(seq, 1, payload).to_wire() for seq, payload in enumerate(EXAMPLES))
    for size in (1, 2, 7, 50, 10_000):
        reader = FrameReader()
        frames = [frame for at in range(0, len(wire), size) for frame in reader.feed(wire[at : at + size])]
        assert [frame.payload for frame in frames] == EXAMPLES
        assert not reader.drops


def test_a_line_joined_in_the_middle_loses_one_frame() -> None:
    reader = FrameReader()
    wire = Frame(1, 1, STATE).to_wire()
    assert [frame.seq for frame in reader.feed(wire[5:] + wire)] == [1]
    assert reader.drops.total() == 1


def test_endless_noise_is_one_frame_too_long_and_holds_no_memory() -> None:
    reader = FrameReader()
    for _ in range(100):
        assert reader.feed(b"\x55" * 4096) == []
    assert reader.drops == {Drop.TOO_LONG: 1}
    assert len(reader.feed(b"\0" + Frame(1, 1, CONTROL).to_wire())) == 1


def test_an_idle_line_is_no_error() -> None:
    reader = FrameReader()
    assert reader.feed(b"\0\0\0") == []
    assert not reader.drops


def test_reset_forgets_half_a_frame() -> None:
    reader = FrameReader()
    wire = Frame(1, 1, CONTROL).to_wire()
    reader.feed(wire[:10])
    reader.reset()
    assert len(reader.feed(wire)) == 1
    assert not reader.drops


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_no_bytes_upset_the_reader(chunks: list[bytes]) -> None:
    reader = FrameReader()
    frames = [frame for chunk in chunks for frame in reader.feed(chunk)]
    assert not frames


@given(st.sampled_from(sorted(PAYLOADS)), st.binary(max_size=60))
def test_no_payload_upsets_its_type(kind: int, payload: bytes) -> None:
    try:
        read = PAYLOADS[kind].from_bytes(payload)
    except PayloadError:
        return
    assert PAYLOADS[kind].from_bytes(read.to_bytes()) == read


def test_with_one_byte_in_500_spoilt_most_frames_come_and_none_comes_wrong() -> None:
    chance = random.Random(1)
    reader = FrameReader()
    arrived = 0
    for seq in range(2000):
        wire = bytes(
            b ^ 1 << chance.randrange(8) if chance.random() < 0.002 else b for b in Frame(seq, 1, STATE).to_wire()
        )
        for frame in reader.feed(wire):
            assert frame.payload == STATE
            arrived += 1
    assert 1700 < arrived < 1990
    assert reader.drops.total() >= (2000 - arrived) / 2
