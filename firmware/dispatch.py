"""Brings the CSMS's facts to the EVSEs they concern; what concerns the station goes to `on_reset`."""

import logging
from collections.abc import Callable, Mapping

from firmware.evse import Evse
from firmware.site import Site
from hal.quantities import EvseId
from ocpp_client.ports import (
    AvailabilityChanged,
    ContractRules,
    CsmsFact,
    CsmsLimit,
    CsmsOnline,
    DisplayChanged,
    EventSent,
    RemoteStart,
    ResetRequested,
    TransactionRules,
)

log = logging.getLogger(__name__)

STATION = EvseId(0)


class Dispatcher:
    """Call `take` on the main loop."""

    def __init__(
        self,
        evses: Mapping[EvseId, Evse],
        on_reset: Callable[[], None],
        site: Site,
        on_display: Callable[[DisplayChanged], None] = lambda _shown: None,
    ) -> None:
        self._evses = evses
        self._on_display = on_display
        self._on_reset = on_reset
        self._site = site

    def take(self, fact: CsmsFact) -> None:
        match fact:
            case CsmsOnline() | AvailabilityChanged(evse_id=None) | TransactionRules() | ContractRules():
                self._to_all(fact)
            case EventSent(transaction_id=transaction_id):
                self._to_transaction(fact, transaction_id)
            case CsmsLimit(evse_id=evse_id, limit_a=limit_a) if evse_id == STATION:
                self._site.limit("csms", limit_a)
            case DisplayChanged():
                self._on_display(fact)
            case RemoteStart(evse_id=None):
                self._to_a_free_one(fact)
            case ResetRequested(evse_id=None):
                self._to_all(fact)
                self._on_reset()
            case _:
                self._to_one(fact, fact.evse_id)

    def _to_all(self, fact: CsmsFact) -> None:
        for evse in self._evses.values():
            evse.report(fact)

    def _to_one(self, fact: CsmsFact, evse_id: EvseId | None) -> None:
        if evse_id is not None and evse_id in self._evses:
            self._evses[evse_id].report(fact)
        else:
            log.warning("no such EVSE: %s", fact)

    def _to_transaction(self, fact: CsmsFact, transaction_id: str) -> None:
        for evse in self._evses.values():
            if evse.transaction_id == transaction_id:
                evse.report(fact)

    def _to_a_free_one(self, fact: RemoteStart) -> None:
        free = [
            evse
            for evse in self._evses.values()
            if not evse.in_transaction and evse.state.admits(fact.id_token, fact.group_id)
        ]
        if free:
            free[0].report(fact)
        else:
            log.warning("a remote start finds no free EVSE")
