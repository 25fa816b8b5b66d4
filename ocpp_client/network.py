"""Which CSMS to connect to: network connection profiles and their priority (B09, B10, A05). Pure.

Slot 1 is the configuration file's until a CSMS overwrites it. The profiles are tried in the order of
NetworkConfigurationPriority, each NetworkProfileConnectionAttempts times, for ever: a station that was sent to a CSMS
that is not there comes back. A security profile never goes down (A05.FR.02).
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from ocpp_client.wire import Payload

SLOTS = ("1", "2", "3")


class NetworkProfileRefused(Exception):
    """`reason_code` is a StatusInfoType.reasonCode."""

    def __init__(self, reason_code: str, detail: str) -> None:
        super().__init__(detail)
        self.reason_code = reason_code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class NetworkProfile:
    url: str
    security_profile: int


class Network:
    """`priority` and `attempts` are the device model's word; `has_tls` says whether wss can be had now."""

    def __init__(
        self,
        first: NetworkProfile,
        priority: Callable[[], tuple[str, ...]],
        attempts: Callable[[], int],
        has_tls: Callable[[], bool],
    ) -> None:
        self._profiles = {"1": first}
        self._priority = priority
        self._attempts = attempts
        self._has_tls = has_tls
        self._index = 0
        self._failures = 0

    @property
    def active_slot(self) -> str:
        order = self._order()
        return order[self._index % len(order)]

    @property
    def active(self) -> NetworkProfile:
        return self._profiles[self.active_slot]

    def _order(self) -> tuple[str, ...]:
        return tuple(slot for slot in self._priority() if slot in self._profiles) or ("1",)

    def connected(self) -> None:
        self._failures = 0

    def failed(self) -> bool:
        """A connection attempt failed; True when the next profile's turn has come."""
        self._failures += 1
        if self._failures < self._attempts() or len(self._order()) == 1:
            return False
        self._failures = 0
        self._index = (self._index + 1) % len(self._order())
        return True

    def set(self, slot: int, data: Payload) -> None:
        """SetNetworkProfile's connectionData; takes effect with the next connection. Raises NetworkProfileRefused."""
        if str(slot) not in SLOTS:
            raise NetworkProfileRefused("InvalidConfSlot", f"slots are {', '.join(SLOTS)}")
        if data["ocppTransport"] != "JSON" or data["ocppVersion"] != "OCPP20":
            raise NetworkProfileRefused("UnsupportedParam", "only OCPP 2.0.1 over JSON")
        if "vpn" in data or "apn" in data:
            raise NetworkProfileRefused("UnsupportedParam", "VPN and APN are the system's")
        self._check_security(data)
        self._profiles[str(slot)] = NetworkProfile(data["ocppCsmsUrl"], data["securityProfile"])

    def _check_security(self, data: Payload) -> None:
        wanted, url = data["securityProfile"], data["ocppCsmsUrl"]
        if wanted not in (1, 2, 3):
            raise NetworkProfileRefused("InvalidNetworkConf", "security profile from 1 to 3")
        if wanted < self.active.security_profile:
            raise NetworkProfileRefused("NoSecurityDowngrade", "a security profile never goes down")
        if not url.startswith("ws://" if wanted == 1 else "wss://") or not url.split("://", 1)[1]:
            raise NetworkProfileRefused("InvalidURL", "ws:// for security profile 1, else wss://")
        if wanted > 1 and not self._has_tls():
            raise NetworkProfileRefused("UnsupportedParam", "the station has no TLS set up")

    def priority_refusal(self, value: str) -> str | None:
        """Why NetworkConfigurationPriority cannot be this; None when it can."""
        wanted = [slot.strip() for slot in value.split(",") if slot.strip()]
        if not wanted:
            return "at least one slot"
        if empty := [slot for slot in wanted if slot not in self._profiles]:
            return f"no profile in slot {', '.join(empty)}"
        if any(self._profiles[slot].security_profile < self.active.security_profile for slot in wanted):
            return "a security profile never goes down"
        return None

    # --- Outliving a restart ---

    def dump(self) -> str:
        return json.dumps({slot: asdict(profile) for slot, profile in self._profiles.items()})

    def restore(self, text: str) -> None:
        """Raises ValueError, KeyError or TypeError for what `dump` did not write."""
        stored = {slot: NetworkProfile(**profile) for slot, profile in json.loads(text).items() if slot in SLOTS}
        self._profiles |= stored
