"""A meter reading as OCPP's MeterValueType: which measurands, in which units, in which context (J02)."""

from collections.abc import Iterable, Iterator
from enum import StrEnum

from hal.quantities import MeterReading
from ocpp_client.wire import Payload, format_time


class Measurand(StrEnum):
    """Those of MeasurandEnumType that the board's meter gives."""

    ENERGY = "Energy.Active.Import.Register"
    POWER = "Power.Active.Import"
    CURRENT = "Current.Import"
    VOLTAGE = "Voltage"


class ReadingContext(StrEnum):
    """OCPP ReadingContextEnumType."""

    TRANSACTION_BEGIN = "Transaction.Begin"
    SAMPLE_PERIODIC = "Sample.Periodic"
    SAMPLE_CLOCK = "Sample.Clock"
    TRANSACTION_END = "Transaction.End"
    TRIGGER = "Trigger"
    INTERRUPTION_BEGIN = "Interruption.Begin"
    INTERRUPTION_END = "Interruption.End"
    OTHER = "Other"


UNIT = {
    Measurand.ENERGY: "Wh",
    Measurand.POWER: "W",
    Measurand.CURRENT: "A",
    Measurand.VOLTAGE: "V",
}


def measurands(member_list: str) -> tuple[Measurand, ...]:
    """A MemberList of the device model, as in `Energy.Active.Import.Register,Voltage`. Raises ValueError."""
    return tuple(Measurand(name.strip()) for name in member_list.split(",") if name.strip())


def meter_value(
    reading: MeterReading, context: ReadingContext, wanted: Iterable[Measurand], phases: int
) -> Payload | None:
    """One MeterValueType with the time of the reading; None when nothing is wanted."""
    sampled = [value for measurand in wanted for value in _sampled(reading, measurand, phases)]
    if not sampled:
        return None
    for value in sampled:
        value["context"] = context.value
    return {"timestamp": format_time(reading.wall_time), "sampledValue": sampled}


def _sampled(reading: MeterReading, measurand: Measurand, phases: int) -> Iterator[Payload]:
    match measurand:
        case Measurand.ENERGY:
            yield _value(measurand, round(reading.energy_import_wh, 1))
        case Measurand.POWER:
            yield _value(measurand, round(reading.power_import_w, 1))
        case Measurand.CURRENT:
            for phase in range(phases):
                yield _value(measurand, round(reading.current_a[phase], 2), f"L{phase + 1}")
        case Measurand.VOLTAGE:
            for phase in range(phases):
                yield _value(measurand, round(reading.voltage_v[phase], 1), f"L{phase + 1}-N")


def _value(measurand: Measurand, value: float, phase: str | None = None) -> Payload:
    sampled: Payload = {
        "value": value,
        "measurand": measurand.value,
        "location": "Outlet",
        "unitOfMeasure": {"unit": UNIT[measurand]},
    }
    if phase is not None:
        sampled["phase"] = phase
    return sampled
