"""A daemon in small: opens the board, charges whatever is plugged in, and says `closed` when the contactor is."""

import asyncio
import sys

from hal.board import McuBoard
from hal.ports import Contactor, ContactorChanged, HalFact, PluggedIn, VehicleReady
from hal.quantities import EvseId


async def main(device: str) -> None:
    def report(fact: HalFact) -> None:
        match fact:
            case PluggedIn():
                board.offer_current(16)
                board.lock_connector(True)
            case VehicleReady():
                board.permit_power(True)
            case ContactorChanged(contactor=Contactor.CLOSED):
                sys.stdout.write("closed\n")
                sys.stdout.flush()

    board = McuBoard(device, EvseId(1), report)
    await board.open()
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
