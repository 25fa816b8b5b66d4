"""A visit as a program: its time limit, its signals, its log and its exit code."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable

from hal.ports import HalError
from sim.mcu.cable import CableError
from sim.plc.ev import MatchFailed
from sim.vehicle.log import EventLog
from sim.vehicle.verdict import ExitCode, Verdict

EXPECTED = (OSError, CableError, HalError, MatchFailed)
"""What may happen to a vehicle; anything else is a defect of its own."""

Drive = Callable[[EventLog], Awaitable[Verdict]]


def run(drive: Drive, options: argparse.Namespace) -> int:
    """Runs the visit within `options.timeout_s`; SIGTERM and SIGINT drive off, which unplugs first."""
    # The iso15118 package has set the root logger to stdout when it was imported; from here on it is ours.
    logging.basicConfig(level=options.log_level, stream=sys.stderr, force=True)
    # Reports the end of every session as an error with a traceback of nothing.
    logging.getLogger("iso15118.evcc.transport.udp_client").setLevel(logging.CRITICAL)
    with EventLog(options.log) as events:
        verdict = asyncio.run(_bounded(drive, events, options.timeout_s))
        events.write("ended", verdict=verdict.text, exit_code=int(verdict.exit_code))
    print(f"vehicle: {verdict.text}", file=sys.stderr)
    return int(verdict.exit_code)


async def _bounded(drive: Drive, events: EventLog, timeout_s: float) -> Verdict:
    visit = asyncio.ensure_future(drive(events))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, visit.cancel)
    done, _ = await asyncio.wait({visit}, timeout=timeout_s)
    if not done:
        visit.cancel()
        await asyncio.wait({visit})
    return _verdict(visit, timed_out=not done, timeout_s=timeout_s)


def _verdict(visit: asyncio.Future[Verdict], *, timed_out: bool, timeout_s: float) -> Verdict:
    if timed_out:
        return Verdict(ExitCode.FAILED, f"gave up after {timeout_s:g} s")
    if visit.cancelled():
        return Verdict(ExitCode.FAILED, "driven off")
    error = visit.exception()
    if error is None:
        return visit.result()
    causes = _causes(error)
    if all(isinstance(cause, EXPECTED) for cause in causes):
        return Verdict(ExitCode.FAILED, "; ".join(f"{type(cause).__name__}: {cause}" for cause in causes))
    raise error


def _causes(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [cause for inner in error.exceptions for cause in _causes(inner)]
    return [error]
