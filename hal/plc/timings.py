"""The timers and counters of matching, by the standard's names. Seconds.

Values as public sources give them for ISO 15118-3 table A.1 and clause A.9; each is marked where it is from memory.
"""

from dataclasses import dataclass
from enum import StrEnum


class Profile(StrEnum):
    """`strict` follows the standard's letter; `field` also serves the cars that do not."""

    STRICT = "strict"
    FIELD = "field"


# From state B to the first CM_SLAC_PARM.REQ; 20 s to 50 s.
TT_EVSE_SLAC_INIT_S = 50.0
# The same for a fast fallback to plain AC charging: a vehicle must begin within TP_EV_SLAC_init, 10 s.
TP_EV_SLAC_INIT_S = 10.0
# How long the next message of a sequence may take to come.
TT_MATCH_SEQUENCE_S = 0.4
# The same where a slow vehicle is waited for: a run that has not begun to sound costs nothing.
FIELD_MATCH_SEQUENCE_S = 3 * TT_MATCH_SEQUENCE_S
# How long a response to a request may take to come.
TT_MATCH_RESPONSE_S = 0.2
# How long sounds are listened to, from the first CM_START_ATTEN_CHAR.IND on.
TT_EVSE_MATCH_MNBC_S = 0.6
# From CM_ATTEN_CHAR.RSP to CM_VALIDATE.REQ or CM_SLAC_MATCH.REQ.
TT_EVSE_MATCH_SESSION_S = 10.0
# From CM_SLAC_MATCH.CNF until the vehicle's modem is in the network.
TT_MATCH_JOIN_S = 12.0
# Within this time from the first failure matching may be tried again.
TT_MATCHING_REPETITION_S = 10.0
# How long BCB toggles may be awaited after the first CM_VALIDATE.CNF.
TT_EVSE_VALD_TOGGLE_S = 3.5
# From a wake-up until the vehicle's modem is back in the network.
T_CONN_RESUME_S = 6.0
# A link's status is asked this often while the vehicle joins (within TP_link_ready_notification, 0.2 s to 1 s) ...
JOIN_POLL_S = 0.1
# ... and this often once it has, to notice a loss within TP_match_leave, 1 s.
LINK_POLL_S = 0.5
# How long an amplitude map may take to be confirmed.
TT_AMP_MAP_EXCHANGE_S = 0.2
# How often a request is repeated without an answer.
C_EV_MATCH_RETRY = 2
# Sounds that are asked for (CM_SLAC_PARM.CNF NUM_SOUNDS).
C_EV_MATCH_MNBC = 10
# M-sounds' time window as it stands in CM_SLAC_PARM.CNF, in units of 100 ms.
TIME_OUT_100MS = 6
# Vehicles that may sound at the same time; the standard asks for 5 (C_EVSE_match_parallel).
MAX_RUNS = 16


@dataclass(frozen=True, slots=True)
class Timings:
    """What differs from one station to another."""

    slac_init_s: float = TT_EVSE_SLAC_INIT_S
    match_join_s: float = TT_MATCH_JOIN_S
