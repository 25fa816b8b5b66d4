"""The time of day, for records. Timers are monotonic and never ask for it."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.now(UTC)
