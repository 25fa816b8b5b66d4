"""The MCU's UART: a pseudo-terminal whose other end appears under a path of its own."""

import asyncio
import contextlib
import os
import random
import tty
from collections.abc import Callable
from pathlib import Path


class PtyLine:
    """Keeps its own hold on the far end, so that the line outlives every daemon that opens it.

    `corrupt` is the share of bytes that arrive changed, in both directions. What nobody reads is lost, as on a UART.
    """

    def __init__(self, link: Path, on_data: Callable[[bytes], None], corrupt: float, chance: random.Random) -> None:
        self._link = link
        self._on_data = on_data
        self._corrupt = corrupt
        self._chance = chance
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._readable)
        self._publish()

    def write(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, self._spoilt(data))

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        self._link.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self._master)

    def _publish(self) -> None:
        fresh = self._link.with_name(f".{self._link.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._slave))
        fresh.replace(self._link)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._on_data(self._spoilt(os.read(self._master, 4096)))

    def _spoilt(self, data: bytes) -> bytes:
        if not self._corrupt:
            return data
        chance = self._chance
        return bytes(b ^ 1 << chance.randrange(8) if chance.random() < self._corrupt else b for b in data)
