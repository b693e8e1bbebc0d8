"""What the tests of the workflows share."""

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from tests.fixtures.engine import client, engine, forgetful_engine, own_engine, time_skipping
from tests.workflows.stage import Stage

__all__ = ["client", "engine", "forgetful_engine", "own_engine", "stage", "time_skipping"]


@pytest.fixture
async def stage(client: Client) -> AsyncIterator[Stage]:
    """A service of the test's own, with a worker."""
    async with Stage(client).working() as stage:
        yield stage
