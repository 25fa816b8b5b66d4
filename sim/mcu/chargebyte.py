"""The simulated MCU as a chargebyte safety controller: the same safety core behind another protocol. Pure.

Silence for 0.9 s leads to the safe state, which only a reset ends. Signals are packed here by hand: of the driver
this shares the names of the codes and nothing else.
"""

from hal.chargebyte.signals import ContactorCode, CpCode, SafeReason
from hal.mcu.payloads import Control, ControlFlag, TokenKind, WireContactor, WireCp, WireCpMode
from sim.mcu.core import SafetyCore
from sim.mcu.firmware import BoardType, Inputs, Outputs

STATE_PERIOD_S = 0.1
COM_TIMEOUT_MS = 900
VERSION = (0, 4, 1, 0x81, 0x03, 0, 1, 0)
_CP = {WireCp.A: CpCode.A, WireCp.B: CpCode.B, WireCp.C: CpCode.C, WireCp.D: CpCode.D, WireCp.E: CpCode.E}
_PP = {13: 1, 20: 2, 32: 3, 63: 4}
_EMERGENCY_STOP, _CONTACTOR, _PROXIMITY, _RESIDUAL = 1 << 6, 1 << 10, 1 << 13, 1 << 16
_REASONS = (
    (_CONTACTOR, SafeReason.HV_SWITCH_MALFUNCTION),
    (_EMERGENCY_STOP, SafeReason.EMERGENCY_INPUT_1),
    (_PROXIMITY, SafeReason.PP_MALFUNCTION),
    (_RESIDUAL, SafeReason.RCM_ERROR),
)


def crc8(data: bytes) -> int:
    """CRC-8 SAE J1850, bit by bit."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1D) & 0xFF if crc & 0x80 else (crc << 1) & 0xFF
    return crc ^ 0xFF


def frame(com: int, data: bytes) -> bytes:
    return bytes((0xA5, com)) + data + bytes((crc8(bytes((com,)) + data), 0x03))


class ChargebyteFirmware:
    """`Firmware` in chargebyte's protocol."""

    def __init__(self, board: BoardType, now: float) -> None:
        self._board = board
        self._core = SafetyCore(now)
        self._buffer = bytearray()
        self._out = bytearray()
        self._controlled = False
        self._reason = SafeReason.NONE
        self._next_state_s = now
        self._stated = b""

    def receive(self, data: bytes, now: float) -> None:
        self._buffer += data
        while len(self._buffer) >= 12:
            whole = bytes(self._buffer[:12])
            if whole == frame(whole[1], whole[2:10]):
                del self._buffer[:12]
                self._obey(whole[1], whole[2:10], now)
            else:
                del self._buffer[:1]

    def present(self, kind: TokenKind, uid: bytes, now: float) -> None:
        """It has no reader."""

    def step(self, inputs: Inputs, now: float) -> Outputs:
        core = self._core
        core.vehicle(inputs.cp, now)
        core.feedback(inputs.contactor_closed, now)
        core.current(max(inputs.current_a))
        core.injected = inputs.faults
        core.tick(now)
        self._judge()
        if self._reason is not SafeReason.NONE:
            core.coil = False
            core.cp_mode = WireCpMode.F
        self._state(now)
        return Outputs(
            coil=core.coil,
            lock=False,
            cp_mode=core.cp_mode,
            duty_centi=core.duty_centi,
            allowed=core.allowed,
            tripped=core.tripped,
            faults=core.faults,
        )

    def transmit(self) -> bytes:
        out = bytes(self._out)
        self._out.clear()
        return out

    def deadline(self, now: float) -> float:
        return min(self._core.deadline(now), self._next_state_s)

    def _judge(self) -> None:
        """The safe state is latched with its first reason."""
        if self._reason is not SafeReason.NONE:
            return
        if self._core.tripped:
            self._reason = SafeReason.COM_TIMEOUT
        self._reason = next((reason for bit, reason in _REASONS if self._core.faults & bit), self._reason)

    def _obey(self, com: int, data: bytes, now: float) -> None:
        if com == 0xFF and data[0] == 0x0A:
            self._out += frame(0x0A, bytes(VERSION))
        elif com == 0x06 and self._reason is SafeReason.NONE:
            self._control(data, now)

    def _control(self, data: bytes, now: float) -> None:
        active, duty = bool(data[0] & 0x80), int.from_bytes(data[:2]) & 0x3FF
        mode = WireCpMode.X2
        if not active or duty == 0:
            mode = WireCpMode.F
        elif duty == 1000:
            mode = WireCpMode.X1
        allow = ControlFlag.ALLOW_POWER if data[2] & 1 else ControlFlag(0)
        self._controlled = active
        # This controller arms itself with its first frame.
        self._core.armed = True
        self._core.control(Control(mode, 10 * duty, allow, 0, self._board.phases, 0, COM_TIMEOUT_MS, 0), now)

    def _state(self, now: float) -> None:
        signals = self._signals()
        if signals == self._stated and now < self._next_state_s:
            return
        self._stated = signals
        self._next_state_s = now + STATE_PERIOD_S
        self._out += frame(0x07, signals)

    def _signals(self) -> bytes:
        core = self._core
        safe = self._reason is not SafeReason.NONE
        duty = {WireCpMode.X1: 1000, WireCpMode.X2: core.duty_centi // 10}.get(core.cp_mode, 0)
        closed = core.contactor is WireContactor.CLOSED or core.contactor is WireContactor.WELDED
        contactor = ContactorCode.CLOSED if closed else ContactorCode.OPEN
        estop = 1 if core.faults & _EMERGENCY_STOP else 0
        return bytes(
            (
                (0x80 if self._controlled or safe else 0) | (0x04 if safe else 0) | duty >> 8,
                duty & 0xFF,
                _CP.get(core.cp, CpCode.UNKNOWN),
                _PP.get(self._board.pp_ampacity_a, 0),
                contactor | ContactorCode.UNUSED << 2 | ContactorCode.UNUSED << 4,
                (3 if core.faults & _RESIDUAL else 1) << 6 | 0x3C | estop,
                self._reason,
                0,
            )
        )
