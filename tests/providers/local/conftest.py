"""Homes for the tests of the host agent."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bleen.domain.fleet import Isolation
from tests.providers.local.world import World, build_app


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A new home, with the isolation that this machine allows."""
    there = World(tmp_path / "home", await build_app(tmp_path / "home"))
    yield there
    await there.close()


@pytest.fixture
async def plain_world(tmp_path: Path) -> AsyncIterator[World]:
    """A new home on a machine that refuses sandboxes."""
    there = World(tmp_path / "home", await build_app(tmp_path / "home"), isolation=Isolation.PROCESS)
    yield there
    await there.close()
