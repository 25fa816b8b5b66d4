"""What the frames of the EVSE-MCU link carry: fixed little-endian structs (docs/mcu-link.md).

A payload may be longer than this version knows: the unknown tail is ignored. A shorter one is malformed.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import ClassVar, Self

MAX_PAYLOAD = 200


class PayloadError(ValueError):
    """The payload is not what its type says."""


class FrameType(IntEnum):
    """From the host below 0x80, from the MCU above."""

    HELLO = 0x01
    CONTROL = 0x02
    COMMAND = 0x03
    HELLO_ACK = 0x81
    STATE = 0x82
    TELEMETRY = 0x83
    ACK = 0x84
    LOG = 0x85
    TOKEN = 0x86


class WireCp(IntEnum):
    A = 0
    B = 1
    C = 2
    D = 3
    E = 4
    F = 5


class WireCpMode(IntEnum):
    X1 = 0
    X2 = 1
    E = 2
    F = 3


class WireContactor(IntEnum):
    OPEN = 0
    CLOSED = 1
    WELDED = 2
    STUCK_OPEN = 3


class ControlFlag(IntFlag):
    ALLOW_POWER = 1
    LOCK = 2


class StateFlag(IntFlag):
    """POWER_PERMITTED: the MCU's own conclusion, it holds the contactor closed. ARMED: it may come to that.

    TRIPPED: the watchdog found the host silent; cleared by a CONTROL without ALLOW_POWER.
    """

    POWER_PERMITTED = 1
    ARMED = 2
    LOCKED = 4
    TRIPPED = 8


class BoardFlag(IntFlag):
    LOCK = 1
    VENTILATION = 2
    READER = 4
    RCD_TEST = 8


class CommandCode(IntEnum):
    RESET_FAULT = 1
    RCD_TEST = 2
    LOCK_TEST = 3
    REBOOT = 4


class AckResult(IntEnum):
    DONE = 0
    UNSUPPORTED = 1
    REFUSED = 2
    FAILED = 3


class TokenKind(IntEnum):
    ISO14443 = 1
    ISO15693 = 2


def _unpack(layout: struct.Struct, payload: bytes, name: str) -> tuple[int, ...]:
    if len(payload) < layout.size:
        raise PayloadError(f"{name} of {len(payload)} bytes, {layout.size} are needed")
    return layout.unpack_from(payload)


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Hello:
    """The host starts a conversation. `nonce` comes back in HELLO_ACK; the MCU disarms until a CONTROL arms it."""

    type: ClassVar = FrameType.HELLO
    layout: ClassVar = struct.Struct("<I")
    nonce: int

    def to_bytes(self) -> bytes:
        return self.layout.pack(self.nonce)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        return cls(*_unpack(cls.layout, payload, "HELLO"))


@dataclass(frozen=True, slots=True)
class HelloAck:
    """What the board is. `boot_id` is a new random number at each start of the MCU."""

    type: ClassVar = FrameType.HELLO_ACK
    layout: ClassVar = struct.Struct("<IIHHHBB16s16s")
    nonce: int
    boot_id: int
    max_current_da: int
    """0.1 A."""
    min_current_da: int
    nominal_voltage_dv: int
    """Phase to neutral, 0.1 V."""
    phases: int
    flags: BoardFlag
    model: str
    firmware: str

    def to_bytes(self) -> bytes:
        return self.layout.pack(
            self.nonce,
            self.boot_id,
            self.max_current_da,
            self.min_current_da,
            self.nominal_voltage_dv,
            self.phases,
            self.flags,
            self.model.encode()[:16],
            self.firmware.encode()[:16],
        )

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        if len(payload) < cls.layout.size:
            raise PayloadError(f"HELLO_ACK of {len(payload)} bytes, {cls.layout.size} are needed")
        nonce, boot, highest, lowest, voltage, phases, flags, model, firmware = cls.layout.unpack_from(payload)
        return cls(nonce, boot, highest, lowest, voltage, phases, BoardFlag(flags), _text(model), _text(firmware))


@dataclass(frozen=True, slots=True)
class Control:
    """All set-points, every 100 ms and at once on a change. Each frame is complete in itself."""

    type: ClassVar = FrameType.CONTROL
    layout: ClassVar = struct.Struct("<BHBHBHHB")
    cp_mode: WireCpMode
    duty_centi: int
    """0.01 %; meant only with X2."""
    flags: ControlFlag
    limit_da: int
    """Over-current supervision in 0.1 A, 0 for none."""
    phases: int
    over_voltage_v: int
    """Phase to neutral, 0 for none."""
    timeout_ms: int
    """How long the MCU may go without a CONTROL before it makes itself safe; the MCU caps it at 1000."""
    token_seen: int
    """The number of the last TOKEN received, so that the MCU stops repeating it."""

    def to_bytes(self) -> bytes:
        return self.layout.pack(
            self.cp_mode,
            self.duty_centi,
            self.flags,
            self.limit_da,
            self.phases,
            self.over_voltage_v,
            self.timeout_ms,
            self.token_seen,
        )

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        mode, duty, flags, *rest = _unpack(cls.layout, payload, "CONTROL")
        try:
            return cls(WireCpMode(mode), duty, ControlFlag(flags), *rest)
        except ValueError as error:
            raise PayloadError(str(error)) from error


@dataclass(frozen=True, slots=True)
class State:
    """All levels, every 100 ms and at once on a change."""

    type: ClassVar = FrameType.STATE
    layout: ClassVar = struct.Struct("<BBHBBBIhhHHHI")
    cp: WireCp
    cp_mode: WireCpMode
    duty_centi: int
    flags: StateFlag
    contactor: WireContactor
    pp_ampacity_a: int
    """What the cable carries, 0 when not known or not fitted."""
    faults: int
    """Bit n is fault n of `hal.mcu.faults`."""
    cp_high_cv: int
    """0.01 V, the pilot's upper level as measured; so is cp_low_cv."""
    cp_low_cv: int
    unplug_count: int
    """How often state A was held for 100 ms since the start, modulo 65536: shows a replug whose frames were lost."""
    contactor_ms: int
    """What the last switching of the contactor took from coil to feedback."""
    control_age_ms: int
    uptime_ms: int

    def to_bytes(self) -> bytes:
        return self.layout.pack(
            self.cp,
            self.cp_mode,
            self.duty_centi,
            self.flags,
            self.contactor,
            self.pp_ampacity_a,
            self.faults,
            self.cp_high_cv,
            self.cp_low_cv,
            self.unplug_count,
            self.contactor_ms,
            self.control_age_ms,
            self.uptime_ms,
        )

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        cp, mode, duty, flags, contactor, *rest = _unpack(cls.layout, payload, "STATE")
        try:
            return cls(WireCp(cp), WireCpMode(mode), duty, StateFlag(flags), WireContactor(contactor), *rest)
        except ValueError as error:
            raise PayloadError(str(error)) from error


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The board's meter and its temperatures, once a second."""

    type: ClassVar = FrameType.TELEMETRY
    layout: ClassVar = struct.Struct("<Qi3H3HhhH")
    energy_mwh: int
    power_dw: int
    """0.1 W."""
    current_ca: tuple[int, int, int]
    """0.01 A for L1, L2, L3."""
    voltage_dv: tuple[int, int, int]
    """0.1 V, phase to neutral."""
    board_temp_dc: int
    """0.1 degrees Celsius; so is plug_temp_dc."""
    plug_temp_dc: int
    sample_age_ms: int
    """How old the meter's sample is."""

    def to_bytes(self) -> bytes:
        return self.layout.pack(
            self.energy_mwh,
            self.power_dw,
            *self.current_ca,
            *self.voltage_dv,
            self.board_temp_dc,
            self.plug_temp_dc,
            self.sample_age_ms,
        )

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        energy, power, i1, i2, i3, u1, u2, u3, board, plug, age = _unpack(cls.layout, payload, "TELEMETRY")
        return cls(energy, power, (i1, i2, i3), (u1, u2, u3), board, plug, age)


@dataclass(frozen=True, slots=True)
class Command:
    """Something to do once. Answered by an ACK that names this frame's seq."""

    type: ClassVar = FrameType.COMMAND
    layout: ClassVar = struct.Struct("<BI")
    code: int
    """A CommandCode; a number the MCU does not know is answered UNSUPPORTED."""
    argument: int = 0

    def to_bytes(self) -> bytes:
        return self.layout.pack(self.code, self.argument)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        return cls(*_unpack(cls.layout, payload, "COMMAND"))


@dataclass(frozen=True, slots=True)
class Ack:
    type: ClassVar = FrameType.ACK
    layout: ClassVar = struct.Struct("<HB")
    command_seq: int
    result: int

    def to_bytes(self) -> bytes:
        return self.layout.pack(self.command_seq, self.result)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        return cls(*_unpack(cls.layout, payload, "ACK"))


@dataclass(frozen=True, slots=True)
class Log:
    """A line for the host's log: `level` as in syslog (RFC 5424), 3 error to 7 debug."""

    type: ClassVar = FrameType.LOG
    layout: ClassVar = struct.Struct("<B")
    level: int
    text: str

    def to_bytes(self) -> bytes:
        return self.layout.pack(self.level) + self.text.encode()[: MAX_PAYLOAD - self.layout.size]

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        (level,) = _unpack(cls.layout, payload, "LOG")
        return cls(level, _text(payload[cls.layout.size :]))


@dataclass(frozen=True, slots=True)
class Token:
    """A card at the board's reader, repeated every 100 ms until CONTROL's token_seen names it, at most for 5 s."""

    type: ClassVar = FrameType.TOKEN
    layout: ClassVar = struct.Struct("<BBB")
    number: int
    """1 to 255, another one for each presentation."""
    kind: TokenKind
    uid: bytes

    def to_bytes(self) -> bytes:
        return self.layout.pack(self.number, self.kind, len(self.uid)) + self.uid

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        number, kind, length = _unpack(cls.layout, payload, "TOKEN")
        uid = payload[cls.layout.size : cls.layout.size + length]
        if len(uid) != length or not uid:
            raise PayloadError(f"TOKEN with {len(uid)} of {length} bytes of UID")
        try:
            return cls(number, TokenKind(kind), uid)
        except ValueError as error:
            raise PayloadError(str(error)) from error


Payload = Hello | HelloAck | Control | State | Telemetry | Command | Ack | Log | Token
PAYLOADS: dict[int, type[Payload]] = {
    kind.type: kind for kind in (Hello, HelloAck, Control, State, Telemetry, Command, Ack, Log, Token)
}
