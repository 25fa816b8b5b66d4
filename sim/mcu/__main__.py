"""`python -m sim.mcu --pty-link PATH --cable PATH`: a safety MCU, its contactor and its meter, as one process."""

import argparse
import asyncio
import contextlib
import importlib
import logging
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import cast

from sim.mcu.chargebyte import ChargebyteFirmware
from sim.mcu.firmware import BoardType, Firmware, PythonFirmware
from sim.mcu.line import Quality
from sim.mcu.pionix import PhyVersoFirmware, YetiFirmware
from sim.mcu.plant import Plant
from sim.mcu.process import SimulatedBoard
from sim.mcu.reference import ReferenceFirmware

_PROTOCOLS: dict[str, Callable[[BoardType, float], Firmware]] = {
    "evse-mcu": PythonFirmware,
    "chargebyte": ChargebyteFirmware,
    "yeti": YetiFirmware,
    "phyverso": PhyVersoFirmware,
}


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sim.mcu", description=__doc__)
    parser.add_argument("--pty-link", type=Path, required=True, help="where the daemon finds the serial line")
    parser.add_argument("--cable", type=Path, required=True, help="Unix socket the vehicle connects to")
    parser.add_argument("--trace", type=Path, help="append what happens as JSON lines, with time.monotonic()")
    parser.add_argument(
        "--protocol", default="evse-mcu", help=f"{', '.join(_PROTOCOLS)}, or module:class of a `Firmware` of your own"
    )
    parser.add_argument("--reset-line", type=Path, help="make a FIFO here that takes 1 and 0 as a GPIO does")
    parser.add_argument("--reference", type=Path, help="run this build of hal/mcu/reference instead of the Python MCU")
    parser.add_argument("--evse", type=int, default=1, help="the EVSE's number on this board")
    parser.add_argument("--phases", type=int, choices=(1, 3), default=3)
    parser.add_argument("--voltage-v", type=float, default=230.0, help="phase to neutral")
    parser.add_argument("--max-current-a", type=float, default=32.0)
    parser.add_argument("--energy-wh", type=float, default=0.0, help="what the meter shows at start")
    parser.add_argument("--no-lock", dest="has_lock", action="store_false", help="a tethered cable")
    parser.add_argument("--no-rcd-test", dest="has_rcd_test", action="store_false", help="no self-test of the RCD")
    parser.add_argument("--ventilation", dest="has_ventilation", action="store_true")
    parser.add_argument("--pp-ampacity-a", type=int, default=32)
    parser.add_argument("--telemetry-s", type=float, default=1.0)
    parser.add_argument("--corrupt", type=float, default=0.0, help="share of bytes changed on the serial line")
    parser.add_argument("--baudrate", type=int, default=0, help="pace the serial line as a UART does")
    parser.add_argument("--seed", type=int, default=0, help="makes the corruption repeatable")
    parser.add_argument("--model", default="sim-mcu")
    return parser.parse_args(argv)


def _boot(protocol: str, reference: Path | None, board: BoardType) -> Callable[[float], Firmware]:
    if reference is None:
        make = _PROTOCOLS.get(protocol) or _foreign(protocol)
        return lambda now: make(board, now)
    library = reference.resolve()
    return lambda now: ReferenceFirmware(library, board, now)


def _foreign(name: str) -> Callable[[BoardType, float], Firmware]:
    module, _, attribute = name.partition(":")
    return cast(Callable[[BoardType, float], Firmware], getattr(importlib.import_module(module), attribute))


async def _run(said: argparse.Namespace) -> None:
    running = asyncio.current_task()
    if running is not None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    board = BoardType(**{field.name: getattr(said, field.name) for field in fields(BoardType)})
    plant = Plant(board.voltage_v, time.monotonic(), said.energy_wh)
    simulated = SimulatedBoard(_boot(said.protocol, said.reference, board), plant, said.trace)
    with contextlib.suppress(asyncio.CancelledError):
        await simulated.run(said.pty_link, said.cable, Quality(said.corrupt, said.baudrate, said.seed), said.reset_line)


def _loop() -> asyncio.AbstractEventLoop:
    # select() counts in microseconds where epoll counts in milliseconds: an MCU's timers do not wait for the next one.
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def main(argv: Sequence[str] | None = None) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s sim.mcu %(message)s")
    with asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(_run(_arguments(argv)))


if __name__ == "__main__":
    main()
