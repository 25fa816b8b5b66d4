"""A firmware update as the CSMS asks for it (OCPP 2.0.1 L01, L02): which step comes next, and what is told. Pure.

    DownloadScheduled -> Downloading <-> DownloadPaused -> Downloaded -> SignatureVerified -> InstallScheduled
        -> Installing -> InstallRebooting -> Installed
    and the ends DownloadFailed, InvalidSignature, InstallVerificationFailed, InstallationFailed

One update at a time. A new request takes the place of one that has not begun to install; from then on it is refused,
because a slot half written is worth nothing. Installing waits until no transaction is open; while it waits the EVSEs
that are free take no new ones, unless AllowNewSessionsPendingFirmwareUpdate says otherwise.

`dump` and `restore` carry an update over a restart. Steps that a power cut interrupted are done again, the verification
always: what lay on the disk meanwhile is not trusted.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ocpp_client.ports import FirmwareFault, UpdateOutcome
from ocpp_client.wire import Payload, format_time, parse_time

MAX_ATTEMPTS = 21
MAX_RETRY_INTERVAL_S = 3600
DEFAULT_RETRIES = 3
DEFAULT_RETRY_INTERVAL_S = 60
MAX_INSTALLS = 2
"""How often an installation that a power cut interrupted is begun."""


class FirmwareStatus(StrEnum):
    """OCPP FirmwareStatusEnumType."""

    IDLE = "Idle"
    DOWNLOAD_SCHEDULED = "DownloadScheduled"
    DOWNLOADING = "Downloading"
    DOWNLOAD_PAUSED = "DownloadPaused"
    DOWNLOADED = "Downloaded"
    DOWNLOAD_FAILED = "DownloadFailed"
    SIGNATURE_VERIFIED = "SignatureVerified"
    INVALID_SIGNATURE = "InvalidSignature"
    INSTALL_SCHEDULED = "InstallScheduled"
    INSTALLING = "Installing"
    INSTALL_REBOOTING = "InstallRebooting"
    INSTALL_VERIFICATION_FAILED = "InstallVerificationFailed"
    INSTALLATION_FAILED = "InstallationFailed"
    INSTALLED = "Installed"


ENDS = frozenset(
    {
        FirmwareStatus.IDLE,
        FirmwareStatus.DOWNLOAD_FAILED,
        FirmwareStatus.INVALID_SIGNATURE,
        FirmwareStatus.INSTALL_VERIFICATION_FAILED,
        FirmwareStatus.INSTALLATION_FAILED,
        FirmwareStatus.INSTALLED,
    }
)
_UNTOUCHABLE = frozenset({FirmwareStatus.INSTALLING, FirmwareStatus.INSTALL_REBOOTING})
_ON_DISK = frozenset({FirmwareStatus.DOWNLOADED, FirmwareStatus.SIGNATURE_VERIFIED, FirmwareStatus.INSTALL_SCHEDULED})


@dataclass(frozen=True, slots=True)
class UpdateRequest:
    """An accepted UpdateFirmwareRequest. Times are ISO 8601, UTC; without a certificate it is unsigned (L02)."""

    request_id: int
    location: str
    retrieve_at: str
    install_at: str | None
    signing_certificate: str | None
    signature: str | None
    attempts: int
    retry_interval_s: float


def request_of(payload: Payload) -> UpdateRequest:
    """From an UpdateFirmwareRequest, valid by its schema; numbers beyond reason are brought within bounds."""
    firmware = payload["firmware"]
    install = firmware.get("installDateTime")
    interval_s = payload.get("retryInterval", DEFAULT_RETRY_INTERVAL_S)
    return UpdateRequest(
        request_id=payload["requestId"],
        location=firmware["location"],
        retrieve_at=format_time(parse_time(firmware["retrieveDateTime"])),
        install_at=None if install is None else format_time(parse_time(install)),
        signing_certificate=firmware.get("signingCertificate"),
        signature=firmware.get("signature"),
        attempts=min(1 + max(payload.get("retries", DEFAULT_RETRIES), 0), MAX_ATTEMPTS),
        retry_interval_s=float(min(max(interval_s, 0), MAX_RETRY_INTERVAL_S)),
    )


# --- Effects: what the driver does. ---


@dataclass(frozen=True, slots=True)
class Tell:
    """FirmwareStatusNotification."""

    status: FirmwareStatus
    request_id: int


@dataclass(frozen=True, slots=True)
class TellSecurity:
    """SecurityEventNotification."""

    kind: str
    info: str


@dataclass(frozen=True, slots=True)
class Download:
    """One attempt; answered by `download_ended`."""

    request: UpdateRequest


@dataclass(frozen=True, slots=True)
class Verify:
    """Answered by `verified`."""

    request: UpdateRequest


@dataclass(frozen=True, slots=True)
class Hold:
    """Take no new transactions (True), or again (False)."""

    on: bool


@dataclass(frozen=True, slots=True)
class MakeIdle:
    """Bring the open transactions to their end."""


@dataclass(frozen=True, slots=True)
class Install:
    """Answered by `install_ended`."""

    request: UpdateRequest


@dataclass(frozen=True, slots=True)
class Activate:
    """Start what was installed; the station goes down by it."""


@dataclass(frozen=True, slots=True)
class AwaitOutcome:
    """Answered by `outcome`."""


@dataclass(frozen=True, slots=True)
class Discard:
    """Stop what runs for the update, and remove what was downloaded."""


Effect = Tell | TellSecurity | Download | Verify | Hold | MakeIdle | Install | Activate | AwaitOutcome | Discard
Effects = list[Effect]


@dataclass(frozen=True, slots=True)
class UpdateRules:
    """Asked anew at each use."""

    busy: Callable[[], bool]
    """Whether a transaction is open."""
    allow_new_sessions: Callable[[], bool]
    """AllowNewSessionsPendingFirmwareUpdate."""
    stops_transactions: bool = False
    """End open transactions rather than wait for them."""


class FirmwareUpdate:
    """Methods take the wall time where they need it; a tick at `deadline` and whenever a transaction ended."""

    def __init__(self, rules: UpdateRules) -> None:
        self._rules = rules
        self.status = FirmwareStatus.IDLE
        self.request: UpdateRequest | None = None
        self._attempt = 0
        self._installs = 0
        self._retry_at: datetime | None = None
        self._verified = False
        self._waiting = False
        """For the last transaction to end."""
        self._held = False

    def payload(self) -> Payload:
        """FirmwareStatusNotificationRequest for a trigger: Idle without a request id when nothing goes on."""
        if self.request is None or self.status in ENDS:
            return {"status": FirmwareStatus.IDLE.value}
        return {"status": self.status.value, "requestId": self.request.request_id}

    @property
    def under_way(self) -> bool:
        return self.status not in ENDS

    @property
    def cancellable(self) -> bool:
        return self.status not in _UNTOUCHABLE

    def deadline(self) -> datetime | None:
        """When time alone brings the next step."""
        if self.request is None:
            return None
        if self.status is FirmwareStatus.DOWNLOAD_SCHEDULED:
            return parse_time(self.request.retrieve_at)
        if self.status is FirmwareStatus.DOWNLOAD_PAUSED:
            return self._retry_at
        if self._verified and not self._waiting and self.status in _ON_DISK and self.request.install_at:
            return parse_time(self.request.install_at)
        return None

    # --- What happens ---

    def begin(self, request: UpdateRequest, now: datetime) -> Effects:
        """Only while `cancellable`; what was under way is dropped."""
        effects: Effects = [*self._release(), Discard()] if self.under_way else [Discard()]
        self.request, self._attempt, self._installs, self._verified = request, 0, 0, False
        self._retry_at, self._waiting = None, False
        self.status = FirmwareStatus.IDLE
        if parse_time(request.retrieve_at) > now:
            return effects + self._enter(FirmwareStatus.DOWNLOAD_SCHEDULED)
        return effects + self._download()

    def tick(self, now: datetime) -> Effects:
        if self.request is None:
            return []
        if self.status is FirmwareStatus.DOWNLOAD_SCHEDULED and now >= parse_time(self.request.retrieve_at):
            return self._download()
        if self.status is FirmwareStatus.DOWNLOAD_PAUSED and self._retry_is_due(now):
            return self._download()
        if self._verified and self.status in _ON_DISK:
            return self._install_when_due(now)
        return []

    def _retry_is_due(self, now: datetime) -> bool:
        if self.request is None or self._retry_at is None:
            return True
        # A clock that was set back must not make the pause longer.
        return now >= self._retry_at or self._retry_at - now > timedelta(seconds=self.request.retry_interval_s)

    def download_ended(self, complete: bool, now: datetime) -> Effects:
        """An attempt ended, with all of it or without."""
        if self.status is not FirmwareStatus.DOWNLOADING or self.request is None:
            return []
        if complete:
            effects = self._enter(FirmwareStatus.DOWNLOADED)
            return effects + self._verify(now)
        if self._attempt >= self.request.attempts:
            return self._end(FirmwareStatus.DOWNLOAD_FAILED)
        self._retry_at = now + timedelta(seconds=self.request.retry_interval_s)
        return self._enter(FirmwareStatus.DOWNLOAD_PAUSED)

    def verified(self, good: bool, now: datetime) -> Effects:
        """L01: what was downloaded carries the signature of the request, or not."""
        if self.status not in _ON_DISK or self._verified:
            return []
        if not good:
            told = TellSecurity("InvalidFirmwareSignature", self.request.location[:255] if self.request else "")
            return [*self._end(FirmwareStatus.INVALID_SIGNATURE), told]
        self._verified = True
        again = self.status is not FirmwareStatus.DOWNLOADED
        effects = [] if again else self._enter(FirmwareStatus.SIGNATURE_VERIFIED)
        return effects + self._install_when_due(now)

    def install_ended(self, fault: FirmwareFault | None) -> Effects:
        if self.status is not FirmwareStatus.INSTALLING:
            return []
        if fault is FirmwareFault.VERIFICATION:
            return self._end(FirmwareStatus.INSTALL_VERIFICATION_FAILED)
        if fault is FirmwareFault.INSTALLATION:
            return self._end(FirmwareStatus.INSTALLATION_FAILED)
        return [*self._enter(FirmwareStatus.INSTALL_REBOOTING), Activate(), AwaitOutcome()]

    def outcome(self, outcome: UpdateOutcome) -> Effects:
        """After the restart: the new firmware proved good, or the old one runs again."""
        if self.status is not FirmwareStatus.INSTALL_REBOOTING or self.request is None:
            return []
        if outcome is UpdateOutcome.GOOD:
            info = TellSecurity("FirmwareUpdated", self.request.location[:255])
            return [*self._end(FirmwareStatus.INSTALLED), info]
        return self._end(FirmwareStatus.INSTALLATION_FAILED)

    # --- Steps ---

    def _enter(self, status: FirmwareStatus) -> Effects:
        if self.request is None or status is self.status:
            return []
        self.status = status
        return [Tell(status, self.request.request_id)]

    def _end(self, status: FirmwareStatus) -> Effects:
        return [*self._enter(status), *self._release(), Discard()]

    def _release(self) -> Effects:
        held, self._held = self._held, False
        return [Hold(False)] if held else []

    def _hold(self) -> Effects:
        held, self._held = self._held, True
        return [] if held else [Hold(True)]

    def _download(self) -> Effects:
        if self.request is None:
            return []
        self._attempt += 1
        return [*self._enter(FirmwareStatus.DOWNLOADING), Download(self.request)]

    def _verify(self, now: datetime) -> Effects:
        if self.request is None:
            return []
        if self.request.signing_certificate is None:
            self._verified = True
            return self._install_when_due(now)
        return [Verify(self.request)]

    def _install_when_due(self, now: datetime) -> Effects:
        if self.request is None:
            return []
        if self.request.install_at is not None and now < parse_time(self.request.install_at):
            return self._enter(FirmwareStatus.INSTALL_SCHEDULED)
        if not self._rules.busy():
            return self._install()
        self._waiting = True
        effects = self._enter(FirmwareStatus.INSTALL_SCHEDULED)
        if self._rules.stops_transactions:
            return [*effects, *self._hold(), MakeIdle()]
        return effects if self._rules.allow_new_sessions() else effects + self._hold()

    def _install(self) -> Effects:
        """No transaction may begin now that the restart would cut off."""
        if self.request is None:
            return []
        self._installs += 1
        return [*self._hold(), *self._enter(FirmwareStatus.INSTALLING), Install(self.request)]

    # --- Over a restart ---

    def dump(self) -> str | None:
        if self.request is None or not self.under_way:
            return None
        return json.dumps(
            {
                "status": self.status.value,
                "request": asdict(self.request),
                "attempt": self._attempt,
                "installs": self._installs,
            }
        )

    def restore(self, text: str) -> None:
        """Raises ValueError, KeyError, TypeError or AttributeError for what `dump` never wrote."""
        stored = json.loads(text)
        self.request = UpdateRequest(**stored["request"])
        self.status = FirmwareStatus(stored["status"])
        self._attempt, self._installs = int(stored["attempt"]), int(stored["installs"])

    def resume(self, now: datetime) -> Effects:
        """Go on after `restore`."""
        if self.request is None:
            return []
        if self.status is FirmwareStatus.DOWNLOADING:
            return [Download(self.request)]
        if self.status in _ON_DISK:
            return self._verify(now)
        if self.status is FirmwareStatus.INSTALL_REBOOTING:
            return [AwaitOutcome()]
        if self.status is FirmwareStatus.INSTALLING:
            if self._installs >= MAX_INSTALLS:
                return self._end(FirmwareStatus.INSTALLATION_FAILED)
            self.status = FirmwareStatus.SIGNATURE_VERIFIED
            return self._verify(now)
        return self.tick(now)
