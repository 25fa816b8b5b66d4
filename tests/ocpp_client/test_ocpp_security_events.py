"""Security events by themselves: what is told, and how often."""

import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.http11 import Response

from ocpp_client.link import security_event_of
from ocpp_client.ports import JournalError, SecurityEvent
from ocpp_client.security_events import SecurityEvents

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Log:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def open(self) -> None:
        if self.error is not None:
            raise self.error


class Heard:
    """What went into the log and what to the CSMS; the clock stands at `now`."""

    def __init__(self, log: Log | None = None) -> None:
        self.now = NOON
        self.logged: list[str] = []
        self.sent: list[str] = []
        self.events = SecurityEvents(log or Log(), lambda: self.now, self._append, self._notify)  # type: ignore[arg-type]

    def _append(self, at: datetime, kind: str, info: str) -> None:
        assert at == self.now
        self.logged.append(kind)

    def _notify(self, action: str, payload: dict[str, Any]) -> None:
        assert action == "SecurityEventNotification"
        self.sent.append(payload["type"])


async def test_a_start_is_told() -> None:
    heard = Heard()
    await heard.events.open()
    assert heard.sent == []
    heard.events.started("PowerUp, firmware 1.0")
    assert heard.sent == heard.logged == ["StartupOfTheDevice"]


@pytest.mark.parametrize("error", [JournalError("disk"), ValueError("no JSON"), KeyError("hash")])
async def test_a_log_that_cannot_be_read_was_cleared(error: Exception) -> None:
    heard = Heard(Log(error))
    await heard.events.open()
    heard.events.started("PowerUp")
    assert heard.sent == ["SecurityLogWasCleared", "StartupOfTheDevice"]


def test_a_series_of_failed_attempts_is_told_once_until_one_succeeds() -> None:
    heard = Heard()
    for _ in range(3):
        heard.events.attempt_failed(SecurityEvent.INVALID_CSMS_CERTIFICATE, "expired")
        heard.events.attempt_failed(None, "connection refused")
    heard.events.attempt_failed(SecurityEvent.FAILED_TO_AUTHENTICATE_AT_CSMS, "401")
    assert heard.sent == ["InvalidCsmsCertificate", "FailedToAuthenticateAtCsms"]
    heard.events.connected()
    heard.events.attempt_failed(SecurityEvent.INVALID_CSMS_CERTIFICATE, "expired")
    assert len(heard.sent) == 3


def test_each_kind_of_rubbish_is_told_once_a_connection() -> None:
    heard = Heard()
    for reason in ("not JSON", "not JSON", "nested too deep", "not JSON"):
        heard.events.frame_refused(reason)
    assert heard.sent == ["InvalidMessages", "InvalidMessages"]
    heard.events.connected()
    heard.events.frame_refused("not JSON")
    assert len(heard.sent) == 3


@pytest.mark.parametrize(
    ("jump_s", "told"), [(2, []), (-2, []), (60, ["SettingSystemTime"]), (-60, ["SettingSystemTime"])]
)
def test_a_clock_that_jumps_was_set(jump_s: float, told: list[str]) -> None:
    heard = Heard()
    heard.now = NOON + timedelta(seconds=jump_s)
    heard.events.time_told(NOON)
    assert heard.sent == told


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (InvalidStatus(Response(401, "", Headers())), SecurityEvent.FAILED_TO_AUTHENTICATE_AT_CSMS),
        (InvalidStatus(Response(503, "", Headers())), None),
        (ssl.SSLCertVerificationError(1, "expired"), SecurityEvent.INVALID_CSMS_CERTIFICATE),
        (tls_error("TLSV1_ALERT_PROTOCOL_VERSION"), SecurityEvent.INVALID_TLS_VERSION),
        (tls_error("SSLV3_ALERT_HANDSHAKE_FAILURE"), SecurityEvent.INVALID_TLS_CIPHER_SUITE),
        (tls_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), SecurityEvent.FAILED_TO_AUTHENTICATE_AT_CSMS),
        (tls_error("UNEXPECTED_EOF_WHILE_READING"), None),
        (ConnectionRefusedError(), None),
    ],
)
def test_what_a_failed_attempt_means(error: Exception, event: SecurityEvent | None) -> None:
    assert security_event_of(error) is event
    above = InvalidMessage("did not receive a valid HTTP response")
    above.__cause__ = error
    assert security_event_of(above) is event
