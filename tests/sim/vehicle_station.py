"""A bare station for the vehicle's tests: our board and PLC drivers below, the package's SECC above, nothing between.

`python -m tests.sim.vehicle_station INTERFACE PKI AUTH --board PTY [options of vehicle_package_secc]`. After a card it
offers 16 A at the pilot; otherwise 5 %. It prints each fact.
"""

import asyncio
import sys

from iso15118.shared.messages.enums import CpState

from hal.board import McuBoard
from hal.plc.link import GreenPhyLink
from hal.ports import Contactor, HalFact, PluggedIn, TokenPresented, Unplugged, VehiclePaused, VehicleReady
from hal.quantities import EvseId
from tests.sim.vehicle_package_secc import Station, parser, secc


class BoardStation(Station):
    """Closes and opens a contactor that exists."""

    board: McuBoard

    async def get_cp_state(self) -> CpState:
        for _ in range(25):
            if self.board.snapshot().cp in "CD":
                return CpState.C2
            await asyncio.sleep(0.01)
        return CpState.B2

    async def is_contactor_closed(self) -> bool:
        self.board.permit_power(True)
        return await self._reaches(Contactor.CLOSED)

    async def is_contactor_opened(self) -> bool:
        self.board.permit_power(False)
        return await self._reaches(Contactor.OPEN)

    async def _reaches(self, contactor: Contactor) -> bool:
        for _ in range(300):
            if self.board.snapshot().contactor is contactor:
                return True
            await asyncio.sleep(0.01)
        return False


class Pilot:
    """What a session machine would do, at its simplest."""

    board: McuBoard
    plc: GreenPhyLink

    def take(self, fact: HalFact) -> None:
        print(fact, flush=True)
        match fact:
            case PluggedIn():
                self.plc.vehicle_connected(True)
                self.board.offer_hlc()
            case VehicleReady():
                self.board.lock_connector(True)
            case VehiclePaused():
                self.board.permit_power(False)
                self.board.lock_connector(False)
            case TokenPresented():
                self.board.offer_current(16.0)
                self.board.permit_power(True)
            case Unplugged():
                self.board.permit_power(False)
                self.board.offer_nothing()
                self.plc.vehicle_connected(False)


async def serve(arguments: list[str]) -> None:
    options_parser = parser()
    options_parser.add_argument("--board", required=True)
    options = options_parser.parse_args(arguments)
    pilot = Pilot()
    pilot.plc = GreenPhyLink(options.interface, EvseId(1), pilot.take)
    pilot.board = McuBoard(options.board, EvseId(1), pilot.take)
    station = BoardStation(options)
    station.board = pilot.board
    await pilot.board.open()
    await pilot.plc.open()
    await secc(options, station)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1:]))
