"""What a board driver and the pilot machine say to each other: all levels up, all set-points down, never edges."""

from dataclasses import dataclass

from hal.ports import Contactor, CpMode, CpState, Fault


@dataclass(frozen=True, slots=True)
class BoardLevels:
    cp: CpState
    """Filtered by the board for no longer than 50 ms."""
    cp_mode: CpMode
    duty_percent: float
    """What is on the pilot now; 100 with X1, 0 with E and F."""
    contactor: Contactor
    """The feedback contact, or the board's own judgement on it."""
    locked: bool
    power_permitted: bool
    """The board drives the contactor closed."""
    tripped: bool
    """The board's watchdog found us silent; it stays safe until it is told to allow no power."""
    unplug_count: int
    pp_ampacity_a: float | None
    faults: frozenset[Fault]


@dataclass(frozen=True, slots=True)
class Setpoints:
    cp_mode: CpMode
    duty_percent: float
    allow_power: bool
    lock: bool
    limit_a: float
    """Over-current supervision per phase, 0 for none."""
