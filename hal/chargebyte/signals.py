"""The signals in a frame's 64 bits, by the published description of the protocol. Pure.

X1 is PWM at 100 %, F is PWM at 0 %; without PWM the pilot is not driven.
"""

from dataclasses import dataclass
from enum import IntEnum

from hal.levels import BoardLevels, Setpoints
from hal.ports import Contactor, CpMode, CpState, Fault

FULL_DUTY = 1000
CONTACTORS = 3


class CpCode(IntEnum):
    UNKNOWN = 0
    A = 1
    B = 2
    C = 3
    D = 4
    E = 5
    F = 6
    INVALID = 7


class ContactorCode(IntEnum):
    UNDEFINED = 0
    OPEN = 1
    CLOSED = 2
    UNUSED = 3


class SafeReason(IntEnum):
    """Why the controller is in its safe state, which only a reset ends."""

    NONE = 0
    INTERNAL_ERROR = 1
    COM_TIMEOUT = 2
    TEMP1_MALFUNCTION = 3
    TEMP2_MALFUNCTION = 4
    TEMP3_MALFUNCTION = 5
    TEMP4_MALFUNCTION = 6
    TEMP1_OVERTEMP = 7
    TEMP2_OVERTEMP = 8
    TEMP3_OVERTEMP = 9
    TEMP4_OVERTEMP = 10
    PP_MALFUNCTION = 11
    CP_MALFUNCTION = 12
    CP_SHORT_CIRCUIT = 13
    CP_DIODE_FAULT = 14
    HV_SWITCH_MALFUNCTION = 15
    EMERGENCY_INPUT_1 = 16
    EMERGENCY_INPUT_2 = 17
    EMERGENCY_INPUT_3 = 18
    RCM_ERROR = 20
    RCM_SELFTEST = 21


_FAULT_OF_REASON: dict[int, Fault] = {
    **dict.fromkeys(range(SafeReason.TEMP1_OVERTEMP, SafeReason.TEMP4_OVERTEMP + 1), Fault.CABLE_OVER_TEMP_STOP),
    SafeReason.PP_MALFUNCTION: Fault.PROXIMITY_FAULT,
    SafeReason.CP_MALFUNCTION: Fault.PILOT_FAULT,
    SafeReason.CP_SHORT_CIRCUIT: Fault.PILOT_FAULT,
    SafeReason.CP_DIODE_FAULT: Fault.DIODE_FAULT,
    SafeReason.HV_SWITCH_MALFUNCTION: Fault.EVSE_CONTACTOR_FAULT,
    **dict.fromkeys(range(SafeReason.EMERGENCY_INPUT_1, SafeReason.EMERGENCY_INPUT_3 + 1), Fault.EMERGENCY_STOP),
    SafeReason.RCM_ERROR: Fault.RESIDUAL_CURRENT,
    SafeReason.RCM_SELFTEST: Fault.RESIDUAL_CURRENT,
}

_STATES = {CpCode.A: CpState.A, CpCode.B: CpState.B, CpCode.C: CpState.C, CpCode.D: CpState.D, CpCode.F: CpState.F}
_PP_AMPACITY_A = {1: 13.0, 2: 20.0, 3: 32.0, 4: 63.0}
_ESTOP_TRIPPED = 1
_RCM_ERROR = 3
_CP_SHORT, _CP_DIODE = 1, 2


def _bits(signals: int, lowest: int, count: int) -> int:
    return signals >> lowest & (1 << count) - 1


def control_from(setpoints: Setpoints) -> int:
    """CHARGE_CONTROL: the PWM and one bit a contactor; those a board does not have are ignored by it."""
    if setpoints.cp_mode is CpMode.E:
        return 0
    # Never rounded up: that would offer more than was asked. The epsilon undoes binary fractions such as 16.6.
    duty = {CpMode.X1: FULL_DUTY, CpMode.F: 0}.get(setpoints.cp_mode, int(setpoints.duty_percent * 10 + 1e-6))
    contactors = (1 << CONTACTORS) - 1 if setpoints.allow_power else 0
    return 1 << 63 | duty << 48 | contactors << 40


@dataclass(frozen=True, slots=True)
class ChargeState:
    """CHARGE_STATE, as far as this driver uses it."""

    pwm_active: bool
    duty: int
    """In 0.1 %."""
    safe: bool
    reason: int
    cp: CpCode
    cp_errors: int
    pp: int
    contactors: tuple[int, ...]
    rcm: int
    estops: tuple[int, ...]

    @classmethod
    def from_signals(cls, signals: int) -> "ChargeState":
        return cls(
            pwm_active=bool(_bits(signals, 63, 1)),
            duty=_bits(signals, 48, 10),
            safe=_bits(signals, 58, 2) == 1,
            reason=_bits(signals, 8, 8),
            cp=CpCode(_bits(signals, 40, 3)),
            cp_errors=_bits(signals, 43, 2),
            pp=_bits(signals, 32, 3),
            contactors=tuple(_bits(signals, 24 + 2 * at, 2) for at in range(CONTACTORS)),
            rcm=_bits(signals, 22, 2),
            estops=tuple(_bits(signals, 16 + 2 * at, 2) for at in range(CONTACTORS)),
        )

    @property
    def reason_name(self) -> str:
        return SafeReason(self.reason).name if self.reason in set(SafeReason) else f"reason {self.reason}"

    @property
    def cp_mode(self) -> CpMode:
        if not self.pwm_active:
            return CpMode.E
        return {FULL_DUTY: CpMode.X1, 0: CpMode.F}.get(self.duty, CpMode.X2)

    def faults(self) -> frozenset[Fault]:
        found = set()
        if self.safe and self.reason != SafeReason.COM_TIMEOUT:
            found.add(_FAULT_OF_REASON.get(self.reason, Fault.VENDOR_ERROR))
        if _ESTOP_TRIPPED in self.estops:
            found.add(Fault.EMERGENCY_STOP)
        if self.rcm == _RCM_ERROR:
            found.add(Fault.RESIDUAL_CURRENT)
        if self.cp_errors & _CP_DIODE:
            found.add(Fault.DIODE_FAULT)
        if self.cp_errors & _CP_SHORT:
            found.add(Fault.PILOT_FAULT)
        return frozenset(found)


def levels_from(state: ChargeState, asked_to_close: bool) -> BoardLevels:
    """The protocol does not tell whether a contactor is driven: it is where that was asked and nothing prevents it."""
    closed = ContactorCode.CLOSED in state.contactors
    mode = state.cp_mode
    return BoardLevels(
        # An E, and what the controller cannot tell, are both no vehicle state.
        cp=_STATES.get(state.cp, CpState.E),
        cp_mode=mode,
        duty_percent={CpMode.X1: 100.0, CpMode.X2: state.duty / 10}.get(mode, 0.0),
        contactor=Contactor.CLOSED if closed else Contactor.OPEN,
        locked=False,
        power_permitted=asked_to_close and not state.safe,
        tripped=False,
        unplug_count=0,
        pp_ampacity_a=_PP_AMPACITY_A.get(state.pp),
        faults=state.faults(),
    )
