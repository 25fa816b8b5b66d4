"""The methods about powerline modems and SLAC matching. The table is at the end."""

import asyncio
import time
from collections.abc import Mapping

from firmware.control.method import ANY, ONE, Call, Method, Station, evse_of
from firmware.control.params import Param
from firmware.control.plc_capture import MAX_SECONDS, PlcSource
from firmware.control.plc_info import plc_info, plc_link, self_test, slac_runs
from firmware.control.roles import Role
from firmware.control.rpc import Code, RpcError
from hal.plc.link import GreenPhyLink, LinkBusy, SelfTestFailed


async def _slac(call: Call, evse: int | None, limit: int) -> object:
    now = time.monotonic()
    return {
        "evses": [
            {"evse": number, "runs": slac_runs(plc, now, limit)} for number, plc in _modems(call.station, evse).items()
        ]
    }


async def _self_test(call: Call, evse: int) -> object:
    plc = _modem(call.station, evse)
    if evse_of(call.station, evse).state.plugged:
        raise RpcError(Code.BUSY, "a vehicle is plugged in")
    try:
        return {"evse": evse, **self_test(await plc.selftest())}
    except LinkBusy as error:
        raise RpcError(Code.BUSY, str(error)) from error
    except SelfTestFailed as error:
        raise RpcError(Code.UNAVAILABLE, str(error)) from error


async def _start_capture(call: Call, evse: int, for_s: int) -> object:
    modem = _modem(call.station, evse)
    number = call.station.captures.start(evse, lambda: PlcSource(modem), for_s)
    return {"capture": number, "evse": evse, "for_s": for_s}


async def _read_capture(call: Call, capture: int) -> object:
    return await call.station.captures.page(capture)


async def _stop_capture(call: Call, capture: int) -> object:
    call.station.captures.stop(capture)
    return {}


async def _info(call: Call, evse: int | None) -> object:
    return {"modems": [{"evse": number, **plc_info(plc)} for number, plc in _modems(call.station, evse).items()]}


async def _link(call: Call, evse: int | None) -> object:
    """All modems are asked at once: one that is silent takes its time."""
    modems = _modems(call.station, evse)
    networks = await asyncio.gather(*(plc.networks() for plc in modems.values()))
    return {
        "links": [
            {"evse": number, **plc_link(plc.status(), told)}
            for (number, plc), told in zip(modems.items(), networks, strict=True)
        ]
    }


def _modems(station: Station, number: int | None) -> dict[int, GreenPhyLink]:
    evses = station.evses.values() if number is None else [evse_of(station, number)]
    found = {int(evse.number): evse.plc for evse in evses if isinstance(evse.plc, GreenPhyLink)}
    if not found:
        raise RpcError(Code.UNAVAILABLE, "no powerline modem is configured")
    return found


def _modem(station: Station, number: int) -> GreenPhyLink:
    return _modems(station, number)[number]


_CAPTURE = Param(int, required=True, low=1, says="what Slac.StartCapture answered")
_OBSERVER, _TECHNICIAN = Role.OBSERVER, Role.TECHNICIAN

PLC_METHODS: Mapping[str, Method] = {
    "Slac.Last": Method(
        _OBSERVER, _slac, {"evse": ANY, "limit": Param(int, 5, low=1, high=50)}, "the latest SLAC runs, newest first"
    ),
    "Slac.SelfTest": Method(
        _TECHNICIAN, _self_test, {"evse": ONE}, "find the modem anew, give it a key and verify it; without a vehicle"
    ),
    "Slac.StartCapture": Method(
        _TECHNICIAN,
        _start_capture,
        {"evse": ONE, "for_s": Param(int, 60, low=1, high=MAX_SECONDS)},
        "keep the frames of the modem's interface, without keys, to be read in pages",
    ),
    "Slac.ReadCapture": Method(
        _TECHNICIAN,
        _read_capture,
        {"capture": _CAPTURE},
        "the next page of the pcap file, in base64; the last one tells why it ended",
        is_audited=False,
    ),
    "Slac.StopCapture": Method(_TECHNICIAN, _stop_capture, {"capture": _CAPTURE}, "no more frames; read the rest"),
    "Plc.Info": Method(_OBSERVER, _info, {"evse": ANY}, "the powerline modems"),
    "Plc.Link": Method(_OBSERVER, _link, {"evse": ANY}, "who is in the modems' networks now, where the modem tells"),
}
