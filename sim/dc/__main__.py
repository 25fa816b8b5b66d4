"""`python -m sim.dc --can unix:DIR --pty-link PATH --cable PATH --plug PATH`: the power cabinet of one DC output.

Infy modules on the CAN bus, a DC meter (unit 1) and an insulation monitor (unit 2) on the serial line. It follows the
contactor of the simulated board at `--cable`; the vehicle, and who breaks things, connect at `--plug`.
"""

import argparse
import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence
from pathlib import Path

from hal.can.bus import bus_of
from sim.dc.cabinet import MONITOR_KINDS, Cabinet
from sim.mcu.cable import CableError
from sim.mcu.line import Quality


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sim.dc", description=__doc__)
    parser.add_argument("--can", required=True, help="interface, or unix:DIRECTORY")
    parser.add_argument("--pty-link", type=Path, required=True, help="where the daemon finds the Modbus line")
    parser.add_argument("--cable", type=Path, required=True, help="Unix socket of the simulated board")
    parser.add_argument("--plug", type=Path, required=True, help="Unix socket the vehicle connects to")
    parser.add_argument("--monitor", choices=sorted(MONITOR_KINDS), default="bender-isocha425")
    parser.add_argument("--modules", type=int, default=2)
    parser.add_argument("--energy-wh", type=float, default=0.0, help="what the meter shows at start")
    parser.add_argument("--trace", type=Path, help="append what happens as JSON lines, with time.monotonic()")
    parser.add_argument("--corrupt", type=float, default=0.0, help="share of bytes changed on the serial line")
    return parser.parse_args(argv)


async def _run(said: argparse.Namespace) -> None:
    running = asyncio.current_task()
    if running is not None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    cabinet = Cabinet(said.monitor, said.modules, said.trace, said.energy_wh)
    with contextlib.suppress(asyncio.CancelledError):
        await cabinet.run(bus_of(said.can), said.pty_link, Quality(said.corrupt), said.cable, said.plug)


def main(argv: Sequence[str] | None = None) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s sim.dc %(message)s")
    with contextlib.suppress(CableError):
        asyncio.run(_run(_arguments(argv)))


if __name__ == "__main__":
    main()
