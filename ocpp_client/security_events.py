"""Security events (A04): each goes into the station's own log, and to the CSMS once it has accepted the station.

What a peer can cause at will is told once for each connection, or once for each series of failed attempts: nobody shall
fill the queue by knocking.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from ocpp_client.notices import security_event
from ocpp_client.ports import JournalError, SecurityEvent
from ocpp_client.security_log import SecurityLog
from ocpp_client.wire import Payload

log = logging.getLogger(__name__)

TIME_SET_AFTER = timedelta(seconds=10)
"""A clock that the CSMS puts right by less has drifted; by more, it was set."""


Notify = Callable[[str, Payload], None]
"""Store and send, in the background."""
Append = Callable[[datetime, str, str], None]
"""Write into the log, in the background."""


class SecurityEvents:
    def __init__(self, security_log: SecurityLog, now: Callable[[], datetime], append: Append, notify: Notify) -> None:
        self._log = security_log
        self._now = now
        self._append = append
        self._notify = notify
        self._attempts_told: set[SecurityEvent] = set()
        self._frames_told: set[str] = set()
        self._unreadable = ""

    async def open(self) -> None:
        """Take the log up, before the first event."""
        try:
            await self._log.open()
        except (JournalError, ValueError, KeyError) as error:
            log.error("the security log cannot be read, a new chain begins: %s", error)
            self._unreadable = str(error)

    def started(self, boot: str) -> None:
        """What cannot be read is a log that somebody, or something, has cleared."""
        if self._unreadable:
            self.report(SecurityEvent.SECURITY_LOG_WAS_CLEARED, f"unreadable: {self._unreadable}")
        self.report(SecurityEvent.STARTUP_OF_THE_DEVICE, boot)

    def report(self, kind: str, tech_info: str = "") -> None:
        """SecurityEventNotification, kept until the CSMS has it, and an entry of the log."""
        now = self._now()
        self._append(now, kind, tech_info)
        self._notify("SecurityEventNotification", security_event(kind, now, tech_info))

    def connected(self) -> None:
        self._attempts_told.clear()
        self._frames_told.clear()

    def attempt_failed(self, kind: SecurityEvent | None, reason: str) -> None:
        """A connection attempt failed, and `kind` says what that means for security, if anything."""
        if kind is not None and kind not in self._attempts_told:
            self._attempts_told.add(kind)
            self.report(kind, reason)

    def frame_refused(self, reason: str) -> None:
        """The CSMS sent what is no valid message."""
        if reason not in self._frames_told:
            self._frames_told.add(reason)
            self.report(SecurityEvent.INVALID_MESSAGES, reason)

    def time_told(self, before: datetime) -> None:
        """The CSMS told the time; `before` is what the station took it for."""
        if abs(self._now() - before) > TIME_SET_AFTER:
            self.report(SecurityEvent.SETTING_SYSTEM_TIME, f"from {before.isoformat(timespec='seconds')}")
