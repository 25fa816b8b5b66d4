"""How a vehicle's visit went."""

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    AS_EXPECTED = 0
    FAILED = 1
    REFUSED = 3
    """The station answered with a negative response code."""


@dataclass(frozen=True, slots=True)
class Verdict:
    exit_code: ExitCode
    text: str
