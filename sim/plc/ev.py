"""`python -m sim.plc.ev plc0`: match a charging station by SLAC from the vehicle's interface, and wait for the link."""

import argparse
import asyncio
import sys
import time

from hal.plc.port import PacketPort
from hal.ports import HalError
from sim.plc.vehicle import HABITS, EvSlac, EvState, MatchResult


class MatchFailed(Exception):
    """No EVSE, or no link, within the vehicle's own time limits."""


async def match(
    interface: str, *, profile: str = "fast", seed: int | None = None, timeout_s: float = 60.0
) -> MatchResult:
    """Match and join the network. Raises MatchFailed, and PortError without the interface or the right to use it.

    `profile` is one of HABITS: fast, ioniq, tesla_y, polestar2, audi_q4.
    """
    port = PacketPort(interface)
    try:
        async with asyncio.timeout(timeout_s):
            return await _run(port, EvSlac(port.mac, habits=HABITS[profile], seed=seed))
    except TimeoutError:
        raise MatchFailed(f"no link within {timeout_s:.0f} s") from None
    finally:
        port.close()


async def _run(port: PacketPort, ev: EvSlac) -> MatchResult:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(port.fileno(), readable.set)
    try:
        ev.start(time.monotonic())
        while ev.result is None:
            for frame in ev.take_frames():
                port.send(frame)
            if ev.state is EvState.FAILED:
                raise MatchFailed(f"no match after {ev.attempts} attempts")
            await _wait(readable, ev.deadline)
            for frame in port.frames():
                ev.feed(frame, time.monotonic())
            ev.tick(time.monotonic())
    finally:
        loop.remove_reader(port.fileno())
    return ev.result


async def _wait(readable: asyncio.Event, deadline: float | None) -> None:
    readable.clear()
    try:
        async with asyncio.timeout(None if deadline is None else max(deadline - time.monotonic(), 0)):
            await readable.wait()
    except TimeoutError:
        return


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sim.plc.ev", description=__doc__)
    parser.add_argument("interface")
    parser.add_argument("--profile", choices=HABITS, default="fast")
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    try:
        result = asyncio.run(match(options.interface, profile=options.profile, seed=options.seed))
    except (MatchFailed, HalError) as error:
        print(error, file=sys.stderr)
        return 1
    print(
        f"matched {result.evse_mac.hex(':')} at {result.attenuation_db:.1f} dB in {result.took_s * 1000:.0f} ms, "
        f"linked after {result.joined_s * 1000:.0f} ms, attempt {result.attempts}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
