"""`TokenReader` with a PN532 on a serial line of its own: ISO/IEC 14443 A cards by their UID."""

import asyncio
import logging
import time
from collections.abc import Callable

from hal.faults import severity_of
from hal.pn532.dialogue import Card, Dialogue, Reader
from hal.ports import BoardFault, Fault, Report, TokenPresented
from hal.quantities import EvseId
from hal.serial_port import PortError, SerialPort

REOPEN_S = 5.0
BAUDRATE = 115200


class Pn532Reader:
    """What it reads goes to `report`, and so does VENDOR_WARNING while it does not answer: vehicles charge on."""

    def __init__(
        self, device: str, evse: EvseId, report: Report, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = logging.getLogger(f"{__name__}.{evse}")
        self._report = report
        self._clock = clock
        self.dialogue = Dialogue()
        self._port = SerialPort(device, self._opened, self._received, self._lost, BAUDRATE)
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def open(self) -> None:
        self._is_closed = False
        self._try_to_open()

    async def close(self) -> None:
        self._is_closed = True
        self._port.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _try_to_open(self) -> None:
        self._timer = None
        try:
            self._port.open()
        except PortError as error:
            self._tell(self.dialogue.disconnected(str(error)))
            self._timer = asyncio.get_running_loop().call_later(REOPEN_S, self._try_to_open)

    def _opened(self) -> None:
        self.dialogue.connected(self._clock())
        self._settle([])

    def _received(self, data: bytes) -> None:
        self._settle(self.dialogue.feed(data, self._clock()))

    def _lost(self, reason: str) -> None:
        self._settle(self.dialogue.disconnected(reason))

    def _wake(self) -> None:
        self._timer = None
        self._settle(self.dialogue.tick(self._clock()))

    def _settle(self, told: list[Card | Reader]) -> None:
        self._port.write(self.dialogue.data_to_send())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_s = self.dialogue.deadline()
        if due_s is not None and not self._is_closed:
            delay_s = max(0.0, due_s - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._wake)
        self._tell(told)

    def _tell(self, told: list[Card | Reader]) -> None:
        for event in told:
            match event:
                case Card(uid):
                    self._report(TokenPresented(uid, "ISO14443", self._clock()))
                case Reader(answers, detail):
                    self._log.log(logging.INFO if answers else logging.WARNING, "card reader: %s", detail)
                    self._reader_fault(not answers, f"card reader: {detail}")

    def _reader_fault(self, active: bool, detail: str) -> None:
        fault = Fault.VENDOR_WARNING
        self._report(BoardFault(fault, active, severity_of(fault), detail, self._clock()))
