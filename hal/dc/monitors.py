"""Insulation monitors by their registers: what to write, what to read, what it means. Pure.

Bender's isoCHA425 gives each value in four registers: a float, then alarm, test and validity, then a description.
Dold's RN 5893 gives integers. Both by public drivers and the manuals these follow. # unverified: against a device
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from hal.dc.thresholds import INSULATION_FAULT_KOHM
from hal.modbus.pdu import READ_HOLDING, READ_INPUT, BadAnswer, Read, Write

PRE_ALARM_KOHM = 600


@dataclass(frozen=True, slots=True)
class Found:
    """One look at a monitor. None for what it does not measure, or calls invalid."""

    resistance_kohm: float | None
    voltage_v: float | None
    positive_to_earth_v: float | None
    negative_to_earth_v: float | None
    testing: bool
    fault: str


class MonitorMap(Protocol):
    @property
    def model(self) -> str: ...

    @property
    def configuration(self) -> tuple[Write, ...]:
        """After a start, ours or its."""
        ...

    @property
    def self_test(self) -> Write: ...

    @property
    def reads(self) -> tuple[Read, ...]: ...

    def parse(self, registers: Mapping[int, int]) -> Found:
        """Raises BadAnswer."""
        ...


_DEVICE_ERROR = 2
_EXTERNAL_TEST = 2
_INVALID = 3


class BenderIsoCha425:
    """Since firmware 5.00 a self-test in fast mode takes seconds; before, up to half a minute."""

    model = "Bender isoCHA425HV"
    reads = (Read(READ_HOLDING, 1000, 4), Read(READ_HOLDING, 1008, 4), Read(READ_HOLDING, 1016, 8))
    self_test = Write(8005, (0x5445,), many=True)
    configuration = tuple(
        Write(address, (value,), many=True)
        for address, value in (
            (3005, PRE_ALARM_KOHM),
            (3007, round(INSULATION_FAULT_KOHM)),
            (3008, 0),  # no under-voltage alarm
            (3010, 0),  # no over-voltage alarm
            (3023, 0),  # mode DC (CCS)
            (3024, 0),  # no self-test when the mains come
            (3025, 0),  # no self-test at start: it would hold up the first vehicle
            (3021, 3),  # fast cable check
            (3026, 1),  # active
        )
    )

    def parse(self, registers: Mapping[int, int]) -> Found:
        resistance, state = _bender_value(registers, 1000)
        voltage, _ = _bender_value(registers, 1008)
        positive, _ = _bender_value(registers, 1016)
        negative, _ = _bender_value(registers, 1020)
        testing = state >> 6 == _EXTERNAL_TEST
        return Found(
            resistance_kohm=None if resistance is None or testing else resistance / 1000,
            voltage_v=voltage,
            positive_to_earth_v=None if testing else positive,
            negative_to_earth_v=None if testing else negative,
            testing=testing,
            fault="device error" if state & 0b111 == _DEVICE_ERROR else "",
        )


def _bender_value(registers: Mapping[int, int], address: int) -> tuple[float | None, int]:
    """The value, None for an invalid one, and the byte of alarm and test."""
    (value,) = struct.unpack(">f", struct.pack(">HH", registers[address], registers[address + 1]))
    state, validity = registers[address + 2] >> 8, registers[address + 2] >> 6 & 0b11
    if validity == _INVALID:
        return None, state
    if not math.isfinite(value):
        raise BadAnswer(f"no number in register {address}")
    return value, state


_DOLD_FAULTS = {
    1: "broken wire to DC+ or DC-",
    2: "broken wire to earth",
    3: "internal failure found by the self-test",
    4: "potentiometers set wrong",
    9: "it heard nothing of us",
    10: "internal failure 2",
    11: "internal failure 3",
    12: "internal failure 4",
}
_DOLD_INITIALIZING, _DOLD_SELF_TEST, _DOLD_ADVANCED_TEST = 0, 3, 4
_DOLD_MEASURING = (1, 6, 7)
_DOLD_BEYOND = 0xFFFF
_DOLD_BEYOND_KOHM = 2000.0


class DoldRn5893:
    """Measures the voltage between the conductors, none to earth. The word 0xFFFF is more than it can measure."""

    model = "Dold RN 5893"
    reads = (Read(READ_INPUT, 0, 2), Read(READ_INPUT, 2000, 3))
    self_test = Write(0, (1 << 4,))
    configuration = (
        Write(0, (0,)),
        Write(2005, (round(INSULATION_FAULT_KOHM),)),
        Write(2006, (PRE_ALARM_KOHM,)),
    )

    def parse(self, registers: Mapping[int, int]) -> Found:
        fault, state = registers[0], registers[1]
        testing = state in (_DOLD_SELF_TEST, _DOLD_ADVANCED_TEST)
        resistance, volts = registers[2000], registers[2002]
        measured = state in _DOLD_MEASURING
        kohm = _DOLD_BEYOND_KOHM if resistance == _DOLD_BEYOND else resistance / 10
        return Found(
            resistance_kohm=kohm if measured else None,
            voltage_v=None if volts == _DOLD_BEYOND else float(volts),
            positive_to_earth_v=None,
            negative_to_earth_v=None,
            testing=testing,
            fault="" if not fault else _DOLD_FAULTS.get(fault, f"failure {fault}"),
        )


MONITORS: dict[str, MonitorMap] = {"bender-isocha425": BenderIsoCha425(), "dold-rn5893": DoldRn5893()}
"""By the name a configuration gives them."""
