"""Between the wire's integers and the board floor's own words."""

from hal.diagnostics import Measurements
from hal.levels import BoardLevels, Setpoints
from hal.mcu.faults import from_bits
from hal.mcu.payloads import BoardFlag, Control, ControlFlag, HelloAck, State, StateFlag, Telemetry, Token, WireCpMode
from hal.ports import Contactor, CpMode, CpState, EvseCapabilities, TokenPresented
from hal.wire import WireSample

_CONTACTORS = (Contactor.OPEN, Contactor.CLOSED, Contactor.WELDED, Contactor.STUCK_OPEN)
_STEADY_DUTY = {CpMode.X1: 100.0, CpMode.E: 0.0, CpMode.F: 0.0}


def control_from(setpoints: Setpoints, phases: int, timeout_s: float) -> Control:
    flags = ControlFlag(0)
    if setpoints.allow_power:
        flags |= ControlFlag.ALLOW_POWER
    if setpoints.lock:
        flags |= ControlFlag.LOCK
    return Control(
        cp_mode=WireCpMode[setpoints.cp_mode],
        duty_centi=round(setpoints.duty_percent * 100),
        flags=flags,
        limit_da=min(round(setpoints.limit_a * 10), 0xFFFF),
        phases=phases,
        over_voltage_v=0,
        timeout_ms=round(timeout_s * 1000),
        token_seen=0,
    )


def levels_from(state: State) -> BoardLevels:
    mode = CpMode[state.cp_mode.name]
    return BoardLevels(
        cp=CpState[state.cp.name],
        cp_mode=mode,
        duty_percent=_STEADY_DUTY.get(mode, state.duty_centi / 100),
        contactor=_CONTACTORS[state.contactor],
        locked=bool(state.flags & StateFlag.LOCKED),
        power_permitted=bool(state.flags & StateFlag.POWER_PERMITTED),
        tripped=bool(state.flags & StateFlag.TRIPPED),
        unplug_count=state.unplug_count,
        pp_ampacity_a=float(state.pp_ampacity_a) or None,
        faults=from_bits(state.faults),
    )


def capabilities_from(board: HelloAck) -> EvseCapabilities:
    return EvseCapabilities(
        max_current_a=board.max_current_da / 10,
        min_current_a=board.min_current_da / 10,
        phases=board.phases,
        has_lock=bool(board.flags & BoardFlag.LOCK),
        has_ventilation=bool(board.flags & BoardFlag.VENTILATION),
        nominal_voltage_v=board.nominal_voltage_dv / 10,
        model=board.model,
        firmware=board.firmware,
    )


def sample_from(telemetry: Telemetry) -> WireSample:
    i1, i2, i3 = (value / 100 for value in telemetry.current_ca)
    u1, u2, u3 = (value / 10 for value in telemetry.voltage_dv)
    return WireSample(
        energy_import_wh=telemetry.energy_mwh / 1000,
        power_import_w=telemetry.power_dw / 10,
        current_a=(i1, i2, i3),
        voltage_v=(u1, u2, u3),
        age_s=telemetry.sample_age_ms / 1000,
    )


def measurements_from(state: State | None, telemetry: Telemetry | None) -> Measurements:
    return Measurements(
        cp_high_v=state.cp_high_cv / 100 if state else None,
        cp_low_v=state.cp_low_cv / 100 if state else None,
        pp_ampacity_a=float(state.pp_ampacity_a) or None if state else None,
        board_temp_c=telemetry.board_temp_dc / 10 if telemetry else None,
        plug_temp_c=telemetry.plug_temp_dc / 10 if telemetry else None,
        contactor_ms=float(state.contactor_ms) if state else None,
    )


def token_from(token: Token, now: float) -> TokenPresented:
    return TokenPresented(token.uid.hex().upper(), token.kind.name, now)
