from datetime import UTC, datetime, timedelta, timezone

import pytest

from ocpp_client.schema import SchemaViolation
from ocpp_client.wire import (
    InvalidOutgoing,
    check_request,
    encode_request,
    encode_response,
    format_time,
    parse_time,
    text_at,
)


def test_times_are_sent_in_utc_with_three_digits() -> None:
    at = datetime(2026, 3, 4, 5, 6, 7, 891234, tzinfo=timezone(timedelta(hours=2)))
    assert format_time(at) == "2026-03-04T03:06:07.891Z"
    assert format_time(datetime(2026, 3, 4, tzinfo=UTC)) == "2026-03-04T00:00:00.000Z"


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2026-03-04T05:06:07Z", 5),
        ("2026-03-04T05:06:07.123456Z", 5),
        ("2026-03-04T05:06:07.1234567+02:00", 3),
        ("2026-03-04T05:06:07", 5),
    ],
)
def test_times_of_a_csms_are_read_tolerantly(text: str, hour: int) -> None:
    assert parse_time(text).hour == hour
    assert parse_time(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["", "now", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"]
)
def test_what_is_no_time_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any reason will do
        parse_time(text)


def test_what_we_send_is_checked_strictly() -> None:
    status = {"timestamp": "2026-03-04T05:06:07.123Z", "connectorStatus": "Available", "evseId": 1, "connectorId": 1}
    assert encode_request("StatusNotification", status).startswith('{"timestamp":"2026-03-04T05:06:07.123Z"')
    for wrong in (
        {"timestamp": "2026-03-04T05:06:07.123456Z"},
        {"timestamp": "2026-03-04T05:06:07.123+00:00"},
        {"connectorStatus": "Charging"},
        {"extra": 1},
    ):
        with pytest.raises(InvalidOutgoing, match="StatusNotificationRequest"):
            encode_request("StatusNotification", status | wrong)


def test_our_answers_are_checked_too() -> None:
    assert encode_response("Reset", {"status": "Accepted"}) == '{"status":"Accepted"}'
    with pytest.raises(InvalidOutgoing):
        encode_response("Reset", {"status": "Unlocked"})


def test_a_request_with_a_bad_time_is_refused_and_one_with_six_digits_is_not() -> None:
    log = {"remoteLocation": "http://x", "oldestTimestamp": "2026-03-04T05:06:07.123456Z"}
    request = {"log": log, "logType": "DiagnosticsLog", "requestId": 1}
    check_request("GetLog", request)
    log["oldestTimestamp"] = "yesterday"
    with pytest.raises(SchemaViolation, match="date-time"):
        check_request("GetLog", request)


@pytest.mark.parametrize("payload", [None, [], "x", {}, {"a": 3}, {"a": {"b": 4}}, {"a": ["b"]}])
def test_text_at_takes_anything(payload: object) -> None:
    assert text_at(payload, "a", "b") is None
    assert text_at({"a": {"b": "yes"}}, "a", "b") == "yes"
