"""The simulated MCU as a Pionix board: the same safety core behind another protocol. Pure.

Messages are written and read here by hand; of the driver this shares the COBS codec and nothing else. States are told
on a change and once a second, with the keep-alive.
"""

import struct
from collections.abc import Iterator
from zlib import crc32

from hal.mcu import cobs
from hal.mcu.payloads import Control, ControlFlag, TokenKind, WireContactor, WireCp, WireCpMode
from sim.mcu.core import SafetyCore
from sim.mcu.firmware import BoardType, Inputs, Outputs

PERIOD_S = 1.0
WATCHDOG_MS = 1000
_CP = {WireCp.A: 0, WireCp.B: 1, WireCp.C: 2, WireCp.D: 3, WireCp.E: 4, WireCp.F: 5}
_PP = {13: 1, 20: 2, 32: 3, 63: 4}
_LOCK_FAILURE, _OVER_CURRENT, _PILOT, _CONTACTOR = 1 << 0, 1 << 3, 1 << 8, 1 << 10
_PROXIMITY, _DIODE, _VENTILATION, _RESIDUAL = 1 << 13, 1 << 14, 1 << 15, 1 << 16


def number(tag: int, value: int) -> bytes:
    return _base128(tag << 3) + _base128(value)


def real(tag: int, value: float) -> bytes:
    return _base128(tag << 3 | 5) + struct.pack("<f", value)


def block(tag: int, inside: bytes) -> bytes:
    return _base128(tag << 3 | 2) + _base128(len(inside)) + inside


def _base128(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F)
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def read(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Fields of a message, which its checksum has shown to be whole."""
    at = 0

    def base128() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = base128()
        value = base128()
        if key & 7 == 2:
            yield key >> 3, data[at : at + value]
            at += value
        else:
            yield key >> 3, value


class PionixFirmware:
    """`Firmware`: what both dialects share. The host's silence of WATCHDOG_MS opens the relay."""

    resets_by: int
    keep_alive_tag: int

    def __init__(self, board: BoardType, now: float) -> None:
        self._board = board
        self._core = SafetyCore(now)
        self._booted_s = now
        self._buffer = bytearray()
        self._out = bytearray()
        self._duty = 0
        self._allow = False
        self._lock = False
        self._host_at_s = now
        self._reboot = False
        self._next_s = now
        self._told: dict[int, bytes] = {}
        self.say_boot()

    def say_boot(self) -> None:
        """ResetReason."""
        raise NotImplementedError

    def obey(self, tag: int, value: int | bytes) -> None:
        """One message of the host's."""
        raise NotImplementedError

    def states(self, inputs: Inputs) -> dict[int, bytes]:
        """Messages by their tag."""
        raise NotImplementedError

    def periodic(self, inputs: Inputs, uptime_ms: int) -> list[bytes]:
        raise NotImplementedError

    def receive(self, data: bytes, now: float) -> None:
        self._buffer += data
        while (end := self._buffer.find(0)) >= 0:
            encoded = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._heard(encoded, now)

    def _heard(self, encoded: bytes, now: float) -> None:
        try:
            data = cobs.decode(encoded)
        except cobs.CobsError:
            return
        if crc32(data[:-4]) ^ 0xFFFFFFFF != int.from_bytes(data[-4:], "little"):
            return
        for tag, value in read(data[:-4]):
            if tag == self.keep_alive_tag:
                self._host_at_s = now
            self.obey(tag, value)
        self._control()

    def _control(self) -> None:
        mode = WireCpMode.X2
        if self._duty == 0:
            mode = WireCpMode.F
        elif self._duty >= 10000:
            mode = WireCpMode.X1
        flags = ControlFlag.ALLOW_POWER if self._allow else ControlFlag(0)
        flags |= ControlFlag.LOCK if self._lock else ControlFlag(0)
        # This board arms itself; a trip makes it forget what it was allowed.
        self._core.armed = True
        control = Control(mode, self._duty % 10000, flags, 0, self._board.phases, 0, WATCHDOG_MS, 0)
        self._core.control(control, self._host_at_s)

    def present(self, kind: TokenKind, uid: bytes, now: float) -> None:
        """It has no reader."""

    def step(self, inputs: Inputs, now: float) -> Outputs:
        core = self._core
        core.vehicle(inputs.cp, now)
        core.feedback(inputs.contactor_closed, now)
        core.current(max(inputs.current_a))
        core.injected = inputs.faults
        core.tick(now)
        if core.tripped:
            self._allow = False
        for tag, message in self.states(inputs).items():
            if self._told.get(tag) != message or now >= self._next_s:
                self._told[tag] = message
                self.say(message)
        if now >= self._next_s:
            self._next_s = now + PERIOD_S
            for message in self.periodic(inputs, round((now - self._booted_s) * 1000)):
                self.say(message)
        return Outputs(
            core.coil, core.lock, core.cp_mode, core.duty_centi, core.allowed, core.tripped, core.faults, self._reboot
        )

    def transmit(self) -> bytes:
        out = bytes(self._out)
        self._out.clear()
        return out

    def deadline(self, now: float) -> float:
        return min(self._core.deadline(now), self._next_s)

    def say(self, message: bytes) -> None:
        check = (crc32(message) ^ 0xFFFFFFFF).to_bytes(4, "little")
        self._out += cobs.encode(message + check) + b"\0"

    def flags(self, *bits: int) -> bytes:
        """An ErrorFlags message: the n-th field for the n-th bit."""
        return b"".join(number(tag, 1) for tag, bit in enumerate(bits, 1) if self._core.faults & bit)

    @property
    def closed(self) -> bool:
        return self._core.contactor in (WireContactor.CLOSED, WireContactor.WELDED)


class YetiFirmware(PionixFirmware):
    keep_alive_tag = 100

    def say_boot(self) -> None:
        self.say(number(101, 0))

    def obey(self, tag: int, value: int | bytes) -> None:
        match tag, value:
            case 103, int():
                self._duty = value
            case 104, int():
                self._allow = bool(value)
            case 102, int():
                self._lock = bool(value)
            case 105, 1:
                self._reboot = True

    def states(self, inputs: Inputs) -> dict[int, bytes]:
        core = self._core
        errors = self.flags(_DIODE, 0, _RESIDUAL, _VENTILATION, _LOCK_FAILURE, _PILOT, _OVER_CURRENT)
        return {
            102: number(102, _CP[core.cp]),
            103: number(103, self.closed),
            104: block(104, errors),
            106: number(106, 5 if core.faults & _PROXIMITY else _PP.get(self._board.pp_ampacity_a, 0)),
            107: number(107, 2 if inputs.locked else 1),
        }

    def periodic(self, inputs: Inputs, uptime_ms: int) -> list[bytes]:
        board = self._board
        keep_alive = number(1, uptime_ms) + number(3, 2) + block(6, b"1.2.3")
        keep_alive += real(7, board.max_current_a) + real(8, 6.0) + number(9, board.phases) + number(10, 1)
        values = [*inputs.voltage_v, *inputs.current_a]
        meter = b"".join(real(tag, value) for tag, value in enumerate(values, 2))
        meter += real(12, inputs.energy_wh)
        meter += b"".join(real(17 + at, inputs.voltage_v[at] * inputs.current_a[at]) for at in range(3))
        return [block(3, keep_alive), block(108, meter)]


class PhyVersoFirmware(PionixFirmware):
    """Its connector 1; of connector 2 it tells what a socket that nobody uses tells."""

    keep_alive_tag = 1

    def __init__(self, board: BoardType, now: float) -> None:
        self._configured = False
        super().__init__(board, now)

    def say_boot(self) -> None:
        self.say(number(2, 0) + number(6, 0))

    def obey(self, tag: int, value: int | bytes) -> None:
        match tag, value:
            case 4, int():
                self._duty = value
            case 5, bytes():
                self._allow = bool(dict(read(value)).get(2, 0))
            case 3, int():
                self._lock = bool(value)
            case 6, 1:
                self._reboot = True
            case 8, bytes():
                self._configured = True

    def states(self, inputs: Inputs) -> dict[int, bytes]:
        if not self._configured:
            return {11: block(11, b"")}
        core, here = self._core, number(6, 1)
        errors = self.flags(_DIODE, 0, _RESIDUAL, _VENTILATION, _LOCK_FAILURE, _PILOT, 0, _CONTACTOR, _PROXIMITY)
        errors += number(7, 1) if core.tripped else b""
        return {
            3: number(3, _CP[core.cp]) + here,
            4: block(4, number(1, 1) + number(2, self.closed)) + here,
            5: block(5, errors) + here,
            8: number(8, _PP.get(self._board.pp_ampacity_a, 0)) + here,
            10: number(10, 2 if inputs.locked else 1) + here,
            103: number(3, 0) + number(6, 2),
        }

    def periodic(self, inputs: Inputs, uptime_ms: int) -> list[bytes]:  # noqa: ARG002 - it has no meter
        return [block(1, number(1, uptime_ms) + number(3, 2) + block(6, b"0.9.0") + number(7, self._configured))]
