"""A daemon in small: opens the board, charges what is plugged in, and makes a file `closed` when the contactor is."""

import asyncio
from pathlib import Path

from hal.ports import Contactor, ContactorChanged, HalFact, PluggedIn, VehicleReady
from tests.conformance.kinds import KINDS


async def _run(kind: str, directory: Path) -> None:
    def report(fact: HalFact) -> None:
        match fact:
            case PluggedIn():
                board.offer_current(16)
                board.lock_connector(True)
            case VehicleReady():
                board.permit_power(True)
            case ContactorChanged(contactor=Contactor.CLOSED):
                (directory / "closed").touch()

    board = KINDS[kind].make_board(directory, report, lambda: True)
    await board.open()
    await asyncio.get_running_loop().create_future()


def main(kind: str, directory: Path) -> None:
    asyncio.run(_run(kind, directory))
