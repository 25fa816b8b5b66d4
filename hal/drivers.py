"""Board drivers by name: ours, and those a manufacturer ships in a package of its own (docs/porting.md).

A name is one of ours, the name of an entry point in the group `evse.hal`, or `module:attribute`. What it names makes
the board of one EVSE, and says in `hal_version` which version of `hal.ports` it was written for: a driver of another
version is refused at start rather than met in mid-charge.
"""

import importlib
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Protocol, cast

from hal.board import McuBoard
from hal.chargebyte.board import ChargebyteBoard
from hal.pionix.board import phyverso, yeti
from hal.pionix.dialect import HARDWARE_REVISIONS, LOCKS, PULLS, PhyVersoTongue
from hal.ports import BoardSupport, HalError, Report
from hal.quantities import EvseId

HAL_VERSION = 1
"""Raised when a driver written for the version before would no longer do: a method or a fact more or less."""
GROUP = "evse.hal"

Options = Mapping[str, str | int | float | bool]


class DriverError(HalError):
    """There is no such driver, or it cannot be used; the message names it and the cause."""


class BoardDriver(Protocol):
    """Makes the board of one EVSE. Nothing is opened yet: that is `BoardSupport.open()`.

    `options` is the driver's own table of the configuration; an option it does not know raises DriverError. While
    `alive()` says False the driver sends no heartbeat.
    """

    def __call__(
        self, device: str, evse: EvseId, report: Report, *, alive: Callable[[], bool], options: Options
    ) -> BoardSupport: ...


def evse_mcu(device: str, evse: EvseId, report: Report, *, alive: Callable[[], bool], options: Options) -> BoardSupport:
    """Our own link (docs/mcu-link.md). Option `channel`: the EVSE's number on a board that has several."""
    known = take_options(options, {"channel": 1})
    return McuBoard(device, evse, report, channel=int(known["channel"]), alive=alive)


def chargebyte(
    device: str, evse: EvseId, report: Report, *, alive: Callable[[], bool], options: Options
) -> BoardSupport:
    """Charge SOM or Charge Control Y. Option `reset_line`: the file that takes 1 and 0 for the controller's reset."""
    known = take_options(options, {"reset_line": ""})
    return ChargebyteBoard(device, evse, report, reset_line=str(known["reset_line"]), alive=alive)


def pionix_yeti(
    device: str, evse: EvseId, report: Report, *, alive: Callable[[], bool], options: Options
) -> BoardSupport:
    """Yeti, TI TIDA-010939, Analog Devices AD-ACEVSE22KWZ. Option `has_lock`: a socket with a motor lock."""
    known = take_options(options, {"has_lock": False})
    return yeti(device, evse, report, alive=alive, has_lock=bool(known["has_lock"]))


def pionix_phyverso(
    device: str, evse: EvseId, report: Report, *, alive: Callable[[], bool], options: Options
) -> BoardSupport:
    """One connector of a phyVERSO, on a line of its own. Options as in `PhyVersoTongue`."""
    default: Options = {
        "connector": 1,
        "hardware_revision": "B",
        "lock": "none",
        "feedback_active_low": False,
        "feedback_pull": "none",
    }
    known = take_options(options, default)
    for name, choices in {"hardware_revision": HARDWARE_REVISIONS, "lock": LOCKS, "feedback_pull": PULLS}.items():
        if known[name] not in choices:
            raise DriverError(f"option {name} must be one of {', '.join(choices)}, not {known[name]!r}")
    if known["connector"] not in (1, 2):
        raise DriverError(f"option connector must be 1 or 2, not {known['connector']!r}")
    tongue = PhyVersoTongue(
        connector=int(known["connector"]),
        hardware_revision=str(known["hardware_revision"]),
        lock=str(known["lock"]),
        feedback_active_low=bool(known["feedback_active_low"]),
        feedback_pull=str(known["feedback_pull"]),
    )
    return phyverso(device, evse, report, tongue, alive=alive)


OURS: dict[str, BoardDriver] = {
    "evse_mcu": evse_mcu,
    "chargebyte": chargebyte,
    "pionix_yeti": pionix_yeti,
    "pionix_phyverso": pionix_phyverso,
}


def take_options(options: Options, defaults: Options) -> Options:
    """`defaults` with what is given; a driver calls it first. Raises DriverError for a name or a type it lacks."""
    for name, value in options.items():
        if name not in defaults:
            raise DriverError(f"unknown option {name}; known are {', '.join(defaults) or 'none'}")
        if type(value) is not type(defaults[name]):
            raise DriverError(f"option {name} must be of type {type(defaults[name]).__name__}, not {value!r}")
    return {**defaults, **options}


def load(name: str) -> BoardDriver:
    """Raises DriverError."""
    if name in OURS:
        return OURS[name]
    found = _from_module(name) if ":" in name else _from_entry_point(name)
    version = getattr(found, "hal_version", None)
    if not callable(found) or version is None:
        raise DriverError(f"driver {name}: no callable with hal_version")
    if version != HAL_VERSION:
        raise DriverError(f"driver {name}: written for version {version} of the board floor, this is {HAL_VERSION}")
    return cast(BoardDriver, found)


def available() -> list[str]:
    """What `load` takes here, but for `module:attribute`."""
    return sorted({*OURS, *(point.name for point in entry_points(group=GROUP))})


def _from_entry_point(name: str) -> object:
    points = entry_points(group=GROUP, name=name)
    if not points:
        raise DriverError(f"driver {name}: not installed; installed are {', '.join(available())}")
    if len(points) > 1:
        # Which one wins would depend on the order of a search path.
        raise DriverError(f"driver {name}: {len(points)} packages offer it")
    return _from_module(next(iter(points)).value)


def _from_module(value: str) -> object:
    module, _, attribute = value.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise DriverError(f"driver {value}: {error}") from error
