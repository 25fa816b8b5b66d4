"""A meter reading as OCPP's MeterValueType: which measurands, in which units, in which context (J02)."""

import base64
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from hal.quantities import MeterReading, SignedReading
from ocpp_client.wire import Payload, format_time

log = logging.getLogger(__name__)

MAX_SIGNED = 2500
"""Characters of SignedMeterValueType's signedMeterData and publicKey."""


class Measurand(StrEnum):
    """Those of MeasurandEnumType that the board's meter gives."""

    ENERGY = "Energy.Active.Import.Register"
    POWER = "Power.Active.Import"
    CURRENT = "Current.Import"
    EXPORTED = "Energy.Active.Export.Register"
    EXPORT_POWER = "Power.Active.Export"
    VOLTAGE = "Voltage"
    SOC = "SoC"
    """Of a vehicle that tells it."""


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


class KeyRule(StrEnum):
    """OCPP PublicKeyWithSignedMeterValueEnumType: when a signed value brings the meter's public key."""

    NEVER = "Never"
    ONCE = "OncePerTransaction"
    EVERY = "EveryMeterValue"


@dataclass(frozen=True, slots=True)
class Signing:
    """SignReadings of SampledDataCtrlr and AlignedDataCtrlr, and the key's rule."""

    sampled: bool = False
    aligned: bool = False
    key: KeyRule = KeyRule.NEVER

    def applies(self, context: ReadingContext) -> bool:
        return self.aligned if context is ReadingContext.SAMPLE_CLOCK else self.sampled


UNSIGNED = Signing()

UNIT = {
    Measurand.ENERGY: "Wh",
    Measurand.POWER: "W",
    Measurand.CURRENT: "A",
    Measurand.VOLTAGE: "V",
    Measurand.EXPORTED: "Wh",
    Measurand.EXPORT_POWER: "W",
    Measurand.SOC: "Percent",
}


def measurands(member_list: str) -> tuple[Measurand, ...]:
    """A MemberList of the device model, as in `Energy.Active.Import.Register,Voltage`. Raises ValueError."""
    return tuple(Measurand(name.strip()) for name in member_list.split(",") if name.strip())


def meter_value(
    reading: MeterReading,
    context: ReadingContext,
    wanted: Iterable[Measurand],
    phases: int,
    *,
    signed: bool = False,
    with_key: bool = False,
) -> Payload | None:
    """One MeterValueType with the time of the reading; None when nothing is wanted.

    With `signed` the energy register brings the meter's own record, where the reading has one.
    """
    sampled = [value for measurand in wanted for value in _sampled(reading, measurand, phases)]
    if not sampled:
        return None
    for value in sampled:
        value["context"] = context.value
        if signed and reading.signed is not None and value["measurand"] == Measurand.ENERGY.value:
            value |= _signed(reading.signed, with_key=with_key)
    return {"timestamp": format_time(reading.wall_time), "sampledValue": sampled}


def is_signed(value: Payload | None) -> bool:
    """Of a MeterValueType."""
    return value is not None and any("signedMeterValue" in sample for sample in value["sampledValue"])


def _signed(signed: SignedReading, *, with_key: bool) -> Payload:
    """The record as it is, in base64; the algorithm stands within it, so `signingMethod` is empty.

    A record that the message cannot hold is left out whole, and kept in the log: a part of it proves nothing.
    """
    data = base64.b64encode(signed.data.encode()).decode("ascii")
    if len(data) > MAX_SIGNED:
        log.error("a signed record of %s characters is too long for OCPP: %s", len(data), signed.data)
        return {}
    # The Open Charge Alliance's application note on signed values: which base, which form, the key.
    key = base64.b64encode(f"oca:base16:asn1:{signed.public_key}".encode()).decode("ascii")
    told = key if with_key and signed.public_key and len(key) <= MAX_SIGNED else ""
    return {
        "signedMeterValue": {
            "signedMeterData": data,
            "signingMethod": "",
            "encodingMethod": signed.encoding,
            "publicKey": told,
        }
    }


def _sampled(reading: MeterReading, measurand: Measurand, phases: int) -> Iterator[Payload]:
    match measurand:
        case Measurand.ENERGY:
            yield _value(measurand, round(reading.energy_import_wh, 1))
        case Measurand.POWER:
            exports = reading.energy_export_wh is not None
            yield _value(measurand, round(max(reading.power_import_w, 0.0) if exports else reading.power_import_w, 1))
        case Measurand.EXPORTED:
            if reading.energy_export_wh is not None:
                yield _value(measurand, round(reading.energy_export_wh, 1))
        case Measurand.EXPORT_POWER:
            if reading.energy_export_wh is not None:
                yield _value(measurand, round(max(-reading.power_import_w, 0.0), 1))
        case Measurand.SOC:
            if reading.soc_percent is not None:
                yield _value(measurand, round(reading.soc_percent, 1)) | {"location": "EV"}
        case Measurand.CURRENT if reading.dc:
            yield _value(measurand, round(reading.current_a[0], 2))
        case Measurand.VOLTAGE if reading.dc:
            yield _value(measurand, round(reading.voltage_v[0], 1))
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
