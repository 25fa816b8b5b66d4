"""The one door to pyserial: a serial line that opens exclusively, feeds the event loop, and comes back after a loss."""

import asyncio
import errno
import logging
import os
import select
from collections.abc import Callable
from typing import Literal

import serial

from hal.ports import HalError

log = logging.getLogger(__name__)

REOPEN_FIRST_S = 0.1
REOPEN_MAX_S = 2.0
_CHUNK = 4096

Parity = Literal["N", "E", "O"]


def _hung_up(descriptor: int) -> bool:
    """Whether the far end is gone. A terminal in raw mode also reads empty when there is nothing to read."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return bool(poll.poll(0))


class PortError(HalError):
    """The serial line cannot be opened; the message names the device and the cause."""


class SerialPort:
    """`on_open` after each opening, `on_data` for what comes, `on_lost` with the reason. All run on the event loop.

    Opening discards what the line held: the kernel flushes its input, so a peer must repeat what matters.
    Writes never block; what the line cannot take is dropped, as a line does, and counted in `dropped_bytes`.
    """

    def __init__(
        self,
        device: str,
        on_open: Callable[[], None],
        on_data: Callable[[bytes], None],
        on_lost: Callable[[str], None],
        baudrate: int = 115200,
        parity: Parity = "N",
        stopbits: int = 1,
    ) -> None:
        self.dropped_bytes = 0
        self._device = device
        self._on_open = on_open
        self._on_data = on_data
        self._on_lost = on_lost
        self._baudrate = baudrate
        self._parity = parity
        self._stopbits = stopbits
        self._serial: serial.Serial | None = None
        self._reopening: asyncio.TimerHandle | None = None
        self._back_off_s = REOPEN_FIRST_S

    @property
    def is_open(self) -> bool:
        return self._serial is not None

    def open(self) -> None:
        """Open now. Raises PortError; after a success a lost line is reopened until `close()`."""
        try:
            # A timeout of 0 sets O_NONBLOCK semantics on reads; exclusive keeps a second opener from mixing in.
            line = serial.Serial(
                self._device,
                self._baudrate,
                parity=self._parity,
                stopbits=self._stopbits,
                timeout=0,
                write_timeout=0,
                exclusive=True,
            )
        except (serial.SerialException, OSError, ValueError) as error:
            raise PortError(f"{self._device}: {error}") from error
        self._prefer_low_latency(line)
        self._serial = line
        self._back_off_s = REOPEN_FIRST_S
        asyncio.get_running_loop().add_reader(line.fileno(), self._readable)
        self._on_open()

    def close(self) -> None:
        """Let go of the line and stay closed."""
        if self._reopening is not None:
            self._reopening.cancel()
            self._reopening = None
        self._release()

    def write(self, data: bytes) -> None:
        """Send at once, or drop: with the line lost there is nobody to send to."""
        if self._serial is None or not data:
            return
        try:
            sent = os.write(self._serial.fileno(), data)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                self._lose(str(error))
                return
            sent = 0
        self.dropped_bytes += len(data) - sent

    def _prefer_low_latency(self, line: serial.Serial) -> None:
        try:
            line.set_low_latency_mode(True)
        except (OSError, ValueError, NotImplementedError) as error:
            log.debug("%s: no low latency mode: %s", self._device, error)

    def _readable(self) -> None:
        if self._serial is None:
            return
        try:
            data = os.read(self._serial.fileno(), _CHUNK)
        except OSError as error:
            self._lose(str(error))
            return
        if data:
            self._on_data(data)
        elif _hung_up(self._serial.fileno()):
            self._lose("hung up: unplugged")

    def _lose(self, reason: str) -> None:
        log.warning("%s: lost: %s", self._device, reason)
        self._release()
        self._reopen_later()
        self._on_lost(reason)

    def _release(self) -> None:
        if self._serial is not None:
            asyncio.get_running_loop().remove_reader(self._serial.fileno())
            self._serial.close()
            self._serial = None

    def _reopen_later(self) -> None:
        self._reopening = asyncio.get_running_loop().call_later(self._back_off_s, self._reopen)

    def _reopen(self) -> None:
        self._reopening = None
        try:
            self.open()
        except PortError as error:
            log.debug("%s", error)
            self._back_off_s = min(self._back_off_s * 2, REOPEN_MAX_S)
            self._reopen_later()
