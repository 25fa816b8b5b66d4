"""A technician's test adapter at a simulated connector: it answers PWM with state C, and is pulled at the end."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sim.mcu.cable import Cable, CableError

PATIENCE_S = 20.0


@contextmanager
def adapter(cable: Path) -> Iterator[None]:
    """Plugged in on entering, on a thread of its own; pulled once the contactor has opened, and on leaving."""
    plugged = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(cable, plugged)), daemon=True)
    thread.start()
    plugged.wait(PATIENCE_S)
    try:
        yield
    finally:
        thread.join(PATIENCE_S)


async def _serve(path: Path, plugged: threading.Event) -> None:
    async with await Cable.connect(path) as cable:
        await cable.set_cp("B")
        plugged.set()
        with suppress(TimeoutError, CableError):
            await cable.wait_for(lambda levels: levels.cp_mode == "X2", PATIENCE_S)
            await cable.set_cp("C")
            await cable.wait_for(lambda levels: levels.contactor == "closed", PATIENCE_S)
            await cable.wait_for(lambda levels: levels.contactor == "open", PATIENCE_S)
        await cable.set_cp("A")
