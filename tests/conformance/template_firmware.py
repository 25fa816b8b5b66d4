"""The far end of `template_board.py`: the simulator's safety core behind the template's protocol."""

import contextlib
import random

from hal.mcu.faults import from_bits
from hal.mcu.payloads import Control, ControlFlag, TokenKind, WireCpMode
from sim.mcu.core import SafetyCore
from sim.mcu.firmware import BoardType, Inputs, Outputs
from tests.conformance.template_board import from_line, to_line

STATE_PERIOD_S = 0.1
TIMEOUT_MS = 900
_STEADY_DUTY = {WireCpMode.X1: 100.0, WireCpMode.E: 0.0, WireCpMode.F: 0.0}


class TemplateFirmware:
    """`sim.mcu.firmware.Firmware`."""

    def __init__(self, board: BoardType, now: float) -> None:
        self._board = board
        self._core = SafetyCore(now)
        self._boot = random.randrange(1000)
        self._buffer = b""
        self._out = b""
        self._stated = b""
        self._next_state_s = now

    def receive(self, data: bytes, now: float) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):
                self._obey(from_line(line), now)

    def present(self, kind: TokenKind, uid: bytes, now: float) -> None:
        """It has no reader."""

    def step(self, inputs: Inputs, now: float) -> Outputs:
        core = self._core
        core.vehicle(inputs.cp, now)
        core.feedback(inputs.contactor_closed, now)
        core.current(max(inputs.current_a))
        core.injected = inputs.faults
        core.tick(now)
        self._state(inputs, now)
        return Outputs(core.coil, core.lock, core.cp_mode, core.duty_centi, core.allowed, core.tripped, core.faults)

    def transmit(self) -> bytes:
        out, self._out = self._out, b""
        return out

    def deadline(self, now: float) -> float:
        return min(self._core.deadline(now), self._next_state_s)

    def _obey(self, words: list[str], now: float) -> None:
        mode, duty, allow, lock, limit_a = words
        flags = ControlFlag.ALLOW_POWER if allow == "1" else ControlFlag(0)
        flags |= ControlFlag.LOCK if lock == "1" else ControlFlag(0)
        duty_centi, limit_da = round(float(duty) * 100), round(float(limit_a) * 10)
        self._core.control(Control(WireCpMode[mode], duty_centi, flags, limit_da, 3, 0, TIMEOUT_MS, 0), now)
        if allow != "1":
            # Unlike our own MCU's, this board's faults end with the permission.
            self._core.reset_fault()

    def _state(self, inputs: Inputs, now: float) -> None:
        core = self._core
        line = to_line(
            self._boot,
            core.cp.name,
            core.cp_mode.name,
            _STEADY_DUTY.get(core.cp_mode, core.duty_centi / 100),
            int(inputs.contactor_closed),
            int(core.coil),
            int(inputs.locked),
            int(core.tripped),
            core.unplug_count,
            self._board.pp_ampacity_a,
            ",".join(sorted(from_bits(core.faults))) or "-",
        )
        if line != self._stated or now >= self._next_state_s:
            self._stated, self._next_state_s = line, now + STATE_PERIOD_S
            self._out += line
