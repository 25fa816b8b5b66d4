"""What the proximity pilot's resistance says of the cable (IEC 61851-1 annex B). Pure; for boards that only measure."""

from hal.ports import HalError

# Lowest and highest resistance in ohm that is still recognised as this cable.
# unverified: IEC 61851-1 table B.2
CODING: tuple[tuple[float, float, float], ...] = (
    (80, 140, 63.0),
    (164, 308, 32.0),
    (400, 936, 20.0),
    (1100, 2460, 13.0),
)
BROKEN_BELOW_OHM = 60.0
ABSENT_ABOVE_OHM = 4500.0
SINGLE_PHASE_MAX_A = 70.0


class ProximityError(HalError):
    """The proximity pilot is shorted; the cable's ampacity is not known."""


def ampacity_a(resistance_ohm: float, phases: int = 3) -> float | None:
    """What the cable carries; None without a cable. Between two codes the lower current counts.

    The code of 63 A stands for 70 A on one phase. Raises ProximityError for a short.
    """
    if not resistance_ohm >= BROKEN_BELOW_OHM:
        raise ProximityError(f"proximity pilot reads {resistance_ohm:.0f} ohm")
    if resistance_ohm > ABSENT_ABOVE_OHM:
        return None
    # Beyond the last code it is a cable nobody coded, and the smallest one is assumed.
    coded_a = next((current_a for _, highest, current_a in CODING if resistance_ohm <= highest), CODING[-1][2])
    return SINGLE_PHASE_MAX_A if phases == 1 and coded_a == CODING[0][2] else coded_a
