"""Smart charging: the CSMS's four messages about charging profiles (K01, K08-K10)."""

from collections.abc import Callable, Iterator
from datetime import datetime

from hal.quantities import EvseId
from ocpp_client.actions import Answer, Handlers, SendLater, accepted, status
from ocpp_client.composite import composite
from ocpp_client.profile_rules import TX_PROFILE, ProfileRefused
from ocpp_client.profiles import Installed, Profiles
from ocpp_client.wire import Payload

PROFILES_PER_REPORT = 5
MAX_COMPOSITE_S = 366 * 86400


class ChargingActions:
    """`changed` is called with the time a CALL was read when what holds may have changed, `planned` for each EVSE whose
    transaction's own profile came or went."""

    def __init__(
        self,
        profiles: Profiles,
        now_utc: Callable[[], datetime],
        changed: Callable[[float], None],
        planned: Callable[[EvseId], None],
        send_later: SendLater,
    ) -> None:
        self._profiles = profiles
        self._now_utc = now_utc
        self._changed = changed
        self._planned = planned
        self._send_later = send_later

    def handlers(self) -> Handlers:
        return {
            "SetChargingProfile": self.set_charging_profile,
            "ClearChargingProfile": self.clear_charging_profile,
            "GetChargingProfiles": self.get_charging_profiles,
            "GetCompositeSchedule": self.get_composite_schedule,
        }

    async def set_charging_profile(self, request: Payload, at_s: float) -> Answer:
        try:
            self._profiles.set(request["evseId"], request["chargingProfile"])
        except ProfileRefused as refused:
            return status("Rejected", refused.reason_code, refused.detail)
        self._changed(at_s)
        if request["chargingProfile"]["chargingProfilePurpose"] == TX_PROFILE:
            self._planned(EvseId(request["evseId"]))
        return accepted()

    async def clear_charging_profile(self, request: Payload, at_s: float) -> Answer:
        cleared = self._profiles.clear(request.get("chargingProfileId"), request.get("chargingProfileCriteria"))
        if not cleared:
            return status("Unknown")
        self._changed(at_s)
        for evse_id in sorted({item.evse_id for item in cleared if item.calculable.purpose == TX_PROFILE}):
            self._planned(EvseId(evse_id))
        return accepted()

    async def get_charging_profiles(self, request: Payload, _at_s: float) -> Answer:
        found = self._profiles.find(request.get("evseId"), request["chargingProfile"])
        if not found:
            return status("NoProfiles")
        return accepted(lambda: self._report(request["requestId"], found))

    def _report(self, request_id: int, found: list[Installed]) -> None:
        batches = list(_batches(found))
        for index, (source, evse_id, profiles) in enumerate(batches, 1):
            report: Payload = {
                "requestId": request_id,
                "chargingLimitSource": source,
                "evseId": evse_id,
                "chargingProfile": profiles,
                "tbc": index < len(batches),
            }
            self._send_later("ReportChargingProfiles", report)

    async def get_composite_schedule(self, request: Payload, _at_s: float) -> Answer:
        duration_s = request["duration"]
        if not 0 < duration_s <= MAX_COMPOSITE_S:
            return status("Rejected", "InvalidValue", "duration from 1 s to a year")
        try:
            schedule = composite(
                self._profiles, request["evseId"], self._now_utc(), duration_s, request.get("chargingRateUnit")
            )
        except ProfileRefused as refused:
            return status("Rejected", refused.reason_code, refused.detail)
        return Answer({"status": "Accepted", "schedule": schedule})


def _batches(found: list[Installed]) -> Iterator[tuple[str, int, list[Payload]]]:
    """By who set them and where they hold, a few at a time."""
    for source, evse_id in sorted({(item.source, item.evse_id) for item in found}):
        profiles = [item.profile for item in found if (item.source, item.evse_id) == (source, evse_id)]
        for start in range(0, len(profiles), PROFILES_PER_REPORT):
            yield source, evse_id, profiles[start : start + PROFILES_PER_REPORT]
