"""The simulated meters' end of a serial line or of a TCP port."""

import asyncio
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from sim.mcu.line import PtyLine, Quality

FRAME_GAP_S = 0.004
"""The silence after which a request is taken for complete. A pty has no bit times, so this is generous."""


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS, bit by bit."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xA001 if crc & 1 else 0)
    return crc


class Device(Protocol):
    """A meter, or anything else that answers the PDU of a request; None is silence."""

    def answer(self, pdu: bytes) -> bytes | None: ...


class SerialMeters:
    """Devices by their unit on one RS-485 line, which appears at `link`."""

    def __init__(self, link: Path, meters: Mapping[int, Device], quality: Quality | None = None) -> None:
        self._meters = meters
        self._buffer = bytearray()
        self._gap: asyncio.TimerHandle | None = None
        self._line = PtyLine(link, self._received, quality or Quality())

    def close(self) -> None:
        if self._gap is not None:
            self._gap.cancel()
        self._line.close()

    def noise(self, data: bytes) -> None:
        """Bytes nobody asked for."""
        self._line.write(data)

    def _received(self, data: bytes) -> None:
        self._buffer += data
        if self._gap is not None:
            self._gap.cancel()
        self._gap = asyncio.get_running_loop().call_later(FRAME_GAP_S, self._complete)

    def _complete(self) -> None:
        frame = bytes(self._buffer)
        self._buffer.clear()
        if len(frame) < 4 or crc16(frame[:-2]) != int.from_bytes(frame[-2:], "little"):
            return
        meter = self._meters.get(frame[0])
        pdu = meter.answer(frame[1:-2]) if meter else None
        if pdu is not None:
            body = frame[:1] + pdu
            self._line.write(body + crc16(body).to_bytes(2, "little"))


async def serve_tcp(meters: Mapping[int, Device], port: int = 0) -> asyncio.Server:
    """Modbus TCP on localhost; port 0 takes a free one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                transaction, protocol, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                meter = meters.get(unit)
                pdu = await reader.readexactly(length - 1)
                answer = meter.answer(pdu) if meter else bytes((pdu[0] | 0x80, 11))
                if answer is not None:
                    writer.write(struct.pack(">HHHB", transaction, protocol, len(answer) + 1, unit) + answer)
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", port)
