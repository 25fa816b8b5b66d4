"""How severe each fault is, by one table; what is not named there stops charging in order."""

from hal.ports import WARNINGS, BoardFault, Fault, Severity

EMERGENCIES = frozenset(
    {
        Fault.GROUND_FAILURE,
        Fault.OVER_CURRENT_FAILURE,
        Fault.OVER_VOLTAGE,
        Fault.EMERGENCY_STOP,
        Fault.PILOT_FAULT,
        Fault.EVSE_CONTACTOR_FAULT,
        Fault.DIODE_FAULT,
        Fault.RESIDUAL_CURRENT,
        Fault.COMMUNICATION_FAULT,
        Fault.RESISTANCE_FAULT,
    }
)
"""The contactor opens at once: the protection itself, or our knowledge of the pilot or the contactor, is in doubt."""

LATCHED = frozenset({Fault.EVSE_CONTACTOR_FAULT, Fault.OVER_CURRENT_FAILURE})
"""Stays after its cause has gone, until a technician resets it; a contactor that did not close is tried again."""

UNTIL_UNPLUGGED = frozenset({Fault.CABLE_CHECK_FAULT, Fault.RESISTANCE_FAULT, Fault.VOLTAGE_PLAUSIBILITY})
"""Stays while the vehicle is there: what was found wrong was found with it, and may be its own. So does an over-voltage
of a DC output; one of the mains ends with its cause."""

MREC: dict[Fault, int] = {
    Fault.CONNECTOR_LOCK_FAILURE: 1,
    Fault.GROUND_FAILURE: 2,
    Fault.HIGH_TEMPERATURE: 3,
    Fault.OVER_CURRENT_FAILURE: 4,
    Fault.OVER_VOLTAGE: 5,
    Fault.UNDER_VOLTAGE: 6,
    Fault.EMERGENCY_STOP: 8,
    Fault.INVALID_VEHICLE_MODE: 10,
    Fault.CABLE_CHECK_FAULT: 11,
    Fault.PILOT_FAULT: 14,
    Fault.POWER_LOSS: 15,
    Fault.EVSE_CONTACTOR_FAULT: 17,
    Fault.CABLE_OVER_TEMP_DERATE: 18,
    Fault.CABLE_OVER_TEMP_STOP: 19,
    Fault.RESISTANCE_FAULT: 22,
    Fault.PROXIMITY_FAULT: 23,
    Fault.CONNECTOR_VOLTAGE_HIGH: 24,
}
"""The number of ChargeX's minimum required error codes, where there is one."""


def severity_of(fault: Fault) -> Severity:
    if fault in WARNINGS:
        return Severity.WARNING
    return Severity.EMERGENCY if fault in EMERGENCIES else Severity.STOP


class ActiveFaults:
    """The faults that stand, and a fact for each that comes or goes."""

    def __init__(self) -> None:
        self._active: dict[Fault, str] = {}

    @property
    def active(self) -> frozenset[Fault]:
        return frozenset(self._active)

    def update(self, standing: dict[Fault, str], now: float) -> list[BoardFault]:
        """`standing` is everything that is wrong now, with its detail."""
        gone = [(fault, False, detail) for fault, detail in self._active.items() if fault not in standing]
        come = [(fault, True, detail) for fault, detail in standing.items() if fault not in self._active]
        self._active = dict(standing)
        return [BoardFault(fault, active, severity_of(fault), detail, now) for fault, active, detail in gone + come]
