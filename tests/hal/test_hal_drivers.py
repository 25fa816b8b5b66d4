"""Drivers by name: ours, a module's, an installed package's; and the refusals that name what is wrong."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from hal.board import McuBoard
from hal.chargebyte.board import ChargebyteBoard
from hal.drivers import HAL_VERSION, DriverError, available, load, take_options
from hal.quantities import EvseId
from tests.conformance.template_board import AcmeBoard


def make(name: str, **options: str | int | float | bool) -> object:
    return load(name)("/dev/null", EvseId(1), lambda fact: None, alive=lambda: True, options=options)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site directory with a manufacturer's package in it, as an installer leaves it."""
    (tmp_path / "acme_board.py").write_text("from tests.conformance.template_board import AcmeBoard as Board\n")
    _distribution(tmp_path, "acme_board-1.0", "[evse.hal]\nacme = acme_board:Board\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("acme_board", None)


def _distribution(site: Path, name: str, points: str) -> None:
    info = site / f"{name}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.partition('-')[0]}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)


def test_ours() -> None:
    assert isinstance(make("evse_mcu", channel=2), McuBoard)
    assert isinstance(make("chargebyte", reset_line="/dev/null"), ChargebyteBoard)
    assert {"evse_mcu", "chargebyte"} <= set(available())


def test_a_module_of_somebodys() -> None:
    assert isinstance(make("tests.conformance.template_board:AcmeBoard"), AcmeBoard)


def test_an_installed_package(installed: Path) -> None:
    assert isinstance(make("acme"), AcmeBoard)
    assert "acme" in available()


def test_two_packages_of_one_name(installed: Path) -> None:
    _distribution(installed, "acme_again-1.0", "[evse.hal]\nacme = acme_board:Board\n")
    with pytest.raises(DriverError, match="2 packages offer it"):
        load("acme")


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "old_board", SimpleNamespace(Board=_Old))
    with pytest.raises(DriverError, match=f"written for version 0 of the board floor, this is {HAL_VERSION}"):
        load("old_board:Board")


class _Old(AcmeBoard):
    hal_version = 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("acme_two", "not installed; installed are chargebyte, evse_mcu"),
        ("no_such_module:Board", "No module named"),
        ("json:Board", "has no attribute 'Board'"),
        ("json:dumps", "no callable with hal_version"),
        (":Board", "Empty module name"),
    ],
)
def test_what_is_no_driver(name: str, reason: str) -> None:
    with pytest.raises(DriverError, match=reason):
        load(name)


def test_options_nobody_knows() -> None:
    with pytest.raises(DriverError, match="unknown option baud; known are channel"):
        make("evse_mcu", baud=9600)
    with pytest.raises(DriverError, match="unknown option x; known are none"):
        make("tests.conformance.template_board:AcmeBoard", x=1)
    with pytest.raises(DriverError, match="option channel must be of type int, not 'two'"):
        make("evse_mcu", channel="two")
    assert take_options({}, {"channel": 1}) == {"channel": 1}
