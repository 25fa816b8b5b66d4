"""`python -m sim.meter --pty-link PATH`: a Modbus meter on a serial line or a TCP port, as one process; or, with
`--dcbm-port`, a DC meter that signs what it measures, over HTTP.

With `--cable` it measures what flows through that simulated board's contactor.
"""

import argparse
import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from hal.modbus.meters import METERS
from sim.mcu.cable import Cable, CableError, Levels
from sim.mcu.line import Quality
from sim.meter.dcbm import Dcbm, serve
from sim.meter.device import Meter
from sim.meter.server import SerialMeters, serve_tcp

MEASURE_PERIOD_S = 0.1


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sim.meter", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--pty-link", type=Path, help="where the daemon finds the serial line")
    where.add_argument("--tcp-port", type=int, help="serve Modbus TCP on localhost")
    where.add_argument("--dcbm-port", type=int, help="serve a signing LEM DCBM over HTTP on localhost")
    parser.add_argument("--model", choices=sorted(METERS), default="eastron-sdm630")
    parser.add_argument("--unit", type=int, default=1)
    parser.add_argument("--cable", type=Path, help="Unix socket of the simulated board to measure")
    parser.add_argument("--energy-wh", type=float, default=0.0)
    parser.add_argument("--corrupt", type=float, default=0.0, help="share of bytes changed on the serial line")
    parser.add_argument("--baudrate", type=int, default=0, help="pace the serial line as a UART does")
    return parser.parse_args(argv)


def _measure(meter: Meter, levels: Levels, since_wh: float) -> None:
    i1, i2, i3 = levels.current_a
    u1, u2, u3 = levels.voltage_v
    meter.current_a, meter.voltage_v = (i1, i2, i3), (u1, u2, u3)
    meter.power_w = u1 * i1 + u2 * i2 + u3 * i3
    meter.energy_wh = since_wh + levels.energy_wh


def _measure_dc(meter: Dcbm, levels: Levels, since_wh: float) -> None:
    """One circuit in place of three."""
    meter.voltage_v = levels.voltage_v[0]
    meter.current_a = sum(levels.current_a)
    meter.power_w = meter.voltage_v * meter.current_a
    meter.energy_wh = since_wh + levels.energy_wh


async def _follow(path: Path, measure: Callable[[Levels], None]) -> None:
    async with await Cable.connect(path) as cable:
        while True:
            measure(cable.levels)
            await asyncio.sleep(MEASURE_PERIOD_S)


async def _run(said: argparse.Namespace) -> None:
    running = asyncio.current_task()
    if running is not None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    meter, signing = Meter(METERS[said.model], energy_wh=said.energy_wh), Dcbm()
    signing.energy_wh = said.energy_wh
    async with contextlib.AsyncExitStack() as stack:
        if said.dcbm_port is not None:
            served = await serve(signing, said.dcbm_port)
            stack.callback(served.close)
        elif said.pty_link:
            line = SerialMeters(said.pty_link, {said.unit: meter}, Quality(said.corrupt, said.baudrate))
            stack.callback(line.close)
        else:
            server = await serve_tcp({said.unit: meter}, said.tcp_port)
            stack.callback(server.close)
        stack.enter_context(contextlib.suppress(asyncio.CancelledError))
        if said.cable:
            measure = partial(_measure_dc, signing) if said.dcbm_port is not None else partial(_measure, meter)
            await _follow(said.cable, partial(measure, since_wh=said.energy_wh))
        await asyncio.get_running_loop().create_future()


def main(argv: Sequence[str] | None = None) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s sim.meter %(message)s")
    with contextlib.suppress(CableError):
        asyncio.run(_run(_arguments(argv)))


if __name__ == "__main__":
    main()
