"""The DC contacts of the cable: a Unix stream socket with a JSON object a line. The vehicle's side is `DcPlug`.

To the cabinet: `{"battery_v": 380, "soc_percent": 30}` when the plug goes in, `{"closed": true}` for the vehicle's own
contactors, `{"unplugged": true}`, and from who breaks things `{"fault": "leak", "active": true}`. From the cabinet,
twenty times a second: `DcContacts`.
"""

import asyncio
import contextlib
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class DcContacts:
    """What a vehicle measures at its inlet, and its battery's own word."""

    t: float
    voltage_v: float
    current_a: float
    energy_wh: float
    soc_percent: float
    cable_c: float

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        said = json.loads(line)
        return cls(**{field.name: said[field.name] for field in fields(cls)})

    def to_line(self) -> bytes:
        return json.dumps({field.name: getattr(self, field.name) for field in fields(self)}).encode() + b"\n"


class DcPlug:
    """Connect, then `contacts` are the latest. Raises OSError when there is no cabinet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: DcContacts) -> None:
        self._reader = reader
        self._writer = writer
        self.contacts = first
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def connect(cls, path: Path | str) -> Self:
        reader, writer = await asyncio.open_unix_connection(str(path))
        return cls(reader, writer, DcContacts.from_line(await reader.readline()))

    async def plug_in(self, battery_v: float, soc_percent: float) -> None:
        await self.say({"battery_v": battery_v, "soc_percent": soc_percent})

    async def close_contactors(self, closed: bool) -> None:
        await self.say({"closed": closed})

    async def unplug(self) -> None:
        await self.say({"unplugged": True})

    async def fault(self, name: str, active: bool = True) -> None:
        await self.say({"fault": name, "active": active})

    async def say(self, words: dict[str, object]) -> None:
        self._writer.write(json.dumps(words).encode() + b"\n")
        await self._writer.drain()

    async def close(self) -> None:
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

    async def _listen(self) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await self._reader.readline():
                self.contacts = DcContacts.from_line(line)
