"""chargebyte's frames and signals, and the wire's handshake, in virtual time and without a line."""

import random
from pathlib import Path

import pytest

from hal.chargebyte.board import CHARGE_SOM, ChargebyteBoard, ResetLine
from hal.chargebyte.frames import Com, Frame, FrameReader, crc8_j1850
from hal.chargebyte.signals import ChargeState, SafeReason, control_from, levels_from
from hal.chargebyte.wire import ChargebyteWire
from hal.levels import BoardLevels, Setpoints
from hal.ports import BoardUnavailable, Contactor, CpMode, CpState, Fault
from hal.quantities import EvseId
from hal.wire import WireDown, WireEvent, WireLog, WireUp

X1 = Setpoints(CpMode.X1, 100.0, False, False, 0.0)
VERSION = Frame(Com.FIRMWARE_VERSION, 0x0004_0181_0300_0100)
# Bytes of CHARGE_STATE as the published signal table has them: PWM on, 5.0 %, state C, 32 A, contactor 1 closed.
STATE_C = Frame(Com.CHARGE_STATE, 0x8032_0303_3E7C_0000)


def state(**changed: int) -> Frame:
    """A CHARGE_STATE with X1 and state A, changed field by field."""
    fields = {"pwm": (1, 63), "safe": (0, 58), "duty": (1000, 48), "cp": (1, 40), "errors": (0, 43), "pp": (0, 32)}
    fields |= {"c1": (1, 24), "c2": (3, 26), "c3": (3, 28), "rcm": (1, 22), "estop": (0, 16), "reason": (0, 8)}
    signals = 0
    for name, (value, bit) in fields.items():
        signals |= changed.pop(name, value) << bit
    assert not changed
    return Frame(Com.CHARGE_STATE, signals)


class Rig:
    def __init__(self) -> None:
        self.resets = 0
        self.alive = True
        self.wire = ChargebyteWire(CHARGE_SOM, self._reset, lambda: self.alive)
        self.now = 100.0
        self.wire.put(X1, self.now)
        self.wire.connected(self.now)

    def _reset(self) -> None:
        self.resets += 1

    def hear(self, *frames: Frame) -> list[WireEvent]:
        return self.wire.feed(b"".join(frame.to_wire() for frame in frames), self.now)

    def sent(self) -> list[Frame]:
        return FrameReader().feed(self.wire.data_to_send())

    def go(self, seconds: float) -> list[WireEvent]:
        events: list[WireEvent] = []
        end_s = self.now + seconds
        while (due := self.wire.deadline()) is not None and due <= end_s:
            self.now = due
            events += self.wire.tick(self.now)
        self.now = end_s
        return events


@pytest.fixture
def up() -> Rig:
    rig = Rig()
    rig.hear(VERSION)
    assert isinstance(rig.hear(state())[0], WireUp)
    rig.sent()
    return rig


def test_crc_of_the_standard_check_string() -> None:
    assert crc8_j1850(b"123456789") == 0x4B


def test_a_frame_on_the_wire() -> None:
    wire = Frame(Com.INQUIRY, Com.FIRMWARE_VERSION << 56).to_wire()
    assert wire[:3] == b"\xa5\xff\x0a"
    assert (len(wire), wire[-1]) == (12, 0x03)
    assert FrameReader().feed(wire) == [Frame(0xFF, 0x0A << 56)]


def test_a_reader_finds_the_next_frame_behind_anything() -> None:
    chance = random.Random(2)
    good = STATE_C.to_wire()
    for _ in range(300):
        reader = FrameReader()
        lost = chance.randrange(1, 12)
        noise = chance.randbytes(chance.randrange(0, 30))
        stream = good + noise + good[lost:] + good + good
        found: list[Frame] = []
        while stream:
            size = chance.randrange(1, 20)
            found += reader.feed(stream[:size])
            stream = stream[size:]
        # A false start within the noise may cost the frame behind it nothing: bytes are given up one by one.
        assert found[0] == STATE_C
        assert found[-2:] == [STATE_C, STATE_C]
        assert reader.drops["byte"] == len(noise) + 12 - lost


def test_each_single_spoilt_byte_is_seen() -> None:
    good = STATE_C.to_wire()
    for at in range(12):
        for change in range(1, 256):
            spoilt = bytearray(good)
            spoilt[at] ^= change
            assert FrameReader().feed(bytes(spoilt)) == []


def test_levels_of_a_charging_controller() -> None:
    levels = levels_from(ChargeState.from_signals(STATE_C.signals), asked_to_close=True)
    assert (levels.cp, levels.cp_mode, levels.duty_percent) == (CpState.C, CpMode.X2, 5.0)
    assert (levels.contactor, levels.pp_ampacity_a, levels.faults) == (Contactor.CLOSED, 32.0, frozenset())
    assert levels.power_permitted


@pytest.mark.parametrize(
    ("changed", "mode", "cp"),
    [
        ({}, CpMode.X1, CpState.A),
        ({"duty": 0, "cp": 6}, CpMode.F, CpState.F),
        ({"pwm": 0, "cp": 0}, CpMode.E, CpState.E),
        ({"duty": 533, "cp": 4}, CpMode.X2, CpState.D),
        ({"cp": 7}, CpMode.X1, CpState.E),
    ],
)
def test_pilot_levels(changed: dict[str, int], mode: CpMode, cp: CpState) -> None:
    levels = levels_from(ChargeState.from_signals(state(**changed).signals), asked_to_close=False)
    assert (levels.cp_mode, levels.cp) == (mode, cp)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"estop": 1}, Fault.EMERGENCY_STOP),
        ({"rcm": 3}, Fault.RESIDUAL_CURRENT),
        ({"errors": 1}, Fault.PILOT_FAULT),
        ({"errors": 2}, Fault.DIODE_FAULT),
        ({"safe": 1, "reason": SafeReason.PP_MALFUNCTION}, Fault.PROXIMITY_FAULT),
        ({"safe": 1, "reason": SafeReason.CP_MALFUNCTION}, Fault.PILOT_FAULT),
        ({"safe": 1, "reason": SafeReason.TEMP3_OVERTEMP}, Fault.CABLE_OVER_TEMP_STOP),
        ({"safe": 1, "reason": SafeReason.TEMP3_MALFUNCTION}, Fault.VENDOR_ERROR),
        ({"safe": 1, "reason": SafeReason.HV_SWITCH_MALFUNCTION}, Fault.EVSE_CONTACTOR_FAULT),
        ({"safe": 1, "reason": SafeReason.EMERGENCY_INPUT_3}, Fault.EMERGENCY_STOP),
        ({"safe": 1, "reason": SafeReason.RCM_SELFTEST}, Fault.RESIDUAL_CURRENT),
        ({"safe": 1, "reason": 200}, Fault.VENDOR_ERROR),
    ],
)
def test_faults(changed: dict[str, int], fault: Fault) -> None:
    assert ChargeState.from_signals(state(**changed).signals).faults() == {fault}


def test_set_points_on_the_wire() -> None:
    assert control_from(X1) == 0x83E8_0000_0000_0000
    assert control_from(Setpoints(CpMode.F, 0.0, False, False, 0.0)) == 0x8000_0000_0000_0000
    assert control_from(Setpoints(CpMode.E, 0.0, False, False, 0.0)) == 0
    assert control_from(Setpoints(CpMode.X2, 5.0, True, False, 0.0)) == 0x8032_0700_0000_0000
    assert control_from(Setpoints(CpMode.X2, 16.66, False, True, 0.0)) >> 48 & 0x3FF == 166, "never rounded up"


def test_the_version_is_asked_for_until_it_comes() -> None:
    rig = Rig()
    assert rig.hear(state()) == []
    rig.go(0.65)
    assert rig.sent() == [Frame(Com.INQUIRY, 0x0A << 56)] * 4
    rig.hear(VERSION)
    (control,) = rig.sent()
    assert (control.com, control.signals) == (Com.CHARGE_CONTROL, control_from(X1))
    up, levels = rig.hear(state())
    assert isinstance(up, WireUp)
    assert (up.board.model, up.board.firmware, up.board.has_lock) == ("chargebyte Charge SOM", "0.4.1", False)
    assert isinstance(levels, BoardLevels)


def test_control_is_the_heartbeat_and_carries_a_change_at_once(up: Rig) -> None:
    for _ in range(3):
        up.go(0.1)
        up.hear(state())
    assert len(up.sent()) == 3
    up.wire.put(Setpoints(CpMode.X2, 5.0, False, False, 0.0), up.now)
    up.wire.put(Setpoints(CpMode.X2, 5.0, False, False, 0.0), up.now)
    assert [frame.signals >> 48 for frame in up.sent()] == [0x8032]
    up.alive = False
    up.go(0.3)
    assert up.sent() == []


def test_silence_is_a_loss(up: Rig) -> None:
    assert up.go(0.49) == []
    (lost,) = up.go(0.02)
    assert isinstance(lost, WireDown)
    assert "no CHARGE_STATE for 0.5 s" in lost.reason
    assert "no firmware version" in up.wire.describe()


def test_a_pilot_that_is_not_driven_is_a_restart(up: Rig) -> None:
    (lost,) = up.hear(state(pwm=0, duty=0))
    assert lost == WireDown("the safety controller has restarted")
    up.hear(VERSION)
    assert up.hear(state(pwm=0, duty=0)) == [], "older than our first CHARGE_CONTROL"
    assert isinstance(up.hear(state())[0], WireUp)


def test_the_safe_state_after_silence_is_left_by_a_reset(up: Rig) -> None:
    (lost,) = up.hear(state(safe=1, reason=2, duty=0))
    assert lost == WireDown("safe state: COM_TIMEOUT")
    assert up.resets == 1
    up.hear(VERSION)
    for _ in range(15):
        assert up.hear(state(safe=1, reason=2, duty=0)) == []
        up.go(0.1)
    assert up.resets == 1, "it is given time to start"
    assert up.wire.describe().endswith("safe state: COM_TIMEOUT")
    up.go(1.0)
    up.hear(state(safe=1, reason=2, duty=0))
    assert up.resets == 2
    assert isinstance(up.hear(state())[0], WireUp)


def test_any_other_safe_state_waits_for_somebody(up: Rig) -> None:
    (levels,) = up.hear(state(safe=1, reason=SafeReason.CP_DIODE_FAULT, duty=0, cp=6))
    assert isinstance(levels, BoardLevels)
    assert levels.faults == {Fault.DIODE_FAULT}
    assert up.resets == 0
    (lost,) = up.wire.reset_controller(up.now)
    assert isinstance(lost, WireDown)
    assert up.wire.reset_controller(up.now) == []
    assert up.resets == 1


def test_error_messages_are_logged_and_the_rest_ignored(up: Rig) -> None:
    (said,) = up.hear(Frame(Com.ERROR_MESSAGE, 1 << 63), Frame(Com.PT1000_STATE, 7), Frame(0x42, 0))
    assert isinstance(said, WireLog)


def test_closing_is_told_once(up: Rig) -> None:
    assert up.wire.disconnected("unplugged") == [WireDown("unplugged")]
    assert up.wire.disconnected("again") == []
    assert (up.wire.deadline(), up.wire.describe()) == (None, "no line")


async def test_a_reset_line_that_cannot_be_written(caplog: pytest.LogCaptureFixture) -> None:
    line = ResetLine("/nonexistent/value")
    line.pulse()
    line.close()
    assert "reset line: " in caplog.text


async def test_a_reset_line_is_pulsed_and_never_left_active(tmp_path: Path) -> None:
    value = tmp_path / "value"
    value.write_bytes(b"")
    line = ResetLine(str(value))
    line.pulse()
    line.pulse()
    assert value.read_bytes() == b"1"
    line.close()
    assert value.read_bytes() == b"0"


async def test_a_reset_line_that_refuses(caplog: pytest.LogCaptureFixture) -> None:
    ResetLine("/dev/full").pulse()
    assert "reset line: [Errno 28]" in caplog.text


async def test_without_a_reset_line_somebody_is_told(caplog: pytest.LogCaptureFixture) -> None:
    board = ChargebyteBoard("/nonexistent", EvseId(1), lambda fact: None)
    await board.close()
    with pytest.raises(BoardUnavailable, match="no line"):
        await _quickly(board)
    assert "there is no reset line" in caplog.text


async def _quickly(board: ChargebyteBoard) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hal.chargebyte.board.RESTART_TIMEOUT_S", 0.01)
        await board.reset_faults()
