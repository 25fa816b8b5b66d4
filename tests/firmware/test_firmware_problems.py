"""Every cause has its OCPP event."""

import pytest

from firmware.problems import problem
from hal.ports import BoardFault, Fault, Severity
from secc.ports import ContractFault, ContractRefused, EndReason, V2GEnded
from secc.schedules import TariffLeftOut


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_has_an_event(fault: Fault) -> None:
    event = problem(BoardFault(fault, True, Severity.STOP, "detail", 0.0))
    assert (event.tech_code, event.tech_info, event.active) == (fault.value, "detail", True)
    assert event.variable in ("Problem", "Tripped")


def test_a_warning_says_so() -> None:
    event = problem(BoardFault(Fault.HIGH_TEMPERATURE, True, Severity.WARNING, "71 °C", 0.0))
    assert (event.component, event.tech_info) == ("TemperatureSensor", "71 °C (warning)")


@pytest.mark.parametrize("fault", ContractFault)
def test_every_contract_fault_has_an_event(fault: ContractFault) -> None:
    event = problem(ContractRefused("DEABCC12345678", fault))
    assert event.component == "ISO15118Ctrlr"
    assert event.tech_code.startswith("Contract")
    assert len(event.tech_code) <= 50


def test_a_tariff_that_no_vehicle_gets_has_an_event() -> None:
    event = problem(TariffLeftOut(2, "the signature does not cover it" + "x" * 600))
    assert (event.component, event.tech_code) == ("ISO15118Ctrlr", "TariffLeftOut")
    assert event.tech_info.startswith("schedule 2: the signature")
    assert len(event.tech_info) == 500


@pytest.mark.parametrize("reason", EndReason)
def test_every_end_has_an_event_within_ocpps_bounds(reason: EndReason) -> None:
    event = problem(V2GEnded("AB", reason, "x" * 1000))
    assert event.tech_code.startswith("V2G")
    assert len(event.tech_info) == 500
