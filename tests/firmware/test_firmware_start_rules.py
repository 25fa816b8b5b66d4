"""Peak hours and random delays, in virtual time; then through a session, and by `evse charge-now`."""

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from firmware import effects as e
from firmware.config import ConfigError, Start, parse
from firmware.evse import Observation
from firmware.start_rules import LONGEST_DELAY_S, Hold, PeakHours, StartHeld, StartRules
from firmware.start_side import StartSide
from hal import ports as hal
from hal.quantities import EvseId
from ocpp_client.ports import RemoteStart
from tests.firmware.control_bench import bench, connected
from tests.firmware.test_firmware_config import GOOD
from tests.firmware.test_firmware_session import CARD, YES, AuthorizationAnswered, Talk, plugged_in, slac_failed, swipe

MONDAY = datetime(2026, 5, 4, tzinfo=UTC)
EVENING = PeakHours.parse("16:00-22:00")
NIGHT = PeakHours.parse("22:00-06:00")


def at(hours: float, day: int = 0) -> datetime:
    return MONDAY + timedelta(days=day, hours=hours)


@pytest.mark.parametrize(
    ("peak", "local", "end"),
    [
        (EVENING, at(15.99), None),
        (EVENING, at(16), at(22)),
        (EVENING, at(21.99), at(22)),
        (EVENING, at(22), None),
        (EVENING, at(18, day=5), None),
        (NIGHT, at(23), at(30)),
        (NIGHT, at(29), at(30)),
        (NIGHT, at(5, day=5), at(6, day=5)),
        (NIGHT, at(5), None),
        (NIGHT, at(23, day=5), None),
    ],
)
def test_peak_hours(peak: PeakHours, local: datetime, end: datetime | None) -> None:
    """Friday's night lasts into Saturday; Sunday's does not begin."""
    assert peak.end_after(local) == end


@pytest.mark.parametrize("text", ["", "16-22", "16:00-16:00", "25:00-26:00", "16:60-17:00", "16:00-24:01", "a:b-c:d"])
def test_what_is_no_span_of_hours(text: str) -> None:
    with pytest.raises(ValueError, match="hours"):
        PeakHours.parse(text)


def rules(delay_s: float = 600.0, *peaks: PeakHours) -> StartRules:
    return StartRules(delay_s, peaks, random.Random(1))


def held(changes: list[StartHeld]) -> tuple[Hold | None, float]:
    (change,) = changes
    return change.cause, change.for_s


def test_a_start_in_peak_hours_waits_for_their_end_and_then_at_random() -> None:
    machine = rules(600.0, EVENING)
    assert held(machine.feed(plugged_in, 100.0, at(17))) == (Hold.PEAK, 5 * 3600)
    assert machine.deadline() == 100.0 + 5 * 3600
    assert machine.tick(200.0, at(18)) == []
    cause, delay_s = held(machine.tick(100.0 + 5 * 3600, at(22)))
    assert cause is Hold.RANDOM_DELAY
    assert 0 < delay_s <= 600
    assert held(machine.tick(100.0 + 5 * 3600 + delay_s + 0.1, at(22.2)))[0] is None
    assert machine.deadline() is None


def test_a_clock_set_back_meanwhile_goes_on_waiting() -> None:
    machine = rules(600.0, EVENING)
    machine.feed(plugged_in, 0.0, at(21.5))
    assert held(machine.tick(1800.0, at(21))) == (Hold.PEAK, 3600.0)


def test_delays_are_even_over_their_range_and_capped() -> None:
    machine = StartRules(9999.0, (), random.Random(7))
    delays = [held(machine.feed(plugged_in, 0.0, at(12)))[1] for _ in range(2000)]
    assert 0 <= min(delays) < 30
    assert LONGEST_DELAY_S - 30 < max(delays) <= LONGEST_DELAY_S
    assert 850 < sum(delays) / len(delays) < 950


def test_overridden_for_this_vehicle_alone() -> None:
    machine = rules(600.0, EVENING)
    machine.feed(plugged_in, 0.0, at(17))
    assert machine.override() == [StartHeld(None)]
    assert machine.override() == []
    machine.feed(hal.Unplugged(0), 10.0, at(17))
    assert held(machine.feed(plugged_in, 20.0, at(17)))[0] is Hold.PEAK


def test_a_remote_start_overrides_the_hours_and_not_the_delay() -> None:
    machine = rules(600.0, EVENING)
    machine.feed(plugged_in, 0.0, at(17))
    remote = RemoteStart(None, CARD, 7)
    assert held(machine.feed(remote, 1.0, at(17)))[0] is Hold.RANDOM_DELAY
    assert machine.feed(remote, 2.0, at(17)) == []
    assert held(machine.feed(hal.Unplugged(0), 3.0, at(17)))[0] is None


def test_without_rules_nothing_is_held() -> None:
    machine = rules(0.0)
    assert machine.feed(plugged_in, 0.0, at(17)) == []
    assert machine.deadline() is None


def test_a_held_session_offers_nothing_until_it_may() -> None:
    talk = Talk()
    talk.hears(plugged_in, slac_failed, StartHeld(Hold.RANDOM_DELAY, 60.0), swipe)
    assert e.OfferCurrent(32.0) not in talk.hears(AuthorizationAnswered(CARD, YES))
    assert talk.session.state.limits.offer_a == 0.0
    assert talk.session.state.held is Hold.RANDOM_DELAY
    assert e.OfferCurrent(32.0) in talk.hears(StartHeld(None))


async def test_charge_now(tmp_path: Path) -> None:
    async with bench() as made:
        side = StartSide(Start(600.0, ("00:00-24:00",)), made.station.evses, lambda: at(12))
        made.dispatcher._station = type(made.station)(
            **{name: getattr(made.station, name) for name in made.station.__slots__ if name != "start"}, start=side
        )
        running = asyncio.create_task(made.evse.run())
        try:
            async with connected(made.path) as line:
                assert await line.error("Start.Now", evse=1) == -32004
                side(Observation(EvseId(1), plugged_in, "", "", time.monotonic(), MONDAY))
                await asyncio.sleep(0.05)
                assert made.evse.state.held is Hold.PEAK
                assert (await line.result("Start.Now", evse=1)) == {"evse": 1}
                await asyncio.sleep(0.05)
                assert made.evse.state.held is None
        finally:
            side.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_the_delay_ends_by_itself() -> None:
    async with bench() as made:
        side = StartSide(Start(0.05), made.station.evses)
        side(Observation(EvseId(1), plugged_in, "", "", time.monotonic(), MONDAY))
        assert made.evse._queue.get_nowait() == StartHeld(Hold.RANDOM_DELAY, pytest.approx(0.0, abs=0.1))
        await asyncio.sleep(0.15)
        assert made.evse._queue.get_nowait() == StartHeld(None)
        side.close()


def test_configured() -> None:
    good = parse(f'{GOOD}\n[start]\nrandom_delay_s = 600\npeak_hours = ["08:00-11:00", "16:00-22:00"]\n', Path("x"))
    assert good.start == Start(600.0, ("08:00-11:00", "16:00-22:00"))
    for bad in ("random_delay_s = 1801", "random_delay_s = -1", 'peak_hours = ["nine to five"]'):
        with pytest.raises(ConfigError, match=r"start\."):
            parse(f"{GOOD}\n[start]\n{bad}\n", Path("x"))
