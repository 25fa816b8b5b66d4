"""The C reference MCU of hal/mcu/reference, run in the simulator's process: nothing of the codec above it is ours."""

import ctypes
import random
import time
from pathlib import Path

from hal.mcu.payloads import TokenKind, WireCpMode
from sim.mcu.firmware import BoardType, Inputs, Outputs, high_cv, low_cv

STEP_S = 0.005


class _Board(ctypes.Structure):
    _fields_ = (
        ("evse", ctypes.c_uint8),
        ("phases", ctypes.c_uint8),
        ("flags", ctypes.c_uint8),
        ("pp_ampacity_a", ctypes.c_uint8),
        ("max_current_da", ctypes.c_uint16),
        ("min_current_da", ctypes.c_uint16),
        ("voltage_dv", ctypes.c_uint16),
        ("telemetry_ms", ctypes.c_uint16),
        ("boot_id", ctypes.c_uint32),
        ("model", ctypes.c_char * 16),
        ("firmware", ctypes.c_char * 16),
    )


class _Inputs(ctypes.Structure):
    _fields_ = (
        ("energy_mwh", ctypes.c_uint64),
        ("power_dw", ctypes.c_int32),
        ("faults", ctypes.c_uint32),
        ("current_ca", ctypes.c_uint16 * 3),
        ("voltage_dv", ctypes.c_uint16 * 3),
        ("sample_age_ms", ctypes.c_uint16),
        ("cp_high_cv", ctypes.c_int16),
        ("cp_low_cv", ctypes.c_int16),
        ("board_temp_dc", ctypes.c_int16),
        ("plug_temp_dc", ctypes.c_int16),
        ("cp", ctypes.c_uint8),
        ("contactor_closed", ctypes.c_uint8),
        ("locked", ctypes.c_uint8),
    )


class _Outputs(ctypes.Structure):
    _fields_ = (
        ("faults", ctypes.c_uint32),
        ("duty_centi", ctypes.c_uint16),
        ("cp_mode", ctypes.c_uint8),
        ("coil", ctypes.c_uint8),
        ("lock", ctypes.c_uint8),
        ("allowed", ctypes.c_uint8),
        ("tripped", ctypes.c_uint8),
        ("reboot", ctypes.c_uint8),
        ("rcd_test", ctypes.c_uint8),
    )


class ReferenceFirmware:
    """`Firmware` in C, stepped every 5 ms as on a board."""

    def __init__(self, library: Path, board: BoardType, now: float) -> None:
        self._c = ctypes.CDLL(str(library))
        self._c.evse_mcu_size.restype = ctypes.c_size_t
        self._c.evse_mcu_transmit.restype = ctypes.c_size_t
        self._mcu = ctypes.create_string_buffer(self._c.evse_mcu_size())
        self._buffer = ctypes.create_string_buffer(1024)
        # A counter that has run before, so that it wraps within minutes rather than after 49 days.
        self._offset_ms = (1 << 32) - 60_000 - round(time.monotonic() * 1000)
        self._mode = WireCpMode.F
        self._c.evse_mcu_init(self._mcu, ctypes.byref(_soldered(board)), self._millis(now))

    def receive(self, data: bytes, now: float) -> None:
        self._c.evse_mcu_receive(self._mcu, data, ctypes.c_size_t(len(data)), self._millis(now))

    def present(self, kind: TokenKind, uid: bytes, now: float) -> None:
        self._c.evse_mcu_present(self._mcu, ctypes.c_uint8(kind), uid, ctypes.c_uint8(len(uid)), self._millis(now))

    def step(self, inputs: Inputs, now: float) -> Outputs:
        out = _Outputs()
        self._c.evse_mcu_step(self._mcu, ctypes.byref(_pins(inputs, self._mode)), ctypes.byref(out), self._millis(now))
        self._mode = WireCpMode(out.cp_mode)
        return Outputs(
            coil=bool(out.coil),
            lock=bool(out.lock),
            cp_mode=WireCpMode(out.cp_mode),
            duty_centi=out.duty_centi,
            allowed=bool(out.allowed),
            tripped=bool(out.tripped),
            faults=out.faults,
            reboot=bool(out.reboot),
            rcd_test=bool(out.rcd_test),
        )

    def transmit(self) -> bytes:
        count = self._c.evse_mcu_transmit(self._mcu, self._buffer, ctypes.c_size_t(len(self._buffer)))
        return self._buffer.raw[:count]

    def deadline(self, now: float) -> float:
        return now + STEP_S

    def _millis(self, now: float) -> ctypes.c_uint32:
        return ctypes.c_uint32(round(now * 1000) + self._offset_ms & 0xFFFFFFFF)


def _soldered(board: BoardType) -> _Board:
    return _Board(
        evse=board.evse,
        phases=board.phases,
        flags=(1 if board.has_lock else 0) | (2 if board.has_ventilation else 0) | 4 | (8 if board.has_rcd_test else 0),
        pp_ampacity_a=board.pp_ampacity_a,
        max_current_da=round(board.max_current_a * 10),
        min_current_da=60,
        voltage_dv=round(board.voltage_v * 10),
        telemetry_ms=round(board.telemetry_s * 1000),
        boot_id=random.getrandbits(32),
        model=board.model.encode()[:16],
        firmware=b"1.0.0",
    )


def _pins(inputs: Inputs, mode: WireCpMode) -> _Inputs:
    return _Inputs(
        energy_mwh=round(inputs.energy_wh * 1000),
        power_dw=round(inputs.power_w * 10),
        faults=inputs.faults,
        current_ca=(ctypes.c_uint16 * 3)(*(round(value * 100) for value in inputs.current_a)),
        voltage_dv=(ctypes.c_uint16 * 3)(*(round(value * 10) for value in inputs.voltage_v)),
        sample_age_ms=0,
        cp_high_cv=high_cv(inputs.cp, mode),
        cp_low_cv=low_cv(inputs.cp, mode),
        board_temp_dc=350,
        plug_temp_dc=280,
        cp=inputs.cp,
        contactor_closed=inputs.contactor_closed,
        locked=inputs.locked,
    )
