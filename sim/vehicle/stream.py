"""What the package's V2G session lacks on its TCP stream: framing, and a pause between repeated requests."""

import asyncio
from collections.abc import Callable

HEADER_LENGTH = 8
MAX_PAYLOAD_LENGTH = 65536
"""Far above any ISO 15118-2 message; a length beyond it is nonsense."""


class FramedReader:
    """Stands in for the StreamReader of an iso15118 communication session.

    The package takes each read for one message, so a response in two TCP segments would end it; and it repeats a
    request at once while the station answers Ongoing, which is hundreds a second. `pause_s` is asked once a message;
    `lost` is told why no more messages come.
    """

    def __init__(self, reader: asyncio.StreamReader, pause_s: Callable[[], float], lost: Callable[[str], None]) -> None:
        self._reader = reader
        self._pause_s = pause_s
        self._lost = lost
        self._ended = False

    async def read(self, _limit: int) -> bytes:
        """One whole V2GTP message, header included; empty when the station has closed the connection."""
        try:
            header = await self._reader.readexactly(HEADER_LENGTH)
            length = int.from_bytes(header[4:], "big")
            if length > MAX_PAYLOAD_LENGTH:
                return header
            message = header + await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            self._ended = True
            self._lost("the station closed the connection")
            return b""
        except asyncio.CancelledError:
            # This is how the package's timeout of a response shows here; it says nothing of it for five seconds more.
            self._lost("no answer in time")
            raise
        await asyncio.sleep(self._pause_s())
        return message

    def at_eof(self) -> bool:
        return self._ended
