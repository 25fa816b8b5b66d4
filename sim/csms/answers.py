"""How a CSMS answers: registration, tokens by allow-list, Plug & Charge contracts with their OCSP data."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from secc.exi import Namespace

Payload = dict[str, Any]
ENVELOPE = "ISO15118-2"
"""vendorId of DataTransfer with the messages of ISO 15118-2 vehicles."""

_FREE_KINDS = ("NoAuthorization", "Central")


@dataclass
class Policy:
    """What the CSMS allows. None for a list lets any token of that kind pass."""

    emaids: frozenset[str] | None = None
    rfids: frozenset[str] | None = None
    registration: list[str] = field(default_factory=lambda: ["Accepted"])
    """One status for each BootNotification, the last for all further ones."""
    boot_interval_s: int = 300
    statuses: dict[str, str] = field(default_factory=dict)
    """AuthorizationStatus by token, before the lists."""
    require_ocsp: bool = True
    """Whether a contract without OCSP hash data is refused (C07)."""
    group_of: dict[str, str] = field(default_factory=dict)
    needs_status: str = "Rejected"
    """NotifyEVChargingNeedsStatusEnumType: whether it plans for vehicles."""
    schedule_status: str = "Accepted"
    """Its word on a vehicle's own plan."""


class Answers:
    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._boots = 0
        self.certificate_status: Callable[[Payload], Payload] | None = None
        """Answers GetCertificateStatus; None for a CSMS that cannot."""
        self.ev_certificate: Callable[[Payload], Payload] | None = None
        """Answers Get15118EVCertificate; None for a CSMS that cannot."""

    def answer(self, action: str, payload: Payload) -> Payload:
        """The response to a valid request."""
        if action == "BootNotification":
            return self._boot()
        if action == "Heartbeat":
            return {"currentTime": now_text()}
        if action == "Authorize":
            return self._authorize(payload)
        if action == "TransactionEvent":
            return self._transaction_event(payload)
        if action == "GetCertificateStatus":
            return {"status": "Failed"} if self.certificate_status is None else self.certificate_status(payload)
        if action == "NotifyEVChargingNeeds":
            return {"status": self.policy.needs_status}
        if action == "NotifyEVChargingSchedule":
            return {"status": self.policy.schedule_status}
        if action == "Get15118EVCertificate":
            failed = {"status": "Failed", "exiResponse": ""}
            return failed if self.ev_certificate is None else self.ev_certificate(payload)
        if action == "DataTransfer":
            return self._data_transfer(payload)
        if action == "SignCertificate":
            return {"status": "Accepted"}
        return {}

    def _data_transfer(self, payload: Payload) -> Payload:
        """Certificate requests of vehicles in the envelope of ISO15118-2; anything else is accepted."""
        if payload["vendorId"] != ENVELOPE or self.ev_certificate is None:
            return {"status": "Accepted"}
        action = "Update" if payload["messageId"] == "CertificateUpdateReq" else "Install"
        request = {"iso15118SchemaVersion": Namespace.ISO_2.value, "action": action, "exiRequest": payload["data"]}
        answer = self.ev_certificate(request)
        if answer["status"] != "Accepted":
            return {"status": "Rejected"}
        return {"status": "Accepted", "data": answer["exiResponse"]}

    def _boot(self) -> Payload:
        statuses = self.policy.registration
        status = statuses[min(self._boots, len(statuses) - 1)]
        self._boots += 1
        return {"currentTime": now_text(), "interval": self.policy.boot_interval_s, "status": status}

    def token_info(self, token: Payload) -> Payload:
        """IdTokenInfoType."""
        name = token["idToken"]
        info: Payload = {"status": self._status(name, token["type"])}
        if name in self.policy.group_of:
            info["groupIdToken"] = {"idToken": self.policy.group_of[name], "type": "Central"}
        return info

    def _status(self, name: str, kind: str) -> str:
        if name in self.policy.statuses:
            return self.policy.statuses[name]
        if kind in _FREE_KINDS:
            return "Accepted"
        allowed = self.policy.emaids if kind == "eMAID" else self.policy.rfids
        if allowed is None or name.upper() in {entry.upper() for entry in allowed}:
            return "Accepted"
        return "Unknown" if kind == "eMAID" else "Invalid"

    def _authorize(self, payload: Payload) -> Payload:
        response: Payload = {"idTokenInfo": self.token_info(payload["idToken"])}
        if payload["idToken"]["type"] == "eMAID":
            response["certificateStatus"] = "Accepted"
            shown = payload.get("iso15118CertificateHashData") or "certificate" in payload
            if self.policy.require_ocsp and not shown:
                response["idTokenInfo"] = {"status": "Invalid"}
                response["certificateStatus"] = "NoCertificateAvailable"
        return response

    def _transaction_event(self, payload: Payload) -> Payload:
        return {"idTokenInfo": self.token_info(payload["idToken"])} if "idToken" in payload else {}


def now_text() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
