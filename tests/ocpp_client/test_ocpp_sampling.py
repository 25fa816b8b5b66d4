from datetime import UTC, datetime, timedelta

import pytest

from hal.quantities import EvseId
from ocpp_client.sampling import Sampler, next_aligned

ONE, TWO = EvseId(1), EvseId(2)
MIDNIGHT = datetime(2026, 5, 1, tzinfo=UTC)


def test_samples_count_from_each_transactions_start() -> None:
    sampler = Sampler()
    sampler.begin(ONE, 0.0, 60.0)
    sampler.begin(TWO, 30.0, 60.0)
    assert sampler.deadline == 60.0
    assert sampler.tick(59.0, 60.0) == []
    assert sampler.tick(60.0, 60.0) == [ONE]
    assert sampler.tick(90.0, 60.0) == [TWO]
    sampler.end(ONE)
    assert sampler.deadline == 150.0
    sampler.end(TWO)
    assert sampler.deadline is None


def test_times_missed_are_left_out() -> None:
    sampler = Sampler()
    sampler.begin(ONE, 0.0, 60.0)
    assert sampler.tick(1000.0, 60.0) == [ONE]
    assert sampler.deadline == 1020.0


def test_an_interval_of_zero_is_never_and_a_new_one_counts_from_now() -> None:
    sampler = Sampler()
    sampler.begin(ONE, 0.0, 0.0)
    assert sampler.deadline is None
    sampler.interval_changed((ONE, TWO), 100.0, 30.0)
    assert sampler.deadline == 130.0
    sampler.interval_changed((ONE,), 110.0, 0.0)
    assert sampler.deadline is None


@pytest.mark.parametrize(
    ("seconds", "interval_s", "expected_s"),
    [(0, 900, 900), (1, 900, 900), (900, 900, 1800), (86399, 900, 86400), (80000, 50000, 86400), (10.5, 1, 11)],
)
def test_aligned_times_count_from_midnight(seconds: float, interval_s: float, expected_s: float) -> None:
    now = MIDNIGHT + timedelta(seconds=seconds)
    assert next_aligned(now, interval_s) == MIDNIGHT + timedelta(seconds=expected_s)


def test_no_interval_no_alignment() -> None:
    assert next_aligned(MIDNIGHT, 0) is None
