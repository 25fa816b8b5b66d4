"""The methods about firmware slots. The table is at the end.

RAUC verifies every image against the manufacturer's key, so a technician may install; to call firmware good before it
has proven so, or to go back to older firmware, needs service.
"""

import asyncio
from pathlib import Path

from firmware.control.method import Call, Method
from firmware.control.params import Param
from firmware.control.roles import Role
from firmware.control.rpc import Code, RpcError
from firmware.control.slots import SlotControl
from ocpp_client.ports import FirmwareFault


def _control(call: Call) -> SlotControl:
    if call.station.slots is None:
        raise RpcError(Code.UNAVAILABLE, "this station is configured without firmware slots ([update])")
    return call.station.slots


def _check_idle(call: Call) -> None:
    if busy := [str(evse.number) for evse in call.station.evses.values() if evse.busy]:
        raise RpcError(Code.BUSY, f"a vehicle is at EVSE {', '.join(busy)}: the restart would cut it off")


async def _status(call: Call) -> object:
    control = _control(call)
    slots = control.slots
    status = await control.on_loop(slots.status())
    trial = await asyncio.to_thread(slots.trial)
    try:
        floor: int | None = await control.on_loop(slots.floor())
    except RpcError:
        floor = None
    return {
        "version": call.station.version,
        "compatible": status.compatible,
        "starts_next": status.primary,
        "slots": [
            {
                "slot": slot.name,
                "bootname": slot.bootname,
                "booted": slot.booted,
                "good": slot.good,
                "version": slot.version or None,
            }
            for slot in status.slots
        ],
        "installing_percent": slots.percent,
        "proving": slots.proving,
        "latest": None
        if trial is None
        else {"slot": trial.slot, "version": trial.version, "outcome": trial.outcome or None},
        "rollback_floor": floor,
    }


async def _install(call: Call, file: str) -> object:
    control = _control(call)
    _check_idle(call)
    if not Path(file).is_absolute():
        raise RpcError(Code.INVALID_PARAMS, "file: an absolute path on the station")
    fault = await control.on_loop(control.slots.install(file))
    if fault is FirmwareFault.VERIFICATION:
        raise RpcError(Code.UNAVAILABLE, "the image is not for this station, not whole, or too old: the log says which")
    if fault is not None:
        raise RpcError(Code.UNAVAILABLE, "the image could not be written: the log says why")
    _check_idle(call)
    await control.on_loop(control.slots.activate())
    return {"restarts": True}


async def _mark_good(call: Call) -> object:
    control = _control(call)
    await control.on_loop(control.slots.mark_good())
    return {}


async def _roll_back(call: Call) -> object:
    control = _control(call)
    _check_idle(call)
    slot = await control.on_loop(control.slots.roll_back())
    return {"slot": slot.name, "version": slot.version or None, "restarts": True}


FIRMWARE_METHODS: dict[str, Method] = {
    "Firmware.Status": Method(Role.OBSERVER, _status, {}, "the firmware slots, and an update under way"),
    "Firmware.Install": Method(
        Role.TECHNICIAN,
        _install,
        {"file": Param(str, required=True, says="absolute path of a RAUC bundle on the station")},
        "install a bundle into the slot that does not run, and restart into it",
    ),
    "Firmware.MarkGood": Method(
        Role.SERVICE, _mark_good, {}, "call what runs good before it has proven so; raises the rollback floor"
    ),
    "Firmware.RollBack": Method(Role.SERVICE, _roll_back, {}, "restart into the other slot"),
}
