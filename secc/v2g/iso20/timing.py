"""V2G_SECC_Sequence_Timeout of ISO 15118-20 by state, and what vehicles in the field get on top."""

from dataclasses import dataclass

from secc.v2g.session import Session, State
from secc.v2g.timing import SEQUENCE_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class SequenceTimeout:
    standard_s: float
    tolerance_s: float = 0.0

    @property
    def whole_s(self) -> float:
        return self.standard_s + self.tolerance_s


_USUAL = SequenceTimeout(SEQUENCE_TIMEOUT_S)

# The standard wants a vehicle that is silent for half a second in the loop cut off. EVCCs in use pause for up to two
# seconds between requests, and their makers' own stations wait 60.
CHARGE_LOOP = SequenceTimeout(0.5, tolerance_s=4.5)  # unverified: table 215

SEQUENCE_TIMEOUTS = {State.AC_CHARGE_LOOP: CHARGE_LOOP, State.DC_CHARGE_LOOP: CHARGE_LOOP}


def sequence_timeout_s(session: Session) -> float:
    return SEQUENCE_TIMEOUTS.get(session.state, _USUAL).whole_s
