"""What the CSMS does by itself in a demonstration: it lowers the current in mid-charge."""

from collections import Counter

from sim.csms.answers import Payload
from sim.csms.server import Csms, Event


class LowerAfterUpdates:
    """Once `updates` Updated events of a transaction have come, a TxProfile lowers its current to `limit_a`."""

    def __init__(self, updates: int, limit_a: float) -> None:
        self._updates = updates
        self._limit_a = limit_a
        self._seen: Counter[str] = Counter()

    def __call__(self, csms: Csms, event: Event) -> None:
        if event.action != "TransactionEvent" or event.payload["eventType"] != "Updated":
            return
        transaction_id = event.payload["transactionInfo"]["transactionId"]
        self._seen[transaction_id] += 1
        if self._seen[transaction_id] == self._updates:
            evse_id = event.payload.get("evse", {}).get("id", 1)
            csms.call_later("SetChargingProfile", tx_profile(evse_id, transaction_id, self._limit_a))


def tx_profile(evse_id: int, transaction_id: str, limit_a: float, *, profile_id: int = 100) -> Payload:
    """A SetChargingProfileRequest that holds `limit_a` until the transaction ends."""
    return {
        "evseId": evse_id,
        "chargingProfile": {
            "id": profile_id,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Relative",
            "transactionId": transaction_id,
            "chargingSchedule": [
                {
                    "id": 1,
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit_a}],
                }
            ],
        },
    }
