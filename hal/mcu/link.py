"""The host's end of the EVSE-MCU link (docs/mcu-link.md): handshake, CONTROL cadence, supervision. Pure.

- HELLO is repeated until its HELLO_ACK comes; nothing else is sent before, so no board is steered by a stranger.
- CONTROL carries all set-points, every 100 ms and at once on a change. It is the heartbeat: whoever calls `tick` is the
  one whose silence opens the contactor. A CONTROL is never sent from a timer of its own.
- The link is up with the first STATE after the first CONTROL: the set-points are with the board by then.
- It is down after five missed STATE periods. One corrupted byte in 500 spoils 7 % of the STATE frames, so three in a
  row would be lost every five minutes, five in a row once in half a day. For a snapshot three periods are too old.
- An MCU that restarts says so by its uptime, which falls; the handshake starts anew.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from hal.mcu.frames import Frame
from hal.mcu.payloads import Ack, Command, Control, Hello, HelloAck, Log, Payload, State, StateFlag, Telemetry, Token
from hal.mcu.reader import FrameReader

CONTROL_PERIOD_S = 0.1
STATE_PERIOD_S = 0.1
HELLO_PERIOD_S = 0.2
STALE_AFTER_S = 3 * STATE_PERIOD_S
LOST_AFTER_S = 5 * STATE_PERIOD_S
_UPTIME_WRAP_MS = 1 << 31


@dataclass(frozen=True, slots=True)
class LinkUp:
    board: HelloAck
    same_boot: bool
    """False when the MCU has restarted since the link was last up, or was never seen before."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    reason: str


@dataclass(frozen=True, slots=True)
class BoardLog:
    level: int
    text: str


LinkEvent = LinkUp | LinkDown | State | Telemetry | Token | Ack | BoardLog


class _Phase(Enum):
    CLOSED = "no line"
    HELLO = "no answer to HELLO"
    SYNC = "no STATE after HELLO_ACK"
    UP = "up"


class McuLink:
    """`feed` and `tick` return events; `data_to_send()` is what the line is to carry next."""

    def __init__(self, evse: int, nonce: int, alive: Callable[[], bool] = lambda: True) -> None:
        """`nonce` is any number no other host process uses. While `alive` says False no CONTROL is sent."""
        self.reader = FrameReader()
        self.ignored: Counter[str] = Counter()
        self._evse = evse
        self._nonce = nonce
        self._alive = alive
        self._phase = _Phase.CLOSED
        self._seq = 0
        self._out = bytearray()
        self._board: HelloAck | None = None
        self._boot_id: int | None = None
        self._control: Control | None = None
        self._next_send_s = float("inf")
        self._state_at_s = float("-inf")
        self._uptime_ms = 0
        self._token_seen = 0

    @property
    def is_up(self) -> bool:
        return self._phase is _Phase.UP

    @property
    def state_at_s(self) -> float:
        """When the last STATE came."""
        return self._state_at_s

    def describe(self) -> str:
        """Why the link is not up, with what was dropped: for an error message."""
        drops = ", ".join(f"{reason.name} {count}" for reason, count in sorted(self.reader.drops.items()))
        return f"{self._phase.value} (frames dropped: {drops or 'none'})"

    def connected(self, now: float) -> None:
        """The line is open; what came before is void."""
        self.reader.reset()
        self._out.clear()
        self._start_handshake(now)

    def disconnected(self, reason: str) -> list[LinkEvent]:
        was_up = self.is_up
        self._phase = _Phase.CLOSED
        self._next_send_s = float("inf")
        return [LinkDown(reason)] if was_up else []

    def control(self, control: Control, now: float) -> None:
        """The set-points from now on; a change goes out at once."""
        changed = control != self._control
        self._control = control
        if changed and self._phase in (_Phase.SYNC, _Phase.UP):
            self._send_control(now)

    def command(self, code: int, argument: int = 0) -> int:
        """Ask once; the Ack event names the sequence number returned here."""
        return self._send(Command(code, argument))

    def feed(self, data: bytes, now: float) -> list[LinkEvent]:
        """Bytes from the line."""
        events: list[LinkEvent] = []
        for frame in self.reader.feed(data):
            if frame.evse != self._evse:
                self.ignored["other evse"] += 1
                continue
            events += self._take(frame.payload, now)
        return events

    def tick(self, now: float) -> list[LinkEvent]:
        """Send what is due."""
        if self.is_up and now >= self._state_at_s + LOST_AFTER_S:
            self._start_handshake(now)
            return [LinkDown(f"no STATE for {LOST_AFTER_S:g} s")]
        if now >= self._next_send_s:
            if self._phase is _Phase.HELLO:
                self._send_hello(now)
            else:
                self._send_control(now)
        return []

    def deadline(self) -> float | None:
        """When to tick next; None while there is no line."""
        if self._phase is _Phase.CLOSED:
            return None
        return min(self._next_send_s, self._state_at_s + LOST_AFTER_S) if self.is_up else self._next_send_s

    def data_to_send(self) -> bytes:
        data = bytes(self._out)
        self._out.clear()
        return data

    def _take(self, payload: Payload, now: float) -> list[LinkEvent]:
        match payload:
            case HelloAck():
                self._welcomed(payload, now)
                return []
            case State():
                return self._state(payload, now)
            case Token():
                return self._token(payload, now)
            case Log():
                return [BoardLog(payload.level, payload.text)]
            case Telemetry() | Ack() if self.is_up:
                return [payload]
            case _:
                self.ignored[type(payload).__name__] += 1
                return []

    def _welcomed(self, board: HelloAck, now: float) -> None:
        if self._phase is not _Phase.HELLO or board.nonce != self._nonce:
            self.ignored["HelloAck"] += 1
            return
        self._board = board
        self._phase = _Phase.SYNC
        self._send_control(now)

    def _state(self, state: State, now: float) -> list[LinkEvent]:
        if self._phase not in (_Phase.SYNC, _Phase.UP) or self._board is None:
            self.ignored["State"] += 1
            return []
        if 0 < self._uptime_ms - state.uptime_ms < _UPTIME_WRAP_MS:
            was_up = self.is_up
            self._start_handshake(now)
            return [LinkDown("the board has restarted")] if was_up else []
        self._uptime_ms = state.uptime_ms
        self._state_at_s = now
        if self.is_up:
            return [state]
        if state.flags & StateFlag.TRIPPED:
            # A trip from before this conversation: the CONTROL on its way clears it.
            return []
        return [self._synchronised(self._board), state]

    def _synchronised(self, board: HelloAck) -> LinkUp:
        same_boot = board.boot_id == self._boot_id
        if not same_boot:
            self._token_seen = 0
        self._boot_id = board.boot_id
        self._phase = _Phase.UP
        return LinkUp(board, same_boot)

    def _token(self, token: Token, now: float) -> list[LinkEvent]:
        if not self.is_up or token.number == self._token_seen:
            return []
        self._token_seen = token.number
        self._send_control(now)
        return [token]

    def _start_handshake(self, now: float) -> None:
        self._phase = _Phase.HELLO
        self._uptime_ms = 0
        self._nonce = (self._nonce + 1) & 0xFFFFFFFF
        self._send_hello(now)

    def _send_hello(self, now: float) -> None:
        self._send(Hello(self._nonce))
        self._next_send_s = now + HELLO_PERIOD_S

    def _send_control(self, now: float) -> None:
        self._next_send_s = now + CONTROL_PERIOD_S
        if self._control is not None and self._alive():
            self._send(replace(self._control, token_seen=self._token_seen))

    def _send(self, payload: Payload) -> int:
        self._seq = (self._seq + 1) & 0xFFFF
        self._out += Frame(self._seq, self._evse, payload).to_wire()
        return self._seq
