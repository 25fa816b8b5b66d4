"""A board driver to copy: a manufacturer's own protocol, and all else left to `SerialBoard` (docs/porting.md).

The protocol stands for yours. A line is words and their CRC-32, every 100 ms and on a change:
to the board mode, duty, allow, lock, limit:       `X2 26.66 1 1 16.0 5d2e1f7a`;
from it boot, cp, mode, duty, closed, driven, locked, tripped, unplugs, pp and faults:
`7 C X2 26.66 1 1 1 0 3 32 - 0b61c9d4`.
"""

import zlib
from collections import Counter
from collections.abc import Callable

from hal.drivers import HAL_VERSION, Options, take_options
from hal.levels import BoardLevels, Setpoints
from hal.ports import Contactor, CpMode, CpState, EvseCapabilities, Fault, Report
from hal.quantities import EvseId
from hal.serial_board import SerialBoard
from hal.wire import WireDown, WireEvent, WireUp

PERIOD_S = 0.1
LOST_AFTER_S = 5 * PERIOD_S
MAX_LINE = 512

ACME = EvseCapabilities(
    max_current_a=32.0,
    min_current_a=6.0,
    phases=3,
    has_lock=True,
    has_ventilation=False,
    nominal_voltage_v=230.0,
    model="ACME One",
    firmware="1",
)


def to_line(*words: object) -> bytes:
    text = " ".join(map(str, words)).encode()
    return text + b" %08x\n" % zlib.crc32(text)


def from_line(line: bytes) -> list[str]:
    """The words. Raises ValueError for a line that is spoilt."""
    text, _, check = line.rpartition(b" ")
    if check != b"%08x" % zlib.crc32(text):
        raise ValueError("spoilt")
    return text.decode().split(" ")


class AcmeWire:
    """The state of the link: no line, waiting for the first levels, up."""

    stale_after_s = 3 * PERIOD_S

    def __init__(self, alive: Callable[[], bool]) -> None:
        self.drops: Counter[str] = Counter()
        self._alive = alive
        self._open = False
        self._up = False
        self._buffer = b""
        self._out = b""
        self._setpoints: Setpoints | None = None
        self._next_send_s = float("inf")
        self._state_at_s = float("-inf")
        self._boot = ""

    @property
    def is_up(self) -> bool:
        return self._up

    @property
    def state_at_s(self) -> float:
        return self._state_at_s

    def describe(self) -> str:
        return "no levels from the board" if self._open else "no line"

    def connected(self, now: float) -> None:
        self._open, self._up, self._buffer, self._out = True, False, b"", b""
        self._send(now)

    def disconnected(self, reason: str) -> list[WireEvent]:
        self._open, self._next_send_s = False, float("inf")
        return self._lose(reason)

    def put(self, setpoints: Setpoints, now: float) -> None:
        changed, self._setpoints = setpoints != self._setpoints, setpoints
        if changed and self._open:
            self._send(now)

    def feed(self, data: bytes, now: float) -> list[WireEvent]:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        # A line that never ends is no reason to keep it.
        self._buffer = self._buffer[-MAX_LINE:]
        return [event for line in lines for event in self._line(line, now)]

    def tick(self, now: float) -> list[WireEvent]:
        if self._up and now >= self._state_at_s + LOST_AFTER_S:
            return self._lose("no levels from the board")
        if now >= self._next_send_s:
            self._send(now)
        return []

    def deadline(self) -> float | None:
        if not self._open:
            return None
        return min(self._next_send_s, self._state_at_s + LOST_AFTER_S) if self._up else self._next_send_s

    def data_to_send(self) -> bytes:
        out, self._out = self._out, b""
        return out

    def _lose(self, reason: str) -> list[WireEvent]:
        was_up, self._up = self._up, False
        return [WireDown(reason)] if was_up else []

    def _send(self, now: float) -> None:
        self._next_send_s = now + PERIOD_S
        wanted = self._setpoints
        if wanted is not None and self._alive():
            # Until the board has been heard of it is allowed nothing: it may be another daemon's charge.
            allow = wanted.allow_power and self._up
            mode, duty, limit_a = wanted.cp_mode, wanted.duty_percent, wanted.limit_a
            self._out += to_line(mode, duty, int(allow), int(wanted.lock), limit_a)

    def _line(self, line: bytes, now: float) -> list[WireEvent]:
        try:
            boot, *said = from_line(line)
            levels = _levels(*said)
        except (ValueError, TypeError):
            # Spoilt, or another version's.
            self.drops["line"] += 1
            return []
        if self._up and boot != self._boot:
            return self._lose("the board has restarted")
        self._state_at_s = now
        if self._up:
            return [levels]
        if levels.tripped:
            # From before this conversation: the line on its way allows no power and clears it.
            return []
        same_boot, self._boot = boot == self._boot, boot
        self._up = True
        return [WireUp(ACME, same_boot), levels]


def _levels(
    cp: str,
    mode: str,
    duty: str,
    closed: str,
    driven: str,
    locked: str,
    tripped: str,
    unplugs: str,
    pp: str,
    faults: str,
) -> BoardLevels:
    return BoardLevels(
        cp=CpState(cp),
        cp_mode=CpMode(mode),
        duty_percent=float(duty),
        contactor=Contactor.CLOSED if closed == "1" else Contactor.OPEN,
        locked=locked == "1",
        power_permitted=driven == "1",
        tripped=tripped == "1",
        unplug_count=int(unplugs),
        pp_ampacity_a=float(pp) or None,
        faults=frozenset(Fault(fault) for fault in faults.split(",") if fault != "-"),
    )


class AcmeBoard(SerialBoard):
    """`BoardSupport`, complete: nothing of IEC 61851-1 is in this file."""

    hal_version = HAL_VERSION

    def __init__(
        self, device: str, evse: EvseId, report: Report, *, alive: Callable[[], bool], options: Options
    ) -> None:
        take_options(options, {})
        self._acme = AcmeWire(alive)
        super().__init__(device, evse, report, self._acme)

    async def reset_faults(self) -> None:
        """This board keeps no fault of its own. Raises BoardUnavailable."""
        await self._forget_faults(1.0)

    @property
    def frames_dropped(self) -> Counter[str]:
        return self._acme.drops
