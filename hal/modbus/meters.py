"""Register maps of meters, by the name a configuration gives them. Addresses are as on the wire, from 0."""

from hal.modbus.pdu import READ_HOLDING
from hal.modbus.registers import Kind, MeterMap, Register


def _three(first: int, kind: Kind, scale: float = 1.0) -> tuple[Register, Register, Register]:
    return Register(first, kind, scale), Register(first + 2, kind, scale), Register(first + 4, kind, scale)


def _eastron_three_phases(model: str) -> MeterMap:
    return MeterMap(
        model=model,
        # One block of 74: these meters give at most 80 registers at once.
        blocks=((0, 74),),
        energy_import=Register(72, Kind.F32, 1000),
        power=Register(52, Kind.F32),
        current=_three(6, Kind.F32),
        voltage=_three(0, Kind.F32),
    )


def _carlo_gavazzi(model: str) -> MeterMap:
    return MeterMap(
        model=model,
        blocks=((0, 42), (0x500, 4)),
        energy_import=Register(0x500, Kind.I64_SWAPPED),
        power=Register(0x28, Kind.I32_SWAPPED, 0.1),
        current=_three(0x0C, Kind.I32_SWAPPED, 0.001),
        voltage=_three(0, Kind.I32_SWAPPED, 0.1),
    )


METERS: dict[str, MeterMap] = {
    "eastron-sdm630": _eastron_three_phases("Eastron SDM630-V2"),
    "eastron-sdm72": _eastron_three_phases("Eastron SDM72DM-V2"),
    "eastron-sdm230": MeterMap(
        model="Eastron SDM230",
        blocks=((0, 74),),
        energy_import=Register(72, Kind.F32, 1000),
        power=Register(12, Kind.F32),
        current=(Register(6, Kind.F32),),
        voltage=(Register(0, Kind.F32),),
        baudrate=2400,
    ),
    "carlo-gavazzi-em540": _carlo_gavazzi("Carlo Gavazzi EM540"),  # unverified: EM540 Wh counter at 0500h
    "carlo-gavazzi-em580": _carlo_gavazzi("Carlo Gavazzi EM580"),
    "iskra-wm3m4": MeterMap(
        model="Iskra WM3M4",
        blocks=((107, 35), (414, 6)),
        energy_import=Register(418, Kind.I32, exponent=414),
        power=Register(140, Kind.T6),
        current=_three(126, Kind.T6),
        voltage=_three(107, Kind.T5),
        baudrate=115200,
    ),
    "acrel-djsf1352": MeterMap(
        model="Acrel DJSF1352-RN (DC)",
        blocks=((0, 14),),
        energy_import=Register(12, Kind.U32, 10),  # unverified: 0.01 kWh a count
        power=Register(8, Kind.I16, 1000, exponent=9, exponent_bias=-3),  # unverified: in kW
        current=(Register(2, Kind.I16, exponent=3, exponent_bias=-3),),
        voltage=(Register(0, Kind.U16, exponent=1, exponent_bias=-3),),
        function=READ_HOLDING,
    ),
}
