"""PDUs, RTU frames and register formats, against the examples of the Modbus specifications and the meters' manuals."""

import math
import random
import struct

import pytest

from hal.modbus.meters import METERS
from hal.modbus.pdu import MAX_READ, BadAnswer, Read, Refused, Write
from hal.modbus.registers import Kind, MeterMap, decode, size_of, values_from
from hal.modbus.rtu import crc16, find_answer, silence_s, to_frame
from sim.meter.device import Meter

READ = Read(3, 0x6B, 3)
ANSWER = bytes.fromhex("03 06 022B 0000 0064")


def test_a_read_as_in_the_specification() -> None:
    assert READ.to_pdu() == bytes.fromhex("03 006B 0003")
    assert READ.parse(ANSWER) == (555, 0, 100)


def test_writes_as_in_the_specification() -> None:
    assert Write(1, (3,)).to_pdu() == bytes.fromhex("06 0001 0003")
    assert Write(1, (3,)).parse(bytes.fromhex("06 0001 0003")) == ()
    assert Write(1, (10, 258)).to_pdu() == bytes.fromhex("10 0001 0002 04 000A 0102")
    assert Write(1, (10, 258)).parse(bytes.fromhex("10 0001 0002")) == ()


def test_an_exception_names_itself() -> None:
    with pytest.raises(Refused, match="illegal data address") as refused:
        READ.parse(bytes.fromhex("83 02"))
    assert refused.value.code == 2
    with pytest.raises(Refused, match="exception \\(77\\)"):
        READ.parse(bytes.fromhex("83 4D"))


@pytest.mark.parametrize("pdu", ["", "03", "03 04 022B 0000", "04 06 022B 0000 0064", "03 05 022B 0000 0064", "84 02"])
def test_what_does_not_answer(pdu: str) -> None:
    with pytest.raises(BadAnswer):
        READ.parse(bytes.fromhex(pdu))


def test_a_write_confirmed_with_another_value() -> None:
    with pytest.raises(BadAnswer, match="another write"):
        Write(1, (3,)).parse(bytes.fromhex("06 0001 0004"))


def test_requests_no_device_could_answer() -> None:
    for function, count in ((5, 1), (3, 0), (3, MAX_READ + 1)):
        with pytest.raises(ValueError, match="no such read"):
            Read(function, 0, count)
    for values in ((), (0,) * 124):
        with pytest.raises(ValueError, match="cannot write"):
            Write(0, values)


def test_crc_of_a_known_frame() -> None:
    # Eastron's manual, request of the voltage of phase 1.
    assert to_frame(1, Read(4, 0, 2).to_pdu()) == bytes.fromhex("01 04 0000 0002 71CB")
    assert crc16(b"123456789") == 0x4B37


def test_the_silence_between_frames() -> None:
    assert silence_s(9600) == pytest.approx(0.00401, abs=1e-5)
    assert silence_s(115200) == 0.00175


def test_an_answer_is_found_behind_a_stray_byte() -> None:
    frame = to_frame(17, ANSWER)
    assert find_answer(b"\x00\x11" + frame, 17, READ) == ANSWER
    assert find_answer(frame[:-1], 17, READ) is None
    assert find_answer(frame, 16, READ) is None
    assert find_answer(to_frame(17, b"\x83\x02"), 17, READ) == b"\x83\x02"


def test_a_spoilt_answer_is_none() -> None:
    frame = to_frame(17, ANSWER)
    for bit in range(8 * len(frame)):
        spoilt = bytearray(frame)
        spoilt[bit // 8] ^= 1 << bit % 8
        assert find_answer(bytes(spoilt), 17, READ) is None


def test_noise_is_no_answer() -> None:
    chance = random.Random(1)
    for _ in range(500):
        assert find_answer(chance.randbytes(64), 17, READ) is None


@pytest.mark.parametrize(
    ("kind", "registers", "value"),
    [
        (Kind.U16, (65535,), 65535),
        (Kind.I16, (65535,), -1),
        (Kind.U32, (1, 2), 65538),
        (Kind.I32, (0xFFFF, 0xFFFE), -2),
        (Kind.I32_SWAPPED, (2, 1), 65538),
        (Kind.I64_SWAPPED, (1, 0, 1, 0), 1 + (1 << 32)),
        (Kind.F32, (0x4366, 0x3333), pytest.approx(230.2)),
        (Kind.T5, (0xFF00, 2301), pytest.approx(230.1)),
        (Kind.T5, (0x02FF, 0xFFFF), pytest.approx(0xFFFFFF * 100)),
        (Kind.T6, (0xFDFF, 0xFFFF), pytest.approx(-0.001)),
    ],
)
def test_formats(kind: Kind, registers: tuple[int, ...], value: object) -> None:
    assert size_of(kind) == len(registers)
    assert decode(kind, registers) == value


@pytest.mark.parametrize("meter", METERS.values(), ids=str)
def test_every_register_of_a_map_is_in_one_of_its_blocks(meter: MeterMap) -> None:
    blocks = [range(address, address + count) for address, count in meter.blocks]
    for register in meter.registers:
        last = register.address + size_of(register.kind) - 1
        assert any(register.address in block and last in block for block in blocks), register
        assert register.exponent is None or any(register.exponent in block for block in blocks)
    assert all(len(block) <= 80 for block in blocks), "Eastron meters give no more at once"


@pytest.mark.parametrize("name", METERS)
def test_a_map_reads_what_the_meter_measures(name: str) -> None:
    simulated = Meter(METERS[name], 12340.0, 6900.0, (10.0, 11.25, 12.5), (229.5, 230.0, 231.5))
    registers: dict[int, int] = {}
    for read in METERS[name].reads:
        pdu = simulated.answer(read.to_pdu())
        assert pdu is not None
        registers |= dict(enumerate(read.parse(pdu), read.address))
    values = values_from(METERS[name], registers)
    assert values.energy_import_wh == pytest.approx(12340, abs=0.01)
    # The DC meter counts its watts in steps of 10.
    assert values.power_import_w == pytest.approx(6900, abs=10)
    phases = len(METERS[name].current)
    assert values.current_a == pytest.approx((10.0, 11.25, 12.5)[:phases] + (0.0,) * (3 - phases))
    assert values.voltage_v == pytest.approx((229.5, 230.0, 231.5)[:phases] + (0.0,) * (3 - phases))


def test_what_is_no_number_is_refused() -> None:
    nan = struct.unpack(">2H", struct.pack(">f", math.nan))
    meter = METERS["eastron-sdm230"]
    registers = dict.fromkeys(range(74), 0) | dict(enumerate(nan, 72))
    with pytest.raises(BadAnswer, match="no number in register 72"):
        values_from(meter, registers)


def test_an_absurd_exponent_overflows_nothing() -> None:
    meter = METERS["acrel-djsf1352"]
    registers = dict.fromkeys(range(14), 0xFFFF) | {1: 0x7FFF}
    assert math.isfinite(values_from(meter, registers).voltage_v[0])
