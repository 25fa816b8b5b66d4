"""The Pionix boards' protocol: its wire format, its frames, and levels made of its edges."""

import struct

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from hal.drivers import DriverError, load
from hal.levels import BoardLevels, Setpoints
from hal.pionix import protobuf
from hal.pionix.board import BOARD
from hal.pionix.dialect import PHYVERSO, YETI, PhyVersoTongue, YetiTongue
from hal.pionix.frames import MAX_ENCODED, MessageReader, to_wire
from hal.pionix.protobuf import ProtobufError, decode, nested, varint
from hal.pionix.wire import LOST_AFTER_S, PERIOD_S, RESET_AGAIN_S, SILENT_S, PionixWire
from hal.ports import Contactor, CpMode, CpState, Fault
from hal.quantities import EvseId
from hal.wire import WireDown, WireSample, WireUp

OFFER_16_A = Setpoints(CpMode.X2, 26.66, allow_power=True, lock=True, limit_a=16)
NOTHING = Setpoints(CpMode.X1, 100.0, allow_power=False, lock=False, limit_a=0)


def real(number: int, value: float) -> bytes:
    return bytes((number << 3 | 5,)) + struct.pack("<f", value)


# --- the wire format, against the library of its inventors ---


def _oracle() -> type:
    """A message with one field of each kind the boards use."""
    file = descriptor_pb2.FileDescriptorProto(name="oracle.proto", package="oracle", syntax="proto3")
    message = file.message_type.add(name="Any")
    kinds = {1: "UINT32", 2: "INT64", 3: "BOOL", 4: "FLOAT", 5: "STRING", 100: "MESSAGE", 101: "FIXED64"}
    for number, kind in kinds.items():
        field = message.field.add(name=f"f{number}", number=number, label=1)
        field.type = getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{kind}")
        if kind == "MESSAGE":
            field.type_name = ".oracle.Any"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made: type = message_factory.GetMessageClass(pool.FindMessageTypeByName("oracle.Any"))
    return made


Oracle = _oracle()
values = st.fixed_dictionaries(
    {
        "f1": st.integers(0, 2**32 - 1),
        "f2": st.integers(-(2**63), 2**63 - 1),
        "f3": st.booleans(),
        "f4": st.floats(width=32, allow_nan=False, allow_infinity=False),
        "f5": st.text(max_size=300),
    }
)


@given(outer=values, inner=values)
def test_what_the_library_writes_is_read(outer: dict[str, object], inner: dict[str, object]) -> None:
    message = decode(Oracle(**outer, f100=Oracle(**inner), f101=7).SerializeToString())
    for said, read in ((outer, message), (inner, message.message(100))):
        assert read.number(1) == said["f1"]
        assert read.number(2) == int(str(said["f2"])) % 2**64
        assert read.flag(3) == said["f3"]
        assert read.real(4) == said["f4"]
        assert read.text(5) == said["f5"]


@given(number=st.integers(0, 2**32 - 1), signed=st.integers(-(2**31), 2**31), text=st.text(max_size=300))
def test_what_is_written_the_library_reads(number: int, signed: int, text: str) -> None:
    inner = varint(2, signed) + nested(5, text.encode())
    read = Oracle.FromString(varint(1, number) + varint(3, 1) + nested(100, inner))  # type: ignore[attr-defined]
    assert (read.f1, read.f3, read.f100.f2, read.f100.f5) == (number, True, signed, text)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_named_error(data: bytes) -> None:
    try:
        message = decode(data)
    except ProtobufError:
        return
    for number in message.fields:
        message.number(number), message.real(number), message.text(number), message.flag(number)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x08", "cut off"),
        (b"\x08" + b"\xff" * 10, "more than ten bytes"),
        (b"\x12\x05ab", "past the message"),
        (b"\x0b", "wire type 3"),
        (b"\x00\x00", "field number 0"),
    ],
)
def test_what_is_not_the_wire_format(data: bytes, reason: str) -> None:
    with pytest.raises(ProtobufError, match=reason):
        decode(data)


def test_no_float_that_is_no_number() -> None:
    assert decode(real(1, float("nan"))).real(1) == 0.0
    assert decode(real(1, float("inf"))).real(1) == 0.0
    assert protobuf.Message({1: b"text"}).number(1) == 0
    assert protobuf.Message({1: 5}).text(1) == ""


# --- frames ---


def test_a_frame_by_hand() -> None:
    """A keep-alive without fields; its checksum by the published definition of CRC-32/JAMCRC."""
    assert to_wire(b"\x1a\x00").endswith(b"\0")
    assert MessageReader().feed(to_wire(b"\x1a\x00"))[0].has(3)


@given(st.lists(st.binary(max_size=60), max_size=6), st.integers(1, 7))
def test_frames_come_through_any_cutting(noise: list[bytes], step: int) -> None:
    reader, told = MessageReader(), []
    data = b"".join(part + b"\0" + to_wire(varint(102, 1)) for part in noise)
    for at in range(0, len(data), step):
        told += reader.feed(data[at : at + step])
    assert [message.number(102) for message in told if message.has(102)] >= [1] * len(noise)


def test_what_is_dropped_is_counted() -> None:
    reader = MessageReader()
    good = to_wire(varint(102, 1))
    reader.feed(bytes((good[0], good[1] ^ 1)) + good[2:])
    reader.feed(b"\x05\x01\0")
    reader.feed(b"\x01" * (MAX_ENCODED + 1))
    reader.feed(b"\0" + to_wire(b"\x0b"))
    assert reader.drops == {"crc": 1, "cobs": 1, "too long": 1, "protobuf": 1}
    assert [message.number(102) for message in reader.feed(good)] == [1]


# --- levels out of edges ---


class Talk:
    """A wire, what it is told, and what it sends."""

    def __init__(self, phyverso: bool = False) -> None:
        self.alive = True
        self.phyverso = phyverso
        tongue = PhyVersoTongue(connector=2, lock="hella") if phyverso else YetiTongue()
        dialect = PHYVERSO if phyverso else YETI
        self.wire = PionixWire(dialect, tongue, BOARD, 2 if phyverso else 1, lambda: self.alive)
        self.reader = MessageReader()

    def sent(self) -> list[dict[int, int | bytes]]:
        return [dict(message.fields) for message in self.reader.feed(self.wire.data_to_send())]

    def hears(self, message: bytes, now: float) -> list[object]:
        return list(self.wire.feed(to_wire(message), now))

    def keep_alive(self, now: float) -> list[object]:
        time_ms = varint(1, round(now * 1000))
        return self.hears(nested(1 if self.phyverso else 3, time_ms, nested(6, b"1.2.3")), now)

    def up(self, cp: int = 0) -> list[object]:
        self.wire.put(NOTHING, 0.0)
        self.wire.connected(0.0)
        self.keep_alive(0.1)
        return self.hears(varint(3, cp) + varint(6, 2) if self.phyverso else varint(102, cp), 0.1)


def level(events: list[object]) -> BoardLevels:
    (found,) = [event for event in events if isinstance(event, BoardLevels)]
    return found


def test_the_board_is_reset_and_introduces_itself() -> None:
    talk = Talk()
    told = talk.up(cp=1)
    up, levels = told
    assert isinstance(up, WireUp)
    assert (up.board.max_current_a, up.board.firmware, up.same_boot) == (32.0, "1.2.3", False)
    assert isinstance(levels, BoardLevels)
    assert (levels.cp, levels.cp_mode, levels.contactor) == (CpState.B, CpMode.X1, Contactor.OPEN)
    assert [next(iter(message)) for message in talk.sent()] == [105, 100, 103, 104, 102]


def test_a_board_that_does_not_come_is_reset_again() -> None:
    talk = Talk()
    talk.wire.connected(0.0)
    assert talk.wire.describe() == "no keep-alive from the board (frames dropped: 0)"
    talk.sent()
    talk.wire.tick(PERIOD_S)
    assert [next(iter(message)) for message in talk.sent()] == [100]
    talk.keep_alive(PERIOD_S)
    assert "no pilot state" in talk.wire.describe()
    talk.wire.tick(RESET_AGAIN_S)
    assert {105: 1} in talk.sent()
    assert not talk.wire.is_up


def test_set_points_go_at_once_and_again_with_each_heartbeat() -> None:
    talk = Talk()
    talk.up()
    talk.sent()
    talk.wire.put(OFFER_16_A, 0.2)
    wanted = [{103: 2666}, {104: 1}, {102: 1}]
    assert talk.sent() == wanted
    assert talk.wire.deadline() == 0.2, "what was sent is taken for done, and told"
    assert level(list(talk.wire.tick(0.2))).duty_percent == 26.66
    talk.wire.tick(0.2 + PERIOD_S)
    assert talk.sent()[1:] == wanted
    talk.wire.put(Setpoints(CpMode.E, 0, allow_power=False, lock=False, limit_a=0), 0.8)
    assert talk.sent()[0] == {103: 0}, "there is no E: F"
    assert level(list(talk.wire.tick(0.8))).cp_mode is CpMode.F


def test_what_the_board_tells_becomes_levels() -> None:
    talk = Talk()
    talk.up()
    assert level(talk.hears(varint(102, 2), 0.3)).cp is CpState.C
    assert level(talk.hears(varint(103, 1), 0.3)).contactor is Contactor.CLOSED
    assert level(talk.hears(varint(106, 3), 0.3)).pp_ampacity_a == 32.0
    assert level(talk.hears(varint(106, 5), 0.3)).faults == {Fault.PROXIMITY_FAULT}
    assert level(talk.hears(varint(107, 2), 0.3)).locked
    assert level(talk.hears(nested(104, varint(3, 1), varint(7, 1)), 0.3)).faults == {
        Fault.PROXIMITY_FAULT,
        Fault.RESIDUAL_CURRENT,
        Fault.OVER_CURRENT_FAILURE,
    }
    assert level(talk.hears(varint(102, 77), 0.3)).cp is CpState.E, "a state of a later version is none of a vehicle"
    meter = [real(2 + at, 230.0) for at in range(3)] + [real(5 + at, 16.0) for at in range(3)]
    (sample,) = talk.hears(nested(108, *meter, real(12, 1234.5)), 0.3)
    assert isinstance(sample, WireSample)
    assert (sample.energy_import_wh, sample.current_a) == (1234.5, (16.0, 16.0, 16.0))


def test_a_heartbeat_that_comes_late_ends_the_permission() -> None:
    talk = Talk()
    talk.up(cp=2)
    talk.wire.put(OFFER_16_A, 0.2)
    talk.wire.tick(0.2)
    talk.sent()
    late_s = 0.2 + SILENT_S + PERIOD_S
    tripped = level(list(talk.wire.tick(late_s)))
    assert tripped.tripped
    assert not tripped.power_permitted
    assert [next(iter(message)) for message in talk.sent()] == [100], "the old permission is not repeated"
    talk.wire.put(NOTHING, late_s)
    assert {104: 0} in talk.sent()
    assert not level(list(talk.wire.tick(late_s))).tripped


def test_who_is_not_alive_says_nothing() -> None:
    talk = Talk()
    talk.up()
    talk.sent()
    talk.alive = False
    talk.wire.tick(5 * PERIOD_S)
    talk.wire.put(OFFER_16_A, 5 * PERIOD_S)
    assert talk.sent() == []


def test_a_restart_shows_by_word_and_by_time() -> None:
    for restart in (lambda talk: talk.hears(varint(101, 1), 1.0), lambda talk: talk.keep_alive(0.05)):
        talk = Talk()
        talk.up(cp=1)
        assert restart(talk) == [WireDown("the board has restarted")]
        assert not talk.wire.is_up
        talk.keep_alive(1.2)
        assert isinstance(talk.hears(varint(102, 1), 1.2)[0], WireUp)


def test_silence_is_a_loss() -> None:
    talk = Talk()
    talk.up()
    assert talk.wire.tick(0.1 + LOST_AFTER_S) == [WireDown(f"no keep-alive for {LOST_AFTER_S:g} s")]
    assert talk.wire.disconnected("closed") == []
    assert talk.wire.deadline() is None
    assert talk.wire.describe() == "no line"


def test_phyverso_is_configured_and_speaks_of_two_connectors() -> None:
    talk = Talk(phyverso=True)
    talk.wire.put(NOTHING, 0.0)
    talk.wire.connected(0.0)
    talk.sent()
    talk.hears(nested(11, b""), 0.1)
    (configuration,) = talk.sent()
    assert configuration[8] == nested(8, varint(1, 2), nested(6, b""), nested(6, port(lock=1)))[2:]
    talk.keep_alive(0.2)
    assert talk.hears(varint(3, 2) + varint(6, 1), 0.2) == [], "the other connector"
    up, _ = talk.hears(varint(3, 1) + varint(6, 2), 0.2)
    assert isinstance(up, WireUp)
    assert up.board.model == "Pionix phyVERSO revision B, connector 2"
    talk.wire.put(OFFER_16_A, 0.3)
    assert talk.sent()[-3:] == [{4: 2666, 7: 2}, {5: varint(1, 1) + varint(2, 1), 7: 2}, {3: 1, 7: 2}]
    closed = nested(4, varint(1, 1), varint(2, 1)) + varint(6, 2)
    assert level(talk.hears(closed, 0.3)).contactor is Contactor.CLOSED
    silent = level(talk.hears(nested(5, varint(7, 1)) + varint(6, 2), 0.3))
    assert silent.tripped
    assert silent.cp_mode is CpMode.F


def port(lock: int) -> bytes:
    return varint(1, 1) + varint(2, 0) + varint(3, 0) + nested(4, varint(1, lock)) + varint(5, 1)


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_no_bytes_break_the_wire(parts: list[bytes]) -> None:
    talk = Talk(phyverso=True)
    talk.up(cp=1)
    for at, part in enumerate(parts):
        talk.wire.feed(part + b"\0" + to_wire(part), 0.2 + at * 0.01)
        talk.wire.tick(0.2 + at * 0.01)


# --- by the configuration's name ---


def test_drivers_by_name() -> None:
    def make(name: str, **options: str | int | float | bool) -> None:
        load(name)("/dev/null", EvseId(1), lambda _: None, alive=lambda: True, options=options)

    make("pionix_yeti", has_lock=True)
    make("pionix_phyverso", connector=2, lock="valeo", hardware_revision="A", feedback_pull="up")
    for options, reason in (
        ({"connector": 3}, "connector must be 1 or 2"),
        ({"lock": "chain"}, "lock must be one of none, hella, valeo"),
        ({"sockets": 2}, "unknown option sockets"),
    ):
        with pytest.raises(DriverError, match=reason):
            make("pionix_phyverso", **options)  # type: ignore[arg-type]
