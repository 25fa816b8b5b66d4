"""The boards the conformance suite runs over: a driver, its peer, and what this kind of board has not got."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hal.board import McuBoard
from hal.chargebyte.board import ChargebyteBoard
from hal.pionix.board import PionixBoard, phyverso, yeti
from hal.pionix.dialect import PhyVersoTongue
from hal.ports import BoardSupport, Fault, Report
from hal.quantities import EvseId
from tests.conformance.template_board import AcmeBoard


class TestedBoard(BoardSupport, Protocol):
    """What the suite needs beside the port."""

    @property
    def frames_dropped(self) -> Counter[str]: ...


@dataclass(frozen=True)
class Kind:
    make_board: Callable[[Path, Report, Callable[[], bool]], TestedBoard]
    """From the directory of the peer's ends."""
    peer_arguments: Callable[[Path], tuple[str, ...]]
    why_silent: str
    """What `open` says when nobody answers."""
    has_lock: bool = True
    has_meter: bool = True
    has_reader: bool = True
    has_commands: bool = True
    latches_faults: bool = False
    """A fault of the board stays until it is reset, although its cause has gone."""
    lost_after_s: float = 0.7
    """A board that says nothing is called lost within this."""
    cannot_tell: frozenset[Fault] = frozenset()
    """Faults its protocol has no word for."""


def _evse_mcu(directory: Path, report: Report, alive: Callable[[], bool]) -> McuBoard:
    return McuBoard(str(directory / "tty"), EvseId(1), report, alive=alive)


def _chargebyte(directory: Path, report: Report, alive: Callable[[], bool]) -> ChargebyteBoard:
    line = str(directory / "reset")
    return ChargebyteBoard(str(directory / "tty"), EvseId(1), report, reset_line=line, alive=alive)


def _yeti(directory: Path, report: Report, alive: Callable[[], bool]) -> PionixBoard:
    return yeti(str(directory / "tty"), EvseId(1), report, alive=alive, has_lock=True)


def _phyverso(directory: Path, report: Report, alive: Callable[[], bool]) -> PionixBoard:
    return phyverso(str(directory / "tty"), EvseId(1), report, PhyVersoTongue(lock="hella"), alive=alive)


def _template(directory: Path, report: Report, alive: Callable[[], bool]) -> AcmeBoard:
    return AcmeBoard(str(directory / "tty"), EvseId(1), report, alive=alive, options={})


KINDS: dict[str, Kind] = {
    "python_mcu": Kind(_evse_mcu, lambda directory: (), "no answer to HELLO"),
    "reference_mcu": Kind(_evse_mcu, lambda directory: (), "no answer to HELLO"),
    "chargebyte": Kind(
        _chargebyte,
        lambda directory: ("--protocol", "chargebyte", "--reset-line", str(directory / "reset")),
        "no firmware version",
        has_lock=False,
        has_meter=False,
        has_reader=False,
        has_commands=False,
        latches_faults=True,
    ),
    "yeti": Kind(
        _yeti,
        lambda directory: ("--protocol", "yeti"),
        "no keep-alive",
        has_reader=False,
        has_commands=False,
        lost_after_s=4.0,
        cannot_tell=frozenset({Fault.EMERGENCY_STOP}),
    ),
    "phyverso": Kind(
        _phyverso,
        lambda directory: ("--protocol", "phyverso"),
        "no keep-alive",
        has_meter=False,
        has_reader=False,
        has_commands=False,
        lost_after_s=4.0,
        cannot_tell=frozenset({Fault.EMERGENCY_STOP}),
    ),
    "template": Kind(
        _template,
        lambda directory: ("--protocol", "tests.conformance.template_firmware:TemplateFirmware"),
        "no levels from the board",
        has_meter=False,
        has_reader=False,
        has_commands=False,
    ),
}


def kinds_with(*, lock: bool = False, meter: bool = False, reader: bool = False, commands: bool = False) -> list[str]:
    """The names of those that have all that is asked for."""
    return [
        name
        for name, kind in KINDS.items()
        if (kind.has_lock or not lock)
        and (kind.has_meter or not meter)
        and (kind.has_reader or not reader)
        and (kind.has_commands or not commands)
    ]
