"""What a meter's registers mean: a declarative map, and the way from registers to a reading. Pure.

A map is a table in Python rather than a file: it is checked by the type checker, found in a read-only wheel without a
search path, and a manufacturer's package can bring its own.
"""

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from hal.modbus.pdu import READ_INPUT, BadAnswer, Read


class Kind(Enum):
    """Formats by their value: how many registers, and how they are read. Bytes in a register are big-endian.

    `SWAPPED` has the least significant register first. T5 (unsigned) and T6 (signed) are Iskra's: a signed decimal
    exponent in the highest byte, 24 bits of value below.
    """

    U16 = "u16"
    I16 = "i16"
    U32 = "u32"
    I32 = "i32"
    I32_SWAPPED = "i32 swapped"
    I64_SWAPPED = "i64 swapped"
    F32 = "f32"
    T5 = "T5"
    T6 = "T6"


_LAYOUTS: dict[Kind, tuple[str, bool]] = {
    Kind.U16: (">H", False),
    Kind.I16: (">h", False),
    Kind.U32: (">I", False),
    Kind.I32: (">i", False),
    Kind.I32_SWAPPED: (">i", True),
    Kind.I64_SWAPPED: (">q", True),
    Kind.F32: (">f", False),
}


def _decimal(registers: tuple[int, ...], signed: bool) -> float:
    high, low = registers
    exponent = (high >> 8) - ((high & 0x8000) >> 7)
    value = (high & 0xFF) << 16 | low
    if signed and value & 0x800000:
        value -= 1 << 24
    return value * 10.0**exponent


def size_of(kind: Kind) -> int:
    """In registers."""
    return 2 if kind in (Kind.T5, Kind.T6) else struct.calcsize(_LAYOUTS[kind][0]) // 2


def decode(kind: Kind, registers: tuple[int, ...]) -> float:
    if kind in (Kind.T5, Kind.T6):
        return _decimal(registers, signed=kind is Kind.T6)
    layout, swapped = _LAYOUTS[kind]
    ordered = reversed(registers) if swapped else registers
    return float(struct.unpack(layout, struct.pack(f">{len(registers)}H", *ordered))[0])


@dataclass(frozen=True, slots=True)
class Register:
    """One value at `address`: times `scale` it is in Wh, W, A or V.

    `exponent` is a register with a signed power of ten to multiply by, `exponent_bias` is added to it.
    """

    address: int
    kind: Kind
    scale: float = 1.0
    exponent: int | None = None
    exponent_bias: int = 0


Phases = tuple[Register, Register, Register] | tuple[Register]


@dataclass(frozen=True, slots=True)
class MeterMap:
    """One model of meter. `blocks` (address, count) are what is read in a cycle, as few as the device allows.

    The serial settings are those the meter leaves its factory with.
    """

    model: str
    blocks: tuple[tuple[int, int], ...]
    energy_import: Register
    power: Register
    current: Phases
    voltage: Phases
    function: int = READ_INPUT
    baudrate: int = 9600

    @property
    def reads(self) -> tuple[Read, ...]:
        return tuple(Read(self.function, address, count) for address, count in self.blocks)

    @property
    def registers(self) -> tuple[Register, ...]:
        return (self.energy_import, self.power, *self.current, *self.voltage)


@dataclass(frozen=True, slots=True)
class Values:
    """In Wh, W, A, V; an absent phase reads 0."""

    energy_import_wh: float
    power_import_w: float
    current_a: tuple[float, float, float]
    voltage_v: tuple[float, float, float]


def values_from(meter: MeterMap, registers: Mapping[int, int]) -> Values:
    """`registers` by address. Raises BadAnswer for what is no number."""

    def value(register: Register) -> float:
        raw = tuple(registers[register.address + at] for at in range(size_of(register.kind)))
        number = decode(register.kind, raw) * register.scale
        if register.exponent is not None:
            exponent = int(decode(Kind.I16, (registers[register.exponent],))) + register.exponent_bias
            number *= 10.0 ** max(-30, min(30, exponent))
        if not math.isfinite(number):
            raise BadAnswer(f"{meter.model}: no number in register {register.address}")
        return number

    return Values(
        energy_import_wh=value(meter.energy_import),
        power_import_w=value(meter.power),
        current_a=_phases(meter.current, value),
        voltage_v=_phases(meter.voltage, value),
    )


def _phases(registers: Phases, value: Callable[[Register], float]) -> tuple[float, float, float]:
    first, *others = (value(register) for register in registers)
    second, third = others or (0.0, 0.0)
    return first, second, third
