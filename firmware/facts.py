"""The facts an EVSE's session lives on: those of the three floors below, and what firmware itself adds."""

from dataclasses import dataclass
from enum import Enum

from firmware.maintenance import MaintenanceBegun, MaintenanceOver, TrialWanted
from firmware.start_rules import StartHeld
from hal.diagnostics import Verdict
from hal.ports import HalFact
from ocpp_client.ports import AuthorizeAnswer, CsmsFact, IdToken
from secc.ports import CertificateAnswer, SeccFact
from secc.schedules import ScheduleAnswer


@dataclass(frozen=True, slots=True)
class AuthorizationAnswered:
    """The CSMS's word, or its silence, on a token asked about before."""

    token: IdToken
    answer: AuthorizeAnswer


@dataclass(frozen=True, slots=True)
class TransactionOpened:
    """The journal holds a transaction under this id."""

    transaction_id: str


@dataclass(frozen=True, slots=True)
class ConnectorEmpty:
    """Nobody is plugged in: told while a transaction from before a power cut waits for its vehicle."""


@dataclass(frozen=True, slots=True)
class MasterPassShown:
    """At any reader of the station: every transaction ends (C16)."""

    token: IdToken


class LimitSource(Enum):
    """Who on this side of the CSMS sets a limit; the names are the fields of `firmware.limits.Limits`."""

    BOARD = "board_a"
    CABLE = "cable_a"
    HEAT = "heat_a"
    SITE = "site_a"
    TECHNICIAN = "technician_a"


@dataclass(frozen=True, slots=True)
class LocalLimit:
    """A limit per phase that the station itself sets; None lifts it."""

    source: LimitSource
    limit_a: float | None
    ceiling_a: float | None = None
    """Of a share: what it could become if nobody else drew."""


class RcdWord(Enum):
    """What is known without a verdict of the device."""

    SILENT = "silent"
    """The board did not answer."""
    RESET = "reset"
    """A technician has seen to the device."""


@dataclass(frozen=True, slots=True)
class RcdTested:
    """What came of the residual current device's self-test."""

    outcome: Verdict | RcdWord


MaintenanceFact = MaintenanceBegun | TrialWanted | MaintenanceOver

Fact = (
    HalFact
    | SeccFact
    | CsmsFact
    | AuthorizationAnswered
    | TransactionOpened
    | ConnectorEmpty
    | MasterPassShown
    | CertificateAnswer
    | ScheduleAnswer
    | LocalLimit
    | MaintenanceFact
    | StartHeld
    | RcdTested
)
