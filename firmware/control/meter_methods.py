"""What the control socket tells of the energy meters."""

import time

from firmware.control.method import ANY, Call, Method, evse_of
from firmware.control.roles import Role
from firmware.evse import Evse
from hal.ports import BoardUnavailable
from hal.quantities import EvseId, MeterReading


async def _read(call: Call, evse: int | None) -> object:
    wanted = [evse_of(call.station, evse)] if evse is not None else list(call.station.evses.values())
    return {"meters": [_shown(call, one) for one in wanted]}


def _shown(call: Call, evse: Evse) -> dict[str, object]:
    reading, problem = _reading(evse)
    signing = call.station.meters.get(EvseId(evse.number))
    settings = evse.settings.meter
    return {
        "evse": evse.number,
        "model": settings.model if settings is not None else "board",
        "serial": signing.serial if signing is not None else None,
        "public_key": signing.public_key if signing is not None else None,
        "signs": signing is not None,
        "reading": None if reading is None else _values(reading),
        "problem": problem,
    }


def _reading(evse: Evse) -> tuple[MeterReading | None, str | None]:
    try:
        return (evse.board.meter(), None) if evse.board is not None else (None, "no board")
    except BoardUnavailable as error:
        return None, str(error)


def _values(reading: MeterReading) -> dict[str, object]:
    return {
        "energy_import_wh": reading.energy_import_wh,
        "power_import_w": reading.power_import_w,
        "current_a": list(reading.current_a),
        "voltage_v": list(reading.voltage_v),
        "dc": reading.dc,
        "age_s": round(reading.age_s(time.monotonic()), 3),
        "wall_time": reading.wall_time.isoformat(timespec="milliseconds"),
        "record": reading.signed.data if reading.signed is not None else None,
    }


METER_METHODS = {
    "Meter.Read": Method(
        Role.OBSERVER,
        _read,
        {"evse": ANY},
        "each meter's reading and its age; of one that signs, serial, key and record",
    ),
}
