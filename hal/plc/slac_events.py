"""The words of the matching machine: its states, what it reports, why it does not act."""

from dataclasses import dataclass
from enum import StrEnum

from hal.plc.mme import AmpMap


class SlacState(StrEnum):
    UNARMED = "unarmed"
    WAITING = "waiting"
    MATCHING = "matching"
    EXPIRED = "expired"
    JOINING = "joining"
    LINKED = "linked"
    PAUSED = "paused"


class Drop(StrEnum):
    """Why a well-formed message was not acted on."""

    NOT_ARMED = "no vehicle connected or no key"
    NOT_FOR_US = "addressed to another"
    LINKED = "already matched"
    BAD_TYPE = "application or security type"
    BAD_FIELD = "field value"
    BAD_RESULT = "result not success"
    FOREIGN_RUN = "run unknown"
    WRONG_STATE = "not expected in the run's state"
    TOO_MANY_RUNS = "too many runs"
    NOT_FOR_EVSE = "message of an EVSE or modem"


class SlacFailure(StrEnum):
    """Why there is no link."""

    NO_PARM_REQ = "no CM_SLAC_PARM.REQ within TT_EVSE_SLAC_init"
    NOT_MATCHED = "no match within TT_matching_repetition"
    NOT_JOINED = "not in the network within TT_match_join"


@dataclass(frozen=True, slots=True)
class Begun:
    """CM_SLAC_PARM.CNF sent for the first time since matching was armed: a vehicle in reach speaks SLAC."""

    ev_mac: bytes


@dataclass(frozen=True, slots=True)
class Matched:
    ev_mac: bytes
    run_id: bytes
    attenuation_db: float
    sounds: int
    took_s: float


@dataclass(frozen=True, slots=True)
class Joined:
    ev_mac: bytes


@dataclass(frozen=True, slots=True)
class Left:
    """The link is down; a new key is needed before the next match."""


@dataclass(frozen=True, slots=True)
class Failed:
    """No match or no link in time. `rekey` when our key was given away."""

    failure: SlacFailure
    rekey: bool


@dataclass(frozen=True, slots=True)
class MapAsked:
    """The matched vehicle wants carriers lowered; it is answered once the modem has been told."""

    ev_mac: bytes
    amp_map: AmpMap


SlacEvent = Begun | Matched | Joined | Left | Failed | MapAsked
