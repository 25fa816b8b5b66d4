"""The facts an EVSE's session lives on: those of the three floors below, and what firmware itself adds."""

from dataclasses import dataclass

from hal.ports import HalFact
from ocpp_client.ports import AuthorizeAnswer, CsmsFact, IdToken
from secc.ports import SeccFact


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
class SiteLimit:
    """What the station as a whole leaves this EVSE, per phase."""

    limit_a: float


Fact = HalFact | SeccFact | CsmsFact | AuthorizationAnswered | TransactionOpened | SiteLimit
