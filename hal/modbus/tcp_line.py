"""Modbus TCP (messaging implementation guide 1.0b): an MBAP header before each PDU."""

import asyncio
import contextlib
import struct

from hal.modbus.pdu import NoAnswer, Request

TIMEOUT_S = 1.0
_MBAP = struct.Struct(">HHHB")
_MAX_PDU = 253


class TcpLine:
    """`Transport` over one TCP connection, opened when it is needed and after each failure."""

    def __init__(self, host: str, port: int = 502, timeout_s: float = TIMEOUT_S) -> None:
        self._host = host
        self._port = port
        self._timeout_s = timeout_s
        self._transaction = 0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def exchange(self, unit: int, request: Request) -> bytes:
        """The answering PDU. Raises NoAnswer; the connection is then given up, and with it every late answer."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._ask(unit, request.to_pdu())
        except (TimeoutError, OSError, EOFError) as error:
            await self.close()
            raise NoAnswer(f"{self._host}:{self._port}: {str(error) or 'no answer'}") from error

    async def close(self) -> None:
        if self._streams is None:
            return
        _, writer = self._streams
        self._streams = None
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _ask(self, unit: int, pdu: bytes) -> bytes:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        self._transaction = (self._transaction + 1) & 0xFFFF
        writer.write(_MBAP.pack(self._transaction, 0, len(pdu) + 1, unit) + pdu)
        await writer.drain()
        while True:
            transaction, protocol, length, answering = _MBAP.unpack(await reader.readexactly(_MBAP.size))
            if protocol != 0 or not 2 <= length <= _MAX_PDU + 1:
                raise OSError("not Modbus TCP")
            answer = await reader.readexactly(length - 1)
            if (transaction, answering) == (self._transaction, unit):
                return answer
