"""What every test shares."""

import gc
import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing about what is tested.
settings.register_profile("bleen", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bleen")

# CPython before 3.11.8 can fail with "AST constructor recursion depth mismatch" when the garbage collector runs while
# pytest rewrites a module's assertions (python/cpython#106905). Collection is short: it can do without the collector.
gc.disable()


LONG = (
    "azure/test_fleets_contract.py",
    "azure/test_journeys.py",
    "azure/test_flip_journeys.py",
    "azure/test_guest_journeys.py",
    "azure/test_guest_process.py",
    "azure/test_mixed_journeys.py",
    "console/test_pages.py",
    "journeys/test_blue_green.py",
    "journeys/test_canary.py",
    "journeys/test_canary_analysis.py",
    "journeys/test_platform.py",
    "providers/local/test_system.py",
    "workflows/test_building.py",
    "workflows/test_canary.py",
    "workflows/test_deaths.py",
    "workflows/test_renewal.py",
    "workflows/test_rollouts.py",
)
"""Files that take a minute or more. They are begun first: one that began last would be waited for alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first, and leave every other order as it is."""
    tests = Path(__file__).parent
    if gone := [name for name in LONG if not (tests / name).exists()]:
        raise pytest.UsageError(f"LONG names files that are not there: {', '.join(gone)}")
    items.sort(key=lambda item: item.path.relative_to(tests).as_posix() not in LONG)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Collect garbage again once every module is imported."""
    gc.enable()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI nothing is skipped but what is not applicable there: what a machine lacks is a hole in the proof."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter is not None else []
    holes = [report for report in skipped if "not applicable" not in str(report.longrepr)]
    if os.environ.get("CI") and holes and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line(f"in CI nothing may be skipped, and {len(holes)} tests were", red=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Reading a failed test's source parses it, with the same hazard."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
