"""The vocabulary every floor shares: EVSE numbers and meter readings. Units stand in the names."""

from dataclasses import dataclass
from datetime import datetime
from typing import NewType

EvseId = NewType("EvseId", int)
"""An EVSE's number in the station, from 1, as OCPP 2.0.1 counts them (`evse.id`)."""


@dataclass(frozen=True, slots=True)
class SignedReading:
    """What a signing meter says of a reading, or of a whole transaction: passed on as it is, never made or mended."""

    data: str
    """The record's text, as in `OCMF|{...}|{...}`."""
    public_key: str
    """Hex of the key's DER SubjectPublicKeyInfo; empty for a meter that does not tell it."""
    encoding: str = "OCMF"


@dataclass(frozen=True, slots=True)
class MeterReading:
    """What a meter said at one moment. Phase values are (L1, L2, L3); an absent phase reads 0.

    `taken_at_s` is monotonic and serves for ages, `wall_time` (timezone-aware UTC) for records.
    """

    energy_import_wh: float
    power_import_w: float
    current_a: tuple[float, float, float]
    voltage_v: tuple[float, float, float]
    taken_at_s: float
    wall_time: datetime
    dc: bool = False
    """Of a DC output: current and voltage are the first of the three values, and there are no phases."""
    soc_percent: float | None = None
    """The vehicle's state of charge then, where it tells."""
    signed: SignedReading | None = None
    energy_export_wh: float | None = None
    """What vehicles have fed back; None: the meter does not count it. `power_import_w` is then below 0."""
    frequency_hz: float | None = None

    def age_s(self, now: float) -> float:
        return now - self.taken_at_s
