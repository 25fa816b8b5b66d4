"""Modbus RTU on a serial line: opens it when it is needed, keeps the silence between frames."""

import asyncio
import time

from hal.modbus.pdu import NoAnswer, Request
from hal.modbus.rtu import MAX_FRAME, find_answer, silence_s, to_frame
from hal.serial_port import Parity, PortError, SerialPort

TIMEOUT_S = 0.3
"""For the first byte to come; the time the bytes take is added."""


class RtuLine:
    """`Transport` over RS-485. A line that is lost is opened anew with the next request."""

    def __init__(
        self, device: str, baudrate: int = 9600, parity: Parity = "N", stopbits: int = 1, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._port = SerialPort(device, self._opened, self._received, self._lost, baudrate, parity, stopbits)
        self._byte_s = 11 / baudrate
        self._silence_s = silence_s(baudrate)
        self._timeout_s = timeout_s
        self._last_byte_s = float("-inf")
        self._buffer = bytearray()
        self._expected: tuple[int, Request] | None = None
        self._answer: asyncio.Future[bytes] | None = None

    async def exchange(self, unit: int, request: Request) -> bytes:
        """The answering PDU. Raises NoAnswer, also for a line that cannot be opened."""
        if not self._port.is_open:
            try:
                self._port.open()
            except PortError as error:
                raise NoAnswer(str(error)) from error
        await self._keep_silence()
        frame = to_frame(unit, request.to_pdu())
        self._buffer.clear()
        self._expected = unit, request
        self._answer = asyncio.get_running_loop().create_future()
        self._port.write(frame)
        wire_s = (len(frame) + request.answer_length + 3) * self._byte_s
        try:
            async with asyncio.timeout(self._timeout_s + wire_s):
                return await self._answer
        except TimeoutError as error:
            raise NoAnswer(f"unit {unit}: no answer ({len(self._buffer)} bytes came)") from error
        finally:
            self._expected = self._answer = None
            self._last_byte_s = max(self._last_byte_s, time.monotonic())

    async def close(self) -> None:
        self._port.close()

    async def _keep_silence(self) -> None:
        while (left_s := self._last_byte_s + self._silence_s - time.monotonic()) > 0:
            await asyncio.sleep(left_s)

    def _opened(self) -> None:
        self._last_byte_s = time.monotonic()

    def _lost(self, reason: str) -> None:
        # The next request opens it; a timer of the port's own would open it twice.
        self._port.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(NoAnswer(reason))

    def _received(self, data: bytes) -> None:
        self._last_byte_s = time.monotonic()
        if self._answer is None or self._expected is None or self._answer.done():
            return
        self._buffer += data
        del self._buffer[: -2 * MAX_FRAME]
        pdu = find_answer(bytes(self._buffer), *self._expected)
        if pdu is not None:
            self._answer.set_result(pdu)
