"""Fixtures of the console's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.console.browser import CHROMIUM, NARROW, WIDE, Seat, chromium, seat
from tests.interfaces.estate import Estate
from tests.journeys.conftest import stage

__all__ = ["stage"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; skipped where there is none. Not for longer: while it runs, no other event loop can in this thread."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"{CHROMIUM} is missing: `make test` installs Debian's chromium where apt and root allow")
    with chromium() as found:
        yield found


@pytest.fixture(params=[WIDE, NARROW], ids=["1280", "390"])
def size(request: pytest.FixtureRequest) -> dict[str, int]:
    """A desk and a phone."""
    found: dict[str, int] = request.param
    return found


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    """A platform in memory that runs."""
    estate = Estate(tmp_path / "home")
    estate.up()
    yield estate
    estate.down()


@pytest.fixture
def seated(browser: Browser, estate: Estate, size: dict[str, int]) -> Iterator[Seat]:
    """Somebody at a browser, before the platform in memory, not signed in."""
    with seat(browser, estate.address, size) as taken:
        yield taken
