"""`python -m tests.hal.faults_document > docs/faults.md`: the table of faults, from the tables in the code."""

from firmware.control.fault_words import FAULTS
from firmware.problems import problem
from firmware.reasons import told_of
from firmware.record import STOP_PATIENCE_S
from hal.dc.thresholds import RAMP_DOWN_LIMIT_S, SWITCH_OFF_LIMIT_S
from hal.faults import LATCHED, MREC, UNTIL_UNPLUGGED, severity_of
from hal.mcu.faults import BITS
from hal.ports import BoardFault, Fault, Severity
from secc.v2g.iso2.status import STOP_CODES
from sim.mcu.core import MAX_TIMEOUT_S

CUT_S = 0.1
"""From a decision, the board's or ours, to the feedback (IEC 61851-1 table A.6)."""
OF_DC = {
    Fault.CABLE_CHECK_FAULT,
    Fault.RESISTANCE_FAULT,
    Fault.CONNECTOR_VOLTAGE_HIGH,
    Fault.VOLTAGE_PLAUSIBILITY,
    Fault.POWER_SUPPLY_FAILURE,
    Fault.ISOLATION_MONITOR_FAILURE,
}

HEAD = """\
# Faults

Generated from `hal/faults.py`, `hal/mcu/faults.py`, `hal/dc/thresholds.py`, `firmware/problems.py`,
`firmware/reasons.py` and `firmware/control/fault_words.py` by `python -m tests.hal.faults_document`; a test keeps it
current, and `tests/firmware/test_firmware_fault_matrix.py` raises each fault in mid-charge and holds it to this table.

Everything stops charging but the warnings:

- **warning**: charging goes on, with less current where that helps.
- **stop**: charging ends in order: current down, contactor open and confirmed, connector unlocked.
- **emergency**: the contactor opens at once; what protects, or what is known of the pilot, is in doubt.

A fault ends with its cause, but for those marked *latched*, which stay until a technician has reset them, and those
marked *until unplugged*, which were found with a vehicle and go with it. A residual current
device that fails its self-test is told as ResidualCurrent too, as a stop, and stays until it passes one or a technician
resets it. The bit is
the one in STATE of the EVSE-MCU link; a fault without one is seen by the daemon. Every fault is an OCPP NotifyEvent,
the fault's name its `techCode`; MREC is ChargeX's number for it.

The vehicle is told by EVSENotification StopCharging (ISO 15118-2 and DIN SPEC 70121) or Terminate (-20), a DC one by
EVSEStatusCode as well, in its next response; ResidualCurrent is the AC status' RCD too. *AC* and *DC* are the longest
times, in seconds, from when the fault is seen until the contactor's feedback is open, where the vehicle does nothing
about it: 0.1 where board or daemon cut at once, otherwise the vehicle's time to stop drawing, or the DC output's ramp.
A DC supply is switched off before its contactor opens, in an emergency in the same moment. A fault "seen by the daemon"
that is silence is seen when the silence is long enough: 1 s for the safety MCU, 1.5 s for a supply, 4 s for a monitor,
two cycles for a meter.

| fault | MREC | severity | bit | AC | DC | EVSEStatusCode | OCPP component, variable | what it says | what to do |
|---|---|---|---|---|---|---|---|---|---|
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
        "" if fault in OF_DC else _seconds(opens_within_s(fault, dc=False)),
        _seconds(opens_within_s(fault, dc=True)),
        _status_code(fault),
        f"{event.component}, {event.variable}",
        meaning,
        remedy,
    )
    return "| " + " | ".join(map(str, cells)) + " |\n"


def opens_within_s(fault: Fault, *, dc: bool) -> float | None:
    """From the fault to the contactor's feedback, at most; None for one that does not open it."""
    if severity_of(fault) is Severity.WARNING:
        return None
    if fault is Fault.COMMUNICATION_FAULT:
        return MAX_TIMEOUT_S + CUT_S
    if fault in BITS or severity_of(fault) is Severity.EMERGENCY:
        return CUT_S  # What has a bit, the board sees itself, and cuts itself.
    if fault in OF_DC:
        return RAMP_DOWN_LIMIT_S + SWITCH_OFF_LIMIT_S + CUT_S
    ramp_s = RAMP_DOWN_LIMIT_S + SWITCH_OFF_LIMIT_S if dc else 0.0
    return STOP_PATIENCE_S + ramp_s + CUT_S


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:g}"


def _status_code(fault: Fault) -> str:
    if severity_of(fault) is Severity.WARNING:
        return ""
    return str(STOP_CODES[told_of({fault: severity_of(fault)})].value)


def _ends(fault: Fault) -> str:
    if fault in LATCHED:
        return ", latched"
    return ", until unplugged" if fault in UNTIL_UNPLUGGED else ""


if __name__ == "__main__":
    print(document(), end="")
