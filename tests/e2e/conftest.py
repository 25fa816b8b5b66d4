"""A whole site for a test: the daemon and every other end as processes in namespaces."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sim.namespaces import missing_right
from sim.site import Options, Site

MakeSite = Callable[..., Site]


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[MakeSite]:
    """Makes the test's site, all of it running."""
    if right := missing_right():
        pytest.skip(right)
    made: list[Site] = []

    def make(options: Options | None = None) -> Site:
        site = Site(tmp_path, options or Options(sampled_interval_s=1.0))
        made.append(site.__enter__())
        site.start_all()
        return site

    yield make
    for site in made:
        site.__exit__(None, None, None)
