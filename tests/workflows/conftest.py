"""What the tests of the workflows share."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from tests.fixtures.engine import client, engine, forgetful_engine, own_engine, skipping, time_skipping
from tests.workflows.crew import serving
from tests.workflows.stage import Stage

__all__ = ["client", "engine", "forgetful_engine", "own_engine", "skipping", "stage", "time_skipping"]


@pytest.fixture
async def stage(client: Client) -> AsyncIterator[Stage]:
    """A service of the test's own, with a worker."""
    async with Stage(client).working() as stage:
        yield stage


@pytest.fixture
async def away(client: Client) -> AsyncIterator[tuple[Stage, Path]]:
    """A stage whose world answers on a socket, and no worker yet."""
    folder = Path(tempfile.mkdtemp(prefix="bleen-test-"))
    stage = Stage(client)
    async with serving(stage.world, folder / "world"):
        yield stage, folder / "world"
    shutil.rmtree(folder)
