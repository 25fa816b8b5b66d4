"""The iso15118 package's EVCC over DIN SPEC 70121."""

from collections.abc import Callable
from pathlib import Path

import pytest

from secc.ports import (
    EndReason,
)
from secc.v2g.protocols import ALL
from sim.vehicle.evcc import Ending
from tests.secc.driven_station import DrivenStation
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
            end, heard = await charge(tmp_path, tmp_path, **VEHICLE, loops=1000)
            assert end.ending is Ending.STOPPED, heard
            assert (await here.ended()).reason is EndReason.TERMINATED

    cable(session)
