"""The MCU's UART: a pseudo-terminal whose other end appears under a path of its own."""

import asyncio
import contextlib
import os
import random
import tty
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Quality:
    """How bad the line is. `corrupt` is the share of bytes that arrive changed; `baudrate` 0 means no time at all."""

    corrupt: float = 0.0
    baudrate: int = 0
    seed: int = 0


class Wire:
    """One direction: spoils bytes, and delivers them when the last of their bits has passed."""

    def __init__(self, quality: Quality, deliver: Callable[[bytes], None]) -> None:
        self._quality = quality
        self._deliver = deliver
        self._chance = random.Random(quality.seed)
        self._free_at_s = 0.0

    def put(self, data: bytes) -> None:
        data = self._spoilt(data)
        if not self._quality.baudrate:
            self._deliver(data)
            return
        loop = asyncio.get_running_loop()
        # Start bit, eight data bits, stop bit.
        self._free_at_s = max(self._free_at_s, loop.time()) + len(data) * 10 / self._quality.baudrate
        loop.call_at(self._free_at_s, self._deliver, data)

    def _spoilt(self, data: bytes) -> bytes:
        share, chance = self._quality.corrupt, self._chance
        if not share:
            return data
        return bytes(b ^ 1 << chance.randrange(8) if chance.random() < share else b for b in data)


class PtyLine:
    """Keeps its own hold on the far end, so that the line outlives every daemon that opens it.

    What nobody reads is lost, as on a UART.
    """

    def __init__(self, link: Path, on_data: Callable[[bytes], None], quality: Quality) -> None:
        self._link = link
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._received = Wire(quality, on_data)
        self._sent = Wire(quality, self._write_now)
        self._open = True
        asyncio.get_running_loop().add_reader(self._master, self._readable)
        self._publish()

    def write(self, data: bytes) -> None:
        if data:
            self._sent.put(data)

    def close(self) -> None:
        self._open = False
        asyncio.get_running_loop().remove_reader(self._master)
        self._link.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self._master)

    def _write_now(self, data: bytes) -> None:
        if self._open:
            with contextlib.suppress(BlockingIOError):
                os.write(self._master, data)

    def _publish(self) -> None:
        fresh = self._link.with_name(f".{self._link.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._slave))
        fresh.replace(self._link)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._received.put(os.read(self._master, 4096))
