"""Clouds and tiers for the tests of this folder."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bleen.providers.azure.gateway import AzureBackends, AzureGateway
from tests.azure.double.cloud import Cloud
from tests.azure.double.edges import Edge
from tests.azure.flipping import FlipRun, make_edge
from tests.azure.mixing import MixedRun, make_pools
from tests.azure.tier import TierRun
from tests.fixtures.envoy import Instances


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    """An empty subscription, whose machines are only clocks."""
    there = Cloud()
    await there.start()
    yield there
    await there.close()


@pytest.fixture
def home() -> Iterator[Path]:
    """A short path: a unix socket's is limited to 108 bytes."""
    with TemporaryDirectory(prefix="bleen-") as folder:
        yield Path(folder)


@pytest.fixture
async def tier(cloud: Cloud, home: Path) -> AsyncIterator[TierRun]:
    """Two Envoys."""
    run = TierRun(cloud, home)
    for name in ("envoy-1", "envoy-2"):
        await run.start(name)
    yield run
    await run.close()


@pytest.fixture
def edge(cloud: Cloud) -> Edge:
    """An Application Gateway whose rules are flipped, for the services hello and other."""
    return make_edge(cloud)


@pytest.fixture
async def flipping(cloud: Cloud, edge: Edge) -> AsyncIterator[FlipRun]:
    """A controller's ports over it."""
    run = FlipRun(cloud)
    yield run
    await run.close()


@pytest.fixture
def pools(cloud: Cloud) -> Edge:
    """An Application Gateway whose pools are filled by a controller, for the services hello and other."""
    return make_pools(cloud)


@pytest.fixture
async def mixing(cloud: Cloud, pools: Edge) -> AsyncIterator[MixedRun]:
    """A controller's ports over it."""
    run = MixedRun(cloud)
    yield run
    await run.close()


@pytest.fixture
def gateway(tier: TierRun) -> AzureGateway:
    return tier.gateway


@pytest.fixture
def backends(tier: TierRun) -> AzureBackends:
    return tier.backends


@pytest.fixture
def instances() -> Iterator[Instances]:
    running = Instances()
    yield running
    running.end()
