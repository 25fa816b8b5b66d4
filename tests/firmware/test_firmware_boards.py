"""Boards and meters by the configuration's names."""

import pytest

from firmware.boards import Boards
from firmware.config import Evse, Meter
from hal.board import McuBoard
from hal.chargebyte.board import ChargebyteBoard
from hal.drivers import DriverError
from hal.metered_board import MeteredBoard


def settings(**more: object) -> Evse:
    return Evse(id=1, evse_id="DE*EVS*E0001", device="/dev/null", **more)  # type: ignore[arg-type]


def make(evse: Evse, boards: Boards | None = None) -> object:
    return (boards or Boards()).make(evse, lambda _: None, lambda: True)


def test_a_driver_by_name() -> None:
    assert isinstance(make(settings()), McuBoard)
    assert isinstance(make(settings(driver="chargebyte", options={"reset_line": "/run/reset"})), ChargebyteBoard)
    with pytest.raises(DriverError, match="acme"):
        make(settings(driver="acme"))
    with pytest.raises(DriverError, match="nonsense"):
        make(settings(options={"nonsense": 1}))


def test_meters_of_one_line_share_its_bus() -> None:
    boards = Boards()
    for unit in (1, 2):
        meter = Meter("eastron-sdm630", unit=unit, device="/dev/ttyS3")
        assert isinstance(make(settings(meter=meter), boards), MeteredBoard)
    make(settings(meter=Meter("carlo-gavazzi-em580", host="10.0.0.5")), boards)
    assert len(boards._buses) == 2
    with pytest.raises(DriverError, match="no such meter: abacus"):
        make(settings(meter=Meter("abacus")), boards)
