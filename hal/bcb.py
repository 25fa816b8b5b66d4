"""The BCB toggle (ISO 15118-3): a vehicle goes from B to C and back to wake the EVSE's communication. Pure."""

from hal.ports import CpState

# C is held for 200 to 400 ms, by a vehicle that is 50 ms off at worst; its end is 100 ms late with a lost STATE.
# unverified: ISO 15118-3 table A.1, T_vald_state_duration
SHORTEST_S = 0.15
LONGEST_S = 0.55


class BcbWatch:
    """Told of each settled state and since when the board has shown it."""

    def __init__(self) -> None:
        self._ready_since_s: float | None = None

    def entered(self, state: CpState, since_s: float, powered: bool) -> bool:
        """Whether this was the end of a toggle. With power permitted it is the end of a charge instead."""
        began_s = self._ready_since_s
        self._ready_since_s = since_s if state is CpState.C and not powered else None
        if began_s is None or state is not CpState.B or powered:
            return False
        return SHORTEST_S <= since_s - began_s <= LONGEST_S
