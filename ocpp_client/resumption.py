"""Whether a transaction that a power cut left open waits for its vehicle, or is ended at once. Pure.

| at start                                                            | the transaction          |
|---------------------------------------------------------------------|--------------------------|
| TxCtrlr.ResumptionTimeout is 0                                      | ends: OFF                |
| the wall clock cannot be trusted, or stands before its last event   | ends: CLOCK              |
| its last event or kept reading is as old as ResumptionTimeout       | ends: TOO_LATE           |
| its token was refused, or the driver's part in it was over          | ends: AUTHORIZATION_OVER |
| its EVSE is gone from the configuration, or it is not the only one  | ends: NO_PLACE           |
| otherwise                                                           | waits for what is left   |

To end is: Ended by PowerLoss, dated and metered by what is kept. What becomes of one that waits stands in
`firmware/resumption.py`.
"""

from datetime import datetime
from enum import Enum

from ocpp_client.ports import TransactionState


class NotResumed(Enum):
    OFF = "resumption is off"
    CLOCK = "the clock cannot be trusted"
    TOO_LATE = "it was cut too long ago"
    AUTHORIZATION_OVER = "its authorization was over"
    NO_PLACE = "there is no EVSE for it"


def waits(
    state: TransactionState, now: datetime, timeout_s: float, *, clock_trusted: bool, has_place: bool
) -> float | NotResumed:
    """For how many seconds from `now` (wall time), or why not."""
    if timeout_s <= 0:
        return NotResumed.OFF
    age_s = (now - last_known(state)).total_seconds()
    if not clock_trusted or age_s < 0:
        return NotResumed.CLOCK
    if age_s >= timeout_s:
        return NotResumed.TOO_LATE
    if state.authorization_over:
        return NotResumed.AUTHORIZATION_OVER
    if not has_place:
        return NotResumed.NO_PLACE
    return timeout_s - age_s


def last_known(state: TransactionState) -> datetime:
    """Wall time of what was written of it last: its latest event, or a meter reading after that."""
    read = state.last_event_at if state.last_meter is None else state.last_meter.wall_time
    return max(state.last_event_at, read)
