"""Order and privileges: pure machines first, whole sites last; nothing is skipped in CI."""

import os

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no defect of ours: how fast something is, the benches measure.
settings.register_profile("evsed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("evsed")

LAST = ("tests/conformance/", "tests/e2e/")
"""What starts processes and namespaces runs when everything fast has passed."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((place for place, part in enumerate(LAST, 1) if part in str(item.path)), 0))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """In CI a skip is a failure: everything a test may need is there."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
