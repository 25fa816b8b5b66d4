"""What the scoreboard counts must hold: single losses, crosstalk, random loss, speed."""

import pytest

from hal.plc.slac_events import SlacState
from hal.plc.timings import Profile
from tests.hal.plc.plc_pair import Pair
from tests.hal.plc.plc_scenarios import (
    SINGLE_LOSSES,
    crosstalk,
    foreign_delay_s,
    random_loss,
    sessions_per_s,
    survives_loss,
)


@pytest.mark.parametrize("profile", list(Profile))
@pytest.mark.parametrize("lost", SINGLE_LOSSES)
def test_the_loss_of_any_one_message_is_survived(lost: str, profile: Profile):
    assert survives_loss(lost, profile)


@pytest.mark.parametrize("habits", ["ioniq", "tesla_y", "polestar2", "audi_q4"])
@pytest.mark.parametrize("lost", SINGLE_LOSSES)
def test_whatever_the_cars_habits(lost: str, habits: str):
    assert survives_loss(lost, Profile.FIELD, habits)


def test_three_vehicles_that_hear_every_evse_find_their_own():
    assert [crosstalk(seed) for seed in range(50)] == [3] * 50


def test_a_foreign_vehicle_that_stops_after_sounding_delays_nobody():
    assert foreign_delay_s() < 0.1


@pytest.mark.parametrize("profile", list(Profile))
def test_three_percent_loss_is_survived(profile: Profile):
    assert sum(random_loss(seed, profile=profile) for seed in range(50)) == 50


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.05, 0.1, 0.2])
def test_no_key_differs_and_no_state_is_dead(loss: float):
    pair, keyed = Pair(seed=7, loss=loss), 0
    for _ in range(400):
        pair.plug()
        if pair.run():
            keyed += 1
            assert pair.vehicles_key() == pair.nmk
            assert pair.evse.state is SlacState.JOINING
        pair.unplug()
    assert keyed >= (400 if loss <= 0.05 else 392)
    pair.loss = 0.0
    pair.plug()
    assert pair.run()
    assert pair.ev.attempts == 1


def test_the_machine_is_fast_enough_to_be_tested_by_the_thousand():
    rate, keyed = sessions_per_s(300, 0.0)
    assert keyed == 300
    # The bench asks for 2,000; a loaded builder may be slower.
    assert rate > 500
