"""The simulated MCU's program: the MCU's end of the link around its safety core. Pure: bytes and levels in and out."""

import random
from dataclasses import dataclass, replace
from typing import Protocol

from hal.mcu.frames import Frame
from hal.mcu.payloads import (
    Ack,
    AckResult,
    BoardFlag,
    Command,
    CommandCode,
    Control,
    Hello,
    HelloAck,
    Log,
    Payload,
    State,
    StateFlag,
    Telemetry,
    Token,
    TokenKind,
    WireCp,
    WireCpMode,
)
from hal.mcu.reader import FrameReader
from sim.mcu.core import SafetyCore

STATE_PERIOD_S = 0.1
TOKEN_LIFE_S = 5.0
_HIGH_CV = {WireCp.A: 1200, WireCp.B: 900, WireCp.C: 600, WireCp.D: 300}


@dataclass(frozen=True, slots=True)
class BoardType:
    """What is soldered: the MCU tells it in HELLO_ACK."""

    evse: int = 1
    phases: int = 3
    voltage_v: float = 230.0
    max_current_a: float = 32.0
    has_lock: bool = True
    has_ventilation: bool = False
    has_rcd_test: bool = True
    pp_ampacity_a: int = 32
    telemetry_s: float = 1.0
    model: str = "sim-mcu"


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the MCU's pins and its meter say."""

    cp: WireCp
    contactor_closed: bool
    locked: bool
    current_a: tuple[float, float, float]
    voltage_v: tuple[float, float, float]
    power_w: float
    energy_wh: float
    faults: int
    """Fault bits of the board's own sensors."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the MCU drives, and what a bystander with a debugger sees."""

    coil: bool
    lock: bool
    cp_mode: WireCpMode
    duty_centi: int
    allowed: bool
    tripped: bool
    faults: int
    reboot: bool = False
    rcd_test: bool = False


def high_cv(cp: WireCp, mode: WireCpMode) -> int:
    """The pilot's upper level, 0.01 V."""
    return {WireCpMode.E: 0, WireCpMode.F: -1200}.get(mode, _HIGH_CV.get(cp, 0))


def low_cv(cp: WireCp, mode: WireCpMode) -> int:
    """The lower one: a steady pilot has but one level."""
    return -1200 if mode is WireCpMode.X2 else high_cv(cp, mode)


class Firmware(Protocol):
    """One program for the MCU. `step` after each input and at `deadline`; then send what `transmit` gives."""

    def receive(self, data: bytes, now: float) -> None: ...
    def present(self, kind: TokenKind, uid: bytes, now: float) -> None: ...
    def step(self, inputs: Inputs, now: float) -> Outputs: ...
    def transmit(self) -> bytes: ...
    def deadline(self, now: float) -> float: ...


class PythonFirmware:
    """`Firmware` on our own frame codec."""

    def __init__(self, board: BoardType, now: float) -> None:
        self._board = board
        self._core = SafetyCore(now)
        self._booted_s = now
        self._boot_id = random.getrandbits(32)
        self._reader = FrameReader()
        self._out = bytearray()
        self._seq = 0
        self._reboot = False
        self._rcd_seq = 0
        self._token: Token | None = None
        self._token_until_s = 0.0
        self._token_number = 0
        self._next_state_s = self._next_telemetry_s = now
        self._stated: State | None = None

    def receive(self, data: bytes, now: float) -> None:
        for frame in self._reader.feed(data):
            if frame.evse == self._board.evse:
                self._obey(frame, now)

    def present(self, kind: TokenKind, uid: bytes, now: float) -> None:
        self._token_number = self._token_number % 255 + 1
        self._token, self._token_until_s = Token(self._token_number, kind, uid), now + TOKEN_LIFE_S
        self._send(self._token)

    def step(self, inputs: Inputs, now: float) -> Outputs:
        core = self._core
        core.vehicle(inputs.cp, now)
        core.feedback(inputs.contactor_closed, now)
        core.current(max(inputs.current_a))
        core.injected = inputs.faults
        was_tripped = core.tripped
        core.tick(now)
        if core.rcd_result is not None:
            self._send(Ack(self._rcd_seq, AckResult.DONE if core.rcd_result else AckResult.FAILED))
        if core.tripped and not was_tripped:
            self._send(Log(4, "host silent: contactor open, pilot F"))
        self._state(inputs, now)
        if now >= self._next_telemetry_s:
            self._next_telemetry_s = now + self._board.telemetry_s
            self._send(_telemetry(inputs))
        return Outputs(
            core.coil,
            core.lock,
            core.cp_mode,
            core.duty_centi,
            core.allowed,
            core.tripped,
            core.faults,
            self._reboot,
            core.rcd_test,
        )

    def transmit(self) -> bytes:
        out = bytes(self._out)
        self._out.clear()
        return out

    def deadline(self, now: float) -> float:
        return min(self._core.deadline(now), self._next_state_s, self._next_telemetry_s)

    def _obey(self, frame: Frame, now: float) -> None:
        match frame.payload:
            case Hello(nonce):
                self._core.hello()
                self._send(self._introduction(nonce))
            case Control() as control:
                self._core.control(control, now)
                if self._token and control.token_seen == self._token.number:
                    self._token = None
            case Command(CommandCode.RCD_TEST) if self._board.has_rcd_test:
                self._rcd_seq = frame.seq
                if not self._core.begin_rcd_test(now):
                    self._send(Ack(frame.seq, AckResult.REFUSED))
            case Command(code):
                self._send(Ack(frame.seq, self._do(code)))

    def _do(self, code: int) -> AckResult:
        if code == CommandCode.RESET_FAULT:
            return AckResult.DONE if self._core.reset_fault() else AckResult.REFUSED
        if code == CommandCode.REBOOT:
            self._reboot = True
            return AckResult.DONE
        return AckResult.UNSUPPORTED

    def _introduction(self, nonce: int) -> HelloAck:
        board = self._board
        flags = BoardFlag.READER
        flags |= BoardFlag.LOCK if board.has_lock else BoardFlag(0)
        flags |= BoardFlag.VENTILATION if board.has_ventilation else BoardFlag(0)
        flags |= BoardFlag.RCD_TEST if board.has_rcd_test else BoardFlag(0)
        return HelloAck(
            nonce=nonce,
            boot_id=self._boot_id,
            max_current_da=round(board.max_current_a * 10),
            min_current_da=60,
            nominal_voltage_dv=round(board.voltage_v * 10),
            phases=board.phases,
            flags=flags,
            model=board.model,
            firmware="1.0.0",
        )

    def _state(self, inputs: Inputs, now: float) -> None:
        core = self._core
        levels = State(
            cp=core.cp,
            cp_mode=core.cp_mode,
            duty_centi=core.duty_centi,
            flags=core.flags | (StateFlag.LOCKED if inputs.locked else StateFlag(0)),
            contactor=core.contactor,
            pp_ampacity_a=self._board.pp_ampacity_a,
            faults=core.faults,
            cp_high_cv=high_cv(core.cp, core.cp_mode),
            cp_low_cv=low_cv(core.cp, core.cp_mode),
            unplug_count=core.unplug_count,
            contactor_ms=core.contactor_ms,
            control_age_ms=0,
            uptime_ms=0,
        )
        if levels == self._stated and now < self._next_state_s:
            return
        self._stated = levels
        self._next_state_s = now + STATE_PERIOD_S
        age_ms = round(min(core.control_age_s(now) * 1000, 0xFFFF))
        uptime_ms = round((now - self._booted_s) * 1000) & 0xFFFFFFFF
        self._send(replace(levels, control_age_ms=age_ms, uptime_ms=uptime_ms))
        if self._token and now < self._token_until_s:
            self._send(self._token)

    def _send(self, payload: Payload) -> None:
        self._seq = (self._seq + 1) & 0xFFFF
        self._out += Frame(self._seq, self._board.evse, payload).to_wire()


def _telemetry(inputs: Inputs) -> Telemetry:
    i1, i2, i3 = (round(value * 100) for value in inputs.current_a)
    u1, u2, u3 = (round(value * 10) for value in inputs.voltage_v)
    return Telemetry(
        energy_mwh=round(inputs.energy_wh * 1000),
        power_dw=round(inputs.power_w * 10),
        current_ca=(i1, i2, i3),
        voltage_dv=(u1, u2, u3),
        board_temp_dc=350,
        plug_temp_dc=280,
        sample_age_ms=0,
    )
