"""The iso15118 package's EVCC over DIN SPEC 70121."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from secc.ports import CableCheckWanted, EndReason, PowerWanted, SessionSetUp, StopReason
from secc.v2g.protocols import ALL
from sim.vehicle.evcc import Ending, SessionEnd
from tests.secc.driven_station import DrivenStation, RefusingStation
from tests.secc.package_car import charge
from tests.secc.private_net import run_in_private_net
from tests.secc.support import DC
from tests.secc.test_secc_server import station

VEHICLE = {"protocols": ["DIN_SPEC_70121"], "services": ["DC"], "tls": False, "energyTransferMode": "DC_extended"}


@pytest.fixture
def cable(request: pytest.FixtureRequest) -> Callable:
    return lambda test: run_in_private_net(request.node.nodeid, test)


def test_a_whole_session(cable: Callable, tmp_path: Path) -> None:
    async def session() -> None:
        async with station(kind=DrivenStation, protocols=ALL) as here:
            here.change(dc=DC)
            end, heard = await charge(tmp_path, tmp_path, **VEHICLE)
            assert end.ending is Ending.STOPPED, (end, heard)
            assert (await here.ended()).reason is EndReason.TERMINATED
            assert here.facts_of(SessionSetUp)[0].protocol == "DIN SPEC 70121"
            assert here.facts_of(CableCheckWanted)
            assert here.facts_of(PowerWanted) == [PowerWanted(True), PowerWanted(False)]
            assert ("CurrentDemandRes", "OK") in heard
            assert ("WeldingDetectionRes", "OK") in heard

    cable(session)


def test_a_refused_vehicle(cable: Callable, tmp_path: Path) -> None:
    """The package's own SECC would answer Ongoing for ever."""

    async def session() -> None:
        async with station(kind=RefusingStation, protocols=ALL) as here:
            here.change(dc=DC)
            end, _ = await charge(tmp_path, tmp_path, **VEHICLE)
            assert end == SessionEnd(Ending.REFUSED, "ContractAuthenticationRes FAILED")
            assert not here.facts_of(PowerWanted)

    cable(session)


def test_the_station_stops(cable: Callable, tmp_path: Path) -> None:
    async def session() -> None:
        async with station(kind=DrivenStation, protocols=ALL) as here:
            here.change(dc=DC)
            asyncio.get_running_loop().call_later(1.5, lambda: here.change(stop=StopReason.OPERATOR))
            end, heard = await charge(tmp_path, tmp_path, **VEHICLE, loops=1000)
            assert end.ending is Ending.STOPPED, heard
            assert (await here.ended()).reason is EndReason.TERMINATED

    cable(session)
