"""The lowest limit wins, and under 6 A there is none to offer."""

import pytest

from firmware.limits import Limits


@pytest.mark.parametrize(
    ("limits", "offer_a"),
    [
        (Limits(32.0), 32.0),
        (Limits(32.0, cable_a=20.0), 20.0),
        (Limits(32.0, cable_a=20.0, profile_a=10.0, heat_a=16.0, site_a=12.0), 10.0),
        (Limits(32.0, profile_a=6.0), 6.0),
        (Limits(32.0, profile_a=5.9), 0.0),
        (Limits(32.0, profile_a=0.0), 0.0),
    ],
)
def test_offer(limits: Limits, offer_a: float) -> None:
    assert limits.offer_a == offer_a
