"""Insulation monitors from the inside: registers that follow the plant, and self-tests that take their time. Pure.

Like the simulated meters they answer a PDU with a PDU. They share no code with the drivers.
"""

import struct
from dataclasses import dataclass, field

from sim.dc.plant import DcPlant

_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS = 1, 2


@dataclass(slots=True)
class Monitor:
    """What both kinds share: `answer` takes the PDU of a request, the attributes are what is wrong with it."""

    plant: DcPlant
    self_test_s: float = 1.5
    self_test_good: bool = True
    silent: bool = False
    broken: bool = False
    frozen: bool = False
    """The registers stay as they are: a device that answers and measures nothing."""
    written: dict[int, int] = field(default_factory=dict)
    now: float = 0.0
    _test_until_s: float = float("-inf")
    _kept: dict[int, int] = field(default_factory=dict)

    @property
    def testing(self) -> bool:
        return self.now < self._test_until_s

    def tick(self, now: float) -> None:
        self.now = now

    def answer(self, pdu: bytes) -> bytes | None:
        if self.silent or not pdu:
            return None
        function = pdu[0]
        if function in (3, 4) and len(pdu) == 5:
            address, count = struct.unpack(">HH", pdu[1:])
            found = self._kept if self.frozen else self._registers(function)
            self._kept = found
            if any(at not in found for at in range(address, address + count)):
                return bytes((function | 0x80, _ILLEGAL_ADDRESS))
            return struct.pack(
                f">BB{count}H", function, 2 * count, *(found[at] for at in range(address, address + count))
            )
        if function == 6 and len(pdu) == 5:
            address, value = struct.unpack(">HH", pdu[1:])
            self._write(address, value)
            return pdu
        if function == 16 and len(pdu) >= 6 and len(pdu) == 6 + pdu[5]:
            address, count = struct.unpack(">HH", pdu[1:5])
            for at, value in enumerate(struct.unpack(f">{count}H", pdu[6:]), address):
                self._write(at, value)
            return pdu[:5]
        return bytes((function | 0x80, _ILLEGAL_FUNCTION))

    def _shown_v(self) -> float:
        return self.plant.outer_v + self.plant.faults.offset_v

    def _begin_test(self) -> None:
        self._test_until_s = self.now + self.self_test_s

    def _failed_test(self) -> bool:
        return self.broken or (not self.self_test_good and self._test_until_s > 0 and not self.testing)

    def _write(self, address: int, value: int) -> None:
        self.written[address] = value

    def _registers(self, function: int) -> dict[int, int]:
        raise NotImplementedError


class Bender(Monitor):
    """isoCHA425: four registers a value."""

    def _write(self, address: int, value: int) -> None:
        self.written[address] = value
        if (address, value) == (8005, 0x5445):
            self._begin_test()

    def _registers(self, function: int) -> dict[int, int]:
        if function != 3:
            return {}
        state = (2 if self.testing else 0) << 6 | (2 if self._failed_test() else 0)
        positive, negative = self.plant.to_earth_v()
        values = {
            1000: self.plant.insulation_ohm,
            1004: 0.0,
            1008: self._shown_v(),
            1012: 0.0,
            1016: positive,
            1020: negative,
        }
        found: dict[int, int] = {}
        for address, value in values.items():
            high, low = struct.unpack(">HH", struct.pack(">f", value))
            found |= {address: high, address + 1: low, address + 2: state << 8, address + 3: 0}
        return found | {9820: 425, 9821: 510, 9822: 2024, 9823: 1, 9824: 1, 9825: 1}


class Dold(Monitor):
    """RN 5893: integers, and a control word."""

    def _write(self, address: int, value: int) -> None:
        self.written[address] = value
        if address == 0 and value & 1 << 4:
            self._begin_test()

    def _registers(self, function: int) -> dict[int, int]:
        if function != 4:
            return self.written
        resistance = min(0xFFFF, round(self.plant.insulation_ohm / 100))
        if resistance > 20_000:
            resistance = 0xFFFF
        state = 3 if self.testing else 5 if self.written.get(0, 0) & 1 << 8 else 6 if resistance < 1000 else 1
        return {
            0: 3 if self._failed_test() else 0,
            1: state,
            2000: resistance,
            2001: 0,
            2002: round(self._shown_v()),
        }
