"""`python -m sim.mcu --pty-link PATH --cable PATH`: a safety MCU, its contactor and its meter, as one process."""

import argparse
import asyncio
import contextlib
import logging
import signal
from dataclasses import fields
from pathlib import Path

from sim.mcu.process import Settings, SimulatedMcu


def _arguments() -> Settings:
    parser = argparse.ArgumentParser(prog="python -m sim.mcu", description=__doc__)
    parser.add_argument("--pty-link", type=Path, required=True, help="where the daemon finds the serial line")
    parser.add_argument("--cable", type=Path, required=True, help="Unix socket the vehicle connects to")
    parser.add_argument("--trace", type=Path, help="append what happens as JSON lines, with time.monotonic()")
    parser.add_argument("--evse", type=int, default=1, help="the EVSE's number on this board")
    parser.add_argument("--phases", type=int, choices=(1, 3), default=3)
    parser.add_argument("--voltage-v", type=float, default=230.0, help="phase to neutral")
    parser.add_argument("--max-current-a", type=float, default=32.0)
    parser.add_argument("--energy-wh", type=float, default=0.0, help="what the meter shows at start")
    parser.add_argument("--no-lock", dest="has_lock", action="store_false", help="a tethered cable")
    parser.add_argument("--ventilation", dest="has_ventilation", action="store_true")
    parser.add_argument("--pp-ampacity-a", type=int, default=32)
    parser.add_argument("--telemetry-s", type=float, default=1.0)
    parser.add_argument("--corrupt", type=float, default=0.0, help="share of bytes changed on the serial line")
    parser.add_argument("--seed", type=int, default=0, help="makes corruption and boot numbers repeatable")
    parser.add_argument("--model", default="sim-mcu")
    parsed = vars(parser.parse_args())
    return Settings(**{field.name: parsed[field.name] for field in fields(Settings)})


async def _run(settings: Settings) -> None:
    running = asyncio.current_task()
    if running is not None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await SimulatedMcu(settings).run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s sim.mcu %(message)s")
    asyncio.run(_run(_arguments()))
