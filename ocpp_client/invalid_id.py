"""What becomes of a transaction whose token the CSMS refuses in a TransactionEventResponse (E05).

Energy flows on up to MaxEnergyOnInvalidId; then, or at once where that is 0, StopTxOnInvalidId says whether the
transaction ends or is only kept from drawing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hal.quantities import EvseId, MeterReading
from ocpp_client.device_model import DeviceModel
from ocpp_client.ports import TokenDeauthorized, TransactionState


@dataclass(frozen=True, slots=True)
class _Grace:
    state: TransactionState
    status: str
    until_wh: float


class InvalidIds:
    def __init__(self, model: DeviceModel, report: Callable[[TokenDeauthorized], None]) -> None:
        self._model = model
        self._report = report
        self._graces: dict[EvseId, _Grace] = {}

    def refused(self, state: TransactionState, status: str) -> None:
        """The CSMS does not accept the token of this running transaction."""
        allowed_wh = self._model.number("TxCtrlr", "MaxEnergyOnInvalidId")
        if allowed_wh > 0 and state.last_meter is not None:
            grace = self._graces.get(state.evse_id)
            if grace is None or grace.state.transaction_id != state.transaction_id:
                until_wh = state.last_meter.energy_import_wh + allowed_wh
                self._graces[state.evse_id] = _Grace(state, status, until_wh)
        else:
            self._deauthorize(state, status)

    def sampled(self, evse_id: EvseId, reading: MeterReading) -> None:
        grace = self._graces.get(evse_id)
        if grace is not None and reading.energy_import_wh >= grace.until_wh:
            del self._graces[evse_id]
            self._deauthorize(grace.state, grace.status)

    def transaction_ended(self, evse_id: EvseId) -> None:
        self._graces.pop(evse_id, None)

    def _deauthorize(self, state: TransactionState, status: str) -> None:
        ends = self._model.flag("TxCtrlr", "StopTxOnInvalidId")
        self._report(TokenDeauthorized(state.evse_id, state.transaction_id, status, suspend=not ends))
