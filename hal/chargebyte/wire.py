"""`Wire` to a chargebyte safety controller. Pure.

- CHARGE_CONTROL every 100 ms and on a change, CHARGE_STATE every 100 ms: levels both ways.
- The firmware version is asked for until it comes; the first CHARGE_STATE after the first CHARGE_CONTROL says that the
  link is up.
- A controller that missed our frames goes to its safe state, and only its reset line brings it back: the link is down
  until then. Every other reason for the safe state is a fault that a technician has to see to.
- Nothing in the protocol says that the controller has restarted. What shows it is a pilot that is not driven although
  it was, and was to be; the permission does not survive that.
"""

import logging
from collections.abc import Callable

from hal.chargebyte.frames import Com, Frame, FrameReader
from hal.chargebyte.signals import ChargeState, SafeReason, control_from, levels_from
from hal.levels import Setpoints
from hal.ports import CpMode, EvseCapabilities
from hal.wire import WireDown, WireEvent, WireLog, WireUp

PERIOD_S = 0.1
INQUIRY_PERIOD_S = 0.2
LOST_AFTER_S = 5 * PERIOD_S
RESET_AGAIN_S = 2.0
"""A controller needs 0.5 s of reset and 0.3 s to start."""
_PLATFORMS = {0x81: "Charge SOM", 0x82: "Charge Control Y"}
_NEVER = float("inf")


class ChargebyteWire:
    """`board` is what the board's maker knows and the controller cannot tell: current, phases.

    `reset` is called when the controller is to be reset; without a reset line it stays in its safe state.
    """

    stale_after_s = 3 * PERIOD_S

    def __init__(
        self, board: EvseCapabilities, reset: Callable[[], None], alive: Callable[[], bool] = lambda: True
    ) -> None:
        self.reader = FrameReader()
        self._board = board
        self._reset = reset
        self._alive = alive
        self._open = False
        self._version: tuple[int, ...] | None = None
        self._up = False
        self._out = bytearray()
        self._setpoints: Setpoints | None = None
        self._next_send_s = _NEVER
        self._controlled = False
        self._state_at_s = -_NEVER
        self._pilot_was_driven = False
        self._reset_again_s = -_NEVER
        self._safe_reason = ""

    @property
    def is_up(self) -> bool:
        return self._up

    @property
    def state_at_s(self) -> float:
        return self._state_at_s

    def describe(self) -> str:
        if not self._open:
            return "no line"
        if self._safe_reason:
            return f"the safety controller is in its safe state: {self._safe_reason}"
        why = "no firmware version" if self._version is None else "no CHARGE_STATE"
        return f"{why} (bytes dropped: {self.reader.drops['byte']})"

    def connected(self, now: float) -> None:
        self.reader.reset()
        self._out.clear()
        self._open = True
        self._begin(now)

    def disconnected(self, reason: str) -> list[WireEvent]:
        was_up, self._up, self._open = self._up, False, False
        self._next_send_s = _NEVER
        return [WireDown(reason)] if was_up else []

    def put(self, setpoints: Setpoints, now: float) -> None:
        changed, self._setpoints = setpoints != self._setpoints, setpoints
        if changed and self._open and self._version is not None:
            self._send_control(now)

    def feed(self, data: bytes, now: float) -> list[WireEvent]:
        events: list[WireEvent] = []
        for frame in self.reader.feed(data):
            events += self._take(frame, now)
        return events

    def tick(self, now: float) -> list[WireEvent]:
        if self._up and now >= self._state_at_s + LOST_AFTER_S:
            return self._lose(f"no CHARGE_STATE for {LOST_AFTER_S:g} s", now)
        if now >= self._next_send_s:
            if self._version is None:
                self._inquire(now)
            else:
                self._send_control(now)
        return []

    def deadline(self) -> float | None:
        if not self._open:
            return None
        return min(self._next_send_s, self._state_at_s + LOST_AFTER_S) if self._up else self._next_send_s

    def data_to_send(self) -> bytes:
        data = bytes(self._out)
        self._out.clear()
        return data

    def reset_controller(self, now: float) -> list[WireEvent]:
        """Pulse the reset line, unless that was done just now. What the controller said before counts no longer."""
        lost = self._lose("the safety controller is being reset", now) if self._up else []
        if now >= self._reset_again_s:
            self._reset_again_s = now + RESET_AGAIN_S
            self._reset()
        return lost

    # --- inside ---

    def _take(self, frame: Frame, now: float) -> list[WireEvent]:
        if frame.com == Com.FIRMWARE_VERSION:
            self._introduced(tuple(frame.signals.to_bytes(8)), now)
            return []
        if frame.com == Com.CHARGE_STATE:
            return self._state(ChargeState.from_signals(frame.signals), now)
        if frame.com == Com.ERROR_MESSAGE:
            return [WireLog(logging.WARNING, f"error message {frame.signals:016x}")]
        return []

    def _introduced(self, version: tuple[int, ...], now: float) -> None:
        if self._version is None:
            self._version = version
            self._send_control(now)

    def _state(self, state: ChargeState, now: float) -> list[WireEvent]:
        if self._version is None or not self._controlled:
            return []
        if state.safe and state.reason == SafeReason.COM_TIMEOUT:
            # Asked for again with every such state: the line may be slow, the pulse may have been missed.
            self._safe_reason = state.reason_name
            lost = self._lose(f"safe state: {state.reason_name}", now) if self._up else []
            return lost + self.reset_controller(now)
        self._safe_reason = state.reason_name if state.safe else ""
        if self._up and self._pilot_was_driven and not state.pwm_active and self._drives_pilot():
            return self._lose("the safety controller has restarted", now)
        self._pilot_was_driven = state.pwm_active
        self._state_at_s = now
        levels = levels_from(state, self._setpoints is not None and self._setpoints.allow_power)
        if self._up:
            return [levels]
        if not state.safe and not state.pwm_active and self._drives_pilot():
            # Older than our first CHARGE_CONTROL.
            return []
        self._up = True
        return [WireUp(self._capabilities(), same_boot=True), levels]

    def _drives_pilot(self) -> bool:
        return self._setpoints is not None and self._setpoints.cp_mode is not CpMode.E

    def _capabilities(self) -> EvseCapabilities:
        major, minor, build, platform, *_ = self._version or (0, 0, 0, 0)
        board = self._board
        return EvseCapabilities(
            max_current_a=board.max_current_a,
            min_current_a=board.min_current_a,
            phases=board.phases,
            has_lock=False,
            has_ventilation=board.has_ventilation,
            nominal_voltage_v=board.nominal_voltage_v,
            model=f"{board.model} {_PLATFORMS.get(platform, f'platform {platform:#x}')}".strip(),
            firmware=f"{major}.{minor}.{build}",
        )

    def _lose(self, reason: str, now: float) -> list[WireEvent]:
        self._begin(now)
        return [WireDown(reason)]

    def _begin(self, now: float) -> None:
        self._up = False
        self._version = None
        self._controlled = False
        self._pilot_was_driven = False
        self._inquire(now)

    def _inquire(self, now: float) -> None:
        self._next_send_s = now + INQUIRY_PERIOD_S
        self._send(Com.INQUIRY, Com.FIRMWARE_VERSION << 56)

    def _send_control(self, now: float) -> None:
        self._next_send_s = now + PERIOD_S
        if self._setpoints is not None and self._alive():
            self._controlled = True
            self._send(Com.CHARGE_CONTROL, control_from(self._setpoints))

    def _send(self, com: Com, signals: int) -> None:
        self._out += Frame(com, signals).to_wire()
