"""The methods about what vehicles say: key logs and traces. The table is at the end."""

from collections.abc import Mapping
from contextlib import suppress

from firmware.control.method import ONE, Call, Method, evse_of
from firmware.control.params import Param
from firmware.control.plc_capture import MAX_SECONDS
from firmware.control.roles import Role
from firmware.control.rpc import Code, RpcError
from firmware.control.v2g_trace import V2gSource
from secc.ports import TlsUnavailable


async def _key_log(call: Call, evse: int, for_s: int) -> object:
    """Whoever has the file can read these sessions: so it is short, audited, and the daemon's user's alone."""
    one = evse_of(call.station, evse)
    file = call.station.config.station.state_dir / f"tls-keys-evse{evse}.log"
    if one.secc is None:
        raise RpcError(Code.UNAVAILABLE, f"EVSE {evse} has no ISO 15118")
    try:
        await one.secc.log_keys(file, for_s)
    except (TlsUnavailable, OSError) as error:
        raise RpcError(Code.UNAVAILABLE, f"no key log: {error}") from error
    return {"evse": evse, "file": str(file), "for_s": for_s}


async def _start_trace(call: Call, evse: int, for_s: int) -> object:
    """Without a certificate there is no TLS, and nothing to decrypt."""
    one = evse_of(call.station, evse)
    file = call.station.config.station.state_dir / f"tls-keys-trace{evse}.log"
    if one.secc is None:
        raise RpcError(Code.UNAVAILABLE, f"EVSE {evse} has no ISO 15118")
    try:
        number = call.station.v2g_traces.start(evse, lambda: V2gSource(one.settings.plc_interface, file), for_s)
    except OSError as error:
        raise RpcError(Code.UNAVAILABLE, f"{one.settings.plc_interface}: {error}") from error
    with suppress(TlsUnavailable, OSError):
        await one.secc.log_keys(file, for_s)
    return {"capture": number, "evse": evse, "for_s": for_s}


async def _read_trace(call: Call, capture: int) -> object:
    return await call.station.v2g_traces.page(capture)


async def _stop_trace(call: Call, capture: int) -> object:
    call.station.v2g_traces.stop(capture)
    return {}


_TRACE = Param(int, required=True, low=1, says="what V2g.StartTrace answered")
_TECHNICIAN = Role.TECHNICIAN

V2G_METHODS: Mapping[str, Method] = {
    "V2g.KeyLog": Method(
        _TECHNICIAN,
        _key_log,
        {"evse": ONE, "for_s": Param(int, required=True, low=1, high=600)},
        "write the secrets of TLS sessions to a file, for a while, so that Wireshark can read them",
    ),
    "V2g.StartTrace": Method(
        _TECHNICIAN,
        _start_trace,
        {"evse": ONE, "for_s": Param(int, 300, low=1, high=MAX_SECONDS)},
        "keep what an EVSE and its vehicle say, with the TLS secrets to read it, to be read in pages",
    ),
    "V2g.ReadTrace": Method(
        _TECHNICIAN,
        _read_trace,
        {"capture": _TRACE},
        "the next page of the pcapng file, in base64; the last one tells why it ended",
        is_audited=False,
    ),
    "V2g.StopTrace": Method(_TECHNICIAN, _stop_trace, {"capture": _TRACE}, "no more packets; read the rest"),
}
