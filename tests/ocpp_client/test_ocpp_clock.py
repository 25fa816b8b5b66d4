"""A station that wakes up in 1970 and learns the time later."""

from datetime import UTC, datetime, timedelta

import pytest

from ocpp_client.clock import StationClock

DAWN = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)
TODAY = datetime(2026, 5, 1, 12, tzinfo=UTC)


class World:
    def __init__(self, system: datetime, follow: bool = False) -> None:
        self.system = system
        self.monotonic = 100.0
        self.follow = follow
        self.clock = StationClock(lambda: self.system, lambda: self.monotonic, lambda: self.follow)

    def passes(self, seconds: float) -> None:
        self.system += timedelta(seconds=seconds)
        self.monotonic += seconds


def test_a_sound_system_clock_is_believed_whatever_the_csms_says() -> None:
    world = World(TODAY)
    assert world.clock.csms_says("2030-01-01T00:00:00Z")
    assert world.clock.now() == TODAY
    assert world.clock.reading_time(TODAY) == TODAY


def test_with_heartbeat_as_the_time_source_the_csms_is_followed() -> None:
    world = World(TODAY, follow=True)
    world.clock.csms_says("2026-05-01T13:00:00Z")
    world.passes(10)
    assert world.clock.now() == TODAY + timedelta(hours=1, seconds=10)
    assert world.clock.reading_time(TODAY) == TODAY + timedelta(hours=1)
    world.system += timedelta(days=1)
    assert world.clock.now() == TODAY + timedelta(hours=1, seconds=10), "a jump of the system's clock is not ours"


def test_what_may_be_compared_with_the_time_before_a_restart() -> None:
    assert World(TODAY).clock.trusted
    for world in (World(DAWN), World(TODAY, follow=True)):
        assert not world.clock.trusted
        assert world.clock.csms_says("2026-05-01T12:00:00Z")
        assert world.clock.trusted


def test_a_clock_of_1970_takes_the_csms_time_until_ntp_comes() -> None:
    world = World(DAWN)
    assert world.clock.now() == DAWN
    world.clock.csms_says("2026-05-01T12:00:00Z")
    world.passes(5)
    assert world.clock.now() == TODAY + timedelta(seconds=5)
    world.system = TODAY + timedelta(seconds=8)
    assert world.clock.now() == TODAY + timedelta(seconds=8)


@pytest.mark.parametrize("text", [None, "", "soon", "1999-01-01T00:00:00Z"])
def test_a_csms_that_tells_no_sensible_time_changes_nothing(text: str | None) -> None:
    world = World(DAWN)
    assert not world.clock.csms_says(text)
    assert world.clock.now() == DAWN


def test_events_from_before_are_put_right_when_they_are_sent() -> None:
    world = World(DAWN)
    stored = '{"timestamp":"1970-01-01T00:05:00.000Z","meterValue":[{"timestamp":"1970-01-01T00:04:00.000Z"}]}'
    assert world.clock.corrected(stored) == stored, "nobody knows the time yet"
    world.passes(60)
    world.clock.csms_says("2026-05-01T12:01:00Z")
    world.passes(30)
    assert world.clock.corrected(stored) == (
        '{"timestamp":"2026-05-01T12:00:00.000Z","meterValue":[{"timestamp":"2026-05-01T11:59:00.000Z"}]}'
    )


def test_what_an_earlier_start_dated_later_is_dated_now_at_most() -> None:
    world = World(DAWN)
    world.clock.csms_says("2026-05-01T12:00:00Z")
    later = '{"generatedAt":"1970-01-01T09:00:00.000Z"}'
    assert world.clock.corrected(later) == '{"generatedAt":"2026-05-01T12:00:00.000Z"}'


def test_what_is_right_is_left_to_the_letter() -> None:
    stored = '{"timestamp":"2026-04-30T23:59:59.999Z","techInfo":"\\"timestamp\\":\\"1970-01-01T00:00:00Z\\""}'
    assert World(TODAY).clock.corrected(stored) == stored
