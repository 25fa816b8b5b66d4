"""Modbus application protocol 1.1b3: reading registers (function 3 and 4) and writing them (6 and 16). Pure.

A PDU is the function code and its data, the same on a serial line and in TCP.
"""

import struct
from dataclasses import dataclass

from hal.ports import HalError

READ_HOLDING = 3
READ_INPUT = 4
WRITE_ONE = 6
WRITE_MANY = 16
MAX_READ = 125
MAX_WRITE = 123
EXCEPTION = 0x80

_EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}


class ModbusError(HalError):
    """Root of what can go wrong with one request."""


class NoAnswer(ModbusError):
    """The device, or the line to it, is silent."""


class Refused(ModbusError):
    """The device answered with an exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"refused: {_EXCEPTIONS.get(code, 'exception')} ({code})")
        self.code = code


class BadAnswer(ModbusError):
    """An answer, but not to this request, or with values no device may have."""


@dataclass(frozen=True, slots=True)
class Read:
    """`count` registers from `address` (both as on the wire, addresses from 0)."""

    function: int
    address: int
    count: int

    def __post_init__(self) -> None:
        if self.function not in (READ_HOLDING, READ_INPUT) or not 1 <= self.count <= MAX_READ:
            raise ValueError(f"no such read: {self}")

    def to_pdu(self) -> bytes:
        return struct.pack(">BHH", self.function, self.address, self.count)

    @property
    def answer_length(self) -> int:
        return 2 + 2 * self.count

    def parse(self, pdu: bytes) -> tuple[int, ...]:
        """The registers. Raises Refused or BadAnswer."""
        _check(pdu, self.function, self.answer_length)
        if pdu[1] != 2 * self.count:
            raise BadAnswer(f"{pdu[1]} bytes of registers instead of {2 * self.count}")
        return struct.unpack_from(f">{self.count}H", pdu, 2)


@dataclass(frozen=True, slots=True)
class Write:
    """Registers from `address`: function 6 for one value, 16 for more, or where a device wants `many` always."""

    address: int
    values: tuple[int, ...]
    many: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.values) <= MAX_WRITE:
            raise ValueError(f"cannot write {len(self.values)} registers at once")

    @property
    def function(self) -> int:
        return WRITE_ONE if len(self.values) == 1 and not self.many else WRITE_MANY

    def to_pdu(self) -> bytes:
        if self.function == WRITE_ONE:
            return struct.pack(">BHH", WRITE_ONE, self.address, self.values[0])
        count = len(self.values)
        return struct.pack(f">BHHB{count}H", WRITE_MANY, self.address, count, 2 * count, *self.values)

    @property
    def answer_length(self) -> int:
        return 5

    def parse(self, pdu: bytes) -> tuple[int, ...]:
        """Nothing, where the device confirms the write. Raises Refused or BadAnswer."""
        _check(pdu, self.function, self.answer_length)
        if pdu != self.to_pdu()[:5]:
            raise BadAnswer("the device confirms another write")
        return ()


Request = Read | Write


def _check(pdu: bytes, function: int, length: int) -> None:
    if len(pdu) == 2 and pdu[0] == function | EXCEPTION:
        raise Refused(pdu[1])
    if not pdu or pdu[0] != function or len(pdu) != length:
        raise BadAnswer(f"{len(pdu)} bytes do not answer function {function}")
