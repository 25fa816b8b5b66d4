"""`python -m tests.hal.faults_document > docs/faults.md`: the table of faults, from the tables in the code."""

from firmware.control.fault_words import FAULTS
from firmware.problems import problem
from hal.faults import LATCHED, MREC, UNTIL_UNPLUGGED, severity_of
from hal.mcu.faults import BITS
from hal.ports import BoardFault, Fault, Severity

HEAD = """\
# Faults

Generated from `hal/faults.py`, `hal/mcu/faults.py`, `firmware/problems.py` and `firmware/control/fault_words.py` by
`python -m tests.hal.faults_document`; a test keeps it current.

Everything stops charging but the warnings:

- **warning**: charging goes on, with less current where that helps.
- **stop**: charging ends in order: current down, contactor open and confirmed, connector unlocked.
- **emergency**: the contactor opens at once; what protects, or what is known of the pilot, is in doubt.

A fault ends with its cause, but for those marked *latched*, which stay until a technician has reset them, and those
marked *until unplugged*, which were found with a vehicle and go with it. The bit is
the one in STATE of the EVSE-MCU link; a fault without one is seen by the daemon. Every fault is an OCPP NotifyEvent,
the fault's name its `techCode`; MREC is ChargeX's number for it.

| fault | MREC | severity | bit | OCPP component, variable | what it says | what to do |
|---|---|---|---|---|---|---|
"""


def document() -> str:
    return HEAD + "".join(_row(fault) for fault in Fault)


def _row(fault: Fault) -> str:
    severity = severity_of(fault)
    event = problem(BoardFault(fault, True, Severity.STOP, "", 0.0))
    meaning, remedy = FAULTS[fault]
    cells = (
        fault.value,
        MREC.get(fault, ""),
        severity.value + _ends(fault),
        BITS.index(fault) if fault in BITS else "",
        f"{event.component}, {event.variable}",
        meaning,
        remedy,
    )
    return "| " + " | ".join(map(str, cells)) + " |\n"


def _ends(fault: Fault) -> str:
    if fault in LATCHED:
        return ", latched"
    return ", until unplugged" if fault in UNTIL_UNPLUGGED else ""


if __name__ == "__main__":
    print(document(), end="")
