"""When to send BootNotification and Heartbeat (OCPP 2.0.1 B01-B04, G02). Pure.

    link up, not yet Accepted   -> BootNotification, at once unless the CSMS asked to wait
    Pending, Rejected           -> BootNotification again after the interval of the answer
    no answer                   -> again after `retry_s`
    Accepted                    -> Heartbeat every interval while the link is up; the link may come and go

A registration outlives the link: only a restart, or the CSMS's own TriggerMessage, boots anew.
"""

from enum import Enum

from ocpp_client.queue import Registration


class Due(Enum):
    BOOT = "boot"
    HEARTBEAT = "heartbeat"


MIN_WAIT_S = 1.0
"""Whatever interval a CSMS names: a zero would have us boot without a pause."""


class Registrar:
    def __init__(self, retry_s: float) -> None:
        self._retry_s = retry_s
        self._link_up = False
        self._boot_at: float | None = 0.0
        self._heartbeat_at: float | None = None
        self.status = Registration.NONE
        self.heartbeat_s = 300.0

    @property
    def online(self) -> bool:
        return self._link_up and self.status is Registration.ACCEPTED

    @property
    def deadline(self) -> float | None:
        if not self._link_up:
            return None
        return self._heartbeat_at if self.status is Registration.ACCEPTED else self._boot_at

    def link_up(self, now: float) -> None:
        self._link_up = True
        if self.status is Registration.ACCEPTED:
            self._heartbeat_at = now + self.heartbeat_s
        elif self._boot_at is None:
            # The answer to the last one was lost with the link.
            self._boot_at = now

    def link_down(self) -> None:
        self._link_up = False
        self._heartbeat_at = None

    def set_heartbeat(self, interval_s: float, now: float) -> None:
        self.heartbeat_s = max(interval_s, MIN_WAIT_S)
        if self._heartbeat_at is not None:
            self._heartbeat_at = now + self.heartbeat_s

    def answered(self, status: Registration, interval_s: float, now: float) -> None:
        """BootNotificationResponse. An interval of 0 leaves the choice to us (B01.FR.04, B02.FR.05)."""
        self.status = status
        if status is Registration.ACCEPTED:
            self._boot_at = None
            self.heartbeat_s = max(interval_s, MIN_WAIT_S) if interval_s > 0 else self.heartbeat_s
            self._heartbeat_at = now + self.heartbeat_s if self._link_up else None
        else:
            self._boot_at = now + (max(interval_s, MIN_WAIT_S) if interval_s > 0 else self._retry_s)

    def unanswered(self, now: float) -> None:
        """The BootNotification failed; a lost link is handled by `link_up`."""
        if self.status is not Registration.ACCEPTED:
            self._boot_at = now + self._retry_s if self._link_up else None

    def tick(self, now: float) -> Due | None:
        if self.deadline is None or now < self.deadline:
            return None
        if self.status is Registration.ACCEPTED:
            self._heartbeat_at = now + self.heartbeat_s
            return Due.HEARTBEAT
        self._boot_at = None
        return Due.BOOT
