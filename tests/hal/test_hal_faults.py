"""Every fault stops charging but the named warnings, and is told when it comes and when it goes."""

import pytest

from hal.faults import EMERGENCIES, ActiveFaults, severity_of
from hal.ports import WARNINGS, BoardFault, Fault, Severity


@pytest.mark.parametrize("fault", list(Fault))
def test_severity(fault: Fault) -> None:
    expected = Severity.WARNING if fault in WARNINGS else Severity.EMERGENCY if fault in EMERGENCIES else Severity.STOP
    assert severity_of(fault) is expected


def test_no_emergency_is_a_warning() -> None:
    assert not EMERGENCIES & WARNINGS


def test_faults_come_and_go_once() -> None:
    faults = ActiveFaults()
    came = BoardFault(Fault.POWER_LOSS, True, Severity.STOP, "L2 missing", 1.0)
    assert faults.update({Fault.POWER_LOSS: "L2 missing"}, 1.0) == [came]
    assert faults.update({Fault.POWER_LOSS: "L2 missing"}, 2.0) == []
    assert faults.active == {Fault.POWER_LOSS}
    swapped = faults.update({Fault.GROUND_FAILURE: "PE open"}, 3.0)
    assert [(fact.fault, fact.active) for fact in swapped] == [
        (Fault.POWER_LOSS, False),
        (Fault.GROUND_FAILURE, True),
    ]
    assert faults.update({}, 4.0)[0].detail == "PE open"
