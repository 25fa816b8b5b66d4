"""The fault bits of STATE, in the order of the wire; a bit keeps its meaning for ever."""

from collections.abc import Iterable

from hal.ports import Fault

BITS: tuple[Fault, ...] = (
    Fault.CONNECTOR_LOCK_FAILURE,
    Fault.GROUND_FAILURE,
    Fault.HIGH_TEMPERATURE,
    Fault.OVER_CURRENT_FAILURE,
    Fault.OVER_VOLTAGE,
    Fault.UNDER_VOLTAGE,
    Fault.EMERGENCY_STOP,
    Fault.INVALID_VEHICLE_MODE,
    Fault.PILOT_FAULT,
    Fault.POWER_LOSS,
    Fault.EVSE_CONTACTOR_FAULT,
    Fault.CABLE_OVER_TEMP_DERATE,
    Fault.CABLE_OVER_TEMP_STOP,
    Fault.PROXIMITY_FAULT,
    Fault.DIODE_FAULT,
    Fault.VENTILATION_NOT_AVAILABLE,
    Fault.RESIDUAL_CURRENT,
    Fault.VENDOR_ERROR,
    Fault.VENDOR_WARNING,
    Fault.ENCLOSURE_OPEN,
)


def to_bits(faults: Iterable[Fault]) -> int:
    """Raises ValueError for a fault without a bit, which only the host can see."""
    return sum(1 << BITS.index(fault) for fault in set(faults))


def from_bits(bits: int) -> frozenset[Fault]:
    """A bit of a later version is a fault all the same: it reads VENDOR_ERROR."""
    known = {fault for bit, fault in enumerate(BITS) if bits >> bit & 1}
    return frozenset(known | {Fault.VENDOR_ERROR} if bits >> len(BITS) else known)
