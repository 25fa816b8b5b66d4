"""The server's end of Modbus TCP: what clients may ask, and what they get for breaking the protocol."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from hal.modbus import tcp_server
from hal.modbus.tcp_server import ILLEGAL_ADDRESS, RegisterFault, TcpServer, answer


class Memory:
    def __init__(self) -> None:
        self.values = [0] * 8

    def read(self, address: int, count: int) -> Sequence[int]:
        if address + count > 8:
            raise RegisterFault(ILLEGAL_ADDRESS)
        return self.values[address : address + count]

    def write(self, address: int, values: Sequence[int]) -> None:
        if address + len(values) > 8:
            raise RegisterFault(ILLEGAL_ADDRESS)
        self.values[address : address + len(values)] = values


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("0300000002", "030400010000"),
        ("0400000001", "04020001"),
        ("0600020007", "0600020007"),
        ("10000400020400080009", "1000040002"),
        ("0300070002", "8302"),
        ("0300000000", "8303"),
        ("030000007e", "8303"),
        ("0600080007", "8602"),
        ("1000000002040008", "9003"),
        ("1000000000 00", "9003"),
        ("100000", "9001"),
        ("06", "8601"),
        ("2b0e0100", "ab01"),
    ],
)
def test_answers(asked: str, told: str) -> None:
    memory = Memory()
    memory.values[0] = 1
    assert answer(memory, bytes.fromhex(asked)).hex() == told


def test_any_pdu_is_answered() -> None:
    dice, memory = random.Random(3), Memory()
    for _ in range(20_000):
        pdu = bytes((dice.choice((3, 4, 6, 16, dice.randrange(256))),)) + dice.randbytes(dice.randrange(20))
        assert answer(memory, pdu)
    assert len(memory.values) == 8


async def test_clients_that_break_the_protocol_are_hung_up_on_and_too_many_not_let_in() -> None:
    server = TcpServer(Memory())
    port = await server.open("127.0.0.1", 0)

    async def client() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", port)

    for broken in ("000100010006010300000001", "0001000000010", "00010000ffff0103"):
        reader, writer = await client()
        writer.write(bytes.fromhex(broken[: len(broken) // 2 * 2]))
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
    held = [await client() for _ in range(tcp_server.MAX_CLIENTS)]
    for reader, writer in held:
        writer.write(bytes.fromhex("000700000006010300000001"))
        assert await reader.readexactly(11) == bytes.fromhex("0007000000050103020000")
    reader, writer = await client()
    assert await reader.read() == b""
    writer.close()
    await server.close()
    for reader, writer in held:
        assert await reader.read() == b""
        writer.close()
