"""What drives a simulated board from outside: the technician's `evse simulate`, and test suites of other people's.

The methods are there always, and refuse where the board is a real one.
"""

from firmware.control.method import ONE, Call, Method, evse_of
from firmware.control.params import Param
from firmware.control.roles import Role
from firmware.control.rpc import Code, RpcError
from hal.simulation import Simulator, Visit

MAX_CHARGE_S = 86400
MAX_CURRENT_A = 100


def _simulator(call: Call, evse: int) -> Simulator:
    board = evse_of(call.station, evse).board
    if not isinstance(board, Simulator):
        raise RpcError(Code.UNAVAILABLE, f"the board of EVSE {evse} is not a simulated one")
    return board


async def _plug_in(call: Call, evse: int, vehicle: str, charge_s: int, max_a: int, card: str) -> object:
    await _simulator(call, evse).plug_in(Visit(vehicle, charge_s, max_a, card))
    return {"evse": evse, "plugged": True}


async def _plug_out(call: Call, evse: int, pull: bool) -> object:
    gone = await _simulator(call, evse).plug_out(pull=pull)
    return {"evse": evse, "plugged": not gone}


async def _swipe(call: Call, evse: int, token: str, kind: str) -> object:
    await _simulator(call, evse).swipe(token, kind)
    return {"evse": evse}


async def _fault(call: Call, evse: int, name: str) -> object:
    await _simulator(call, evse).set_fault(name, True)
    return {"evse": evse, "fault": name, "active": True}


async def _fault_clear(call: Call, evse: int, name: str) -> object:
    await _simulator(call, evse).set_fault(name, False)
    return {"evse": evse, "fault": name, "active": False}


async def _net_down(call: Call) -> object:
    return _cut_network(call, True)


async def _net_up(call: Call) -> object:
    return _cut_network(call, False)


def _cut_network(call: Call, cut: bool) -> object:
    if not any(isinstance(evse.board, Simulator) for evse in call.station.evses.values()):
        raise RpcError(Code.UNAVAILABLE, "no board of this station is a simulated one")
    call.station.csms.cut_link(cut)
    return {"network": "down" if cut else "up"}


_CARD = Param(str, "", says="an RFID card in hex, held to the reader after plugging in")
_NAME = Param(str, required=True, says="a fault by its MREC name, or weld, stuck_open, lock_jam, silence, reset")
_TECHNICIAN = Role.TECHNICIAN

SIMULATE: dict[str, Method] = {
    "Simulate.PlugIn": Method(
        _TECHNICIAN,
        _plug_in,
        {
            "evse": ONE,
            "vehicle": Param(str, "iec", says="its kind and payment, as in iec, iso2-ac-eim or iso2-ac-pnc"),
            "charge_s": Param(int, 20, low=1, high=MAX_CHARGE_S, says="seconds in state C"),
            "max_a": Param(int, 32, low=1, high=MAX_CURRENT_A, says="what the vehicle can draw per phase"),
            "card": _CARD,
        },
        "a vehicle drives up and plugs in",
    ),
    "Simulate.PlugOut": Method(
        _TECHNICIAN,
        _plug_out,
        {"evse": ONE, "pull": Param(bool, False, says="tear the cable out instead of ending the charge")},
        "the vehicle leaves",
    ),
    "Simulate.Swipe": Method(
        _TECHNICIAN,
        _swipe,
        {
            "evse": ONE,
            "token": Param(str, required=True, says="the UID in hex"),
            "kind": Param(str, "ISO14443", choices=("ISO14443", "ISO15693")),
        },
        "hold a card to the reader",
    ),
    "Simulate.Fault": Method(_TECHNICIAN, _fault, {"evse": ONE, "name": _NAME}, "a fault of the board begins"),
    "Simulate.FaultClear": Method(_TECHNICIAN, _fault_clear, {"evse": ONE, "name": _NAME}, "a fault of the board ends"),
    "Simulate.NetDown": Method(_TECHNICIAN, _net_down, {}, "the network to the CSMS is gone"),
    "Simulate.NetUp": Method(_TECHNICIAN, _net_up, {}, "the network to the CSMS is back"),
}
