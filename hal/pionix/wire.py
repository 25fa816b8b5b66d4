"""`Wire` to a Pionix board. Pure.

The boards' protocol is one of edges, sent once and not acknowledged. Made into levels here:

- What the board is to do is sent on a change and again with every keep-alive, twice a second.
- At the beginning the board is reset, so that it tells every state: what it told before the line was open is lost. The
  link is up when it has told who it is and what the pilot shows.
- A reset that was not ours is a restart: the link is down until all has been told again, and no permission survives it.
  It shows by the board's word, or by its time going back, should that word have been lost.
- Nothing confirms a duty, or that the relay is driven: what was sent is taken for done.
- One dialect does not tell that the board's watchdog found us silent. A heartbeat that is late is therefore taken for a
  trip, whatever the board says: the permission ends, and is not among what is sent next.

# unverified: that a board tells its states again with each keep-alive; of one that does not, a lost frame is missed
# until the next change. How long its own watchdog waits for ours is not published either.
"""

from collections.abc import Callable
from typing import Protocol

from hal.levels import BoardLevels, Setpoints
from hal.pionix.dialect import Dialect
from hal.pionix.frames import MessageReader, to_wire
from hal.pionix.protobuf import Message, ProtobufError
from hal.ports import Contactor, CpMode, CpState, EvseCapabilities, Fault
from hal.wire import WireDown, WireEvent, WireSample, WireUp

BOARD_PERIOD_S = 1.0
PERIOD_S = 0.5
SILENT_S = 1.0
LOST_AFTER_S = 3.5 * BOARD_PERIOD_S
RESET_AGAIN_S = 2.0
_NEVER = float("inf")
_CP = (CpState.A, CpState.B, CpState.C, CpState.D, CpState.E, CpState.F)
_PP_AMPACITY_A = {1: 13.0, 2: 20.0, 3: 32.0, 4: 63.0}
_PP_FAULT = 5
_LOCKED = 2


class Tongue(Protocol):
    """What is said to the board, in its dialect."""

    def keep_alive(self) -> bytes: ...
    def reset(self) -> bytes: ...
    def setpoints(self, setpoints: Setpoints) -> list[bytes]: ...
    def configuration(self) -> bytes: ...
    def capabilities(self, keep_alive: Message, board: EvseCapabilities) -> EvseCapabilities: ...


class PionixWire:
    """`board` is what the board's maker knows and the board cannot tell. `connector` counts where there are two."""

    stale_after_s = 3 * BOARD_PERIOD_S

    def __init__(
        self,
        dialect: Dialect,
        tongue: Tongue,
        board: EvseCapabilities,
        connector: int = 1,
        alive: Callable[[], bool] = lambda: True,
    ) -> None:
        self.reader = MessageReader()
        self._dialect = dialect
        self._tongue = tongue
        self._board = board
        self._connector = connector
        self._alive = alive
        self._open = False
        self._up = False
        self._out = bytearray()
        self._setpoints: Setpoints | None = None
        self._next_send_s = _NEVER
        self._reset_again_s = _NEVER
        self._tell_at_s = _NEVER
        self._sent_at_s = -_NEVER
        self._state_at_s = -_NEVER
        self._forget()

    def _forget(self) -> None:
        self._board_time = 0
        self._capabilities: EvseCapabilities | None = None
        self._cp: CpState | None = None
        self._closed = False
        self._locked = False
        self._pp = 0
        self._flags = Message({})

    @property
    def is_up(self) -> bool:
        return self._up

    @property
    def state_at_s(self) -> float:
        return self._state_at_s

    def describe(self) -> str:
        if not self._open:
            return "no line"
        why = "no keep-alive" if self._capabilities is None else "no pilot state"
        return f"{why} from the board (frames dropped: {self.reader.drops.total()})"

    def connected(self, now: float) -> None:
        self.reader.reset()
        self._out.clear()
        self._open = True
        self._begin(now)

    def disconnected(self, reason: str) -> list[WireEvent]:
        was_up, self._up, self._open = self._up, False, False
        self._next_send_s = self._reset_again_s = _NEVER
        return [WireDown(reason)] if was_up else []

    def put(self, setpoints: Setpoints, now: float) -> None:
        changed, self._setpoints = setpoints != self._setpoints, setpoints
        if changed and self._up:
            self._send_setpoints()
            self._tell_at_s = now

    def feed(self, data: bytes, now: float) -> list[WireEvent]:
        events: list[WireEvent] = []
        for message in self.reader.feed(data):
            try:
                events += self._take(message, now)
            except ProtobufError:
                self.reader.drops["protobuf"] += 1
        return events

    def tick(self, now: float) -> list[WireEvent]:
        if self._up and now >= self._state_at_s + LOST_AFTER_S:
            self._begin(now)
            return [WireDown(f"no keep-alive for {LOST_AFTER_S:g} s")]
        if now >= self._reset_again_s:
            self._begin(now)
        if now >= self._next_send_s and self._alive():
            tripped = self._up and now > self._sent_at_s + SILENT_S
            self._heartbeat(now)
            if tripped:
                return self._levels(tripped=True)
            self._send_setpoints()
        if now >= self._tell_at_s:
            return self._levels()
        return []

    def deadline(self) -> float | None:
        if not self._open:
            return None
        lost_at_s = self._state_at_s + LOST_AFTER_S if self._up else _NEVER
        return min(self._next_send_s, self._reset_again_s, self._tell_at_s, lost_at_s)

    def data_to_send(self) -> bytes:
        data = bytes(self._out)
        self._out.clear()
        return data

    def reset_board(self, now: float) -> list[WireEvent]:
        """What it told before counts no longer."""
        was_up = self._up
        self._begin(now)
        return [WireDown("the board is being reset")] if was_up else []

    # --- what the board says ---

    def _take(self, message: Message, now: float) -> list[WireEvent]:
        says, dialect = message.has, self._dialect
        if dialect.connector and message.number(dialect.connector) not in (0, self._connector):
            return []
        if says(dialect.keep_alive):
            return self._kept_alive(message.message(dialect.keep_alive), now)
        if says(dialect.reset):
            return self._restarted()
        if dialect.config_request and says(dialect.config_request):
            self._send(self._tongue.configuration())
            return []
        if dialect.power_meter and says(dialect.power_meter):
            return [_sample(message.message(dialect.power_meter))] if self._up else []
        self._note(message)
        return self._told(now)

    def _note(self, message: Message) -> None:
        says, dialect = message.has, self._dialect
        if says(dialect.cp_state):
            number = message.number(dialect.cp_state)
            self._cp = _CP[number] if number < len(_CP) else CpState.E
        elif says(dialect.coil_state):
            if dialect.coil_is_message:
                self._closed = message.message(dialect.coil_state).flag(2)
            else:
                self._closed = message.flag(dialect.coil_state)
        elif says(dialect.error_flags):
            self._flags = message.message(dialect.error_flags)
        elif says(dialect.pp_state):
            self._pp = message.number(dialect.pp_state)
        elif says(dialect.lock_state):
            self._locked = message.number(dialect.lock_state) == _LOCKED

    def _kept_alive(self, keep_alive: Message, now: float) -> list[WireEvent]:
        board_time, before = keep_alive.number(1), self._board_time
        lost = self._restarted() if board_time < before else []
        self._board_time = board_time
        self._state_at_s = now
        self._capabilities = self._tongue.capabilities(keep_alive, self._board)
        return lost + self._told(now)

    def _restarted(self) -> list[WireEvent]:
        was_up, self._up = self._up, False
        self._forget()
        return [WireDown("the board has restarted")] if was_up else []

    def _told(self, now: float) -> list[WireEvent]:
        """The levels, once all of them are known."""
        if self._capabilities is None or self._cp is None:
            return []
        if self._up:
            return self._levels()
        self._up = True
        self._reset_again_s = _NEVER
        self._state_at_s = now
        self._send_setpoints()
        return [WireUp(self._capabilities, same_boot=False), *self._levels()]

    def _levels(self, *, tripped: bool = False) -> list[WireEvent]:
        self._tell_at_s = _NEVER
        setpoints, timeout = self._setpoints, self._dialect.heartbeat_timeout
        if setpoints is None or self._cp is None:
            return []
        tripped = tripped or bool(timeout and self._flags.flag(timeout))
        mode = CpMode.F if tripped or setpoints.cp_mode is CpMode.E else setpoints.cp_mode
        levels = BoardLevels(
            cp=self._cp,
            cp_mode=mode,
            duty_percent={CpMode.X1: 100.0, CpMode.F: 0.0}.get(mode, setpoints.duty_percent),
            contactor=Contactor.CLOSED if self._closed else Contactor.OPEN,
            locked=self._locked,
            power_permitted=setpoints.allow_power and not tripped,
            tripped=tripped,
            unplug_count=0,
            pp_ampacity_a=_PP_AMPACITY_A.get(self._pp),
            faults=self._faults(),
        )
        return [levels]

    def _faults(self) -> frozenset[Fault]:
        flagged = {fault for number, fault in self._dialect.faults.items() if self._flags.flag(number)}
        return frozenset(flagged | {Fault.PROXIMITY_FAULT} if self._pp == _PP_FAULT else flagged)

    # --- what it is told ---

    def _begin(self, now: float) -> None:
        self._up = False
        self._forget()
        self._reset_again_s = now + RESET_AGAIN_S
        self._send(self._tongue.reset())
        self._heartbeat(now)

    def _heartbeat(self, now: float) -> None:
        self._next_send_s = now + PERIOD_S
        self._sent_at_s = now
        self._send(self._tongue.keep_alive())

    def _send_setpoints(self) -> None:
        """A board that has not told who it is may still be starting: it is told once it has."""
        if self._setpoints is not None and self._up and self._alive():
            for message in self._tongue.setpoints(self._setpoints):
                self._send(message)

    def _send(self, message: bytes) -> None:
        self._out += to_wire(message)


def _sample(meter: Message) -> WireSample:
    """Volts, amperes, watts and watt-hours, as the board's own meter counts them."""
    v1, v2, v3, i1, i2, i3 = (meter.real(number) for number in (2, 3, 4, 5, 6, 7))
    return WireSample(
        energy_import_wh=meter.real(12),
        power_import_w=sum(meter.real(number) for number in (17, 18, 19)),
        current_a=(i1, i2, i3),
        voltage_v=(v1, v2, v3),
        age_s=0.0,
    )
