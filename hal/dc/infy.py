"""Infy's charging modules (REG and BEG series) on CAN, protocol V1.13: identifiers and contents. Pure.

A request's answer has the same command, from the module to the controller. Set-points are thousandths, measured values
32 bit floats, all of it big-endian. By public drivers of these modules. # unverified: against a module
"""

import math
import struct
from dataclasses import dataclass

from hal.can.frame import CanFrame

CONTROLLER = 0xF0
MODULE = 0x0A
"""`device` of a request to one module; 0x0B is a group."""

READ_VI = 0x03
READ_STATUS = 0x04
READ_CAPABILITIES = 0x0A
SWITCH = 0x1A
SET_VI = 0x1C

_ALARMS: tuple[tuple[int, int, str], ...] = (
    (7, 0, "output short circuit"),
    (7, 5, "discharge abnormal"),
    (6, 1, "fault"),
    (6, 2, "protection"),
    (6, 3, "fan"),
    (6, 4, "over-temperature"),
    (6, 5, "output over-voltage"),
    (5, 3, "input phase lost"),
    (5, 5, "input under-voltage"),
    (5, 6, "input over-voltage"),
)
"""(byte, bit, what it says) of the status that keep a module from working. The interruption of communication (byte 6,
bit 7) is left out: it says that we were silent, and ends when we speak."""


@dataclass(frozen=True, slots=True)
class Address:
    """What the 29 bits say."""

    command: int
    destination: int
    source: int
    device: int = MODULE
    error: int = 0

    @property
    def can_id(self) -> int:
        return self.error << 26 | self.device << 22 | self.command << 16 | self.destination << 8 | self.source


def address_of(can_id: int) -> Address:
    return Address(can_id >> 16 & 0x3F, can_id >> 8 & 0xFF, can_id & 0xFF, can_id >> 22 & 0xF, can_id >> 26 & 0x7)


def request(command: int, module: int, data: bytes = bytes(8)) -> CanFrame:
    return CanFrame(Address(command, module, CONTROLLER).can_id, data)


def set_output(module: int, voltage_v: float, current_a: float) -> CanFrame:
    return request(SET_VI, module, struct.pack(">II", round(voltage_v * 1000), round(current_a * 1000)))


def switch(module: int, on: bool) -> CanFrame:
    return request(SWITCH, module, bytes((0 if on else 1,)) + bytes(7))


@dataclass(frozen=True, slots=True)
class Output:
    voltage_v: float
    current_a: float


@dataclass(frozen=True, slots=True)
class Status:
    """`alarms` in words; empty for a module that is well."""

    alarms: tuple[str, ...]
    off: bool


@dataclass(frozen=True, slots=True)
class ModuleCapabilities:
    max_voltage_v: float
    min_voltage_v: float
    max_current_a: float
    max_power_w: float


Answer = Output | Status | ModuleCapabilities


def parse(frame: CanFrame) -> tuple[int, Answer] | None:
    """The module and its answer to us; None for what is not for us, or makes no sense."""
    said, data = address_of(frame.can_id), frame.data
    if said.destination != CONTROLLER or said.error or len(data) != 8:
        return None
    if said.command == READ_VI:
        volts, amps = struct.unpack(">ff", data)
        return (said.source, Output(volts, amps)) if math.isfinite(volts) and math.isfinite(amps) else None
    if said.command == READ_STATUS:
        alarms = tuple(text for byte, bit, text in _ALARMS if data[byte] >> bit & 1)
        return said.source, Status(alarms, bool(data[6] & 1))
    if said.command == READ_CAPABILITIES:
        high_v, low_v, tenths_a, tens_w = struct.unpack(">HHHH", data)
        return said.source, ModuleCapabilities(high_v, low_v, tenths_a / 10, tens_w * 10)
    return None
