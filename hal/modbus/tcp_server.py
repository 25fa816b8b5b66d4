"""A Modbus TCP server: somebody else reads and writes the station's registers (messaging implementation guide 1.0b).

What a client sends is bounded and answered or refused; a client that breaks the protocol is hung up on.
"""

import asyncio
import contextlib
import struct
from collections.abc import Sequence
from typing import Protocol

from hal.modbus.pdu import EXCEPTION, MAX_READ, MAX_WRITE, READ_HOLDING, READ_INPUT, WRITE_MANY, WRITE_ONE

MAX_CLIENTS = 4
IDLE_S = 600.0
_MBAP = struct.Struct(">HHHB")
_MAX_PDU = 253

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3


class RegisterFault(Exception):
    """The client is answered with this exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


class Registers(Protocol):
    """What is behind the server; addresses are as on the wire, from 0."""

    def read(self, address: int, count: int) -> Sequence[int]:
        """Raises RegisterFault."""
        ...

    def write(self, address: int, values: Sequence[int]) -> None:
        """All or none. Raises RegisterFault."""
        ...


def answer(registers: Registers, pdu: bytes) -> bytes:
    """The PDU that answers one."""
    try:
        return _answer(registers, pdu)
    except RegisterFault as fault:
        return bytes((pdu[0] | EXCEPTION, fault.code))


def _answer(registers: Registers, pdu: bytes) -> bytes:
    function = pdu[0]
    if function in (READ_HOLDING, READ_INPUT) and len(pdu) == 5:
        address, count = struct.unpack_from(">HH", pdu, 1)
        if not 1 <= count <= MAX_READ:
            raise RegisterFault(ILLEGAL_VALUE)
        return struct.pack(f">BB{count}H", function, 2 * count, *registers.read(address, count))
    if function == WRITE_ONE and len(pdu) == 5:
        address, value = struct.unpack_from(">HH", pdu, 1)
        registers.write(address, (value,))
        return pdu
    if function == WRITE_MANY and len(pdu) >= 6:
        address, count, octets = struct.unpack_from(">HHB", pdu, 1)
        if not 1 <= count <= MAX_WRITE or octets != 2 * count or len(pdu) != 6 + octets:
            raise RegisterFault(ILLEGAL_VALUE)
        registers.write(address, struct.unpack_from(f">{count}H", pdu, 6))
        return pdu[:5]
    raise RegisterFault(ILLEGAL_FUNCTION)


class TcpServer:
    """`unit` is not looked at: there is one device behind the address."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def open(self, host: str, port: int) -> int:
        """Returns the port it listens on. Raises OSError."""
        self._server = await asyncio.start_server(self._accept, host, port)
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for client in list(self._clients):
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._clients) >= MAX_CLIENTS:
            writer.close()
            return
        self._clients.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, EOFError, TimeoutError):
            pass  # It went, or says nothing: nobody to answer.
        finally:
            self._clients.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(IDLE_S):
                transaction, protocol, length, unit = _MBAP.unpack(await reader.readexactly(_MBAP.size))
                if protocol != 0 or not 2 <= length <= _MAX_PDU + 1:
                    return
                pdu = await reader.readexactly(length - 1)
            body = answer(self._registers, pdu)
            writer.write(_MBAP.pack(transaction, 0, len(body) + 1, unit) + body)
            await writer.drain()
