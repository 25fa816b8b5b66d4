"""What the lights of an EVSE show, derived from where its session stands. Pure."""

from firmware.state import State
from hal.ports import Indication
from ocpp_client.ports import ChargingState


def indication(state: State) -> Indication:
    """A fault before everything, then whether a driver may come, then what the driver waits for."""
    if state.stopped:
        return Indication.FAULTED
    if not state.operative:
        return Indication.UNAVAILABLE
    if not state.plugged:
        return Indication.AUTHORIZED if state.authorized else Indication.AVAILABLE
    if state.charging_state is ChargingState.CHARGING:
        return Indication.CHARGING
    return Indication.READY if state.authorized else Indication.CONNECTED
