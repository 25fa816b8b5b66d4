"""The charging cable: a Unix stream socket with a JSON object a line. The vehicle's side is `Cable`.

To the board: `{"cp": "C"}`, `{"draw_a": [16, 16, 16]}`, `{"swipe": {"id_token": "04A2B3C4", "kind": "ISO14443"}}`,
`{"fault": "ResidualCurrent", "active": true}`. From the board, at connect, at each change and once a second: `Levels`.
A cable stays plugged when its socket closes: a vehicle does not roll away because its software ended.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self


class CableError(Exception):
    """The line cannot be used: nobody there, or not the other end of this cable."""


@dataclass(frozen=True, slots=True)
class Levels:
    """What a vehicle, and a bystander with instruments, can measure at the connector."""

    t: float
    """time.monotonic() of the board's machine."""
    cp: str
    """The state the vehicle shows, A to D."""
    cp_mode: str
    duty_percent: float
    """100 with X1, 0 with E and F."""
    contactor: str
    """`open` or `closed`, as the contacts are."""
    locked: bool
    limit_a: float
    """What the duty lets the vehicle draw; 0 with 5 %, which leaves it to the messages."""
    permitted: bool
    """The daemon's CONTROL allows power."""
    energy_wh: float
    current_a: list[float]
    voltage_v: list[float]

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """Raises CableError."""
        try:
            said = json.loads(line)
            return cls(**{field.name: said[field.name] for field in fields(cls)})
        except (ValueError, TypeError, KeyError) as error:
            raise CableError(f"not levels: {line[:80]!r}") from error

    def to_line(self) -> bytes:
        return json.dumps({field.name: getattr(self, field.name) for field in fields(self)}).encode() + b"\n"


CLOSE_S = 1.0
"""How long a board may take to hear the rest."""


class Cable:
    """The vehicle's end. All sending methods return once the line has taken the words."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._levels: Levels | None = None
        self._changed = asyncio.Condition()
        self._broken: CableError | None = None
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def connect(cls, path: Path | str, timeout_s: float = 5.0) -> Self:
        """Waits for the board to be there. Raises CableError."""
        try:
            async with asyncio.timeout(timeout_s):
                cable = cls(*await _open(path))
        except TimeoutError as error:
            raise CableError(f"nobody at {path} for {timeout_s:g} s") from error
        await cable.wait_for(lambda _: True, timeout_s)
        return cable

    @property
    def levels(self) -> Levels:
        """The latest. Raises CableError when the board has gone."""
        if self._broken is not None or self._levels is None:
            raise self._broken or CableError("no levels yet")
        return self._levels

    async def set_cp(self, state: str) -> None:
        """Show state A, B, C or D; A is unplugged."""
        await self._say({"cp": state})

    async def draw(self, *current_a: float) -> None:
        """Take so much per phase, as soon as and as long as the contactor is closed."""
        await self._say({"draw_a": list(current_a)})

    async def swipe(self, id_token: str, kind: str = "ISO14443") -> None:
        """Hold a card (its UID in hex) to the reader."""
        await self._say({"swipe": {"id_token": id_token, "kind": kind}})

    async def fault(self, name: str, active: bool = True) -> None:
        """A fault by its `hal.ports.Fault` value, or one of the plant: weld, stuck_open, lock_jam, silence, reset."""
        await self._say({"fault": name, "active": active})

    async def wait_for(self, predicate: Callable[[Levels], bool], timeout_s: float = 10.0) -> Levels:
        """The first levels that please. Raises TimeoutError with the last levels, CableError when the board goes."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                while self._broken is None and not (self._levels and predicate(self._levels)):
                    await self._changed.wait()
        except TimeoutError as error:
            raise TimeoutError(f"not within {timeout_s:g} s; last: {self._levels}") from error
        return self.levels

    async def close(self) -> None:
        """Once the board has heard all: a socket closed with answers unread takes the last words with it."""
        with contextlib.suppress(OSError):
            self._writer.write_eof()
            await asyncio.wait({self._listening}, timeout=CLOSE_S)
        self._listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listening
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _say(self, words: dict[str, object]) -> None:
        try:
            self._writer.write(json.dumps(words).encode() + b"\n")
            await self._writer.drain()
        except ConnectionError as error:
            raise CableError("the board has gone") from error

    async def _listen(self) -> None:
        broken = CableError("the board has gone")
        try:
            while line := await self._reader.readline():
                await self._note(Levels.from_line(line))
        except ConnectionError:
            pass
        except CableError as error:
            broken = error
        async with self._changed:
            self._broken = broken
            self._changed.notify_all()

    async def _note(self, levels: Levels) -> None:
        async with self._changed:
            self._levels = levels
            self._changed.notify_all()


async def _open(path: Path | str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while True:
        try:
            return await asyncio.open_unix_connection(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            await asyncio.sleep(0.02)
