"""A Modbus meter from the inside: registers filled from what is measured, requests answered. Pure.

It shares the register maps with the master and nothing else, so that a mistake in the master's codec shows.
"""

import struct
from dataclasses import dataclass, field

from hal.modbus.registers import Kind, MeterMap, Register

_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS, _ILLEGAL_VALUE, _BUSY = 1, 2, 3, 6
_MAX_COUNT = 80


@dataclass(slots=True)
class Meter:
    """`answer(pdu)` gives the answering PDU, None for silence. The attributes are what the meter measures."""

    map: MeterMap
    energy_wh: float = 0.0
    power_w: float = 0.0
    current_a: tuple[float, float, float] = (0.0, 0.0, 0.0)
    voltage_v: tuple[float, float, float] = (230.0, 230.0, 230.0)
    silent: bool = False
    busy: bool = False
    not_a_number: bool = False
    written: dict[int, int] = field(default_factory=dict)
    asked: int = 0

    def answer(self, pdu: bytes) -> bytes | None:
        self.asked += 1
        if self.silent:
            return None
        function = pdu[0]
        if self.busy:
            return bytes((function | 0x80, _BUSY))
        if function in (3, 4) and len(pdu) == 5:
            return self._read(function, *struct.unpack(">HH", pdu[1:]))
        if function == 6 and len(pdu) == 5:
            address, value = struct.unpack(">HH", pdu[1:])
            self.written[address] = value
            return pdu
        if function == 16 and len(pdu) >= 6 and len(pdu) == 6 + pdu[5]:
            address, count = struct.unpack(">HH", pdu[1:5])
            self.written |= dict(enumerate(struct.unpack(f">{count}H", pdu[6:]), address))
            return pdu[:5]
        return bytes((function | 0x80, _ILLEGAL_FUNCTION))

    def _read(self, function: int, address: int, count: int) -> bytes:
        if not 1 <= count <= _MAX_COUNT:
            return bytes((function | 0x80, _ILLEGAL_VALUE))
        if address > 0x2000:
            return bytes((function | 0x80, _ILLEGAL_ADDRESS))
        registers = self._registers() | self.written
        values = [registers.get(at, 0) for at in range(address, address + count)]
        return struct.pack(f">BB{count}H", function, 2 * count, *values)

    def _registers(self) -> dict[int, int]:
        meter = self.map
        energy = float("nan") if self.not_a_number else self.energy_wh
        found = [(meter.energy_import, energy), (meter.power, self.power_w)]
        # A meter of one phase has one register for it.
        found += zip(meter.current, self.current_a, strict=False)
        found += zip(meter.voltage, self.voltage_v, strict=False)
        registers: dict[int, int] = {}
        for register, value in found:
            registers |= _encoded(register, value)
        return registers


def _encoded(register: Register, value: float) -> dict[int, int]:
    scaled = value / register.scale
    exponents = {}
    if register.exponent is not None:
        # Two decimals for what a plain integer cannot hold.
        exponents = {register.exponent: (-2 - register.exponent_bias) & 0xFFFF}
        scaled *= 100
    return dict(enumerate(_words(register.kind, scaled), register.address)) | exponents


def _words(kind: Kind, value: float) -> tuple[int, ...]:
    if kind is Kind.F32:
        return struct.unpack(">2H", struct.pack(">f", value))
    if kind in (Kind.T5, Kind.T6):
        return struct.unpack(">2H", struct.pack(">b", -2) + (round(value * 100) & 0xFFFFFF).to_bytes(3))
    count = {Kind.U16: 1, Kind.I16: 1, Kind.I64_SWAPPED: 4}.get(kind, 2)
    words = struct.unpack(f">{count}H", (round(value) & (1 << 16 * count) - 1).to_bytes(2 * count))
    return words[::-1] if kind in (Kind.I32_SWAPPED, Kind.I64_SWAPPED) else words
